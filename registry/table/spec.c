/*
 * spec.c: is a definition well-formed? Every refusal names the field.
 */
#include <ctype.h>
#include <errno.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/table/table.h"

#define LOWER "abcdefghijklmnopqrstuvwxyz0123456789._-"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static bool is_made_of(const char *letters, const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	return len > 0 && len < size && strspn(text, letters) == len && !strchr("._-", text[0]);
}

/* [a-z0-9][a-z0-9._-]{0,62}, ended within `size` bytes */
static bool is_name(const char *text, size_t size)
{
	return is_made_of(LOWER, text, size);
}

static bool is_printable(const char *text, size_t size)
{
	size_t len = strnlen(text, size);

	if (len == size)
		return false;
	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)text[i]))
			return false;
	return true;
}

/* What a client may call a service or a node: any text. Names with @ are of topics (registry_watch()). */
static int given_valid(const char *field, const char *text, size_t size, struct reg_err *err)
{
	if (!text[0] || !is_printable(text, size))
		return reg_fail(err, -EINVAL, "%s: must be printable, of 1 to %zu bytes", field, size - 1);
	if (text[0] == '@')
		return reg_fail(err, -EINVAL, "%s: must not begin with @", field);
	return 0;
}

static int vip_valid(const struct reg_service *service, struct reg_err *err)
{
	char text[IP_TEXT];

	if (!is_made_of(LOWER UPPER, service->name, REG_DEFINED_MAX + 1))
		return reg_fail(
			err, -EINVAL, "name: with a vip it must match [A-Za-z0-9][A-Za-z0-9._-]{0,190}");
	if (!ip_is_unicast(service->vip))
		return reg_fail(
			err, -EINVAL, "vip: %s is not a unicast address", ip_text(service->vip, text));
	if (!ip_is_none(service->vip6) && (!ip_is4(service->vip) || ip_is4(service->vip6)))
		return reg_fail(err, -EINVAL, "vips: one of IPv4 and one of IPv6 at most");
	if (!ip_is_none(service->vip6) && !ip_is_unicast(service->vip6))
		return reg_fail(
			err, -EINVAL, "vips: %s is not a unicast address", ip_text(service->vip6, text));
	if (!service->network[0])
		return reg_fail(err, -EINVAL, "network: needed by the vip");
	if (!service->port)
		return reg_fail(err, -EINVAL, "port: needed by the vip, 1..65535");
	if (!service->protocol)
		return reg_fail(err, -EINVAL, "protocol: needed by the vip");
	return 0;
}

const char *reg_protocol_name(enum reg_protocol protocol)
{
	return protocol == REG_TCP    ? "tcp"
	       : protocol == REG_UDP  ? "udp"
	       : protocol == REG_SCTP ? "sctp"
				      : NULL;
}

static int protocol_valid(const char *field, enum reg_protocol protocol, struct reg_err *err)
{
	if (!reg_protocol_name(protocol))
		return reg_fail(err, -EINVAL, "%s: %d is neither tcp, udp nor sctp", field, protocol);
	return 0;
}

/* `most`: the highest of the ports that the first one leads to. */
static int end_valid(const char *field, uint16_t port, uint16_t end, uint16_t most, struct reg_err *err)
{
	if (end && end < port)
		return reg_fail(err, -EINVAL, "%send_port: %u is less than port", field, end);
	if (most + reg_more_ports(port, end) > UINT16_MAX)
		return reg_fail(err, -EINVAL, "%send_port: %u leads beyond port %d of a backend", field, end,
			UINT16_MAX);
	return 0;
}

static bool overlap(uint16_t port, uint16_t end, uint16_t other, uint16_t other_end)
{
	return port <= other + reg_more_ports(other, other_end) && other <= port + reg_more_ports(port, end);
}

/* Which port has it twice? 0: none. */
static uint16_t port_there(const struct reg_service *service, unsigned i)
{
	const struct reg_port *port = &service->ports[i];

	if (port->protocol == service->protocol &&
		overlap(port->port, port->end, service->port, service->end))
		return port->port > service->port ? port->port : service->port;
	for (unsigned k = 0; k < i; k++) {
		const struct reg_port *other = &service->ports[k];

		if (port->protocol == other->protocol &&
			overlap(port->port, port->end, other->port, other->end))
			return port->port > other->port ? port->port : other->port;
	}
	return 0;
}

static int port_valid(const struct reg_service *service, unsigned i, struct reg_err *err)
{
	const struct reg_port *port = &service->ports[i];
	uint16_t twice;
	char field[32];
	int rc;

	if (!port->port || !port->target)
		return reg_fail(err, -EINVAL, "ports[%u].%s: 0 is out of range 1..65535", i,
			port->port ? "target_port" : "port");
	snprintf(field, sizeof(field), "ports[%u].protocol", i);
	rc = protocol_valid(field, port->protocol, err);
	snprintf(field, sizeof(field), "ports[%u].", i);
	if (rc == 0)
		rc = end_valid(field, port->port, port->end, port->target, err);
	if (rc < 0)
		return rc;
	if (port->name[0] && !is_name(port->name, sizeof(port->name)))
		return reg_fail(err, -EINVAL, "ports[%u].name: must match [a-z0-9][a-z0-9._-]{0,%d}", i,
			REG_PORT_NAME_MAX - 1);
	for (unsigned k = 0; k < i; k++)
		if (port->name[0] && strcmp(port->name, service->ports[k].name) == 0)
			return reg_fail(err, -EINVAL, "ports[%u].name: %s is there twice", i, port->name);
	twice = port_there(service, i);
	return twice ? reg_fail(err, -EINVAL, "ports[%u].port: the service has %u already", i, twice) : 0;
}

static int ports_valid(const struct reg_service *service, struct reg_err *err)
{
	int rc = 0;

	if (service->nport > REG_PORTS_MAX)
		return reg_fail(err, -EINVAL, "ports: more than %d", REG_PORTS_MAX);
	if (service->nport && ip_is_none(service->vip))
		return reg_fail(err, -EINVAL, "ports: need a vip");
	for (unsigned i = 0; i < service->nport && !rc; i++)
		rc = port_valid(service, i, err);
	return rc;
}

int service_valid(const struct reg_service *service, struct reg_err *err)
{
	int rc = service->discovered ? given_valid("name", service->name, sizeof(service->name), err) : 0;

	if (rc < 0)
		return rc;
	if (!service->discovered && !is_name(service->name, REG_DEFINED_MAX + 1))
		return reg_fail(err, -EINVAL, "name: must match [a-z0-9][a-z0-9._-]{0,190}");
	if (service->network[0] && !is_name(service->network, sizeof(service->network)))
		return reg_fail(err, -EINVAL, "network: must match [a-z0-9][a-z0-9._-]{0,62}");
	if (!is_name(service->source, sizeof(service->source)))
		return reg_fail(err, -EINVAL, "source: missing");
	if (service->protocol)
		rc = protocol_valid("protocol", service->protocol, err);
	if (rc < 0)
		return rc;
	if (!is_printable(service->policy, sizeof(service->policy)))
		return reg_fail(err, -EINVAL, "policy: not printable");
	if (service->policy[0] && strcmp(service->policy, "maglev") != 0 && !reg_service_is_least(service))
		return reg_fail(
			err, -ENOTSUP, "policy: %s is not supported, only maglev and least", service->policy);
	if (service->measured && !reg_service_is_least(service))
		return reg_fail(err, -EINVAL, "weights: measured needs the policy least, which measures");
	if (service->slow_start_ms > REG_SLOW_START_MAX_MS)
		return reg_fail(err, -EINVAL, "slow_start_ms: over %d", REG_SLOW_START_MAX_MS);
	if (service->drain_ms > REG_DRAIN_MAX_MS)
		return reg_fail(err, -EINVAL, "drain_ms: over %d", REG_DRAIN_MAX_MS);
	if (!ip_is_none(service->vip) || !ip_is_none(service->vip6)) {
		rc = vip_valid(service, err);
		if (rc < 0)
			return rc;
	}
	rc = end_valid("", service->port, service->end, service->port, err);
	if (rc < 0)
		return rc;
	if (service->end && ip_is_none(service->vip))
		return reg_fail(err, -EINVAL, "end_port: needs a vip");
	rc = ports_valid(service, err);
	return rc < 0 ? rc : spec_valid(&service->check, err);
}

/* A text of at most `max` bytes without control characters; what is wrong otherwise is said of `field`. */
static int text_valid(const char *field, const char *text, size_t max, struct reg_err *err)
{
	if (text && is_printable(text, max + 1))
		return 0;
	return reg_fail(err, -EINVAL, "%s: missing, longer than %zu bytes, or not printable", field, max);
}

enum { LIST_MAX = 64, TAG_MAX = 255, KEY_MAX = 128, VALUE_MAX = 512 };

static int lists_valid(const struct reg_pair *meta, size_t nmeta, const struct reg_tagged *tagged,
	size_t ntagged, struct reg_err *err)
{
	int rc = 0;

	if (nmeta > LIST_MAX || ntagged > LIST_MAX)
		return reg_fail(
			err, -EINVAL, "%s: more than %d", nmeta > LIST_MAX ? "meta" : "addresses", LIST_MAX);
	for (size_t i = 0; !rc && i < nmeta; i++) {
		rc = text_valid("meta", meta[i].key, KEY_MAX, err);
		if (!rc)
			rc = text_valid("meta", meta[i].value, VALUE_MAX, err);
	}
	for (size_t i = 0; !rc && i < ntagged; i++) {
		rc = text_valid("addresses", tagged[i].label, KEY_MAX, err);
		if (!rc)
			rc = text_valid("addresses", tagged[i].address, REG_HOST_MAX, err);
	}
	return rc;
}

static int metadata_valid(const struct reg_metadata *metadata, struct reg_err *err)
{
	int rc = 0;

	if (metadata->host)
		rc = text_valid("address", metadata->host, REG_HOST_MAX, err);
	if (!rc && metadata->ntag > LIST_MAX)
		rc = reg_fail(err, -EINVAL, "tags: more than %d", LIST_MAX);
	for (size_t i = 0; !rc && i < metadata->ntag; i++)
		rc = text_valid("tags", metadata->tags[i], TAG_MAX, err);
	return rc ? rc
		  : lists_valid(metadata->meta, metadata->nmeta, metadata->tagged, metadata->ntagged, err);
}

int backend_valid(const struct reg_backend *backend, struct reg_err *err)
{
	bool has_host = backend->metadata && backend->metadata->host;
	char text[IP_TEXT];
	int rc;

	if (!is_printable(backend->id, sizeof(backend->id)))
		return reg_fail(err, -EINVAL, "id: longer than %d bytes, or not printable", REG_ID_MAX);
	if (!(has_host && ip_is_none(backend->address)) && !ip_is_unicast(backend->address))
		return reg_fail(err, -EINVAL, "address: %s is not a unicast address",
			ip_text(backend->address, text));
	if (!is_name(backend->source, sizeof(backend->source)))
		return reg_fail(err, -EINVAL, "source: missing");
	rc = backend->metadata ? metadata_valid(backend->metadata, err) : 0;
	if (rc < 0)
		return rc;
	return backend->own_checks ? specs_valid(backend->checks, backend->ncheck, err) : 0;
}

int node_valid(const struct reg_node *node, struct reg_err *err)
{
	int rc = given_valid("node", node->name, sizeof(node->name), err);

	if (rc < 0)
		return rc;
	if (!is_printable(node->id, sizeof(node->id)))
		return reg_fail(err, -EINVAL, "id: longer than 36 bytes, or not printable");
	if (!node->address[0] || !is_printable(node->address, sizeof(node->address)))
		return reg_fail(err, -EINVAL, "address: missing, or not printable");
	if (!is_name(node->source, sizeof(node->source)))
		return reg_fail(err, -EINVAL, "source: missing");
	return lists_valid(node->meta, node->nmeta, node->tagged, node->ntagged, err);
}

bool node_name_fits(const char *name)
{
	return is_made_of(LOWER UPPER, name, REG_NAME_MAX + 1);
}

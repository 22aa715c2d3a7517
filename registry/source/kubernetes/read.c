/*
 * read.c: what of Kubernetes' objects concerns us. The server has checked them, but it is asked over a network, and what
 * is kept of them has limits: what is not understood is left out, and nothing is taken for more than it is.
 */
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/source/kubernetes/inside.h"

/* RFC 1123: of what the names of namespaces, Services and ports are made. */
static bool is_label(const char *text, size_t max)
{
	size_t len = text ? strlen(text) : 0;

	return len > 0 && len <= max && text[0] != '-' && text[0] != '.' &&
	       strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len;
}

const char *kube_text(const json_t *object, const char *key)
{
	return json_string_value(json_object_get(object, key));
}

static bool flag_of(const json_t *object, const char *key)
{
	return json_is_true(json_object_get(object, key));
}

uint16_t kube_number(const json_t *object, const char *key)
{
	json_int_t number = json_integer_value(json_object_get(object, key));

	return number > 0 && number <= UINT16_MAX ? (uint16_t)number : 0;
}

bool kube_prefix(const char *text, struct ip_prefix *out)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	unsigned long len, most;
	char *end;

	if (!slash || slash[1] < '0' || slash[1] > '9' ||
		!ip_parse_part(text, (size_t)(slash - text), &out->address))
		return false;
	len = strtoul(slash + 1, &end, 10);
	most = ip_is4(out->address) ? 32 : 128;
	if (*end || len > most)
		return false;
	out->len = (uint8_t)(len + 128 - most);
	for (unsigned bit = out->len; bit < 128; bit++)
		out->address.b[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	return true;
}

bool kube_read_key(const json_t *object, char *key, size_t size)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const char *namespace = kube_text(metadata, "namespace"), *name = kube_text(metadata, "name");

	return is_label(namespace, KUBE_LABEL) && is_label(name, size - KUBE_LABEL - 2) &&
	       snprintf(key, size, "%s/%s", namespace, name) < (int)size;
}

/* What is not said is TCP. */
static bool read_protocol(const json_t *port, enum reg_protocol *out)
{
	static const struct {
		const char *name;
		enum reg_protocol protocol;
	} known[] = {{"TCP", REG_TCP}, {"UDP", REG_UDP}, {"SCTP", REG_SCTP}};
	const char *text = kube_text(port, "protocol");

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(text ? text : "TCP", known[i].name) == 0) {
			*out = known[i].protocol;
			return true;
		}
	return false;
}

/* "": the only port of its Service. */
static bool read_port_name(const json_t *port, char name[KUBE_LABEL + 1])
{
	const char *text = kube_text(port, "name");

	name[0] = '\0';
	if (!text || !text[0])
		return true;
	if (!is_label(text, KUBE_LABEL) || strchr(text, '.'))
		return false;
	strcpy(name, text);
	return true;
}

static void read_vips(const json_t *spec, struct kube_spec *out)
{
	const json_t *list = json_object_get(spec, "clusterIPs"), *one;
	struct ip_addr address;
	size_t i;

	json_array_foreach (list, i, one) {
		const char *text = json_string_value(one); /* "None": of a headless Service */

		if (!text || !ip_parse(text, &address) || !ip_is_unicast(address))
			continue;
		if (ip_is_none(out->vip))
			out->vip = address;
		else if (ip_is4(out->vip) != ip_is4(address) && ip_is_none(out->vip6))
			out->vip6 = address;
	}
	if (!ip_is_none(out->vip6) &&
		ip_is4(out->vip6)) { /* the first is the family that the Service prefers */
		address = out->vip;
		out->vip = out->vip6;
		out->vip6 = address;
	}
}

static bool is_there(const struct kube_spec *spec, const struct kube_port_id *id)
{
	for (unsigned i = 0; i < spec->nport; i++)
		if (kube_is_same_port(&spec->ports[i].id, id))
			return true;
	return false;
}

static bool read_port(const json_t *port, struct kube_port_id *out)
{
	out->port = kube_number(port, "port");
	return out->port && read_port_name(port, out->name) && read_protocol(port, &out->protocol);
}

static bool read_ports(const json_t *spec, struct kube_spec *out)
{
	const json_t *list = json_object_get(spec, "ports"), *one;
	size_t i, n = json_array_size(list);

	n = n < KUBE_PORTS ? n : KUBE_PORTS;
	out->ports = calloc(n ? n : 1, sizeof(*out->ports));
	if (!out->ports)
		return false;
	json_array_foreach (list, i, one) {
		struct kube_port *port = &out->ports[out->nport];

		if (i == n)
			break;
		if (read_port(one, &port->id) && !is_there(out, &port->id)) {
			port->node_port = kube_number(one, "nodePort");
			out->nport++;
		}
	}
	return true;
}

static uint32_t read_affinity(const json_t *spec)
{
	const json_t *client = json_object_get(json_object_get(spec, "sessionAffinityConfig"), "clientIP");
	const char *text = kube_text(spec, "sessionAffinity");
	json_int_t seconds = json_integer_value(json_object_get(client, "timeoutSeconds"));

	if (!text || strcmp(text, "ClientIP") != 0)
		return 0;
	return seconds > 0 && seconds <= 86400 ? (uint32_t)seconds : 10800;
}

bool kube_read_service(const json_t *object, struct kube_spec *out)
{
	const json_t *spec = json_object_get(object, "spec");
	const char *policy = kube_text(spec, "internalTrafficPolicy");

	*out = (struct kube_spec){
		.affinity_s = read_affinity(spec),
		.local_only = policy && strcmp(policy, "Local") == 0,
	};
	read_vips(spec, out);
	if (ip_is_none(out->vip) || (read_ports(spec, out) && kube_read_outside(object, out)))
		return true;
	kube_spec_free(out);
	return false;
}

/* Nothing of it is the registry's yet. */
void kube_spec_free(struct kube_spec *spec)
{
	free(spec->ports);
	kube_outside_free(&spec->outside);
	spec->ports = NULL;
}

static bool has_name(const json_t *list, const char *name)
{
	const json_t *one;
	size_t i;

	json_array_foreach (list, i, one) {
		const char *text = kube_text(one, "name");

		if (text && strcmp(text, name) == 0)
			return true;
	}
	return false;
}

/* Conditions that are not told: it is ready, serves, and does not end. */
static uint8_t read_flags(const struct kubernetes *k, const json_t *endpoint)
{
	const json_t *conditions = json_object_get(endpoint, "conditions"),
		     *hints = json_object_get(endpoint, "hints"), *nodes = json_object_get(hints, "forNodes"),
		     *zones = json_object_get(hints, "forZones");
	const char *node = kube_text(endpoint, "nodeName");
	bool ready = !json_is_false(json_object_get(conditions, "ready")),
	     serving = json_is_null(json_object_get(conditions, "serving")) ||
				       !json_object_get(conditions, "serving")
			       ? ready
			       : flag_of(conditions, "serving");
	uint8_t flags = ready ? KUBE_READY : 0;

	if (serving && flag_of(conditions, "terminating"))
		flags |= KUBE_STANDBY;
	if (k->node && node && strcmp(node, k->node) == 0)
		flags |= KUBE_LOCAL;
	if (json_array_size(nodes) || json_array_size(zones))
		flags |= KUBE_HINTED;
	if (k->node && has_name(nodes, k->node))
		flags |= KUBE_FOR_NODE;
	if (k->zone[0] && has_name(zones, k->zone))
		flags |= KUBE_FOR_ZONE;
	return flags;
}

/* Of several addresses of an endpoint all are of the same one: the first is enough. */
static bool read_endpoints(const struct kubernetes *k, const json_t *object, struct kube_slice *out)
{
	const json_t *list = json_object_get(object, "endpoints"), *one;
	size_t i, n = json_array_size(list);

	n = n < KUBE_ENDPOINTS ? n : KUBE_ENDPOINTS;
	out->endpoints = calloc(n ? n : 1, sizeof(*out->endpoints));
	if (!out->endpoints)
		return false;
	json_array_foreach (list, i, one) {
		const char *text = json_string_value(json_array_get(json_object_get(one, "addresses"), 0));
		struct kube_endpoint *endpoint = &out->endpoints[out->n];

		if (i == n)
			break;
		if (!text || !ip_parse(text, &endpoint->address) || !ip_is_unicast(endpoint->address))
			continue;
		endpoint->flags = read_flags(k, one);
		out->n++;
	}
	return true;
}

static bool read_slice_ports(const json_t *object, struct kube_slice *out)
{
	const json_t *list = json_object_get(object, "ports"), *one;
	size_t i, n = json_array_size(list);

	n = n < KUBE_PORTS ? n : KUBE_PORTS;
	out->ports = calloc(n ? n : 1, sizeof(*out->ports));
	if (!out->ports)
		return false;
	json_array_foreach (list, i, one) {
		if (i == n)
			break;
		if (read_port(one, &out->ports[out->nport]))
			out->nport++;
	}
	return true;
}

bool kube_read_slice(
	const struct kubernetes *k, const json_t *object, char service[KUBE_KEY], struct kube_slice *out)
{
	const json_t *metadata = json_object_get(object, "metadata");
	const char *type = kube_text(object, "addressType"), *namespace = kube_text(metadata, "namespace"),
		   *name = kube_text(json_object_get(metadata, "labels"), "kubernetes.io/service-name");

	*out = (struct kube_slice){0};
	if (!type || (strcmp(type, "IPv4") != 0 && strcmp(type, "IPv6") != 0))
		return false;
	if (!is_label(namespace, KUBE_LABEL) || !is_label(name, KUBE_LABEL))
		return false;
	snprintf(service, KUBE_KEY, "%s/%s", namespace, name);
	if (read_slice_ports(object, out) && read_endpoints(k, object, out))
		return true;
	free(out->ports);
	free(out->endpoints);
	return false;
}

bool kube_is_leaving(const json_t *object)
{
	const json_t *taints = json_object_get(json_object_get(object, "spec"), "taints"), *taint;
	size_t i;

	json_array_foreach (taints, i, taint) {
		const char *key = kube_text(taint, "key");

		if (key && strcmp(key, "ToBeDeletedByClusterAutoscaler") == 0)
			return true;
	}
	return kube_text(json_object_get(object, "metadata"), "deletionTimestamp") != NULL;
}

void kube_read_zone(const json_t *object, char zone[KUBE_LABEL + 1])
{
	const json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
	const char *text = kube_text(labels, "topology.kubernetes.io/zone");

	zone[0] = '\0';
	if (text && strlen(text) <= KUBE_LABEL)
		strcpy(zone, text);
}

#include "control/model/publish.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/model/network_spec.h"

struct model_publish *model_publish(struct model *model, const char *name)
{
	struct model_publish *publish;

	TAILQ_FOREACH (publish, &model->published, link)
		if (strcmp(publish->name, name) == 0)
			return publish;
	return NULL;
}

/* "10.1.0.11:80", "[fd00::11]:80" or "service web". */
static int read_to(const char *text, struct model_publish *publish, struct api_err *err)
{
	const char *colon = strrchr(text, ':');
	unsigned long port;
	char *end;

	if (strncmp(text, "service ", 8) == 0 && text[8] && strlen(text + 8) < sizeof(publish->service)) {
		snprintf(publish->service, sizeof(publish->service), "%s", text + 8);
		return 0;
	}
	if (!colon || colon[1] < '0' || colon[1] > '9')
		goto wrong;
	port = strtoul(colon + 1, &end, 10);
	if (*end || !port || port > 65535 || !ip_parse_host(text, (size_t)(colon - text), &publish->to))
		goto wrong;
	publish->to_port = (uint16_t)port;
	return 0;
wrong:
	return api_fail(err, API_INVALID, "to",
		"\"%s\" is neither an address and port (10.1.0.11:80, [fd00::11]:80) nor \"service NAME\"",
		text);
}

const char *const model_publish_protocols[] = {"tcp", "udp", "sctp", NULL};

static enum reg_protocol protocol_of(const char *name)
{
	static const enum reg_protocol all[] = {REG_TCP, REG_UDP, REG_SCTP};

	for (size_t i = 0; name && i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(name, reg_protocol_name(all[i])) == 0)
			return all[i];
	return REG_TCP;
}

/* Without one it is any, of the family of what it leads to; of a service's IPv4. */
static int read_address(const char *text, struct model_publish *publish, struct api_err *err)
{
	bool ip6 = !publish->service[0] && !ip_is4(publish->to);

	publish->address = ip6 ? (struct ip_addr){0} : ip_from4(0);
	if (!text)
		return 0;
	ip_parse(text, &publish->address);
	if (model_publish_is6(publish) && ip_is_loopback(publish->address))
		return api_fail(err, API_INVALID, "address",
			"::1 cannot be published: the kernel takes answers to it from the loopback alone");
	return publish->service[0] || model_publish_is6(publish) == ip6
		       ? 0
		       : api_fail(err, API_INVALID, "address", "%s is of another family than `to`", text);
}

int model_publish_read(const json_t *params, struct model_publish *publish, struct api_err *err)
{
	snprintf(publish->name, sizeof(publish->name), "%s", param_str(params, "name"));
	publish->port = (uint16_t)param_int(params, "port", 0);
	publish->protocol = protocol_of(param_str(params, "protocol"));
	if (read_to(param_str(params, "to"), publish, err) < 0)
		return -1;
	return read_address(param_str(params, "address"), publish, err);
}

bool model_publish_clash(const struct model_publish *a, const struct model_publish *b)
{
	return a->protocol == b->protocol && a->port == b->port &&
	       model_publish_is6(a) == model_publish_is6(b) &&
	       (ip_equal(a->address, b->address) || ip_is_unspecified(a->address) ||
		       ip_is_unspecified(b->address));
}

static struct model_network *network_of(struct model *model, struct ip_addr address)
{
	struct model_network *network, *found = NULL;
	bool ip6 = !ip_is4(address);
	unsigned n = 0;

	TAILQ_FOREACH (network, &model->networks, link) {
		if (!network_spec_lets_in(&network->spec, ip6) ||
			!addr_is_host_of(network_spec_subnet(&network->spec, ip6), address))
			continue;
		if (network->spec.mode == DP_HOST)
			return network;
		found = network;
		n++;
	}
	return n == 1 ? found : NULL; /* subnets of networks that the host does not reach may overlap */
}

static bool lead_to_service(
	struct model *model, struct model_publish *publish, const struct reg_service *service)
{
	bool ip6 = model_publish_is6(publish);

	if (!service || ip_is_none(reg_service_vip(service, ip6)) || service->protocol != publish->protocol)
		return false;
	publish->network = model_network(model, service->network);
	publish->to = reg_service_vip(service, ip6);
	publish->to_port = service->port;
	return publish->network && network_spec_lets_in(&publish->network->spec, ip6);
}

static void lead(struct model *model, struct model_publish *publish, const struct reg_service *service)
{
	if (!lead_to_service(model, publish, service))
		publish->network = NULL;
}

bool model_publish_find(struct model *model, struct model_publish *publish)
{
	if (publish->service[0])
		lead(model, publish, registry_service_find(model->registry, publish->service));
	else
		publish->network = network_of(model, publish->to);
	return publish->network != NULL;
}

static bool by_uplinks(const struct model_publish *publish)
{
	return publish->network && publish->network->spec.mode != DP_HOST;
}

/* Has the workers look at what the network's guests send, if something is published there. */
static int let_in(struct model *model, struct model_network *network, struct dp_err *why)
{
	struct dp_network spec = network->spec;
	struct model_publish *publish;
	int rc;

	spec.egress &= (uint8_t)~DP_EGRESS_IN;
	TAILQ_FOREACH (publish, &model->published, link)
		if (publish->network == network)
			spec.egress |= DP_EGRESS_IN;
	if (spec.egress == network->spec.egress)
		return 0;
	rc = dp_network_set(model->dp, network->id, &spec, why);
	if (!rc)
		network->spec = spec;
	return rc;
}

/* The dataplane is told of all that leads into such networks. */
static int lead_by_uplinks(struct model *model, struct model_network *network, struct api_err *err)
{
	struct model_publish *publish;
	struct dp_published *list;
	struct dp_err why = {""};
	size_t n = 0;
	int rc;

	TAILQ_FOREACH (publish, &model->published, link)
		n += by_uplinks(publish);
	list = calloc(n ? n : 1, sizeof(*list));
	if (!list)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	n = 0;
	TAILQ_FOREACH (publish, &model->published, link)
		if (by_uplinks(publish))
			list[n++] = (struct dp_published){
				.protocol = (enum dp_protocol)publish->protocol,
				.address = publish->address,
				.port = publish->port,
				.net = publish->network->id,
				.to = publish->to,
				.to_port = publish->to_port,
				.vip = publish->service[0] != 0,
			};
	rc = let_in(model, network, &why);
	if (!rc)
		rc = dp_publish(model->dp, list, n, &why);
	free(list);
	return rc ? model_refused(err, rc, why.text) : 0;
}

static void log_began(const struct model_network *network, unsigned began)
{
	static const struct {
		unsigned bit;
		const char *name;
	} kinds[] = {
		{FORWARDING_IP4, "net.ipv4.ip_forward"}, {FORWARDING_IP6, "net.ipv6.conf.all.forwarding"}};

	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (began & kinds[i].bit)
			log_line(LOG_WARNING, "network %s: this host forwards packets from now on (%s)",
				network->name, kinds[i].name);
}

int model_forward(struct model *model, struct model_network *network, enum egress egress, struct api_err *err)
{
	struct forwarding forwarding = {.ifname = network->gateway.ifname,
		.subnet = network_spec_subnet(&network->spec, false),
		.subnet6 = network_spec_subnet(&network->spec, true),
		.egress = egress,
		.near = network->near,
		.nnear = network->nnear};
	struct model_publish *publish;
	struct forwarding_port *ports;
	char why[FORWARDING_WHY];
	unsigned began;
	size_t n = 0;
	int rc;

	if (model->publishing && egress == network->egress) {
		network->forward_due = true;
		return 0;
	}
	if (network->spec.mode != DP_HOST)
		return lead_by_uplinks(model, network, err);
	TAILQ_FOREACH (publish, &model->published, link)
		n += publish->network == network;
	ports = calloc(n ? n : 1, sizeof(*ports));
	if (!ports)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	TAILQ_FOREACH (publish, &model->published, link)
		if (publish->network == network)
			ports[forwarding.nport++] =
				(struct forwarding_port){reg_protocol_name(publish->protocol),
					publish->address, publish->port, publish->to, publish->to_port};
	forwarding.ports = ports;
	rc = forwarding_set(&forwarding, &began, why);
	free(ports);
	if (rc < 0)
		return api_fail(err, API_INTERNAL, NULL, "nftables: %s", why);
	log_began(network, began);
	return 0;
}

int model_forward_near(struct model *model, struct model_network *network, const struct ip_addr *list,
	size_t n, struct api_err *err)
{
	struct ip_addr *was = network->near, *fresh;
	size_t nwas = network->nnear;

	if (n == nwas && (!n || memcmp(was, list, n * sizeof(*list)) == 0))
		return 0;
	fresh = calloc(n + 1, sizeof(*fresh));
	if (!fresh)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (n)
		memcpy(fresh, list, n * sizeof(*list));
	network->near = fresh;
	network->nnear = n;
	if (network->egress == EGRESS_MASQUERADE && model_forward(model, network, network->egress, err) < 0) {
		network->near = was;
		network->nnear = nwas;
		free(fresh);
		return -1;
	}
	free(was);
	return 0;
}

void model_publish_begin(struct model *model)
{
	model->publishing++;
}

int model_publish_end(struct model *model, struct api_err *err)
{
	struct model_network *network;
	int rc = 0;

	if (--model->publishing)
		return 0;
	TAILQ_FOREACH (network, &model->networks, link) {
		if (!network->forward_due)
			continue;
		network->forward_due = false;
		if (model_forward(model, network, network->egress, err) < 0)
			rc = -1;
	}
	return rc;
}

static void forward_again(struct model *model, struct model_network *network)
{
	struct api_err err;

	if (network && model_forward(model, network, network->egress, &err) < 0)
		log_line(LOG_ERR, "network %s: what is published stays as it was: %s", network->name,
			err.text);
}

void model_publish_follow(struct model *model, const struct reg_service *service, bool gone)
{
	struct model_publish *publish;

	TAILQ_FOREACH (publish, &model->published, link) {
		struct model_publish was;

		if (strcmp(publish->service, service->name) != 0)
			continue;
		was = *publish;
		lead(model, publish, gone ? NULL : service);
		if (was.network == publish->network && ip_equal(was.to, publish->to) &&
			was.to_port == publish->to_port)
			continue;
		if (was.network != publish->network)
			forward_again(model, was.network);
		forward_again(model, publish->network);
	}
}

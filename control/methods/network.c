/*
 * Networks: isolated L2 segments, with a gateway port where they have a gateway.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/base/result.h"
#include "control/methods/list.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"
#include "control/model/port_spec.h"
#include "control/model/publish.h"
#include "control/model/scope.h"

/* No two networks have the same VNI. */
static int check_vni(struct model *model, const struct model_network *network, struct api_err *err)
{
	struct model_network *other;

	TAILQ_FOREACH (other, &model->networks, link)
		if (network->spec.vni && other->spec.vni == network->spec.vni)
			return api_fail(err, API_EXISTS, "vni", "%u is taken by network %s", other->spec.vni,
				other->name);
	return 0;
}

/* The gateway's port as the dataplane has it, but for how it is attached. */
static struct dp_port gateway_port(const struct model_network *network)
{
	struct dp_port port = {
		.type = DP_TAP,
		.net = network->id,
		.gateway = true,
		.mtu = network->spec.mtu,
	};

	for (unsigned ip6 = 0; ip6 < 2; ip6++)
		if (!ip_is_none(network_spec_gateway(&network->spec, ip6)))
			port.ips[port.nips++] = network_spec_gateway(&network->spec, ip6);
	memcpy(port.mac, dp_router_mac, 6);
	return port;
}

/* The gateway port: its TAP on the host, then the port in the dataplane. */
static int add_gateway(struct model *model, struct model_network *network, struct api_err *err)
{
	struct gateway_spec spec = {
		.network = network->name,
		.host = network->spec.mode == DP_HOST,
		.address = {network_spec_gateway(&network->spec, false), IP_PREFIX4 + network->spec.prefix},
		.address6 = {network->spec.gateway6, network->spec.subnet6.len},
		.mac = dp_router_mac,
		.mtu = network->spec.mtu,
	};
	struct dp_port port = gateway_port(network);
	struct dp_err why = {""};
	int rc;

	port.queues = 1;
	port.nfds = 1;
	rc = gateway_open(&network->gateway, &spec, &port.fds[0]);
	if (rc < 0)
		return api_fail(
			err, API_INTERNAL, "gateway", "cannot set up its interface: %s", strerror(-rc));
	rc = dp_port_add(model->dp, &port, &network->gateway_port, &why);
	if (rc < 0) {
		gateway_close(&network->gateway);
		return model_refused(err, rc, why.text);
	}
	network->has_gateway = true;
	return 0;
}

/* Does the host forward what comes from this interface, of "ipv4" or of "ipv6"? */
static bool forwards(const char *ifname, const char *family)
{
	char path[96];
	int value = '0';
	FILE *file;

	/* an interface starts with the host's setting at the time that it is made */
	snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/forwarding", family, ifname);
	file = fopen(path, "re");
	if (file) {
		value = fgetc(file);
		fclose(file);
	}
	return value == '1';
}

/* An operator who isolates networks must know that the host forwards between them. */
static void warn_of_forwarding(const struct model_network *network)
{
	if (network->spec.mode == DP_HOST && network->egress == EGRESS_HOST && network->has_gateway &&
		((network->spec.gateway && forwards(network->gateway.ifname, "ipv4")) ||
			(!ip_is_none(network->spec.gateway6) && forwards(network->gateway.ifname, "ipv6"))))
		log_line(LOG_WARNING,
			"network %s: this host forwards packets (net.ipv4.ip_forward, "
			"net.ipv6.conf.all.forwarding), so it routes between "
			"networks of mode host and whatever else it reaches; `network set %s "
			"--egress none` keeps it from that (docs/howto/host-networks.md)",
			network->name, network->name);
}

/* What the dataplane is to let out by uplinks: of mode host, where the host's kernel forwards, nothing. */
static void spec_egress(struct dp_network *spec, enum egress egress)
{
	spec->egress &= (uint8_t)~DP_EGRESS_OUT;
	if (egress == EGRESS_MASQUERADE && spec->mode != DP_HOST)
		spec->egress |= DP_EGRESS_OUT;
}

/* Has the host forward what `egress` says; where it is as before there is nothing to do. */
static int set_egress(
	struct model *model, struct model_network *network, enum egress egress, struct api_err *err)
{
	if (network->egress == egress)
		return 0;
	if (network->spec.mode == DP_HOST && model_forward(model, network, egress, err) < 0)
		return -1;
	network->egress = egress;
	return 0;
}

/* All of them, and the first by itself: of IPv4 where there is one. */
static void put_addresses(json_t *object, const struct dp_network *spec)
{
	json_t *subnets = json_array(), *gateways = json_array();
	char text[ADDR_IP_PREFIX_TEXT];

	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct ip_prefix subnet = network_spec_subnet(spec, ip6);
		struct ip_addr gateway = network_spec_gateway(spec, ip6);

		if (!ip_is_none(subnet.address))
			json_array_append_new(subnets, json_string(addr_ip_prefix_text(subnet, text)));
		if (!ip_is_none(gateway))
			json_array_append_new(gateways, json_string(ip_text(gateway, text)));
	}
	put_str(object, "subnet", json_string_value(json_array_get(subnets, 0)));
	put_str(object, "gateway", json_string_value(json_array_get(gateways, 0)));
	put(object, "subnets", subnets);
	put(object, "gateways", gateways);
}

static void put_ranges(json_t *object, const struct model_network *network)
{
	char text[ADDR_IP_PREFIX_TEXT];
	json_t *list = json_array();

	for (unsigned ip6 = 0; ip6 < 2; ip6++)
		if (!ip_is_none(network->ranges[ip6].address))
			json_array_append_new(
				list, json_string(addr_ip_prefix_text(network->ranges[ip6], text)));
	put(object, "ranges", list);
}

static json_t *network_json(const struct model *model, const struct model_network *network)
{
	const struct dp_network *spec = &network->spec;
	json_t *object = json_object();

	put_str(object, "name", network->name);
	put_str(object, "mode", network_modes[spec->mode]);
	put(object, "vni", spec->vni ? json_integer(spec->vni) : json_null());
	put_addresses(object, spec);
	put_ranges(object, network);
	put_str(object, "egress", network_egresses[network->egress]);
	put_int(object, "mtu", spec->mtu);
	put_int(object, "age_s", spec->age_s);
	put_int(object, "mac_limit", spec->mac_limit);
	put_int(object, "mac_moves", spec->mac_moves);
	put_int(object, "ports", network->nports);
	put_str(object, "source", network->source);
	scope_put(model, object, "network", network->name, network->source);
	return object;
}

static bool network_has_gateway(const struct dp_network *spec)
{
	return spec->gateway || !ip_is_none(spec->gateway6);
}

static API_HANDLER(network_add)
{
	const char *name = param_str(params, "name");
	struct model_network *network;
	struct dp_err why = {""};
	enum egress egress;
	int rc;

	if (model_network(model, name))
		return api_fail(err, API_EXISTS, "name", "there is a network \"%s\" already", name);
	network = calloc(1, sizeof(*network));
	if (!network)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	snprintf(network->name, sizeof(network->name), "%s", name);
	snprintf(network->source, sizeof(network->source), "%s", source);
	if (network_spec_read(params, &network->spec, err) < 0 ||
		network_ranges_read(params, &network->spec, network->ranges, err) < 0 ||
		check_vni(model, network, err) < 0)
		goto fail;
	egress = network->egress = network->spec.mode == DP_HOST ? EGRESS_HOST : EGRESS_NONE;
	if (network_egress_read(params, &network->spec, &egress, err) < 0)
		goto fail;
	spec_egress(&network->spec, egress);
	rc = dp_network_add(model->dp, &network->spec, &network->id, &why);
	if (rc < 0) {
		model_refused(err, rc, why.text);
		goto fail;
	}
	if (network_has_gateway(&network->spec) && add_gateway(model, network, err) < 0)
		goto undo;
	if (set_egress(model, network, egress, err) < 0) {
		dp_port_del(model->dp, network->gateway_port);
		model_close_gateway(network);
		goto undo;
	}
	TAILQ_INSERT_TAIL(&model->networks, network, link);
	model->network_by_id[network->id] = network;
	model_dns_join(model, network);
	warn_of_forwarding(network);
	model_changed(model, "network.add", source, params);
	*result = network_json(model, network);
	return 0;
undo:
	dp_network_del(model->dp, network->id);
fail:
	free(network->near);
	free(network);
	return -1;
}

static int check_mtu(
	struct model *model, const struct model_network *network, uint16_t mtu, struct api_err *err)
{
	struct model_port *port;

	TAILQ_FOREACH (port, &model->ports, link)
		if (port->network == network && port->own_mtu && port->spec.mtu > mtu)
			return api_fail(err, API_IN_USE, "mtu", "port %s has its own of %u", port->name,
				port->spec.mtu);
	return 0;
}

/* A port that follows its network's MTU. What fails is a container's interface that is gone, with its port
 * down. */
static void follow_mtu(struct model *model, struct model_port *port, uint16_t mtu)
{
	const struct model_port old = *port;
	struct dp_err why = {""};
	struct api_err err;
	int rc;

	port->spec.mtu = mtu;
	if (port_spec_change(model, port, &old, port, &err) < 0)
		log_line(LOG_WARNING, "port %s keeps its interface's MTU: %s", port->name, err.text);
	rc = dp_port_set(model->dp, port->id, &port->spec, &why);
	if (rc < 0)
		log_line(LOG_ERR, "port %s keeps its MTU: %s", port->name, why.text);
}

static void set_gateway_mtu(struct model *model, struct model_network *network)
{
	struct dp_port port = gateway_port(network);
	struct dp_err why = {""};
	int rc;

	rc = gateway_set_mtu(&network->gateway, network->spec.mtu);
	if (rc == 0)
		rc = dp_port_set(model->dp, network->gateway_port, &port, &why);
	if (rc < 0)
		log_line(
			LOG_ERR, "the gateway of network %s keeps its MTU: %s", network->name, strerror(-rc));
}

static API_HANDLER(network_set)
{
	struct model_network *network = model_need_network(model, params, "name", err);
	struct dp_err why = {""};
	struct dp_network spec;
	struct model_port *port;
	enum egress egress, was;
	int rc;

	if (!network)
		return -1;
	egress = was = network->egress;
	spec = network->spec;
	spec.mtu = (uint16_t)param_int(params, "mtu", spec.mtu);
	spec.age_s = (uint32_t)param_int(params, "age_s", spec.age_s);
	spec.mac_limit = (uint32_t)param_int(params, "mac_limit", spec.mac_limit);
	spec.mac_moves = (uint8_t)param_int(params, "mac_moves", spec.mac_moves);
	if (network_egress_read(params, &spec, &egress, err) < 0 ||
		network_spec_check_mtu(&spec, spec.mtu, err) < 0 ||
		check_mtu(model, network, spec.mtu, err) < 0 || set_egress(model, network, egress, err) < 0)
		return -1;
	spec_egress(&spec, egress);
	rc = dp_network_set(model->dp, network->id, &spec, &why);
	if (rc < 0) {
		struct api_err ignored;

		set_egress(model, network, was, &ignored);
		return model_refused(err, rc, why.text);
	}
	if (spec.mtu != network->spec.mtu) {
		network->spec = spec;
		TAILQ_FOREACH (port, &model->ports, link)
			if (port->network == network && !port->own_mtu)
				follow_mtu(model, port, spec.mtu);
		if (network->has_gateway)
			set_gateway_mtu(model, network);
	}
	network->spec = spec;
	model_changed(model, "network.set", source, params);
	*result = network_json(model, network);
	return 0;
}

struct service_search {
	const char *network, *found;
};

static bool in_network(void *arg, const struct reg_service *service)
{
	struct service_search *search = arg;

	if (!strcmp(service->network, search->network))
		search->found = service->name;
	return search->found == NULL;
}

/* Says what still holds the network. */
static int check_unused(struct model *model, const struct model_network *network, struct api_err *err)
{
	struct service_search search = {network->name, NULL};
	struct model_publish *publish;
	struct model_port *port;
	struct model_vtep *vtep;
	char ip[IP_TEXT];

	TAILQ_FOREACH (port, &model->ports, link)
		if (port->network == network)
			return api_fail(
				err, API_IN_USE, "name", "network %s has port %s", network->name, port->name);
	TAILQ_FOREACH (vtep, &model->vteps, link)
		if (vtep->network == network)
			return api_fail(err, API_IN_USE, "name", "network %s has vtep %s", network->name,
				ip_text(vtep->remote, ip));
	TAILQ_FOREACH (publish, &model->published, link)
		if (publish->network == network && !publish->service[0])
			return api_fail(err, API_IN_USE, "name", "network %s has what is published as %s",
				network->name, publish->name);
	registry_service_walk(model->registry, in_network, &search);
	if (search.found)
		return api_fail(
			err, API_IN_USE, "name", "network %s has service %s", network->name, search.found);
	return 0;
}

static API_HANDLER(network_del)
{
	struct model_network *network = model_need_network(model, params, "name", err);
	int rc;

	if (!network)
		return -1;
	if (model->cluster)
		model->cluster->leave(model->cluster->arg, network->name);
	if (check_unused(model, network, err) < 0)
		return -1;
	if (network->has_gateway) {
		rc = dp_port_del(model->dp, network->gateway_port);
		if (rc < 0)
			return model_refused(err, rc, NULL);
		model_dns_leave(model, network);
		model_close_gateway(network);
	}
	rc = dp_network_del(model->dp, network->id);
	if (rc < 0)
		return model_refused(err, rc, NULL);
	TAILQ_REMOVE(&model->networks, network, link);
	model->network_by_id[network->id] = NULL;
	free(network->near);
	free(network);
	model_changed(model, "network.del", source, params);
	return 0;
}

static API_HANDLER(network_list)
{
	struct model_network *network;

	*result = json_array();
	TAILQ_FOREACH (network, &model->networks, link)
		json_array_append_new(*result, network_json(model, network));
	return 0;
}

/* What it has of the tables that all networks share, and what found no room. */
static void put_shares(struct model *model, const struct model_network *network, json_t *object)
{
	struct dp_net_info info = {0};
	uint32_t share;

	dp_network_info(model->dp, network->id, &info);
	put_int(object, "macs", info.macs);
	put_int(object, "macs_share", info.macs_share);
	put_int(object, "unlearned", info.unlearned);
	put_int(object, "moves", info.mac_moves);
	put_int(object, "moves_held", info.mac_moves_held);
	put_int(object, "connections", dp_conn_count_of(model->dp, network->id, &share));
	put_int(object, "connections_share", share);
	put_int(object, "egress_connections", (json_int_t)dp_egress_count_of(model->dp, network->id));
}

static API_HANDLER(network_show)
{
	struct model_network *network = model_need_network(model, params, "name", err);
	struct dp_port_info info = {0};

	if (!network)
		return -1;
	*result = network_json(model, network);
	put_shares(model, network, *result);
	if (network->has_gateway) {
		dp_port_info(model->dp, network->gateway_port, &info);
		put_str(*result, "gateway_state", info.up ? "up" : "down");
		put_str(*result, "gateway_interface", network->gateway.ifname);
	}
	return 0;
}

static const struct api_field add_fields[] = {
	API_NAME_OF("network"),
	{"mode", API_ENUM,
		"bridge: local; host: joined with the host's own network; overlay: VXLAN; p2p: two ports",
		.choices = network_modes, .def = "\"bridge\""},
	{"vni", API_INT,
		"VXLAN network identifier; required in mode overlay, in mode host for pods of several nodes",
		.min = 1, .max = 16777215},
	{"subnet", API_CIDR, "addresses of its ports; prefix length 8..32, of IPv6 16..128"},
	{"gateway", API_IP, "address in the subnet that the switch answers for; host: the host's address"},
	{"subnets", API_LIST, "one of IPv4 and one of IPv6, instead of subnet", .item = API_CIDR, .max = 2},
	{"gateways", API_LIST, "in these subnets, one of each family at most, instead of gateway",
		.item = API_IP, .max = 2},
	{"ranges", API_LIST,
		"parts of the subnets that ports get addresses from, one of each family at most (default "
		"all)",
		.item = API_CIDR, .max = 2},
	{"egress", API_ENUM,
		"what leaves it for the world outside: none: nothing; masquerade: all, under the host's "
		"address "
		"in mode host, by an uplink and under its address in modes bridge and overlay; host: what "
		"the "
		"host's kernel forwards, only mode host (default host in mode host, none in others)",
		.choices = network_egresses},
	{"mtu", API_INT, "default 1500, with a vni 1450", .min = 68, .max = 9000},
	{"age_s", API_INT, "seconds until a learned MAC is forgotten; 0: never (default 300)", .min = 0,
		.max = 60000},
	{"mac_limit", API_INT,
		"MACs learned in it (default 0: its share of the table, and what other networks leave)",
		.max = 16777216},
	{"mac_moves", API_INT,
		"how often a second a MAC may move; then it stays where it is (default 10; 0: any number)",
		.max = DP_MAC_MOVES_MAX},
	SCOPE_FIELD,
	{NULL},
};

static const struct api_field set_fields[] = {
	API_NAME_OF("network"),
	{"egress", API_ENUM, "what leaves it for the world outside, as of network add",
		.choices = network_egresses},
	{"mtu", API_INT, "also of the ports that have none of their own", .min = 68, .max = 9000},
	{"age_s", API_INT, "seconds until a learned MAC is forgotten; 0: never", .min = 0, .max = 60000},
	{"mac_limit", API_INT,
		"MACs learned in it (0: its share of the table, and what other networks leave)",
		.max = 16777216},
	{"mac_moves", API_INT, "how often a second a MAC may move; then it stays where it is (0: any number)",
		.max = DP_MAC_MOVES_MAX},
	SCOPE_FIELD,
	{NULL},
};

const struct api_method network_methods[] = {
	{"network.add", "Make a network", add_fields, network_add, true},
	{"network.set", "Change a network", set_fields, network_set, true},
	{"network.del", "Delete a network that nothing uses", API_FIELDS(API_NAME_OF("network"), SCOPE_FIELD),
		network_del, true},
	{"network.list", "List networks", NULL, network_list, false,
		"name,mode,vni,subnets,gateways,mtu,ports,source"},
	{"network.show", "Show a network", API_FIELDS(API_NAME_OF("network")), network_show, false},
	{NULL},
};

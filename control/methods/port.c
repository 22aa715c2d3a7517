/*
 * Ports: where a container, a VM or a NIC attaches to a network.
 */
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/base/result.h"
#include "control/methods/fdb.h"
#include "control/methods/list.h"
#include "control/model/free_ip.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"
#include "control/model/port_macs.h"
#include "control/model/port_rate.h"
#include "control/model/port_security.h"
#include "control/model/port_services.h"
#include "control/model/port_spec.h"

enum { P2P_PORTS = 2 };

/* The next free address of the subnet, where the network has one. */
static int choose_of(
	struct model *model, struct model_port *port, struct ip_prefix subnet, struct api_err *err)
{
	struct ip_addr ip;

	if (ip_is_none(subnet.address))
		return 0;
	if (free_ip_choose(model, port->network, subnet, &ip, err) < 0)
		return -1;
	port->spec.ips[port->spec.nips++] = ip;
	return 0;
}

/* One of each family. */
static int choose_ip(struct model *model, struct model_port *port, struct api_err *err)
{
	const struct model_network *network = port->network;

	port->spec.nips = 0;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct ip_prefix from = ip_is_none(network->ranges[ip6].address)
						? network_spec_subnet(&network->spec, ip6)
						: network->ranges[ip6];

		if (choose_of(model, port, from, err) < 0)
			return -1;
	}
	return 0;
}

static int check_ip(struct model *model, const struct model_port *port, struct ip_addr ip, const char *text,
	struct api_err *err)
{
	const struct model_network *network = port->network;
	char who[96];

	if (network_spec_check_ip(&network->spec, network->name, ip, "ips", text, err) < 0)
		return -1;
	if (model_ip_taken(model, network, ip, port, who))
		return api_fail(err, API_EXISTS, "ips", "%s is taken by %s", text, who);
	return 0;
}

/* The given list, or the next free address when there is none. */
static int read_ips(struct model *model, struct model_port *port, const json_t *list, struct api_err *err)
{
	if (!list)
		return choose_ip(model, port, err);
	port->spec.nips = 0;
	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *text = json_string_value(json_array_get(list, i));
		struct ip_addr ip = {0};

		ip_parse(text, &ip);
		if (check_ip(model, port, ip, text, err) < 0)
			return -1;
		port->spec.ips[port->spec.nips++] = ip;
	}
	return 0;
}

static int check_mtu(const struct model_port *port, struct api_err *err)
{
	if (port->spec.mtu > port->network->spec.mtu)
		return api_fail(err, API_INVALID, "mtu", "%u is more than the %u of network %s",
			port->spec.mtu, port->network->spec.mtu, port->network->name);
	return network_spec_check_mtu(&port->network->spec, port->spec.mtu, err);
}

static void read_core(const json_t *params, struct dp_port *spec)
{
	if (!param_given(params, "core"))
		return;
	spec->core = (int)param_int(params, "core", -1);
	spec->pinned = spec->core >= 0;
}

static int read_port(struct model *model, struct model_port *port, struct api_err *err)
{
	const json_t *params = port->params;

	port->network = model_need_network(model, params, "network", err);
	if (!port->network)
		return -1;
	if (port->network->spec.mode == DP_P2P && port->network->nports >= P2P_PORTS)
		return api_fail(
			err, API_IN_USE, "network", "%s joins two ports already", port->network->name);
	port->spec.net = port->network->id;
	port->own_mtu = param_given(params, "mtu");
	port->spec.mtu = (uint16_t)param_int(params, "mtu", port->network->spec.mtu);
	if (check_mtu(port, err) < 0 || port_spec_mac(model, port, port->name, err) < 0)
		return -1;
	port_rate_default(&port->spec);
	read_core(params, &port->spec);
	port_macs_default(&port->spec);
	port_macs_read(params, &port->spec);
	if (read_ips(model, port, json_object_get(params, "ips"), err) < 0 ||
		port_rate_read(params, &port->spec, err) < 0 || port_security_read(port, params, err) < 0)
		return -1;
	return port_spec_read(model, port, err);
}

/* What was chosen joins what was given, so that the same port comes back after a restart. */
static void settle_params(struct model_port *port)
{
	char mac[ADDR_MAC_TEXT];

	put_str(port->params, "mac", addr_mac_text(port->spec.mac, mac));
	put(port->params, "ips", port_spec_ips_json(port));
}

static API_HANDLER(port_add)
{
	struct model_port *port = port_spec_new(model, source, params, err);

	if (!port)
		return -1;
	if (read_port(model, port, err) < 0 || port_spec_attach(model, port, err) < 0) {
		port_spec_free(port);
		return -1;
	}
	if (port_services_put(model, port, err) < 0) {
		port_spec_detach(model, port);
		return -1;
	}
	settle_params(port);
	model_changed(model, "port.add", source, port->params);
	*result = port_spec_json(model, port);
	return 0;
}

static struct model_port *need_port(struct model *model, const json_t *params, struct api_err *err)
{
	const char *name = param_str(params, "name");
	struct model_port *port = model_port(model, name);

	if (port && port->network)
		return port;
	api_fail(err, API_NOT_FOUND, "name", "no such port \"%s\"", name);
	return NULL;
}

/* `now` is a copy of the port. */
static int read_changes(
	struct model *model, struct model_port *now, const json_t *params, struct api_err *err)
{
	const json_t *ips = json_object_get(params, "ips");
	const char *mac = param_str(params, "mac");

	if (param_given(params, "memory_mb") && now->spec.type != DP_VHOST_USER)
		return api_fail(err, API_INVALID, "memory_mb", "only for type vhost-user");
	if (mac && port_spec_take_mac(model, now, mac, err) < 0)
		return -1;
	if (param_given(params, "mtu")) {
		now->own_mtu = true;
		now->spec.mtu = (uint16_t)param_int(params, "mtu", 0);
	}
	read_core(params, &now->spec);
	if (check_mtu(now, err) < 0 || port_rate_read(params, &now->spec, err) < 0)
		return -1;
	port_macs_read(params, &now->spec);
	port_vhost_read_memory(params, &now->spec);
	if (ips && read_ips(model, now, ips, err) < 0)
		return -1;
	return port_security_read(now, params, err);
}

static bool has_ip(const struct dp_port *spec, struct ip_addr ip)
{
	for (unsigned i = 0; i < spec->nips; i++)
		if (ip_equal(spec->ips[i], ip))
			return true;
	return false;
}

/* Tells the registry which addresses went and which came. */
static void tell_ips(struct model *model, const struct model_port *port, const struct dp_port *old)
{
	const struct dp_port *now = &port->spec;
	const char *network = port->network->name;
	int state = model_port_up(model, port);

	registry_batch_begin(model->registry);
	for (unsigned i = 0; i < old->nips; i++)
		if (!has_ip(now, old->ips[i]))
			registry_port_changed(model->registry, network, old->ips[i], -1);
	for (unsigned i = 0; i < now->nips; i++)
		if (!has_ip(old, now->ips[i]))
			registry_port_changed(model->registry, network, now->ips[i], state);
	registry_batch_end(model->registry);
}

/* Those at addresses that the port has no more; the others stay as they are. */
static void drop_services(struct model *model, const struct model_port *port, const struct dp_port *old)
{
	struct dp_port left = {.nips = 0};

	for (unsigned i = 0; i < old->nips; i++)
		if (!has_ip(&port->spec, old->ips[i]))
			left.ips[left.nips++] = old->ips[i];
	port_services_drop(model, port, &left);
}

static int apply_changes(
	struct model *model, struct model_port *port, const struct model_port *now, struct api_err *err)
{
	const struct dp_port old = port->spec;
	struct api_err ignored;

	if (port_spec_set(model, port, now, err) < 0)
		return -1;
	port->own_mtu = now->own_mtu;
	port->own_security = now->own_security;
	settle_params(port);
	registry_batch_begin(model->registry);
	tell_ips(model, port, &old);
	drop_services(model, port, &old);
	if (port_services_put(model, port, &ignored) < 0)
		log_line(LOG_WARNING, "port %s is no instance of its services any more: %s", port->name,
			ignored.text);
	registry_batch_end(model->registry);
	return 0;
}

static API_HANDLER(port_set)
{
	struct model_port *port = need_port(model, params, err);
	struct model_port now;

	if (!port)
		return -1;
	now = *port;
	if (read_changes(model, &now, params, err) < 0 || apply_changes(model, port, &now, err) < 0)
		return -1;
	if (param_given(params, "labels"))
		json_object_set(port->params, "labels", json_object_get(params, "labels"));
	model_changed(model, "port.set", source, params);
	*result = port_spec_json(model, port);
	return 0;
}

static API_HANDLER(port_del)
{
	struct model_port *port = need_port(model, params, err);

	if (!port)
		return -1;
	fdb_forget(model, port, NULL);
	port_services_drop(model, port, &port->spec);
	port_spec_detach(model, port);
	model_changed(model, "port.del", source, params);
	return 0;
}

static API_HANDLER(port_list)
{
	const char *network = param_str(params, "network");
	struct model_port *port;

	if (network && !model_need_network(model, params, "network", err))
		return -1;
	*result = json_array();
	TAILQ_FOREACH (port, &model->ports, link)
		if (!network || (port->network && !strcmp(port->network->name, network)))
			json_array_append_new(*result, port_spec_json(model, port));
	return 0;
}

static API_HANDLER(port_show)
{
	struct model_port *port = need_port(model, params, err);

	if (!port)
		return -1;
	*result = port_spec_json(model, port);
	port_security_describe(model, port, *result);
	port_spec_describe(model, port, *result);
	return 0;
}

/* clang-format off */
#define CORE_FIELD \
	{"core", API_INT, "CPU of the worker that polls it, one of dataplane.cores; that worker then polls no port " \
		"that does not ask for it (-1, the default: any worker that is left)", .min = -1, .max = 1023}
#define LABELS_FIELD \
	{"labels", API_MAP, "what its owner knows it by, all of them: KEY=VALUE", .max = 64}
/* clang-format on */

static const struct api_field add_fields[] = {
	API_NAME_OF("port"),
	{"network", API_NAME, "that it joins", .required = true},
	{"type", API_ENUM, "what attaches", .required = true, .choices = port_type_names},
	{"ips", API_LIST,
		"addresses of what is behind it (default: the next free one of each subnet; empty: none)",
		.item = API_IP, .max = DP_IPS_MAX},
	{"mac", API_MAC, "of what is behind it (default: 02: and the low 40 bits of XXH64 of the name)"},
	{"mtu", API_INT, "at most the network's, which is the default", .min = 68, .max = 9000},
	CORE_FIELD,
	LABELS_FIELD,
	PORT_SERVICES_FIELD,
	PORT_SECURITY_FIELDS,
	PORT_SPEC_FIELDS,
	PORT_RATE_FIELDS,
	PORT_MACS_FIELDS,
	{"configure", API_BOOL,
		"tap: give the interface its addresses, bring it up, route by the gateway (default true)"},
	{"file", API_PATH, "pcap: the file that frames are read from", .min = 2, .max = 4000},
	{NULL},
};

static const struct api_field set_fields[] = {
	API_NAME_OF("port"),
	{"mac", API_MAC, "of what is behind it"},
	{"ips", API_LIST, "addresses of what is behind it, all of them", .item = API_IP, .max = DP_IPS_MAX},
	{"mtu", API_INT, "at most the network's", .min = 68, .max = 9000},
	CORE_FIELD,
	LABELS_FIELD,
	PORT_RATE_FIELDS,
	PORT_MACS_FIELDS,
	PORT_VHOST_MEMORY_FIELD,
	PORT_SECURITY_FIELDS,
	{NULL},
};

const struct api_method port_methods[] = {
	{"port.add", "Attach a port to a network", add_fields, port_add, true},
	{"port.set", "Change a port", set_fields, port_set, true},
	{"port.del", "Delete a port", API_FIELDS(API_NAME_OF("port")), port_del, true},
	{"port.list", "List ports and uplinks", API_FIELDS({"network", API_NAME, "only its ports"}),
		port_list, false,
		"name,network,type,state,mac,ips,rx_packets=RX,tx_packets=TX,rx_drops=RX DROPS,tx_drops=TX "
		"DROPS"},
	{"port.show", "Show a port", API_FIELDS(API_NAME_OF("port")), port_show, false},
	{NULL},
};

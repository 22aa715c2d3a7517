/*
 * Uplinks: ports that carry the underlay.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/params.h"
#include "control/base/result.h"
#include "control/methods/list.h"
#include "control/model/objects.h"
#include "control/model/port_spec.h"

enum { MTU_DEFAULT = 1500, NEIGHBOURS_MAX = 4096 };

static json_t *neighbour_json(const struct dp_neighbour *neighbour)
{
	json_t *object = json_object();
	char ip[IP_TEXT], mac[ADDR_MAC_TEXT];

	put_str(object, "ip", ip_text(neighbour->ip, ip));
	put_str(object, "mac", neighbour->reachable ? addr_mac_text(neighbour->mac, mac) : NULL);
	put_str(object, "state", neighbour->reachable ? "reachable" : "resolving");
	return object;
}

static json_t *neighbours_json(struct model *model, const struct model_port *uplink)
{
	struct dp_neighbour *found = calloc(NEIGHBOURS_MAX, sizeof(*found));
	json_t *list = json_array();
	size_t n;

	if (!found)
		return list;
	n = dp_neighbours(model->dp, uplink->id, found, NEIGHBOURS_MAX);
	for (size_t i = 0; i < n && i < NEIGHBOURS_MAX; i++)
		json_array_append_new(list, neighbour_json(&found[i]));
	free(found);
	return list;
}

static json_t *uplink_json(struct model *model, const struct model_port *uplink)
{
	const struct dp_port *spec = &uplink->spec;
	json_t *object = port_spec_json(model, uplink);
	char address[ADDR_IP_PREFIX_TEXT], gateway[IP_TEXT];

	put_str(object, "address",
		ip_is_none(spec->address.address) ? NULL : addr_ip_prefix_text(spec->address, address));
	put_str(object, "gateway", ip_is_none(spec->next_hop) ? NULL : ip_text(spec->next_hop, gateway));
	put_int(object, "vxlan_port", spec->vxlan_port);
	put_bool(object, "zero_checksum", spec->zero_checksum);
	put(object, "neighbours", neighbours_json(model, uplink));
	return object;
}

static int read_address(struct model *model, struct model_port *uplink, struct api_err *err)
{
	struct model_port *other;

	if (port_spec_read_underlay(uplink->params, &uplink->spec, err) < 0)
		return -1;
	TAILQ_FOREACH (other, &model->ports, link)
		if (!other->network && !ip_is_none(uplink->spec.address.address) &&
			ip_equal(other->spec.address.address, uplink->spec.address.address))
			return api_fail(err, API_EXISTS, "address", "%s is taken by uplink %s",
				param_str(uplink->params, "address"), other->name);
	return 0;
}

static bool is_af_xdp(const json_t *params)
{
	return !strcmp(param_str(params, "type"), "af_xdp");
}

/*
 * Hosts that name their uplinks alike must not share a MAC in the underlay, so the address, which they cannot
 * share either, is part of the seed.
 */
static int read_mac(struct model *model, struct model_port *uplink, struct api_err *err)
{
	const char *address = param_str(uplink->params, "address");
	char seed[MODEL_NAME + ADDR_IP_PREFIX_TEXT];

	if (is_af_xdp(uplink->params))
		return port_spec_interface_mac(model, uplink, err);
	snprintf(seed, sizeof(seed), "%s%s%s", uplink->name, address ? " " : "", address ? address : "");
	return port_spec_mac(model, uplink, seed, err);
}

static API_HANDLER(uplink_add)
{
	struct model_port *uplink = port_spec_new(model, source, params, err);
	char mac[ADDR_MAC_TEXT];

	if (!uplink)
		return -1;
	uplink->spec.net = DP_NET_NONE;
	uplink->spec.mtu = (uint16_t)param_int(params, "mtu", MTU_DEFAULT);
	uplink->spec.vxlan_port = (uint16_t)param_int(params, "vxlan_port", 4789);
	if (read_address(model, uplink, err) < 0 || read_mac(model, uplink, err) < 0 ||
		port_spec_read(model, uplink, err) < 0 || port_spec_attach(model, uplink, err) < 0) {
		port_spec_free(uplink);
		return -1;
	}
	if (!is_af_xdp(uplink->params))
		put_str(uplink->params, "mac", addr_mac_text(uplink->spec.mac, mac));
	model_changed(model, "uplink.add", source, uplink->params);
	*result = uplink_json(model, uplink);
	return 0;
}

static struct model_port *need_uplink(struct model *model, const json_t *params, struct api_err *err)
{
	const char *name = param_str(params, "name");
	struct model_port *uplink = model_port(model, name);

	if (uplink && !uplink->network)
		return uplink;
	api_fail(err, API_NOT_FOUND, "name", "no such uplink \"%s\"", name);
	return NULL;
}

static API_HANDLER(uplink_set)
{
	struct model_port *uplink = need_uplink(model, params, err);
	const char *mac = param_str(params, "mac");
	struct model_port now;

	if (!uplink)
		return -1;
	now = *uplink;
	now.spec.mtu = (uint16_t)param_int(params, "mtu", now.spec.mtu);
	if (mac && is_af_xdp(uplink->params))
		return api_fail(err, API_INVALID, "mac", "that of the interface is used with type af_xdp");
	if (mac && port_spec_take_mac(model, &now, mac, err) < 0)
		return -1;
	if (port_spec_set(model, uplink, &now, err) < 0)
		return -1;
	model_changed(model, "uplink.set", source, params);
	*result = uplink_json(model, uplink);
	return 0;
}

static API_HANDLER(uplink_del)
{
	struct model_port *uplink = need_uplink(model, params, err);

	if (!uplink)
		return -1;
	port_spec_detach(model, uplink);
	model_changed(model, "uplink.del", source, params);
	return 0;
}

static API_HANDLER(uplink_list)
{
	struct model_port *port;

	*result = json_array();
	TAILQ_FOREACH (port, &model->ports, link)
		if (!port->network)
			json_array_append_new(*result, uplink_json(model, port));
	return 0;
}

static API_HANDLER(uplink_show)
{
	struct model_port *uplink = need_uplink(model, params, err);

	if (!uplink)
		return -1;
	*result = uplink_json(model, uplink);
	port_spec_describe(model, uplink, *result);
	return 0;
}

static const struct api_field add_fields[] = {
	{"name", API_NAME, "of the uplink; ports and uplinks share their names", .required = true,
		.positional = true},
	{"type", API_ENUM, "what attaches", .required = true, .choices = uplink_type_names},
	{"address", API_ADDR, "the switch's own address in the underlay, with its prefix length"},
	{"gateway", API_IP, "next hop for what is outside of that prefix"},
	{"vxlan_port", API_INT, "UDP port of VXLAN", .min = 1, .max = 65535, .def = "4789"},
	{"zero_checksum", API_BOOL,
		"send VXLAN over IPv6 without a UDP checksum, which its receivers must be told to take",
		.def = "false"},
	{"mac", API_MAC, "of the switch in the underlay (default: 02: and a hash of name and address)"},
	{"mtu", API_INT, "of the underlay", .min = 68, .max = 9000, .def = "1500"},
	PORT_SPEC_FIELDS,
	{NULL},
};

static const struct api_field set_fields[] = {
	API_NAME_OF("uplink"),
	{"mac", API_MAC, "of the switch in the underlay"},
	{"mtu", API_INT, "of the underlay", .min = 68, .max = 9000},
	{NULL},
};

const struct api_method uplink_methods[] = {
	{"uplink.add", "Attach a port that carries the underlay", add_fields, uplink_add, true},
	{"uplink.set", "Change an uplink", set_fields, uplink_set, true},
	{"uplink.del", "Delete an uplink", API_FIELDS(API_NAME_OF("uplink")), uplink_del, true},
	{"uplink.list", "List uplinks", NULL, uplink_list, false,
		"name,type,state,address,gateway,mac,mtu,rx_packets=RX,tx_packets=TX,source"},
	{"uplink.show", "Show an uplink", API_FIELDS(API_NAME_OF("uplink")), uplink_show, false},
	{NULL},
};

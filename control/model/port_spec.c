#include "control/model/port_spec.h"

#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/base/result.h"
#include "control/model/port_macs.h"
#include "control/model/port_rate.h"

const char *const uplink_type_names[] = {"af_packet", "af_xdp", "vhost-user", "eth", "tap", NULL};

struct model_port *port_spec_new(
	struct model *model, const char *source, const json_t *params, struct api_err *err)
{
	const char *name = param_str(params, "name");
	struct model_port *port = NULL;

	if (!strcmp(name, MODEL_GATEWAY_PORT))
		api_fail(err, API_INVALID, "name", "\"%s\" stands for the networks' own ports", name);
	else if (model_port(model, name))
		api_fail(err, API_EXISTS, "name", "there is a port \"%s\" already", name);
	else if (!(port = calloc(1, sizeof(*port))) || !(port->params = json_copy((json_t *)params)))
		api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (!port || !port->params) {
		free(port);
		return NULL;
	}
	snprintf(port->name, sizeof(port->name), "%s", name);
	snprintf(port->source, sizeof(port->source), "%s", source);
	return port;
}

int port_spec_check(const json_t *params, struct api_err *err)
{
	enum dp_port_type type = port_type_of(param_str(params, "type"));

	if (port_type_check_fields(params, err) < 0)
		return -1;
	return type < DP_PORT_TYPES && port_type(type)->check ? port_type(type)->check(params, err) : 0;
}

/* Routers of IPv6 are known by their link-local addresses, too. */
static bool is_next_hop(struct ip_prefix link, struct ip_addr hop)
{
	if (ip_equal(hop, link.address))
		return false;
	return addr_is_host_of(link, hop) || (!ip_is4(link.address) && !ip_is4(hop) && ip_is_link_local(hop));
}

int port_spec_read_underlay(const json_t *params, struct dp_port *spec, struct api_err *err)
{
	const char *text = param_str(params, "address"), *gateway = param_str(params, "gateway");
	bool zero = param_bool(params, "zero_checksum", false);
	struct ip_addr hop;

	if (!text && gateway)
		return api_fail(err, API_INVALID, "gateway", "needs an address");
	if (text && (!addr_ip_prefix(text, &spec->address) || !ip_is_unicast(spec->address.address) ||
			    !addr_is_host_of(spec->address, spec->address.address)))
		return api_fail(err, API_INVALID, "address", "%s is no host address of its prefix", text);
	if (zero && (!text || ip_is4(spec->address.address)))
		return api_fail(err, API_INVALID, "zero_checksum", "is for an address of IPv6");
	spec->zero_checksum = zero;
	if (!gateway)
		return 0;
	if (!ip_parse(gateway, &hop) || !is_next_hop(spec->address, hop))
		return api_fail(err, API_INVALID, "gateway", "%s is no other host of %s", gateway, text);
	spec->next_hop = hop;
	return 0;
}

int port_spec_read(struct model *model, struct model_port *port, struct api_err *err)
{
	const struct port_type *type;

	port->spec.type = port_type_of(param_str(port->params, "type"));
	port->spec.queues = (uint16_t)param_int(port->params, "queues", 1);
	if (port_spec_check(port->params, err) < 0)
		return -1;
	type = port_type(port->spec.type);
	return type->read ? type->read(model, port, err) : 0;
}

static const struct model_port *port_of_mac(
	struct model *model, const struct model_port *self, const uint8_t mac[6])
{
	struct model_port *port;

	TAILQ_FOREACH (port, &model->ports, link)
		if (port->network == self->network && !memcmp(port->spec.mac, mac, 6) &&
			strcmp(port->name, self->name) != 0)
			return port;
	return NULL;
}

int port_spec_take_mac(struct model *model, struct model_port *port, const char *text, struct api_err *err)
{
	const struct model_port *other;
	uint8_t mac[6];

	if (!addr_mac(text, mac) || !memcmp(mac, dp_router_mac, 6))
		return api_fail(err, API_INVALID, "mac", "%s is the switch's own", text);
	other = port_of_mac(model, port, mac);
	if (other)
		return api_fail(err, API_EXISTS, "mac", "%s is taken by port %s", text, other->name);
	memcpy(port->spec.mac, mac, 6);
	return 0;
}

int port_spec_interface_mac(struct model *model, struct model_port *port, struct api_err *err)
{
	const char *device = param_str(port->params, "device");
	struct ifreq req = {0};
	char text[ADDR_MAC_TEXT];
	int fd, rc;

	if (param_given(port->params, "mac"))
		return api_fail(err, API_INVALID, "mac", "that of the interface is used with type af_xdp");
	fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	snprintf(req.ifr_name, sizeof(req.ifr_name), "%s", device ? device : "");
	rc = fd < 0 ? -1 : ioctl(fd, SIOCGIFHWADDR, &req);
	if (fd >= 0)
		close(fd);
	if (rc < 0)
		return 0; /* refused when the device itself is read */
	return port_spec_take_mac(
		model, port, addr_mac_text((const uint8_t *)req.ifr_hwaddr.sa_data, text), err);
}

int port_spec_mac(struct model *model, struct model_port *port, const char *seed, struct api_err *err)
{
	const char *given = param_str(port->params, "mac");
	unsigned attempt = 0;

	if (given)
		return port_spec_take_mac(model, port, given, err);
	do
		addr_mac_of_name(seed, attempt++, port->spec.mac);
	while (!memcmp(port->spec.mac, dp_router_mac, 6) || port_of_mac(model, port, port->spec.mac));
	return 0;
}

void port_spec_describe(struct model *model, const struct model_port *port, json_t *object)
{
	const struct port_type *type = port_type(port->spec.type);

	for (const char *const *field = type->takes; *field; field++) {
		json_t *value = json_object_get(port->params, *field);

		/* these two are shown as they are at work */
		if (value && strcmp(*field, "queues") != 0 && strcmp(*field, "memory_mb") != 0)
			json_object_set(object, *field, value);
	}
	if (type->describe)
		type->describe(model, port, object);
}

int port_spec_change(struct model *model, struct model_port *port, const struct model_port *from,
	const struct model_port *to, struct api_err *err)
{
	const struct port_type *type = port_type(port->spec.type);

	return type->change ? type->change(model, port, from, to, err) : 0;
}

int port_spec_set(
	struct model *model, struct model_port *port, const struct model_port *now, struct api_err *err)
{
	struct api_err ignored;
	struct dp_err why = {""};
	int rc;

	if (port_spec_change(model, port, port, now, err) < 0)
		return -1;
	rc = dp_port_set(model->dp, port->id, &now->spec, &why);
	if (rc < 0) {
		port_spec_change(model, port, now, port, &ignored);
		return model_refused(err, rc, why.text);
	}
	port->spec = now->spec;
	return 0;
}

/*
 * dataplane.cores may have changed since the port was made: it is better to have the port without its own
 * worker than not to have it.
 */
static void let_go_of_core(struct model *model, struct model_port *port)
{
	struct dp_err why;

	if (!model->replaying || dp_port_core_check(model->dp, &port->spec, &why) == 0)
		return;
	log_line(LOG_WARNING, "port %s has no worker of its own until the next start: %s", port->name,
		why.text);
	port->spec.pinned = false;
}

int port_spec_attach(struct model *model, struct model_port *port, struct api_err *err)
{
	const struct port_type *type = port_type(port->spec.type);
	struct dp_err why = {""};
	int rc;

	let_go_of_core(model, port);
	if (type->attach && type->attach(model, port, err) < 0)
		return -1;
	rc = dp_port_add(model->dp, &port->spec, &port->id, &why);
	if (rc < 0)
		return model_refused(err, rc, why.text);
	TAILQ_INSERT_TAIL(&model->ports, port, link);
	model->port_by_id[port->id] = port;
	if (port->network)
		port->network->nports++;
	model_port_state(model, port, model_port_up(model, port));
	return 0;
}

void port_spec_detach(struct model *model, struct model_port *port)
{
	int rc;

	TAILQ_REMOVE(&model->ports, port, link);
	model->port_by_id[port->id] = NULL;
	if (port->network)
		port->network->nports--;
	model_port_state(model, port, -1);
	rc = dp_port_del(model->dp, port->id);
	if (rc < 0)
		log_line(LOG_ERR, "port %s stays in the dataplane: %s", port->name, strerror(-rc));
	port_spec_free(port);
}

void port_spec_free(struct model_port *port)
{
	if (!port)
		return;
	json_decref(port->params);
	netns_ref_close(&port->wait.netns);
	free(port->socket);
	free(port);
}

json_t *port_spec_ips_json(const struct model_port *port)
{
	json_t *list = json_array();
	char text[IP_TEXT];

	for (unsigned i = 0; i < port->spec.nips; i++)
		json_array_append_new(list, json_string(ip_text(port->spec.ips[i], text)));
	return list;
}

static void put_state(struct model *model, const struct model_port *port, bool up, json_t *object)
{
	bool waits = port->spec.type == DP_TAP && port_waits(model, port);

	put_str(object, "state", waits ? "waiting" : up ? "up" : "down");
	if (waits)
		put_str(object, "waiting", port->wait.why[0] ? port->wait.why : "its namespace is gone");
}

/* What the user has said, if it is not empty. */
static void put_given(const json_t *params, const char *field, json_t *object)
{
	json_t *value = json_object_get(params, field);

	if (json_object_size(value) || json_array_size(value))
		json_object_set(object, field, value);
}

json_t *port_spec_json(struct model *model, const struct model_port *port)
{
	json_t *object = json_object();
	struct dp_port_info info = {0};
	char mac[ADDR_MAC_TEXT];

	dp_port_info(model->dp, port->id, &info);
	put_str(object, "name", port->name);
	put_str(object, "network", port->network ? port->network->name : NULL);
	put_str(object, "type", port_type_names[port->spec.type]);
	put_state(model, port, info.up, object);
	put_str(object, "mac", addr_mac_text(port->spec.mac, mac));
	put(object, "ips", port_spec_ips_json(port));
	put_int(object, "mtu", port->spec.mtu);
	put_int(object, "queues", info.queues);
	put_int(object, "rx_packets", info.rx_packets);
	put_int(object, "rx_bytes", info.rx_bytes);
	put_int(object, "tx_packets", info.tx_packets);
	put_int(object, "tx_bytes", info.tx_bytes);
	put_int(object, "rx_drops", info.rx_drops);
	put_int(object, "tx_drops", info.tx_drops);
	put_int(object, "throttled", info.throttled);
	if (port->spec.pinned)
		put_int(object, "core", port->spec.core);
	put_int(object, "storm_drops", info.storm_drops);
	put_int(object, "rate_drops", info.rate_in_drops + info.rate_out_drops);
	if (port->network)
		port_rate_json(&port->spec, object);
	if (port->network)
		port_macs_json(&port->spec, &info, object);
	put_given(port->params, "labels", object);
	put_given(port->params, "services", object);
	put_str(object, "source", port->source);
	return object;
}

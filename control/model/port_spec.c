#include "control/model/port_spec.h"

#include <errno.h>
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
#include "control/model/tap_port.h"
#include "control/model/virtio_features.h"

const char *const port_type_names[] = {
	"vhost-user", "tap", "af_packet", "af_xdp", "null", "pcap", "eth", NULL};
const char *const uplink_type_names[] = {"af_packet", "af_xdp", "vhost-user", "eth", "tap", NULL};
const char *const port_spec_modes[] = {"server", "client", NULL};
const char *const port_spec_rings[] = {"auto", "split", "packed", NULL};

/* Fields that only some types take, and those of them that they need. */
static const struct {
	const char *field;
	unsigned types, needed_by;
} typed_fields[] = {
	{"netns", PORT_SPEC(DP_TAP)},
	{"ifname", PORT_SPEC(DP_TAP)},
	{"configure", PORT_SPEC(DP_TAP)},
	{"queues", PORT_SPEC(DP_TAP) | PORT_SPEC(DP_VHOST_USER)},
	{"socket", PORT_SPEC(DP_VHOST_USER)},
	{"mode", PORT_SPEC(DP_VHOST_USER)},
	{"ring", PORT_SPEC(DP_VHOST_USER)},
	{"mask", PORT_SPEC(DP_VHOST_USER)},
	{"owner", PORT_SPEC(DP_VHOST_USER)},
	{"group", PORT_SPEC(DP_VHOST_USER)},
	{"socket_mode", PORT_SPEC(DP_VHOST_USER)},
	{"memory_mb", PORT_SPEC(DP_VHOST_USER)},
	{"device", PORT_SPEC(DP_AF_PACKET) | PORT_SPEC(DP_AF_XDP),
		PORT_SPEC(DP_AF_PACKET) | PORT_SPEC(DP_AF_XDP)},
	{"devargs", PORT_SPEC(DP_ETH), PORT_SPEC(DP_ETH)},
	{"file", PORT_SPEC(DP_PCAP), PORT_SPEC(DP_PCAP)},
};

enum { TYPED_FIELDS = sizeof(typed_fields) / sizeof(typed_fields[0]) };

static enum dp_port_type type_of(const char *name)
{
	unsigned type = 0;

	while (port_type_names[type] && (!name || strcmp(port_type_names[type], name) != 0))
		type++;
	return (enum dp_port_type)type;
}

int port_spec_check_name(struct model *model, const char *name, struct api_err *err)
{
	if (!strcmp(name, MODEL_GATEWAY_PORT))
		return api_fail(err, API_INVALID, "name", "\"%s\" stands for the networks' own ports", name);
	if (model_port(model, name))
		return api_fail(err, API_EXISTS, "name", "there is a port \"%s\" already", name);
	return 0;
}

static int check_fields(const json_t *params, struct api_err *err)
{
	const char *type_name = param_str(params, "type");
	unsigned type = PORT_SPEC(type_of(type_name));

	for (unsigned i = 0; i < TYPED_FIELDS; i++) {
		bool given = param_given(params, typed_fields[i].field);

		if (given && !(typed_fields[i].types & type))
			return api_fail(
				err, API_INVALID, typed_fields[i].field, "not for type %s", type_name);
		if (!given && (typed_fields[i].needed_by & type))
			return api_fail(
				err, API_INVALID, typed_fields[i].field, "required for type %s", type_name);
	}
	return 0;
}

static int read_socket_mode(const char *text, uint32_t *mode, struct api_err *err)
{
	char *end;
	unsigned long value;

	if (!text) {
		*mode = 0660;
		return 0;
	}
	value = strtoul(text, &end, 8);
	if (*end != '\0' || text[strspn(text, "01234567")] != '\0' || value > 0777)
		return api_fail(
			err, API_INVALID, "socket_mode", "\"%s\" is no octal mode such as 0660", text);
	*mode = (uint32_t)value;
	return 0;
}

/* The socket of a port in client mode is its peer's. */
static int check_mode(const json_t *params, struct api_err *err)
{
	static const char *const fields[] = {"owner", "group", "socket_mode"};
	const char *mode = param_str(params, "mode");

	if (!mode || strcmp(mode, "client") != 0)
		return 0;
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (param_given(params, fields[i]))
			return api_fail(err, API_INVALID, fields[i],
				"not for mode client, whose socket is its peer's");
	return 0;
}

int port_spec_check(const json_t *params, struct api_err *err)
{
	uint32_t mode;

	if (check_fields(params, err) < 0 || check_mode(params, err) < 0)
		return -1;
	return read_socket_mode(param_str(params, "socket_mode"), &mode, err);
}

int port_spec_read_underlay(const json_t *params, struct dp_port *spec, struct api_err *err)
{
	const char *text = param_str(params, "address"), *gateway = param_str(params, "gateway");
	struct addr_prefix address;

	if (!text)
		return gateway ? api_fail(err, API_INVALID, "gateway", "needs an address") : 0;
	if (!addr_prefix(text, &address) || !addr_is_host(address, address.address))
		return api_fail(err, API_INVALID, "address", "%s is no host address of its prefix", text);
	spec->address = address.address;
	spec->prefix = address.len;
	if (!gateway)
		return 0;
	if (!addr_ip4(gateway, &spec->next_hop) || !addr_is_host(address, spec->next_hop) ||
		spec->next_hop == address.address)
		return api_fail(err, API_INVALID, "gateway", "%s is no other host of %s", gateway, text);
	return 0;
}

static int read_socket_path(struct model *model, struct model_port *port, struct api_err *err)
{
	struct model_port *other;

	port->spec.socket = param_str(port->params, "socket");
	if (!port->spec.socket) {
		if (asprintf(&port->socket, "%s/%s.sock", model->vhost_dir, port->name) < 0) {
			port->socket = NULL;
			return api_fail(err, API_INTERNAL, NULL, "out of memory");
		}
		if (strlen(port->socket) > 107)
			return api_fail(
				err, API_INVALID, "socket", "%s is longer than 107 bytes", port->socket);
		port->spec.socket = port->socket;
	}
	TAILQ_FOREACH (other, &model->ports, link)
		if (other->spec.type == DP_VHOST_USER && !strcmp(other->spec.socket, port->spec.socket))
			return api_fail(err, API_EXISTS, "socket", "%s is taken by port %s",
				port->spec.socket, other->name);
	return 0;
}

void port_spec_read_memory(const json_t *params, struct dp_port *spec)
{
	spec->memory_mb = (uint32_t)param_int(params, "memory_mb", spec->memory_mb);
}

static int read_vhost(struct model *model, struct model_port *port, struct api_err *err)
{
	const char *mode = param_str(port->params, "mode"), *ring = param_str(port->params, "ring");
	const json_t *mask = json_object_get(port->params, "mask");

	port->spec.client = mode && !strcmp(mode, "client");
	port_spec_read_memory(port->params, &port->spec);
	port->spec.packed = ring && !strcmp(ring, "packed");
	for (size_t i = 0; i < json_array_size(mask); i++)
		port->spec.mask |= virtio_feature_bit(json_string_value(json_array_get(mask, i)));
	port->spec.owner = param_str(port->params, "owner");
	port->spec.group = param_str(port->params, "group");
	if (read_socket_mode(param_str(port->params, "socket_mode"), &port->spec.socket_mode, err) < 0)
		return -1;
	return read_socket_path(model, port, err);
}

static int read_device(struct model *model, struct model_port *port, struct api_err *err)
{
	struct model_port *other;

	port->spec.device = param_str(port->params, "device");
	TAILQ_FOREACH (other, &model->ports, link)
		if (other->spec.device && !strcmp(other->spec.device, port->spec.device))
			return api_fail(err, API_EXISTS, "device", "%s is taken by port %s",
				other->spec.device, other->name);
	if (if_nametoindex(port->spec.device) == 0)
		return api_fail(err, API_NOT_FOUND, "device", "no interface \"%s\"", port->spec.device);
	return 0;
}

int port_spec_read(struct model *model, struct model_port *port, struct api_err *err)
{
	port->spec.type = type_of(param_str(port->params, "type"));
	port->spec.queues = (uint16_t)param_int(port->params, "queues", 1);
	if (port_spec_check(port->params, err) < 0)
		return -1;
	port->spec.devargs = param_str(port->params, "devargs");
	port->spec.file = param_str(port->params, "file");
	if (port->spec.type == DP_VHOST_USER)
		return read_vhost(model, port, err);
	if (port->spec.type == DP_AF_PACKET || port->spec.type == DP_AF_XDP)
		return read_device(model, port, err);
	return 0;
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

/* Who was connected before, and how that ended. */
static void describe_guest(struct model *model, const struct model_port *port, json_t *object)
{
	struct dp_port_guest guest;

	if (dp_port_guest(model->dp, port->id, &guest) < 0)
		return;
	put_int(object, "memory_mb", guest.memory_limit >> 20);
	put_int(object, "memory_mapped_mb", (guest.memory + (1 << 20) - 1) >> 20);
	put_int(object, "disconnects", guest.ends);
	put_int(object, "faults", guest.faults);
	if (guest.ends)
		put_str(object, "last_disconnect", guest.last_end);
}

void port_spec_describe(struct model *model, const struct model_port *port, json_t *object)
{
	for (unsigned i = 0; i < TYPED_FIELDS; i++) {
		json_t *value = json_object_get(port->params, typed_fields[i].field);

		if (value && strcmp(typed_fields[i].field, "queues") != 0 &&
			strcmp(typed_fields[i].field, "memory_mb") != 0)
			json_object_set(object, typed_fields[i].field, value);
	}
	if (port->spec.type != DP_VHOST_USER)
		return;
	put_str(object, "socket", port->spec.socket);
	describe_guest(model, port, object);
}

void port_spec_tap(const struct model_port *port, struct tap_port *tap)
{
	const char *netns = param_str(port->params, "netns"), *ifname = param_str(port->params, "ifname");

	*tap = (struct tap_port){
		.contained = netns,
		.ifname = ifname  ? ifname
			  : netns ? "eth0"
				  : port->name,
		.mtu = port->spec.mtu,
		.configure = param_bool(port->params, "configure", true),
		.queues = port->spec.queues,
	};
	/* an uplink's MAC and address are the switch's own: the interface at the other end has others */
	if (!port->network)
		return;
	tap->mac = port->spec.mac;
	tap->ips = port->spec.ips;
	tap->nips = port->spec.nips;
	tap->prefix = port->network->spec.prefix;
	tap->gateway = port->network->spec.gateway;
}

int port_spec_change_tap(struct model *model, struct model_port *port, const struct model_port *from,
	const struct model_port *to, struct api_err *err)
{
	struct tap_port old, now;
	struct api_err ignored;
	int netns, rc;

	/* the interface of one that waits will be made as the port is then */
	if (port->spec.type != DP_TAP || port_waits(model, port))
		return 0;
	if (port_wait_netns(port, &netns, err) < 0)
		return -1;
	port_spec_tap(from, &old);
	port_spec_tap(to, &now);
	rc = tap_port_change(&old, &now, netns, err);
	if (rc < 0)
		tap_port_change(&now, &old, netns, &ignored);
	if (netns >= 0)
		close(netns);
	return rc;
}

/* dataplane.cores may have changed since the port was made: that it has its worker is worth less than that it is. */
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
	struct dp_err why = {""};
	int rc;

	let_go_of_core(model, port);
	if (port->spec.type == DP_TAP && port_wait_attach(model, port, err) < 0)
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
	char text[ADDR_IP4_TEXT];

	for (unsigned i = 0; i < port->spec.nips; i++)
		json_array_append_new(list, json_string(addr_ip4_text(port->spec.ips[i], text)));
	return list;
}

static void put_state(struct model *model, const struct model_port *port, bool up, json_t *object)
{
	bool waits = port->spec.type == DP_TAP && port_waits(model, port);

	put_str(object, "state", waits ? "waiting" : up ? "up" : "down");
	if (waits)
		put_str(object, "waiting", port->wait.why[0] ? port->wait.why : "its namespace is gone");
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
	put_str(object, "source", port->source);
	return object;
}

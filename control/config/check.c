#include "control/config/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/config/sections.h"
#include "control/host/addr.h"
#include "control/model/network_spec.h"
#include "control/model/peer.h"
#include "control/model/port_rate.h"
#include "control/model/port_security.h"
#include "control/model/port_services.h"
#include "control/model/port_spec.h"
#include "control/model/publish.h"

enum { KEY = 512, LOCATION = 160, LINE = 256 };

struct check {
	json_t *named;	     /* "networks web": the object */
	json_t *taken;	     /* what only one object may have ("mac web 02:..."): who has it, as "ports[0]" */
	const json_t *cores; /* of the workers; NULL: one, wherever it is put */
	size_t reserved;     /* of them, by ports that ask for one */
	struct config_location at; /* of the object that is looked at */
	struct api_err *err;
};

/* Refuses the object for this field: "ports[1].mac: ...". */
__attribute__((format(printf, 4, 5))) static int refuse(
	struct check *check, enum api_code code, const char *field, const char *fmt, ...)
{
	char where[LOCATION], line[LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(where, sizeof(where), "%s[%zu].%s", check->at.section, check->at.index, field);
	return api_fail(check->err, code, where, "%s", line);
}

static int refuse_line(struct check *check, const struct api_err *why)
{
	return config_fail_line(check->at, check->err, why->code, why->text);
}

/* Who has what `fmt` names, as "ports[0]"; NULL when nobody does. */
__attribute__((format(printf, 2, 3))) static const char *owner(struct check *check, const char *fmt, ...)
{
	char key[KEY];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(key, sizeof(key), fmt, ap);
	va_end(ap);
	return json_string_value(json_object_get(check->taken, key));
}

/*
 * Gives the object what `fmt` names, or refuses it because another object has it. `text`: how the
 * user wrote it.
 */
__attribute__((format(printf, 4, 5))) static int take(
	struct check *check, const char *field, const char *text, const char *fmt, ...)
{
	char key[KEY];
	const char *whose;
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(key, sizeof(key), fmt, ap);
	va_end(ap);
	whose = json_string_value(json_object_get(check->taken, key));
	if (!whose)
		return json_object_set_new(
			check->taken, key, json_sprintf("%s[%zu]", check->at.section, check->at.index));
	if (!text)
		return refuse(check, API_EXISTS, field, "the same as %s", whose);
	return refuse(check, API_EXISTS, field, "%s is taken by %s", text, whose);
}

static const json_t *find(struct check *check, const char *section, const char *name)
{
	char key[KEY];

	snprintf(key, sizeof(key), "%s %s", section, name);
	return json_object_get(check->named, key);
}

/* What the object's `field` names, or NULL with *err. */
static const json_t *need(struct check *check, const json_t *object, const char *field, const char *section)
{
	const char *name = param_str(object, field);
	const json_t *found = find(check, section, name);

	if (!found)
		refuse(check, API_NOT_FOUND, field, "nothing in %s is called \"%s\"", section, name);
	return found;
}

/* A host address of the network that nobody has yet. */
static int fits(struct check *check, const char *field, const json_t *network, const char *text)
{
	const char *name = param_str(network, "name"), *whose = owner(check, "ip %s %s", name, text);
	struct dp_network spec = {0};
	struct ip_addr ip = {0};
	struct api_err why;

	ip_parse(text, &ip);
	if (network_spec_read(network, &spec, &why) < 0 ||
		network_spec_check_ip(&spec, name, ip, field, text, &why) < 0)
		return refuse_line(check, &why);
	if (whose)
		return refuse(check, API_EXISTS, field, "%s is taken by %s", text, whose);
	return 0;
}

static int read_egress(const json_t *network, const struct dp_network *spec, struct api_err *why)
{
	enum egress egress = spec->mode == DP_HOST ? EGRESS_HOST : EGRESS_NONE;

	return network_egress_read(network, spec, &egress, why);
}

static int check_network(struct check *check, const json_t *network)
{
	const char *name = param_str(network, "name"),
		   *field = param_given(network, "gateway") ? "gateway" : "gateways";
	struct dp_network spec = {0};
	struct ip_prefix ranges[2];
	char gateway[IP_TEXT];
	struct api_err why;
	char vni[16];

	if (network_spec_read(network, &spec, &why) < 0 ||
		network_ranges_read(network, &spec, ranges, &why) < 0 ||
		read_egress(network, &spec, &why) < 0)
		return refuse_line(check, &why);
	snprintf(vni, sizeof(vni), "%u", spec.vni);
	if (spec.vni && take(check, "vni", vni, "vni %s", vni) < 0)
		return -1;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct ip_addr ip = network_spec_gateway(&spec, ip6);

		ip_text(ip, gateway);
		if (!ip_is_none(ip) && take(check, field, gateway, "ip %s %s", name, gateway) < 0)
			return -1;
	}
	return 0;
}

/* What ports and uplinks have in common; they share their names, too. */
static int check_attachment(struct check *check, const json_t *port, const char *network)
{
	const char *name = param_str(port, "name"), *mac = param_str(port, "mac"),
		   *socket = param_str(port, "socket"), *device = param_str(port, "device");
	uint8_t bytes[6];
	struct api_err why;

	if (!strcmp(name, MODEL_GATEWAY_PORT))
		return refuse(check, API_INVALID, "name", "\"%s\" stands for the networks' own ports", name);
	if (port_spec_check(port, &why) < 0)
		return refuse_line(check, &why);
	if (mac && addr_mac(mac, bytes) && !memcmp(bytes, dp_router_mac, sizeof(bytes)))
		return refuse(check, API_INVALID, "mac", "%s is the switch's own", mac);
	if (take(check, "name", NULL, "port %s", name) < 0 ||
		(mac && take(check, "mac", mac, "mac %s %02x%02x%02x%02x%02x%02x", network, bytes[0],
				bytes[1], bytes[2], bytes[3], bytes[4], bytes[5]) < 0) ||
		(socket && take(check, "socket", socket, "socket %s", socket) < 0))
		return -1;
	return device ? take(check, "device", device, "device %s", device) : 0;
}

static int check_uplink(struct check *check, const json_t *uplink)
{
	struct dp_port spec = {0};
	char address[IP_TEXT];
	struct api_err why;

	if (port_spec_read_underlay(uplink, &spec, &why) < 0)
		return refuse_line(check, &why);
	if (check_attachment(check, uplink, "") < 0)
		return -1;
	if (ip_is_none(spec.address.address))
		return 0;
	ip_text(spec.address.address, address);
	return take(check, "address", address, "underlay %s", address);
}

static int check_vtep(struct check *check, const json_t *vtep)
{
	const json_t *network = need(check, vtep, "network", "networks");
	const char *remote = param_str(vtep, "remote"), *whose = owner(check, "underlay %s", remote);
	uint32_t interval_ms = 0;
	uint8_t multiplier = 0;
	struct api_err why;
	struct ip_addr ip;

	if (!network)
		return -1;
	if (!ip_parse(remote, &ip) || !ip_is_unicast(ip))
		return refuse(check, API_INVALID, "remote", "%s is no unicast address", remote);
	if (!param_given(network, "vni"))
		return refuse(check, API_INVALID, "network", "%s is no overlay", param_str(network, "name"));
	if (whose)
		return refuse(check, API_INVALID, "remote", "%s is the address of %s", remote, whose);
	if (peer_read(vtep, &interval_ms, &multiplier, &why) < 0)
		return refuse_line(check, &why);
	return take(check, "remote", NULL, "vtep %s %s", param_str(network, "name"), remote);
}

/* At most two ports in a p2p network. */
static int check_joined(struct check *check, const json_t *network)
{
	const char *name = param_str(network, "name");

	if (strcmp(param_str(network, "mode"), "p2p") != 0)
		return 0;
	if (!owner(check, "first of %s", name))
		return take(check, "network", NULL, "first of %s", name);
	if (!owner(check, "second of %s", name))
		return take(check, "network", NULL, "second of %s", name);
	return refuse(check, API_IN_USE, "network", "%s joins two ports already", name);
}

static int check_rates(struct check *check, const json_t *port)
{
	struct dp_port spec = {0};
	struct api_err why;

	return port_rate_read(port, &spec, &why) < 0 ? refuse_line(check, &why) : 0;
}

static bool has_core(const json_t *cores, int core)
{
	size_t i = 0;

	while (i < json_array_size(cores) && json_integer_value(json_array_get(cores, i)) != core)
		i++;
	return i < json_array_size(cores);
}

/* As balance_admit() of the dataplane will. */
static int check_core(struct check *check, const json_t *port)
{
	int core = (int)param_int(port, "core", -1);

	if (core < 0)
		return 0;
	if (json_array_size(check->cores) && !has_core(check->cores, core))
		return refuse(check, API_INVALID, "core", "%d is not among dataplane.cores", core);
	if (owner(check, "core %d", core))
		return 0;
	if (++check->reserved >= json_array_size(check->cores))
		return refuse(check, API_IN_USE, "core",
			"no worker would be left for ports without a core of their own");
	return take(check, "core", NULL, "core %d", core);
}

static int check_port(struct check *check, const json_t *port)
{
	const json_t *network = need(check, port, "network", "networks"), *ips = json_object_get(port, "ips");
	struct dp_network spec = {0};
	struct api_err why;
	const char *name;

	if (!network)
		return -1;
	name = param_str(network, "name");
	if (!strcmp(param_str(port, "type"), "tap") && !param_given(port, "netns") &&
		strcmp(param_str(network, "mode"), "host") != 0)
		return refuse(check, API_INVALID, "netns", "%s", PORT_WAIT_OWN);
	if (check_attachment(check, port, name) < 0 || check_joined(check, network) < 0 ||
		check_rates(check, port) < 0 || check_core(check, port) < 0 ||
		network_spec_read(network, &spec, check->err) < 0)
		return -1;
	if (port_security_check(port, &why) < 0 ||
		port_services_check(json_object_get(port, "services"), &why) < 0)
		return refuse_line(check, &why);
	if (param_int(port, "mtu", 0) > spec.mtu)
		return refuse(check, API_INVALID, "mtu", "%d is more than the %u of network %s",
			(int)param_int(port, "mtu", 0), spec.mtu, name);
	if (network_spec_check_mtu(&spec, (unsigned)param_int(port, "mtu", spec.mtu), &why) < 0)
		return refuse_line(check, &why);
	for (size_t i = 0; i < json_array_size(ips); i++) {
		const char *ip = json_string_value(json_array_get(ips, i));

		if (fits(check, "ips", network, ip) < 0 || take(check, "ips", ip, "ip %s %s", name, ip) < 0)
			return -1;
	}
	return 0;
}

/* By `vip`, or by `vips`. */
static int check_vips(struct check *check, const json_t *service, const json_t *network)
{
	const char *vip = param_str(service, "vip");
	const json_t *list = json_object_get(service, "vips");
	bool is6[2] = {false, true};
	struct ip_addr ip;

	if (vip && list)
		return refuse(check, API_INVALID, "vips", "instead of vip, not beside it");
	if (vip && network)
		return fits(check, "vip", network, vip);
	for (size_t i = 0; i < json_array_size(list) && i < 2; i++) {
		vip = json_string_value(json_array_get(list, i));
		if (network && fits(check, "vips", network, vip) < 0)
			return -1;
		if (ip_parse(vip, &ip))
			is6[i] = !ip_is4(ip);
	}
	if (json_array_size(list) == 2 && is6[0] == is6[1])
		return refuse(check, API_INVALID, "vips", "one of IPv4 and one of IPv6 at most");
	return 0;
}

/* Services may share a vip; the registry says on what. */
static int check_service(struct check *check, const json_t *service)
{
	const json_t *network =
		param_given(service, "network") ? need(check, service, "network", "networks") : NULL;

	if (param_given(service, "network") && !network)
		return -1;
	return check_vips(check, service, network);
}

static int check_fdb(struct check *check, const json_t *entry)
{
	const json_t *network = need(check, entry, "network", "networks"), *port;
	const char *mac = param_str(entry, "mac"), *vtep = param_str(entry, "vtep");
	uint8_t bytes[6] = {0};

	if (!network)
		return -1;
	if (!param_given(entry, "port") == !vtep)
		return refuse(check, API_INVALID, "port", "give either a port or a vtep");
	if (addr_mac(mac, bytes) && !memcmp(bytes, dp_router_mac, sizeof(bytes)))
		return refuse(check, API_INVALID, "mac", "%s is the switch's own", mac);
	if (vtep && !owner(check, "vtep %s %s", param_str(network, "name"), vtep))
		return refuse(check, API_NOT_FOUND, "vtep", "no vtep %s in network %s", vtep,
			param_str(network, "name"));
	if (vtep)
		return 0;
	port = need(check, entry, "port", "ports");
	if (port && strcmp(param_str(port, "network"), param_str(network, "name")) != 0)
		return refuse(check, API_NOT_FOUND, "port", "no port \"%s\" in network %s",
			param_str(port, "name"), param_str(network, "name"));
	return port ? 0 : -1;
}

static int check_backend(struct check *check, const json_t *backend)
{
	return need(check, backend, "service", "services") ? 0 : -1;
}

/* The network that has `address`, and may be led into. */
static const json_t *network_with(struct check *check, struct ip_addr address)
{
	bool ip6 = !ip_is4(address);
	const char *key;
	json_t *object;

	json_object_foreach (check->named, key, object) {
		struct dp_network spec = {0};
		struct api_err why;

		if (strncmp(key, "networks ", 9) == 0 && network_spec_read(object, &spec, &why) == 0 &&
			network_spec_lets_in(&spec, ip6) &&
			addr_is_host_of(network_spec_subnet(&spec, ip6), address))
			return object;
	}
	return NULL;
}

static bool is_of(const json_t *vip, bool ip6)
{
	struct ip_addr ip;

	return ip_parse(json_string_value(vip), &ip) && ip_is4(ip) != ip6;
}

static bool has_vip(const json_t *service, bool ip6)
{
	const json_t *list = json_object_get(service, "vips");

	return is_of(json_object_get(service, "vip"), ip6) || is_of(json_array_get(list, 0), ip6) ||
	       is_of(json_array_get(list, 1), ip6);
}

static int check_target(struct check *check, const struct model_publish *publish, const json_t *object)
{
	const char *protocol = reg_protocol_name(publish->protocol);
	bool ip6 = model_publish_is6(publish);
	const json_t *service = find(check, "services", publish->service), *network;
	struct dp_network spec = {0};
	struct api_err why;

	if (!publish->service[0])
		return network_with(check, publish->to)
			       ? 0
			       : refuse(check, API_INVALID, "to", MODEL_PUBLISH_NOWHERE,
					 param_str(object, "to"));
	if (!service)
		return refuse(check, API_NOT_FOUND, "to", "no such service \"%s\"", publish->service);
	network = has_vip(service, ip6) ? find(check, "networks", param_str(service, "network")) : NULL;
	if (network && network_spec_read(network, &spec, &why) == 0 && network_spec_lets_in(&spec, ip6) &&
		strcmp(param_str(service, "protocol"), protocol) == 0)
		return 0;
	return refuse(
		check, API_INVALID, "to", MODEL_PUBLISH_NO_VIP, publish->service, protocol, ip6 ? 6 : 4);
}

static int check_publish(struct check *check, const json_t *object)
{
	struct model_publish publish = {.port = 0};
	const char *protocol, *whose, *any;
	char address[IP_TEXT];
	struct api_err why;

	if (model_publish_read(object, &publish, &why) < 0)
		return refuse_line(check, &why);
	if (check_target(check, &publish, object) < 0)
		return -1;
	protocol = reg_protocol_name(publish.protocol);
	ip_text(publish.address, address);
	any = model_publish_is6(&publish) ? "::" : "0.0.0.0";
	whose = owner(check,
		ip_is_unspecified(publish.address) ? "published %s %u at %s" : "published %s %u %s", protocol,
		publish.port, any);
	if (whose)
		return refuse(check, API_EXISTS, "port", "%u is taken by %s", publish.port, whose);
	if (!owner(check, "published %s %u at %s", protocol, publish.port, any) &&
		take(check, "port", NULL, "published %s %u at %s", protocol, publish.port, any) < 0)
		return -1;
	return take(check, "port", NULL, "published %s %u %s", protocol, publish.port, address);
}

/* In an order in which each kind refers only to those before it. */
static const struct {
	const char *section;
	int (*fn)(struct check *check, const json_t *object);
} kinds[] = {
	{"networks", check_network},
	{"uplinks", check_uplink},
	{"vteps", check_vtep},
	{"ports", check_port},
	{"services", check_service},
	{"fdb", check_fdb},
	{"backends", check_backend},
	{"publish", check_publish},
};

/* Every object once, and found by its name from now on. */
static int index_section(struct check *check, const json_t *config, const struct section *section)
{
	const json_t *list = json_object_get(config, section->name);
	char id[SECTION_ID], key[KEY];

	check->at = (struct config_location){section->name, 0};
	for (; check->at.index < json_array_size(list); check->at.index++) {
		json_t *object = json_array_get(list, check->at.index);

		section_id(section, object, id);
		if (take(check, section->key[0], NULL, "%s", id) < 0)
			return -1;
		if (!param_given(object, "name"))
			continue;
		snprintf(key, sizeof(key), "%s %s", section->name, param_str(object, "name"));
		json_object_set(check->named, key, object);
	}
	return 0;
}

static int check_kinds(struct check *check, const json_t *config)
{
	for (size_t k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		const json_t *list = json_object_get(config, kinds[k].section);

		check->at = (struct config_location){kinds[k].section, 0};
		for (; check->at.index < json_array_size(list); check->at.index++)
			if (kinds[k].fn(check, json_array_get(list, check->at.index)) < 0)
				return -1;
	}
	return 0;
}

int config_check(const json_t *config, struct api_err *err)
{
	struct check check = {.named = json_object(),
		.taken = json_object(),
		.err = err,
		.cores = json_object_get(json_object_get(config, "dataplane"), "cores")};
	int rc = 0;

	for (size_t i = 0; !rc && i < sections_count; i++)
		rc = index_section(&check, config, &sections[i]);
	if (!rc)
		rc = check_kinds(&check, config);
	json_decref(check.named);
	json_decref(check.taken);
	return rc ? rc : config_trial(config, err);
}

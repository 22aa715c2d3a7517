/* network.c: Docker's networks. Each is a network of the daemon, made for it or there before (-o sluice.network). */
#include <stdio.h>
#include <string.h>

#include "control/docker/address.h"
#include "control/docker/call.h"
#include "control/docker/option.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"

/* What Docker has given the network of one family. */
struct part {
	const char *space;
	bool has_subnet;
	struct ip_prefix subnet;
	struct ip_addr gateway; /* none: there is none */
};

struct given {
	struct part part[2]; /* of IPv4, of IPv6 */
};

static const char *const lists[2] = {"IPv4Data", "IPv6Data"};

static int is_list(const json_t *list)
{
	return !list || json_is_null(list) || json_is_array(list);
}

/* The null driver gives 0.0.0.0/0. */
static int read_entry(const json_t *entry, bool ip6, struct part *part, struct api_err *err)
{
	const char *pool = docker_call_text(entry, "Pool", err), *gateway = NULL;
	char field[32];

	if (pool)
		gateway = docker_call_text(entry, "Gateway", err);
	part->space = gateway ? docker_call_text(entry, "AddressSpace", err) : NULL;
	if (!part->space)
		return -1;
	snprintf(field, sizeof(field), "%s[0].Pool", lists[ip6]);
	if (!addr_ip_prefix(pool, &part->subnet) || ip_is4(part->subnet.address) == ip6)
		return api_fail(err, API_INVALID, field, "must be an address of IPv%c with its prefix",
			ip6 ? '6' : '4');
	part->has_subnet = part->subnet.len > (ip6 ? 0 : IP_PREFIX4);
	snprintf(field, sizeof(field), "%s[0].Gateway", lists[ip6]);
	if (gateway[0] && (!docker_address_read(gateway, &part->gateway) || ip_is4(part->gateway) == ip6))
		return api_fail(err, API_INVALID, field, "must be an address");
	return 0;
}

static int read_given(
	const json_t *in, const struct docker_option *option, struct given *given, struct api_err *err)
{
	*given = (struct given){.part = {{.space = ""}, {.space = ""}}};
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		const json_t *list = json_object_get(in, lists[ip6]);

		if (!is_list(list))
			return api_fail(err, API_INVALID, lists[ip6], "must be a list");
		if (json_array_size(list) > 1)
			return api_fail(err, API_UNSUPPORTED, NULL,
				"a network has one subnet of each family: leave out all other --subnet");
		if (json_array_size(list) &&
			read_entry(json_array_get(list, 0), ip6, &given->part[ip6], err) < 0)
			return -1;
	}
	if (option->ip6 && !given->part[1].has_subnet)
		return api_fail(err, API_INVALID, "--ipv6", "needs a --subnet of IPv6");
	return 0;
}

static const char *or_none(struct ip_addr ip, char text[IP_TEXT])
{
	return ip_is_none(ip) ? "none" : ip_text(ip, text);
}

/* What Docker gives containers of a network that is there must be what that network has. */
static int check_part(
	const struct model_network *network, const struct part *part, bool ip6, struct api_err *err)
{
	struct ip_prefix subnet = network_spec_subnet(&network->spec, ip6);
	struct ip_addr gateway = network_spec_gateway(&network->spec, ip6);
	char text[ADDR_IP_PREFIX_TEXT], ip[IP_TEXT];
	bool has = !ip_is_none(subnet.address);

	if (!part->has_subnet && ip6) /* its containers have none of IPv6 then */
		return 0;
	if (part->has_subnet == has &&
		(!has ||
			(ip_equal(part->subnet.address, subnet.address) && part->subnet.len == subnet.len)) &&
		(ip_is_none(part->gateway) || ip_is_none(gateway) || ip_equal(part->gateway, gateway)))
		return 0;
	if (!has)
		return api_fail(err, API_INVALID, "sluice.network",
			ip6 ? "network %s has no subnet of IPv6"
			    : "network %s has no subnet: use "
			      "--ipam-driver null",
			network->name);
	return api_fail(err, API_INVALID, "sluice.network", "network %s has subnet %s%s%s: use --subnet%s",
		network->name, addr_ip_prefix_text(subnet, text), ip_is_none(gateway) ? "" : " and gateway ",
		ip_is_none(gateway) ? "" : or_none(gateway, ip), ip_is_none(gateway) ? "" : " and --gateway");
}

static int check_joined(
	struct docker *docker, const char *name, const struct given *given, struct api_err *err)
{
	const struct model_network *network = model_network(docker->model, name);

	if (!network)
		return api_fail(err, API_NOT_FOUND, "sluice.network", "no such network \"%.64s\"", name);
	for (unsigned ip6 = 0; ip6 < 2; ip6++)
		if (check_part(network, &given->part[ip6], ip6, err) < 0)
			return -1;
	return 0;
}

static bool has_gateway(const struct given *given)
{
	return !ip_is_none(given->part[0].gateway) || !ip_is_none(given->part[1].gateway);
}

/*
 * As people expect it of Docker: containers reach the world, and ports can be published. Whoever names a mode, or wants
 * no way out, gets what was named.
 */
static void choose_mode(const struct docker_option *option, const struct given *given)
{
	json_t *params = option->params;

	if (json_object_get(params, "mode") || option->internal || !has_gateway(given))
		return;
	json_object_set_new(params, "mode", json_string("host"));
	if (!json_object_get(params, "egress"))
		json_object_set_new(params, "egress", json_string("masquerade"));
}

static void complete_params(const struct docker_option *option, const char *id, const struct given *given)
{
	char name[DOCKER_NAME], text[ADDR_IP_PREFIX_TEXT], ip[IP_TEXT];
	json_t *params = option->params, *subnets = json_array(), *gateways = json_array();

	choose_mode(option, given);
	json_object_set_new(params, "name", json_string(docker_name(id, name)));
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		const struct part *part = &given->part[ip6];

		if (!part->has_subnet)
			continue;
		json_array_append_new(subnets, json_string(addr_ip_prefix_text(part->subnet, text)));
		if (!ip_is_none(part->gateway))
			json_array_append_new(gateways, json_string(ip_text(part->gateway, ip)));
	}
	if (json_array_size(subnets) > 1) {
		json_object_set(params, "subnets", subnets);
		if (json_array_size(gateways))
			json_object_set(params, "gateways", gateways);
	} else if (json_array_size(subnets)) {
		json_object_set(params, "subnet", json_array_get(subnets, 0));
		if (json_array_size(gateways))
			json_object_set(params, "gateway", json_array_get(gateways, 0));
	}
	json_decref(subnets);
	json_decref(gateways);
}

/* Addresses that no container may have; those with a name (--aux-address) are others' by Docker's own word. */
static void claim_addresses(
	struct docker *docker, const char *id, const json_t *in, const struct given *given)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		const json_t *entry = json_array_get(json_object_get(in, lists[ip6]), 0);
		const char *pool = docker_pool_of(docker, id, ip6), *name;
		struct ip_addr ip;
		json_t *value;

		if (!pool)
			continue;
		docker_address_claim(docker, pool, given->part[ip6].gateway, id);
		json_object_foreach (json_object_get(entry, "AuxAddresses"), name, value)
			if (docker_address_read(json_string_value(value), &ip))
				docker_address_claim(docker, pool, ip, id);
	}
}

/* A gateway in the host's namespace would take what the host sends there now. */
static int check_room(const struct docker_option *option, const struct given *given, struct api_err *err)
{
	const char *mode = json_string_value(json_object_get(option->params, "mode"));
	char subnet[ADDR_IP_PREFIX_TEXT], field[32];

	for (unsigned ip6 = 0; mode && strcmp(mode, "host") == 0 && ip6 < 2; ip6++) {
		const struct part *part = &given->part[ip6];

		if (!part->has_subnet || !docker_pool_is_routed(part->subnet))
			continue;
		snprintf(field, sizeof(field), "%s[0].Pool", lists[ip6]);
		return api_fail(err, API_IN_USE, field,
			"this host has a route to %s: use another --subnet, or --opt mode=bridge, which has "
			"no way out and no -p",
			addr_ip_prefix_text(part->subnet, subnet));
	}
	return 0;
}

static int bind_pools(struct docker *docker, const char *id, const struct given *given, struct api_err *err)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		const struct part *part = &given->part[ip6];

		if (!part->has_subnet || docker_pool_bind(docker, part->space, part->subnet, id, err) == 0)
			continue;
		docker_pool_unbind(docker, id);
		return -1;
	}
	return 0;
}

/* Made, or joined; nothing is kept yet. */
static int make(struct docker *docker, const char *id, const struct docker_option *option,
	const struct given *given, struct api_err *err)
{
	int rc;

	if (bind_pools(docker, id, given, err) < 0)
		return -1;
	if (option->network) {
		rc = check_joined(docker, option->network, given, err);
	} else {
		complete_params(option, id, given);
		rc = check_room(option, given, err);
		if (rc == 0)
			rc = docker_method(docker, "network.add", json_incref(option->params), err);
	}
	if (rc < 0)
		docker_pool_unbind(docker, id);
	return rc;
}

/* A call that comes twice must say the same. */
static int check_again(const json_t *record, const struct docker_option *option, const struct given *given,
	const char *id, struct api_err *err)
{
	const char *name = json_string_value(json_object_get(record, "network"));
	bool same = option->network ? strcmp(option->network, name) == 0 : false;

	if (!option->network) {
		complete_params(option, id, given);
		same = json_equal(option->params, json_object_get(record, "params"));
	}
	return same ? 0
		    : api_fail(err, API_EXISTS, "NetworkID", "there is a network %.12s, and it is another",
			      id);
}

int docker_create_network(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const char *id = docker_call_id(in, "NetworkID", err);
	struct docker_option option;
	char name[DOCKER_NAME];
	struct given given;
	json_t *record;
	int rc;

	if (!id || docker_option_read(json_object_get(in, "Options"), &option, err) < 0)
		return -1;
	if (read_given(in, &option, &given, err) < 0) {
		json_decref(option.params);
		return -1;
	}
	record = docker_record(docker, DOCKER_NETWORK, id);
	rc = record ? check_again(record, &option, &given, id, err) : make(docker, id, &option, &given, err);
	if (rc == 0 && !record) {
		docker_put(docker, DOCKER_NETWORK, id,
			json_pack("{s:I, s:s, s:b, s:b, s:O}", "at", (json_int_t)docker_now_ms(), "network",
				option.network ? option.network : docker_name(id, name), "own",
				!option.network, "internal", option.internal, "params", option.params));
		claim_addresses(docker, id, in, &given);
	}
	json_decref(option.params);
	return rc;
}

json_t *docker_need_network(const struct docker *docker, const json_t *in, struct api_err *err)
{
	const char *id = docker_call_id(in, "NetworkID", err);
	json_t *record = id ? docker_record(docker, DOCKER_NETWORK, id) : NULL;

	if (id && !record)
		api_fail(err, API_NOT_FOUND, "NetworkID", "no such network %.12s", id);
	return record;
}

static const char *endpoint_in(struct docker *docker, const char *network)
{
	const char *id;
	json_t *record;

	json_object_foreach (docker->records[DOCKER_ENDPOINT], id, record)
		if (strcmp(json_string_value(json_object_get(record, "network")), network) == 0)
			return id;
	return NULL;
}

/* What is not there (any more) is deleted: Docker repeats what it had no answer to. */
int docker_delete_network(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const char *id = docker_call_id(in, "NetworkID", err), *used;
	const json_t *record = id ? docker_record(docker, DOCKER_NETWORK, id) : NULL;
	int rc = 0;

	if (!id || !record)
		return id ? 0 : -1;
	used = endpoint_in(docker, id);
	if (used)
		return api_fail(err, API_IN_USE, "NetworkID", "network %.12s has endpoint %.12s", id, used);
	if (json_is_true(json_object_get(record, "own")))
		rc = docker_method(docker, "network.del",
			json_pack("{s:O}", "name", json_object_get(record, "network")), err);
	if (rc < 0 && !docker_is_gone(rc, err))
		return -1;
	docker_addresses_unclaim(docker, id, id);
	docker_pool_unbind(docker, id);
	docker_forget(docker, DOCKER_NETWORK, id);
	return 0;
}

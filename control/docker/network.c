/* network.c: Docker's networks. Each is a network of the daemon, made for it or there before (-o sluice.network). */
#include <string.h>

#include "control/docker/address.h"
#include "control/docker/call.h"
#include "control/docker/option.h"
#include "control/model/objects.h"

/* What Docker has given the network. */
struct given {
	const char *space;
	bool has_subnet;
	struct addr_prefix subnet;
	uint32_t gateway; /* 0: none */
};

static int is_list(const json_t *list)
{
	return !list || json_is_null(list) || json_is_array(list);
}

/* The null driver gives 0.0.0.0/0. */
static int read_entry(const json_t *entry, struct given *given, struct api_err *err)
{
	const char *pool = docker_call_text(entry, "Pool", err), *gateway = NULL;

	if (pool)
		gateway = docker_call_text(entry, "Gateway", err);
	given->space = gateway ? docker_call_text(entry, "AddressSpace", err) : NULL;
	if (!given->space)
		return -1;
	if (!addr_prefix(pool, &given->subnet))
		return api_fail(err, API_INVALID, "IPv4Data[0].Pool", "must be an address with its prefix");
	given->has_subnet = given->subnet.len > 0;
	if (gateway[0] && !docker_address_read(gateway, &given->gateway))
		return api_fail(err, API_INVALID, "IPv4Data[0].Gateway", "must be an address");
	return 0;
}

static int read_given(const json_t *in, struct given *given, struct api_err *err)
{
	const json_t *v4 = json_object_get(in, "IPv4Data"), *v6 = json_object_get(in, "IPv6Data");

	*given = (struct given){.space = ""};
	if (!is_list(v4) || !is_list(v6))
		return api_fail(err, API_INVALID, is_list(v4) ? "IPv6Data" : "IPv4Data", "must be a list");
	if (json_array_size(v6))
		return api_fail(err, API_UNSUPPORTED, NULL, "networks have no IPv6 addresses yet");
	if (json_array_size(v4) > 1)
		return api_fail(err, API_UNSUPPORTED, NULL,
			"a network has one subnet: leave out all --subnet but one");
	return json_array_size(v4) ? read_entry(json_array_get(v4, 0), given, err) : 0;
}

/* What Docker gives containers of a network that is there must be what that network has. */
static int check_joined(
	struct docker *docker, const char *name, const struct given *given, struct api_err *err)
{
	const struct model_network *network = model_network(docker->model, name);
	char subnet[ADDR_PREFIX_TEXT], gateway[ADDR_IP4_TEXT];
	const struct dp_network *spec = network ? &network->spec : NULL;

	if (!network)
		return api_fail(err, API_NOT_FOUND, "sluice.network", "no such network \"%.64s\"", name);
	if (given->has_subnet == (spec->subnet != 0) &&
		(!given->has_subnet ||
			(given->subnet.address == spec->subnet && given->subnet.len == spec->prefix)) &&
		(!given->gateway || !spec->gateway || given->gateway == spec->gateway))
		return 0;
	if (!spec->subnet)
		return api_fail(err, API_INVALID, "sluice.network",
			"network %s has no subnet: use --ipam-driver null", name);
	return api_fail(err, API_INVALID, "sluice.network", "network %s has subnet %s%s%s: use --subnet%s",
		name, addr_prefix_text(model_subnet(network), subnet), spec->gateway ? " and gateway " : "",
		spec->gateway ? addr_ip4_text(spec->gateway, gateway) : "",
		spec->gateway ? " and --gateway" : "");
}

/*
 * As people expect it of Docker: containers reach the world, and ports can be published. Whoever names a mode, or wants
 * no way out, gets what was named.
 */
static void choose_mode(const struct docker_option *option, const struct given *given)
{
	json_t *params = option->params;

	if (json_object_get(params, "mode") || option->internal || !given->has_subnet || !given->gateway)
		return;
	json_object_set_new(params, "mode", json_string("host"));
	if (!json_object_get(params, "egress"))
		json_object_set_new(params, "egress", json_string("masquerade"));
}

static void complete_params(const struct docker_option *option, const char *id, const struct given *given)
{
	char name[DOCKER_NAME], text[ADDR_PREFIX_TEXT];
	json_t *params = option->params;

	choose_mode(option, given);
	json_object_set_new(params, "name", json_string(docker_name(id, name)));
	if (given->has_subnet)
		json_object_set_new(params, "subnet", json_string(addr_prefix_text(given->subnet, text)));
	if (given->has_subnet && given->gateway)
		json_object_set_new(params, "gateway", json_string(addr_ip4_text(given->gateway, text)));
}

/* Addresses that no container may have; those with a name (--aux-address) are others' by Docker's own word. */
static void claim_addresses(
	struct docker *docker, const char *id, const json_t *entry, const struct given *given)
{
	const char *pool = docker_pool_of(docker, id), *name;
	json_t *value;
	uint32_t ip;

	if (!pool)
		return;
	docker_address_claim(docker, pool, given->gateway, id);
	json_object_foreach (json_object_get(entry, "AuxAddresses"), name, value)
		if (docker_address_read(json_string_value(value), &ip))
			docker_address_claim(docker, pool, ip, id);
}

/* A gateway in the host's namespace would take what the host sends there now. */
static int check_room(const struct docker_option *option, const struct given *given, struct api_err *err)
{
	const char *mode = json_string_value(json_object_get(option->params, "mode"));
	char subnet[ADDR_PREFIX_TEXT];

	if (!mode || strcmp(mode, "host") != 0 || !given->has_subnet || !docker_pool_is_routed(given->subnet))
		return 0;
	return api_fail(err, API_IN_USE, "IPv4Data[0].Pool",
		"this host has a route to %s: use another --subnet, or --opt mode=bridge, which has no way "
		"out and "
		"no -p",
		addr_prefix_text(given->subnet, subnet));
}

/* Made, or joined; nothing is kept yet. */
static int make(struct docker *docker, const char *id, const struct docker_option *option,
	const struct given *given, struct api_err *err)
{
	int rc;

	if (docker_pool_bind(docker, given->space, given->subnet, id, err) < 0)
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

	if (!id || read_given(in, &given, err) < 0 ||
		docker_option_read(json_object_get(in, "Options"), &option, err) < 0)
		return -1;
	record = docker_record(docker, DOCKER_NETWORK, id);
	rc = record ? check_again(record, &option, &given, id, err) : make(docker, id, &option, &given, err);
	if (rc == 0 && !record) {
		docker_put(docker, DOCKER_NETWORK, id,
			json_pack("{s:I, s:s, s:b, s:b, s:O}", "at", (json_int_t)docker_now_ms(), "network",
				option.network ? option.network : docker_name(id, name), "own",
				!option.network, "internal", option.internal, "params", option.params));
		claim_addresses(docker, id, json_array_get(json_object_get(in, "IPv4Data"), 0), &given);
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
	const char *pool;
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
	pool = docker_pool_of(docker, id);
	if (pool)
		docker_address_unclaim(docker, pool, id);
	docker_pool_unbind(docker, id);
	docker_forget(docker, DOCKER_NETWORK, id);
	return 0;
}

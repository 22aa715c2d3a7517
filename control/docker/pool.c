/* pool.c: subnets that Docker takes for its networks. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/docker/address.h"
#include "control/docker/call.h"
#include "control/model/objects.h"

enum { POOL_ID = 128, LEN_MIN = 8, LEN_MAX = 31 };

#define ROUTES "/proc/net/route"
#define META_GATEWAY "com.docker.network.gateway"

struct request {
	const char *space, *network; /* network: of the daemon, whose subnet it is to be; NULL: any */
	bool chosen;		     /* a subnet was asked for */
	struct addr_prefix subnet, range;
	bool has_range;
};

/* Host byte order. */
static uint32_t mask_of(uint8_t len)
{
	return len ? UINT32_MAX << (32 - len) : 0;
}

static bool overlap(struct addr_prefix a, struct addr_prefix b)
{
	uint8_t len = a.len < b.len ? a.len : b.len;

	return ((ntohl(a.address) ^ ntohl(b.address)) & mask_of(len)) == 0;
}

struct addr_prefix docker_pool_subnet(const json_t *pool)
{
	struct addr_prefix subnet = {0, 32};

	addr_prefix(param_str(pool, "subnet"), &subnet);
	return subnet;
}

const char *docker_pool_of(const struct docker *docker, const char *network)
{
	const char *id, *bound;
	json_t *pool;

	json_object_foreach (docker->records[DOCKER_POOL_OF], id, pool) {
		bound = param_str(pool, "bound");
		if (bound && strcmp(bound, network) == 0)
			return id;
	}
	return NULL;
}

static bool is_subnet(const json_t *pool, struct addr_prefix subnet)
{
	struct addr_prefix other = docker_pool_subnet(pool);

	return other.address == subnet.address && other.len == subnet.len;
}

/* The pool of this subnet that is the network's, else one that is nobody's yet, else any. NULL: there is none. */
static const char *find(
	const struct docker *docker, const char *space, struct addr_prefix subnet, const char *network)
{
	const char *id, *bound, *nobodys = NULL, *any = NULL;
	json_t *pool;

	json_object_foreach (docker->records[DOCKER_POOL_OF], id, pool) {
		if (strcmp(param_str(pool, "space"), space) != 0 || !is_subnet(pool, subnet))
			continue;
		bound = param_str(pool, "bound");
		if (bound && strcmp(bound, network) == 0)
			return id;
		any = id;
		if (!bound)
			nobodys = id;
	}
	return nobodys ? nobodys : any;
}

int docker_pool_bind(struct docker *docker, const char *space, struct addr_prefix subnet, const char *network,
	struct api_err *err)
{
	const char *id = find(docker, space, subnet, network);
	json_t *pool = id ? docker_record(docker, DOCKER_POOL_OF, id) : NULL;
	const char *bound = param_str(pool, "bound");

	if (!pool)
		return 0;
	if (bound && strcmp(bound, network) != 0)
		return api_fail(err, API_IN_USE, "IPv4Data[0].Pool", "%s is network %.12s's",
			param_str(pool, "subnet"), bound);
	json_object_set_new(pool, "bound", json_string(network));
	docker_keep(docker, DOCKER_POOL_OF, id);
	return 0;
}

void docker_pool_unbind(struct docker *docker, const char *network)
{
	const char *id = docker_pool_of(docker, network);

	if (!id)
		return;
	json_object_del(docker_record(docker, DOCKER_POOL_OF, id), "bound");
	docker_keep(docker, DOCKER_POOL_OF, id);
}

static int read_prefix(const char *field, const char *text, struct addr_prefix *out, struct api_err *err)
{
	if (!addr_prefix(text, out))
		return api_fail(err, API_INVALID, field, "must be an address with its prefix");
	if (out->len < LEN_MIN || out->len > LEN_MAX)
		return api_fail(err, API_INVALID, field, "must have a prefix length of 8 to 31");
	out->address &= htonl(mask_of(out->len));
	return 0;
}

/* --ipam-opt */
static int read_options(const json_t *options, struct request *request, struct api_err *err)
{
	const char *name;
	json_t *value;

	if (options && !json_is_null(options) && !json_is_object(options))
		return api_fail(err, API_INVALID, "Options", "must be an object");
	json_object_foreach ((json_t *)options, name, value) {
		if (strcmp(name, "sluice.network") != 0)
			return api_fail(err, API_INVALID, NULL,
				"IPAM option %.64s: unknown; there is sluice.network", name);
		request->network = json_string_value(value);
		if (!request->network)
			return api_fail(err, API_INVALID, name, "must be a string");
	}
	return 0;
}

static int read_request(const json_t *in, struct request *request, struct api_err *err)
{
	const char *pool = docker_call_text(in, "Pool", err), *sub = NULL;

	*request = (struct request){.space = NULL};
	if (pool)
		sub = docker_call_text(in, "SubPool", err);
	if (sub)
		request->space = docker_call_text(in, "AddressSpace", err);
	if (!request->space)
		return -1;
	if (json_is_true(json_object_get(in, "V6")))
		return api_fail(err, API_UNSUPPORTED, "V6", "there are no IPv6 pools yet");
	if (strcmp(request->space, "SluiceLocal") != 0 && strcmp(request->space, "SluiceGlobal") != 0)
		return api_fail(err, API_INVALID, "AddressSpace", "must be SluiceLocal or SluiceGlobal");
	request->chosen = pool[0] != '\0';
	request->has_range = sub[0] != '\0';
	if (request->has_range && !request->chosen)
		return api_fail(err, API_INVALID, "SubPool", "needs a Pool");
	if (request->chosen && read_prefix("Pool", pool, &request->subnet, err) < 0)
		return -1;
	if (request->has_range && (read_prefix("SubPool", sub, &request->range, err) < 0))
		return -1;
	if (request->has_range && (request->range.len < request->subnet.len ||
					  !addr_inside(request->subnet, request->range.address)))
		return api_fail(err, API_INVALID, "SubPool", "is not inside of %.20s", pool);
	return read_options(json_object_get(in, "Options"), request, err);
}

bool docker_pool_is_routed(struct addr_prefix subnet)
{
	FILE *file = fopen(ROUTES, "re");
	unsigned address, mask;
	char line[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		if (sscanf(line, "%*15s %8x %*x %*x %*u %*u %*u %8x", &address, &mask) == 2 && mask)
			found = overlap(
				subnet, (struct addr_prefix){address, (uint8_t)__builtin_popcount(mask)});
	if (file)
		fclose(file);
	return found;
}

/* The id of a pool that has some of the subnet; NULL: none. */
static const char *overlapping(const struct docker *docker, struct addr_prefix subnet)
{
	const char *id;
	json_t *pool;

	json_object_foreach (docker->records[DOCKER_POOL_OF], id, pool)
		if (overlap(subnet, docker_pool_subnet(pool)))
			return id;
	return NULL;
}

static bool is_free(struct docker *docker, struct addr_prefix subnet)
{
	const struct model_network *network;

	TAILQ_FOREACH (network, &docker->model->networks, link)
		if (network->spec.subnet && overlap(subnet, model_subnet(network)))
			return false;
	return !overlapping(docker, subnet) && !docker_pool_is_routed(subnet);
}

static int choose(struct docker *docker, struct request *request, struct api_err *err)
{
	uint32_t first = ntohl(docker->pool.address), size = UINT32_C(1) << (32 - DOCKER_POOL_LEN);
	uint32_t n = UINT32_C(1) << (DOCKER_POOL_LEN - docker->pool.len);
	char text[ADDR_PREFIX_TEXT];

	for (uint32_t i = 0; i < n; i++) {
		request->subnet = (struct addr_prefix){htonl(first + i * size), DOCKER_POOL_LEN};
		if (is_free(docker, request->subnet))
			return 0;
	}
	return api_fail(err, API_IN_USE, "Pool", "no subnet is free in %s (docker.pool): use --subnet",
		addr_prefix_text(docker->pool, text));
}

/* The subnet of a network that is there already. */
static int take_subnet(struct docker *docker, struct request *request, struct api_err *err)
{
	const struct model_network *network = model_network(docker->model, request->network);
	struct addr_prefix subnet;

	if (!network || !network->spec.subnet)
		return api_fail(err, API_NOT_FOUND, "sluice.network", "no network \"%.64s\" with a subnet",
			request->network);
	subnet = model_subnet(network);
	if (request->chosen &&
		(subnet.address != request->subnet.address || subnet.len != request->subnet.len))
		return api_fail(err, API_INVALID, "Pool", "is not network %s's", network->name);
	request->subnet = subnet;
	return 0;
}

static void answer(struct docker *docker, const char *id, const json_t *pool, json_t *out)
{
	const char *name = param_str(pool, "network");
	const struct model_network *network = name ? model_network(docker->model, name) : NULL;
	struct addr_prefix gateway = docker_pool_subnet(pool);
	char text[ADDR_PREFIX_TEXT];
	json_t *data = json_object();

	if (network && network->spec.gateway) {
		gateway.address = network->spec.gateway;
		json_object_set_new(data, META_GATEWAY, json_string(addr_prefix_text(gateway, text)));
	}
	json_object_set_new(out, "PoolID", json_string(id));
	json_object_set(out, "Pool", json_object_get(pool, "subnet"));
	json_object_set_new(out, "Data", data);
}

/*
 * Is the subnet taken? Two networks may have the same one, where they are apart (mode bridge), but no part of another's. A
 * pool that was asked for in the same words, and that nothing came of, is the same: Docker had no answer. `id` gets what
 * the pool is called.
 */
static int check_taken(struct docker *docker, const struct request *request, const char *base,
	char id[POOL_ID], struct api_err *err)
{
	unsigned number = 1;
	const char *other;
	json_t *pool;

	snprintf(id, POOL_ID, "%s", base);
	json_object_foreach (docker->records[DOCKER_POOL_OF], other, pool) {
		const char *bound = param_str(pool, "bound");
		bool apart = is_subnet(pool, request->subnet) && !request->network &&
			     !param_given(pool, "network");

		if (!overlap(request->subnet, docker_pool_subnet(pool)) || (bound && apart))
			continue;
		if (bound)
			return api_fail(err, API_IN_USE, "Pool", "overlaps with %s, which network %.12s has",
				param_str(pool, "subnet"), bound);
		if (strncmp(other, base, strlen(base)) != 0 || !strchr("#", other[strlen(base)]) ||
			docker_address_any(docker, other))
			return api_fail(
				err, API_IN_USE, "Pool", "overlaps with pool %s", param_str(pool, "subnet"));
		snprintf(id, POOL_ID, "%s", other);
		return 0;
	}
	while (docker_record(docker, DOCKER_POOL_OF, id))
		snprintf(id, POOL_ID, "%.100s#%u", base, ++number);
	return 0;
}

int docker_request_pool(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	char base[POOL_ID], id[POOL_ID], subnet[ADDR_PREFIX_TEXT], range[ADDR_PREFIX_TEXT] = "";
	struct request request;
	json_t *pool;

	if (read_request(in, &request, err) < 0)
		return -1;
	if (request.network ? take_subnet(docker, &request, err) < 0
			    : !request.chosen && choose(docker, &request, err) < 0)
		return -1;
	addr_prefix_text(request.subnet, subnet);
	if (request.has_range)
		addr_prefix_text(request.range, range);
	snprintf(base, sizeof(base), "%s/%s%s%s", request.space, subnet, range[0] ? "/" : "", range);
	if (check_taken(docker, &request, base, id, err) < 0)
		return -1;
	pool = docker_record(docker, DOCKER_POOL_OF, id);
	if (!pool) {
		pool = json_pack("{s:s, s:s, s:s}", "space", request.space, "subnet", subnet, "range", range);
		if (request.network)
			json_object_set_new(pool, "network", json_string(request.network));
		docker_put(docker, DOCKER_POOL_OF, id, pool);
	}
	answer(docker, id, pool, out);
	return 0;
}

/*
 * Docker gives up a pool when it has given up its network. Of a network that it has no answer about and thinks was never
 * made, nothing else tells.
 */
static int drop_network(struct docker *docker, const char *network, struct api_err *err)
{
	json_t *in = json_pack("{s:s}", "NetworkID", network), *out = json_object();
	int rc = docker_delete_network(docker, in, out, err);

	json_decref(in);
	json_decref(out);
	return rc;
}

int docker_release_pool(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const char *id = docker_call_text(in, "PoolID", err), *bound;
	json_t *pool = id ? docker_record(docker, DOCKER_POOL_OF, id) : NULL;
	char network[DOCKER_ID + 1];

	if (!pool)
		return id ? 0 : -1;
	bound = param_str(pool, "bound");
	snprintf(network, sizeof(network), "%s", bound ? bound : "");
	if (bound && drop_network(docker, network, err) < 0)
		return -1;
	docker_address_drop(docker, id);
	docker_forget(docker, DOCKER_POOL_OF, id);
	return 0;
}

/* pool.c: subnets that Docker takes for its networks. */
#include <arpa/inet.h>
#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/docker/address.h"
#include "control/docker/call.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"

enum { POOL_ID = 128, LEN4_MIN = 8, LEN4_MAX = 31, LEN6_MIN = 16, LEN6_MAX = 127 };

#define ROUTES "/proc/net/route"
#define ROUTES6 "/proc/net/ipv6_route"
#define META_GATEWAY "com.docker.network.gateway"

struct request {
	const char *space, *network; /* network: of the daemon, whose subnet it is to be; NULL: any */
	bool chosen;		     /* a subnet was asked for */
	bool ip6;
	struct ip_prefix subnet, range;
	bool has_range;
};

static bool is6(struct ip_prefix prefix)
{
	return !ip_is4(prefix.address);
}

struct ip_prefix docker_pool_subnet(const json_t *pool)
{
	struct ip_prefix subnet = {.len = 128};

	addr_ip_prefix(param_str(pool, "subnet"), &subnet);
	return subnet;
}

const char *docker_pool_of(const struct docker *docker, const char *network, bool ip6)
{
	const char *id, *bound;
	json_t *pool;

	json_object_foreach (docker->records[DOCKER_POOL_OF], id, pool) {
		bound = param_str(pool, "bound");
		if (bound && strcmp(bound, network) == 0 && is6(docker_pool_subnet(pool)) == ip6)
			return id;
	}
	return NULL;
}

static bool is_subnet(const json_t *pool, struct ip_prefix subnet)
{
	struct ip_prefix other = docker_pool_subnet(pool);

	return ip_equal(other.address, subnet.address) && other.len == subnet.len;
}

/* The pool of this subnet that is the network's, else one that is nobody's yet, else any. NULL: there is none. */
static const char *find(
	const struct docker *docker, const char *space, struct ip_prefix subnet, const char *network)
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

int docker_pool_bind(struct docker *docker, const char *space, struct ip_prefix subnet, const char *network,
	struct api_err *err)
{
	const char *id = find(docker, space, subnet, network);
	json_t *pool = id ? docker_record(docker, DOCKER_POOL_OF, id) : NULL;
	const char *bound = param_str(pool, "bound");

	if (!pool)
		return 0;
	if (bound && strcmp(bound, network) != 0)
		return api_fail(err, API_IN_USE, is6(subnet) ? "IPv6Data[0].Pool" : "IPv4Data[0].Pool",
			"%s is network %.12s's", param_str(pool, "subnet"), bound);
	json_object_set_new(pool, "bound", json_string(network));
	docker_keep(docker, DOCKER_POOL_OF, id);
	return 0;
}

void docker_pool_unbind(struct docker *docker, const char *network)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		const char *id = docker_pool_of(docker, network, ip6);

		if (!id)
			continue;
		json_object_del(docker_record(docker, DOCKER_POOL_OF, id), "bound");
		docker_keep(docker, DOCKER_POOL_OF, id);
	}
}

static void clear_host_bits(struct ip_prefix *prefix)
{
	for (unsigned bit = prefix->len; bit < 128; bit++)
		prefix->address.b[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
}

static int read_prefix(
	const char *field, const char *text, bool ip6, struct ip_prefix *out, struct api_err *err)
{
	unsigned before = ip6 ? 0 : IP_PREFIX4, min = ip6 ? LEN6_MIN : LEN4_MIN,
		 max = ip6 ? LEN6_MAX : LEN4_MAX;

	if (!addr_ip_prefix(text, out))
		return api_fail(err, API_INVALID, field, "must be an address with its prefix");
	if (is6(*out) != ip6)
		return api_fail(err, API_INVALID, field, "is not of IPv%c", ip6 ? '6' : '4');
	if (out->len < before + min || out->len > before + max)
		return api_fail(err, API_INVALID, field, "must have a prefix length of %u to %u", min, max);
	clear_host_bits(out);
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
	if (strcmp(request->space, "SluiceLocal") != 0 && strcmp(request->space, "SluiceGlobal") != 0)
		return api_fail(err, API_INVALID, "AddressSpace", "must be SluiceLocal or SluiceGlobal");
	request->ip6 = json_is_true(json_object_get(in, "V6"));
	request->chosen = pool[0] != '\0';
	request->has_range = sub[0] != '\0';
	if (request->has_range && !request->chosen)
		return api_fail(err, API_INVALID, "SubPool", "needs a Pool");
	if (request->chosen && read_prefix("Pool", pool, request->ip6, &request->subnet, err) < 0)
		return -1;
	if (request->has_range && read_prefix("SubPool", sub, request->ip6, &request->range, err) < 0)
		return -1;
	if (request->has_range && (request->range.len < request->subnet.len ||
					  !ip_inside(request->range.address, request->subnet)))
		return api_fail(err, API_INVALID, "SubPool", "is not inside of %.20s", pool);
	return read_options(json_object_get(in, "Options"), request, err);
}

static bool route4(const char *line, struct ip_prefix *route)
{
	unsigned address, mask;

	if (sscanf(line, "%*15s %8x %*x %*x %*u %*u %*u %8x", &address, &mask) != 2)
		return false;
	*route = (struct ip_prefix){ip_from4(address), (uint8_t)(IP_PREFIX4 + __builtin_popcount(mask))};
	return mask != 0;
}

static bool route6(const char *line, struct ip_prefix *route)
{
	uint8_t bytes[16];
	unsigned len;

	for (unsigned i = 0; i < sizeof(bytes); i++)
		if (sscanf(line + (size_t)2 * i, "%2hhx", &bytes[i]) != 1)
			return false;
	if (sscanf(line + 2 * sizeof(bytes), " %2x", &len) != 1)
		return false;
	*route = (struct ip_prefix){ip_from6(bytes), (uint8_t)len};
	return len != 0;
}

bool docker_pool_is_routed(struct ip_prefix subnet)
{
	bool (*read)(const char *line, struct ip_prefix *route) = is6(subnet) ? route6 : route4;
	FILE *file = fopen(is6(subnet) ? ROUTES6 : ROUTES, "re");
	struct ip_prefix route;
	char line[256];
	bool found = false;

	while (file && !found && fgets(line, sizeof(line), file))
		found = read(line, &route) && ip_prefixes_overlap(subnet, route);
	if (file)
		fclose(file);
	return found;
}

/* The id of a pool that has some of the subnet; NULL: none. */
static const char *overlapping(const struct docker *docker, struct ip_prefix subnet)
{
	const char *id;
	json_t *pool;

	json_object_foreach (docker->records[DOCKER_POOL_OF], id, pool)
		if (ip_prefixes_overlap(subnet, docker_pool_subnet(pool)))
			return id;
	return NULL;
}

static bool is_free(struct docker *docker, struct ip_prefix subnet)
{
	const struct model_network *network;

	TAILQ_FOREACH (network, &docker->model->networks, link)
		if (ip_prefixes_overlap(subnet, network_spec_subnet(&network->spec, is6(subnet))))
			return false;
	return !overlapping(docker, subnet) && !docker_pool_is_routed(subnet);
}

static int choose(struct docker *docker, struct request *request, struct api_err *err)
{
	uint32_t first = ntohl(docker->pool.address), size = UINT32_C(1) << (32 - DOCKER_POOL_LEN);
	uint32_t n = UINT32_C(1) << (DOCKER_POOL_LEN - docker->pool.len);
	char text[ADDR_PREFIX_TEXT];

	if (request->ip6)
		return api_fail(err, API_INVALID, "Pool", "of IPv6 none is chosen: use --subnet");
	for (uint32_t i = 0; i < n; i++) {
		request->subnet =
			(struct ip_prefix){ip_from4(htonl(first + i * size)), IP_PREFIX4 + DOCKER_POOL_LEN};
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
	struct ip_prefix subnet = {.len = 0};

	if (network)
		subnet = network_spec_subnet(&network->spec, request->ip6);
	if (ip_is_none(subnet.address))
		return api_fail(err, API_NOT_FOUND, "sluice.network", "no network \"%.64s\" with a subnet%s",
			request->network, request->ip6 ? " of IPv6" : "");
	if (request->chosen &&
		(!ip_equal(subnet.address, request->subnet.address) || subnet.len != request->subnet.len))
		return api_fail(err, API_INVALID, "Pool", "is not network %s's", network->name);
	request->subnet = subnet;
	return 0;
}

static void answer(struct docker *docker, const char *id, const json_t *pool, json_t *out)
{
	const char *name = param_str(pool, "network");
	const struct model_network *network = name ? model_network(docker->model, name) : NULL;
	struct ip_prefix gateway = docker_pool_subnet(pool);
	char text[ADDR_IP_PREFIX_TEXT];
	json_t *data = json_object();

	gateway.address = network ? network_spec_gateway(&network->spec, is6(gateway)) : (struct ip_addr){0};
	if (!ip_is_none(gateway.address))
		json_object_set_new(data, META_GATEWAY, json_string(addr_ip_prefix_text(gateway, text)));
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

		if (!ip_prefixes_overlap(request->subnet, docker_pool_subnet(pool)) || (bound && apart))
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
	char base[POOL_ID], id[POOL_ID], subnet[ADDR_IP_PREFIX_TEXT], range[ADDR_IP_PREFIX_TEXT] = "";
	struct request request;
	json_t *pool;

	if (read_request(in, &request, err) < 0)
		return -1;
	if (request.network ? take_subnet(docker, &request, err) < 0
			    : !request.chosen && choose(docker, &request, err) < 0)
		return -1;
	addr_ip_prefix_text(request.subnet, subnet);
	if (request.has_range)
		addr_ip_prefix_text(request.range, range);
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

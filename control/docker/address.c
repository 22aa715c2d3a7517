/*
 * address.c: addresses of containers. One that is given back rests for a minute, so that whoever still speaks to the
 * container which had it does not reach another; unless there is no other.
 */
#include "control/docker/address.h"

#include <endian.h>
#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/docker/call.h"
#include "control/model/free_ip.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"

enum {
	REST_MS = 60000,
	/* Docker has had no answer, and has given up, when nobody has an address for so long. Its time-out is 30 s. */
	ABANDONED_MS = 300000,
	ADDRESS_ID = 192,
};

#define TYPE "RequestAddressType"
#define GATEWAY "com.docker.network.gateway"

bool docker_address_read(const char *text, struct ip_addr *ip)
{
	struct ip_prefix prefix;

	if (!text || !text[0])
		return false;
	if (!strchr(text, '/'))
		return ip_parse(text, ip);
	if (!addr_ip_prefix(text, &prefix))
		return false;
	*ip = prefix.address;
	return true;
}

static const char *key_of(const char *pool, struct ip_addr ip, char key[ADDRESS_ID])
{
	char text[IP_TEXT];

	snprintf(key, ADDRESS_ID, "%.128s %s", pool, ip_text(ip, text));
	return key;
}

static json_t *find(const struct docker *docker, const char *pool, struct ip_addr ip)
{
	char key[ADDRESS_ID];

	return docker_record(docker, DOCKER_ADDRESS, key_of(pool, ip, key));
}

void docker_address_claim(struct docker *docker, const char *pool, struct ip_addr ip, const char *who)
{
	json_t *record = find(docker, pool, ip);
	char key[ADDRESS_ID];

	if (!record)
		return;
	json_object_set_new(record, "for", json_string(who));
	docker_keep(docker, DOCKER_ADDRESS, key_of(pool, ip, key));
}

/* Is the key one of the pool's? */
static bool is_of(const char *key, const char *pool)
{
	size_t len = strlen(pool);

	return strncmp(key, pool, len) == 0 && key[len] == ' ';
}

static void unclaim(struct docker *docker, const char *pool, const char *who)
{
	const char *key, *other;
	json_t *record;

	json_object_foreach (docker->records[DOCKER_ADDRESS], key, record) {
		other = param_str(record, "for");
		if (!is_of(key, pool) || !other || strcmp(other, who) != 0)
			continue;
		json_object_del(record, "for");
		json_object_set_new(record, "at", json_integer(docker_now_ms()));
		docker_keep(docker, DOCKER_ADDRESS, key);
	}
}

void docker_addresses_unclaim(struct docker *docker, const char *network, const char *who)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		const char *pool = docker_pool_of(docker, network, ip6);

		if (pool)
			unclaim(docker, pool, who);
	}
}

void docker_address_drop(struct docker *docker, const char *pool)
{
	const char *key;
	json_t *record;
	void *next;

	json_object_foreach_safe(docker->records[DOCKER_ADDRESS], next, key, record) if (is_of(key, pool))
		docker_forget(docker, DOCKER_ADDRESS, key);
}

/* The network of the daemon that a pool's addresses are of; NULL: none yet. */
static const struct model_network *network_of(const struct docker *docker, const json_t *pool)
{
	const char *bound = param_str(pool, "bound"), *name = param_str(pool, "network");
	const json_t *network = bound ? docker_record(docker, DOCKER_NETWORK, bound) : NULL;

	if (network)
		name = param_str(network, "network");
	return name ? model_network(docker->model, name) : NULL;
}

/*
 * Is it known of each address of the pool whether somebody has it? Not where another driver's network has the pool: then
 * an address is somebody's as long as Docker has not given it back.
 */
static bool knows_users(const json_t *pool)
{
	return param_given(pool, "bound");
}

/* How little an address is anybody's. */
enum state { FREE, RESTS, ABANDONED, TAKEN };

static enum state state_of(const json_t *pool, const json_t *record, int64_t now)
{
	if (!record)
		return FREE;
	if (param_given(record, "freed"))
		return now - param_int(record, "freed", 0) < REST_MS ? RESTS : FREE;
	if (param_given(record, "for") || !knows_users(pool) ||
		now - param_int(record, "at", 0) < ABANDONED_MS)
		return TAKEN;
	return ABANDONED;
}

/* Has somebody got it who is no container of Docker's? */
static bool is_others(struct docker *docker, const json_t *pool, struct ip_addr ip)
{
	const struct model_network *network = network_of(docker, pool);
	char who[96];

	return network && model_ip_taken(docker->model, network, ip, NULL, who);
}

struct search {
	struct docker *docker;
	const char *id;
	json_t *pool;
	struct ip_prefix subnet, range;
	int64_t now;
};

/* HOST_BITS: nobody will have given that many, and their number fits. */
enum { HOST_BITS = 62 };

/* The address that lies so many behind the first one of a prefix. */
static struct ip_addr nth(struct ip_addr first, uint64_t n)
{
	first.q[1] = htobe64(be64toh(first.q[1]) + n);
	return first;
}

/* The best address from the one after the last that was given on; none: all are taken. However large the range is, no more
 * are looked at than are taken or rest, and one. */
static struct ip_addr search(const struct search *search)
{
	unsigned bits = 128 - search->range.len;
	uint64_t hosts = UINT64_C(1) << (bits < HOST_BITS ? bits : HOST_BITS);
	uint64_t next = (uint64_t)param_int(search->pool, "next", 0), at = 0;
	struct ip_addr best = {0};
	enum state least = TAKEN;

	for (uint64_t i = 0; i < hosts && least != FREE; i++) {
		uint64_t n = (next + i) % hosts;
		struct ip_addr ip = nth(search->range.address, n);
		enum state state = state_of(search->pool, find(search->docker, search->id, ip), search->now);

		if (state >= least || !addr_is_host_of(search->subnet, ip) ||
			is_others(search->docker, search->pool, ip))
			continue;
		least = state;
		best = ip;
		at = n;
	}
	if (!ip_is_none(best)) /* in memory: after a restart those that rest are known all the same */
		json_object_set_new(search->pool, "next", json_integer((json_int_t)((at + 1) % hosts)));
	return best;
}

/* Of those that this host may give. */
struct owned {
	const struct search *search;
	struct ip_addr best;
	enum state least;
};

static bool take_owned(void *arg, struct ip_addr ip)
{
	struct owned *owned = arg;
	const struct search *search = owned->search;
	enum state state = state_of(search->pool, find(search->docker, search->id, ip), search->now);

	if (state < owned->least && !is_others(search->docker, search->pool, ip)) {
		owned->least = state;
		owned->best = ip;
	}
	return owned->least == FREE;
}

/* In a network that hosts of a cluster share. None with *err. */
static struct ip_addr choose_owned(
	const struct search *search, const struct model_network *network, struct api_err *err)
{
	struct owned owned = {.search = search, .least = TAKEN};

	free_ip_walk(search->docker->model, network, search->range, take_owned, &owned);
	if (ip_is_none(owned.best))
		free_ip_more(search->docker->model, network, search->range, err);
	return owned.best;
}

static struct ip_addr choose(struct docker *docker, const char *id, json_t *pool, struct api_err *err)
{
	const struct model_network *network = network_of(docker, pool);
	struct search what = {
		docker, id, pool, docker_pool_subnet(pool), docker_pool_subnet(pool), docker_now_ms()};
	struct ip_addr ip;

	addr_ip_prefix(param_str(pool, "range"), &what.range);
	if (network && free_ip_is_shared(docker->model, network))
		return choose_owned(&what, network, err);
	ip = search(&what);
	if (ip_is_none(ip))
		api_fail(err, API_IN_USE, NULL, "no address is free in %s",
			param_str(pool, param_str(pool, "range")[0] ? "range" : "subnet"));
	return ip;
}

static struct ip_addr gateway_of(const struct model_network *network, const json_t *pool)
{
	return network ? network_spec_gateway(&network->spec, !ip_is4(docker_pool_subnet(pool).address))
		       : (struct ip_addr){0};
}

static int check_wanted(struct docker *docker, const char *id, const json_t *pool, struct ip_addr ip,
	bool gateway, struct api_err *err)
{
	const json_t *record = find(docker, id, ip);
	const struct model_network *network = network_of(docker, pool);
	char text[IP_TEXT];
	bool own = gateway && network && ip_equal(gateway_of(network, pool), ip);

	ip_text(ip, text);
	if (!addr_is_host_of(docker_pool_subnet(pool), ip))
		return api_fail(err, API_INVALID, "Address", "%s is no host address of %s", text,
			param_str(pool, "subnet"));
	/* Docker asks again for what it had no answer to: for a gateway, and for what nobody has yet */
	if (record && !param_given(record, "freed") && (param_given(record, "for") || !knows_users(pool)) &&
		!(gateway && param_bool(record, "gateway", false)))
		return api_fail(err, API_EXISTS, "Address", "%s is taken", text);
	if (!own && is_others(docker, pool, ip))
		return api_fail(err, API_EXISTS, "Address", "%s is taken in network %s", text, network->name);
	return 0;
}

/* Which address is meant by a request; none with *err. */
static struct ip_addr settle(struct docker *docker, const char *id, json_t *pool, const char *text,
	bool gateway, struct api_err *err)
{
	static const struct ip_addr none;
	struct ip_addr ip = none;

	if (text[0] && !docker_address_read(text, &ip)) {
		api_fail(err, API_INVALID, "Address", "must be an IP address");
		return none;
	}
	if (ip_is_none(ip) && gateway)
		ip = gateway_of(network_of(docker, pool), pool);
	if (!ip_is_none(ip))
		return check_wanted(docker, id, pool, ip, gateway, err) < 0 ? none : ip;
	return choose(docker, id, pool, err);
}

static json_t *need_pool(const struct docker *docker, const json_t *in, const char **id, struct api_err *err)
{
	json_t *pool;

	*id = docker_call_text(in, "PoolID", err);
	pool = *id ? docker_record(docker, DOCKER_POOL_OF, *id) : NULL;
	if (*id && !pool)
		api_fail(err, API_NOT_FOUND, "PoolID", "no such pool \"%.100s\"", *id);
	return pool;
}

int docker_request_address(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const char *id, *text, *type = param_str(json_object_get(in, "Options"), TYPE);
	json_t *pool = need_pool(docker, in, &id, err), *record;
	bool gateway = type && strcmp(type, GATEWAY) == 0;
	char key[ADDRESS_ID], prefix[ADDR_IP_PREFIX_TEXT];
	struct ip_addr ip;

	text = pool ? docker_call_text(in, "Address", err) : NULL;
	if (!text)
		return -1;
	ip = settle(docker, id, pool, text, gateway, err);
	if (ip_is_none(ip))
		return -1;
	record = find(docker, id, ip);
	if (!record ||
		!param_given(record, "for")) /* a gateway that is asked for again stays the network's */
		docker_put(docker, DOCKER_ADDRESS, key_of(id, ip, key),
			json_pack("{s:I, s:b}", "at", (json_int_t)docker_now_ms(), "gateway", gateway));
	addr_ip_prefix_text((struct ip_prefix){ip, docker_pool_subnet(pool).len}, prefix);
	json_object_set_new(out, "Address", json_string(prefix));
	json_object_set_new(out, "Data", json_object());
	return 0;
}

/* What an endpoint still has stays: another was refused the same address, and Docker gives it back for that one. */
int docker_release_address(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const char *id = docker_call_text(in, "PoolID", err), *text = NULL;
	json_t *record;
	char key[ADDRESS_ID];
	struct ip_addr ip;

	if (id)
		text = docker_call_text(in, "Address", err);
	if (!text)
		return -1;
	if (!docker_address_read(text, &ip))
		return api_fail(err, API_INVALID, "Address", "must be an IP address");
	record = find(docker, id, ip);
	if (!record || param_given(record, "for") || param_given(record, "freed"))
		return 0;
	json_object_set_new(record, "freed", json_integer(docker_now_ms()));
	docker_keep(docker, DOCKER_ADDRESS, key_of(id, ip, key));
	return 0;
}

bool docker_address_is_reserved(void *arg, const struct model_network *network, struct ip_addr ip)
{
	const struct docker *docker = arg;
	const char *id;
	json_t *pool, *record;

	json_object_foreach (docker->records[DOCKER_POOL_OF], id, pool) {
		if (network_of(docker, pool) != network)
			continue;
		record = find(docker, id, ip);
		if (record && state_of(pool, record, docker_now_ms()) != FREE)
			return true;
	}
	return false;
}

bool docker_address_any(const struct docker *docker, const char *pool)
{
	const char *key;
	json_t *record;

	json_object_foreach (docker->records[DOCKER_ADDRESS], key, record)
		if (is_of(key, pool))
			return true;
	return false;
}

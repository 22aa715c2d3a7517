/* info.c: control looks at connections with the world outside. */
#include "dataplane/core/dp.h"
#include "dataplane/egress/inside.h"

struct walk {
	uint32_t now_s;
	bool (*fn)(void *arg, const struct dp_egress_conn *conn);
	void *arg;
};

static bool show(void *arg, const struct conn_info *info)
{
	const struct walk *walk = arg;
	const struct conn_end *outside = &info->end[CONN_FORWARD], *guest = &info->end[CONN_REPLY];
	uint64_t rest = info->key[CONN_FORWARD].rest;
	const struct dp_egress_conn conn = {
		.net = (uint16_t)(rest >> 16),
		.inward = outside->owner >= EGRESS_OWNER_IN,
		.guest = info->client,
		.peer = info->asked,
		.outside = info->backend,
		.guest_port = __builtin_bswap16(guest->port),
		.peer_port = __builtin_bswap16((uint16_t)(rest >> 32)),
		.outside_port = __builtin_bswap16(outside->port),
		.protocol = (uint8_t)(rest >> 8),
		.state = info->state,
		.packets = info->packets,
		.bytes = info->bytes,
		.age_s = conn_since(info->made_s, walk->now_s),
		.idle_s = conn_since(info->seen_s, walk->now_s),
	};

	return walk->fn(walk->arg, &conn);
}

bool dp_egress_walk_part(
	struct dp *dp, uint64_t *at, bool (*fn)(void *arg, const struct dp_egress_conn *conn), void *arg)
{
	struct walk walk = {dp_now_s(dp), fn, arg};

	return conn_walk_part(dp->egress->flows, at, CONN_PART, show, &walk);
}

/*
 * conn_age.c: how long a connection may be idle, and walks over the table.
 */
#include <netinet/in.h>

#include "dataplane/lb/conn_table.h"

enum {
	TIMEOUT_NEW_S = 30,
	TIMEOUT_TCP_S = 7440,	   /* RFC 5382, REQ-5: at least 2 hours 4 minutes */
	TIMEOUT_HALF_OPEN_S = 240, /* one end sent its FIN; RFC 5382: transitory connections, 4 minutes */
	TIMEOUT_UDP_S = 120,	   /* RFC 4787, REQ-5: at least 2 minutes */
	TIMEOUT_ICMP_S = 60,	   /* RFC 5508, REQ-2: of queries, at least 60 s */
};

static uint32_t timeout_s(const struct conn_table *t, uint8_t client, uint8_t backend, uint8_t proto)
{
	switch (state_of(client, backend)) {
	case DP_CONN_NEW:
		return TIMEOUT_NEW_S;
	case DP_CONN_CLOSING:
		return t->closed_s;
	case DP_CONN_ESTABLISHED:
		break;
	}
	if (proto == IPPROTO_UDP)
		return TIMEOUT_UDP_S;
	if (proto == IPPROTO_ICMP || proto == IPPROTO_ICMPV6)
		return TIMEOUT_ICMP_S;
	return (client | backend) & CONN_FIN ? TIMEOUT_HALF_OPEN_S : TIMEOUT_TCP_S;
}

bool conn_idle(const struct conn_table *t, uint32_t entry, uint64_t life, uint32_t now_s)
{
	const struct conn_side *side = &t->side[entry * 2];
	uint64_t other = atomic_load_explicit(&side[1].life, memory_order_acquire);
	uint8_t proto = (uint8_t)(atomic_load_explicit(&side->rest, memory_order_relaxed) >> 8);
	uint32_t limit = timeout_s(t, life_flags(life), life_flags(other), proto);

	return conn_since(life_seen_s(life), now_s) > limit && conn_since(life_seen_s(other), now_s) > limit;
}

bool conn_expire(struct conn_table *t, uint32_t now_s, uint32_t max, bool (*gone)(void *arg, uint32_t owner),
	void *arg)
{
	uint32_t used = atomic_load_explicit(&t->fresh, memory_order_relaxed);

	for (; max > 0 && t->sweep < used; max--, t->sweep++) {
		uint32_t entry = t->sweep;
		uint64_t life = atomic_load_explicit(&t->side[entry * 2].life, memory_order_acquire);
		uint8_t backend;

		if (!(life_flags(life) & CONN_LIVE))
			continue;
		if ((gone(arg, side_end(&t->side[entry * 2]).owner) || conn_idle(t, entry, life, now_s)) &&
			conn_claim(t, entry, life, &backend)) {
			conn_unlink(t, entry);
			conn_release(t, entry);
		}
	}
	if (t->sweep < used)
		return false;
	t->sweep = 0;
	return true;
}

static void read_info(const struct conn_side *side, uint64_t life, uint64_t other, struct conn_info *info)
{
	*info = (struct conn_info){
		.state = state_of(life_flags(life), life_flags(other)),
		.flags = {life_flags(life), life_flags(other)},
		.note = atomic_load_explicit(&side->note, memory_order_relaxed),
		.made_s = unpack_made(
			atomic_load_explicit(&side->made, memory_order_relaxed), life_seen_s(life)),
		.seen_s = life_seen_s(conn_since(life_seen_s(life), life_seen_s(other)) ? other : life),
	};
	for (int dir = 0; dir < 2; dir++) {
		info->key[dir].addresses = atomic_load_explicit(&side[dir].addresses, memory_order_relaxed);
		info->key[dir].rest = atomic_load_explicit(&side[dir].rest, memory_order_relaxed);
		info->end[dir] = side_end(&side[dir]);
		info->packets += atomic_load_explicit(&side[dir].packets, memory_order_relaxed);
		info->bytes += atomic_load_explicit(&side[dir].bytes, memory_order_relaxed);
	}
}

static void read_addresses(const struct conn_table *t, uint32_t entry, struct conn_info *info)
{
	const struct conn_wide *wide = &t->wide[entry * 2];

	if (info->key[CONN_FORWARD].rest & CONN_IP6) {
		info->client = wide_load(wide[CONN_FORWARD].src);
		info->asked = wide_load(wide[CONN_FORWARD].dst);
		info->vip = wide_load(wide[CONN_REPLY].end);
		info->backend = wide_load(wide[CONN_FORWARD].end);
		return;
	}
	info->client = ip_from4((uint32_t)(info->key[CONN_FORWARD].addresses >> 32));
	info->asked = ip_from4((uint32_t)info->key[CONN_FORWARD].addresses);
	info->vip = ip_from4(info->end[CONN_REPLY].ip);
	info->backend = ip_from4(info->end[CONN_FORWARD].ip);
}

/* True when `entry` is a live connection; then *info is what it was at one time. */
static bool read_entry(const struct conn_table *t, uint32_t entry, struct conn_info *info)
{
	const struct conn_side *side = &t->side[entry * 2];
	uint64_t life = atomic_load_explicit(&side[0].life, memory_order_acquire);
	uint64_t other = atomic_load_explicit(&side[1].life, memory_order_acquire);

	if (!(life_flags(life) & CONN_LIVE))
		return false;
	read_info(side, life, other, info);
	read_addresses(t, entry, info);
	atomic_thread_fence(memory_order_acquire);
	/* else it ended meanwhile */
	return life_same(atomic_load_explicit(&side[0].life, memory_order_relaxed), life) &&
	       life_same(other, life);
}

bool conn_walk_part(struct conn_table *t, uint64_t *at, uint32_t max,
	bool (*fn)(void *arg, const struct conn_info *info), void *arg)
{
	uint32_t used = atomic_load_explicit(&t->fresh, memory_order_relaxed);
	uint32_t entry = *at < used ? (uint32_t)*at : used, end = used - entry > max ? entry + max : used;
	struct conn_info info;
	bool more = end < used;

	for (; entry < end; entry++) {
		if (read_entry(t, entry, &info) && !fn(arg, &info)) {
			more = false;
			break;
		}
	}
	*at = end;
	return more;
}

/*
 * tell.c: hosts that lately had requests for backends here are told how busy these are. Control sends it, through worker 0,
 * and does without what finds no room there. Control thread.
 */
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dataplane/bfd/bfd.h"
#include "dataplane/core/exchange.h"
#include "dataplane/core/private.h"
#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"
#include "dataplane/lb/told.h"
#include "dataplane/overlay/load.h"
#include "dataplane/overlay/vxlan.h"

enum {
	LOOK_TURNS = 25, /* so often it is found out which backends are here: twice a second */
	SEND_MAX =
		64, /* packets in a turn: a quarter of worker 0's room; the next turn goes on where this one ended */
	REPEAT_TURNS = 5, /* what has not changed is told each 100 ms */
	UDP_HEADER = 8,
};

struct tell {
	struct told_own *own; /* [dp.config.backends], of all networks */
	unsigned n, turn;
	uint16_t next; /* the vtep to go on with, */
	unsigned at;   /* and the backend of `own`; not 0: the host has heard of those before it */
	uint32_t number;
	uint32_t told[MAX_VTEPS]; /* a sum of what was told last, 0: nothing */
	unsigned told_turn[MAX_VTEPS];
	void *timer;
};

struct packet {
	uint8_t data[EXCHANGE_BYTES];
	uint16_t len, udp, most; /* bytes so far, where UDP's header is; entries that fit */
	uint8_t *header;
};

static void begin(struct packet *p, const struct vtep *vtep, struct tell *tell, const struct told_own *like)
{
	bool six = !ip_is4(like->news.address);
	uint16_t outer = vxlan_outer(vtep);
	uint8_t *vxlan = p->data + outer - 8;

	memcpy(p->data, vtep->outer, outer);
	p->udp = (uint16_t)(outer - 8 - UDP_HEADER);
	store16(p->data + p->udp, load16(p->data + p->udp + 2)); /* from the port that it is to */
	vxlan[0] = 0;
	vxlan[1] = LOAD_MARK;
	p->header = p->data + outer;
	store32(p->header, ++tell->number);
	p->header[4] = like->news.protocol;
	p->header[5] = six ? 6 : 4;
	p->header[6] = 0;
	p->header[7] = like->news.several;
	p->len = (uint16_t)(outer + LOAD_HEADER);
	p->most = (uint16_t)((sizeof(p->data) - p->len) / ((six ? 16u : 4u) + LOAD_NUMBERS));
}

static uint16_t limited(uint32_t n)
{
	return n < UINT16_MAX ? (uint16_t)n : UINT16_MAX;
}

static uint16_t units(uint32_t us)
{
	return limited((us + LOAD_UNIT_US - 1) / LOAD_UNIT_US);
}

static void add(struct packet *p, const struct told_news *news)
{
	uint8_t *at = p->data + p->len;

	if (ip_is4(news->address)) {
		store_ip4(at, ip_to4(news->address));
		at += 4;
	} else {
		memcpy(at, news->address.b, 16);
		at += 16;
	}
	memcpy(at, &news->port, 2);
	store16(at + 2, limited(news->in_flight));
	store16(at + 4, units(news->us));
	p->len = (uint16_t)(at + LOAD_NUMBERS - p->data);
	p->header[6]++;
}

/* Lengths and checksums. Returns false when there is no room at worker 0. */
static bool finish(struct dp *dp, struct packet *p, const struct vtep *vtep)
{
	uint8_t *ip = p->data + ETH_LEN, *udp = p->data + p->udp;
	uint16_t udp_len = (uint16_t)(p->len - p->udp);
	uint8_t rest[4] = {0, IPPROTO_UDP, (uint8_t)(udp_len >> 8), (uint8_t)udp_len};

	store16(udp + 4, udp_len);
	if (vtep->six) {
		store16(ip + 4, udp_len);
		store16(udp + 6, 0);
		if (!vtep->no_csum)
			csum_store(udp + 6, csum_field(csum_add(csum_add(0, udp - 32, 32u + udp_len), rest,
						    sizeof(rest))));
	} else {
		store16(ip + 2, (uint16_t)(p->len - ETH_LEN));
		memset(ip + 10, 0, 2);
		csum_store(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, 20)));
	}
	return exchange_inject(dp, vtep->uplink, NET_NONE, p->data, p->len) == 0;
}

static bool same_kind(const struct told_own *a, const struct told_own *b)
{
	return a->news.protocol == b->news.protocol && a->news.several == b->news.several &&
	       ip_is4(a->news.address) == ip_is4(b->news.address);
}

static uint32_t sum_of(const struct tell *tell, uint16_t net)
{
	uint32_t sum = 1;

	for (unsigned i = 0; i < tell->n; i++) {
		const struct told_own *e = &tell->own[i];

		if (e->net == net)
			sum = (sum ^ e->news.in_flight << 16 ^ units(e->news.us)) * UINT32_C(0x9e3779b1) + i;
	}
	return sum ? sum : 1;
}

/* The turn is over, and the host has not heard what it was to. */
static unsigned no_room(struct tell *tell, const struct vtep *vtep, unsigned most)
{
	tell->told[vtep->id] = 0;
	return most;
}

/* A network's backends from tell->at on, which moves: 0 when it was told of all. Returns how many packets that were, `most` at
 * the most; fewer where there was no room. */
static unsigned tell_host(struct dp *dp, struct tell *tell, const struct vtep *vtep, unsigned most)
{
	struct packet p = {.len = 0};
	const struct told_own *first = NULL;
	unsigned sent = 0;

	for (unsigned i = tell->at; i < tell->n; i++) {
		const struct told_own *e = &tell->own[i];

		if (e->net != vtep->net)
			continue;
		if (first && (!same_kind(first, e) || p.header[6] == p.most)) {
			if (!finish(dp, &p, vtep))
				return no_room(tell, vtep, most);
			first = NULL;
			tell->at = i;
			if (++sent == most)
				return sent;
		}
		if (!first) {
			begin(&p, vtep, tell, e);
			first = e;
		}
		add(&p, &e->news);
	}
	if (first && !finish(dp, &p, vtep))
		return no_room(tell, vtep, most);
	tell->at = 0;
	return sent + (first != NULL);
}

static bool wants_to_know(struct dp *dp, const struct vtep *vtep)
{
	return told_has_asked(dp, vtep->id) && vtep->ready && vtep->uplink != OUT_NONE &&
	       !bfd_is_cut(dp, vtep->peer);
}

/* Is there something to tell the host, or more of what it was told in part? */
static bool has_news(struct tell *tell, const struct vtep *vtep)
{
	uint32_t sum;

	if (tell->at)
		return true;
	sum = sum_of(tell, vtep->net);
	if (tell->told[vtep->id] == sum && tell->turn - tell->told_turn[vtep->id] < REPEAT_TURNS)
		return false;
	tell->told[vtep->id] = sum;
	tell->told_turn[vtep->id] = tell->turn;
	return true;
}

static void tell_all(struct dp *dp, struct tell *tell)
{
	unsigned left = SEND_MAX;

	for (unsigned i = 0; tell->n && i < MAX_VTEPS; i++) {
		const struct vtep *vtep = dp_get_vtep(dp, tell->next);

		if (!vtep || !wants_to_know(dp, vtep))
			tell->at = 0;
		else if (has_news(tell, vtep))
			left -= tell_host(dp, tell, vtep, left);
		if (tell->at)
			return;
		tell->next = (uint16_t)((tell->next + 1) % MAX_VTEPS);
		if (!left)
			return;
	}
}

static void on_turn(void *arg)
{
	struct dp *dp = arg;
	struct tell *tell = dp->priv->tell;

	if (tell->turn++ % LOOK_TURNS == 0)
		tell->n = told_find_own(dp, tell->own);
	for (unsigned i = 0; i < tell->n; i++)
		if (!told_measure(dp, &tell->own[i]))
			tell->own[i].net = NET_NONE; /* no vtep's */
	tell_all(dp, tell);
}

static bool has_vteps(const struct dp *dp)
{
	bool any = false;

	for (unsigned i = 0; i < MAX_VTEPS && !any; i++)
		any = dp->priv->vtep[i].used;
	return any;
}

/* Where a host begins to count: beyond where it was before it was started anew. */
static uint32_t first_number(void)
{
	struct timespec now;

	clock_gettime(CLOCK_REALTIME, &now);
	return (uint32_t)((uint64_t)now.tv_sec << 12);
}

void tell_begin(struct dp *dp)
{
	const struct dp_loop *loop = &dp->config.loop;
	struct tell *tell;

	if (dp->priv->tell || !told_is_wanted(dp) || !has_vteps(dp))
		return;
	tell = calloc(1, sizeof(*tell));
	if (!tell)
		return; /* the next tick tries again */
	dp->priv->tell = tell;
	tell->number = first_number();
	tell->own = calloc(dp->config.backends, sizeof(*tell->own));
	tell->timer = tell->own ? loop->timer_add(loop->ctx, LOAD_TELL_MS, on_turn, dp) : NULL;
	if (!tell->timer)
		tell_end(dp);
}

void tell_end(struct dp *dp)
{
	struct tell *tell = dp->priv->tell;

	if (!tell)
		return;
	if (tell->timer)
		dp->config.loop.timer_del(dp->config.loop.ctx, tell->timer);
	free(tell->own);
	free(tell);
	dp->priv->tell = NULL;
}

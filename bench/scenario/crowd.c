/*
 * crowd: many ports that all carry traffic. Each sends to the next one, the last to the first, so every frame
 * has one place where it belongs; first as it is, then while further ports are added and deleted.
 *
 * flood: broadcasts from one port to all others. A frame counts as often as it arrives, so the figures are
 * those of a copy.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench/front/rx.h"
#include "bench/front/tx.h"
#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/changes.h"
#include "bench/run/measure.h"
#include "bench/traffic/traffic.h"

enum { BURST_MAX = 32, CHANGES = 200 };

#define LEARN_S 0.2

struct crowd_port {
	struct front_ring *rx, *tx;
	unsigned sender; /* whose frames belong here */
	bool sends, receives;
	uint64_t sent, next; /* `next`: one more than the last number that came from the sender */
	uint64_t received;
};

struct crowd {
	struct session *s;
	bool flood;
	unsigned burst,
		window; /* frames that a port sends at once, and has under way at most; 0: any number */
	double settle_s, stall_s; /* what has not come by then is lost; when nothing comes, a run ends */
	struct crowd_port port[PEER_MAX_PORTS];
	unsigned n, copies, length; /* copies: of each frame */
	uint64_t wrong;
	bool learning;		/* frames are flooded: anything may come */
	struct changes changes; /* ports that come and go beside */
};

static void place_mac(uint8_t *to, unsigned port)
{
	const uint8_t mac[6] = {0x02, 0x5b, 0xc0, 0, (uint8_t)(port >> 8), (uint8_t)port};

	memcpy(to, mac, sizeof(mac));
}

/* All frames of a port are the same but for their number, so every buffer is written once. */
static void fill_buffers(struct crowd *c, unsigned i, const struct traffic *traffic)
{
	struct front_ring *tx = c->port[i].tx;
	uint32_t mark = TRAFFIC_MARK + i;

	traffic_fill(traffic, tx, 0, 0);
	for (uint16_t slot = 0; slot < tx->size; slot++) {
		uint8_t *at = front_ring_buffer(tx, slot) + FRONT_HEADROOM;

		place_mac(at, (i + 1) % c->n);
		if (c->flood)
			memset(at, 0xff, 6);
		place_mac(at + 6, i);
		memcpy(at + 44, &mark, sizeof(mark));
	}
}

static void send_frames(struct crowd_port *p, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		uint64_t seq = p->sent + i;

		memcpy(front_tx_frame(p->tx, i) + 48, &seq, sizeof(seq));
	}
	front_tx_publish(p->tx, n);
	p->sent += n;
}

static void check_frame(struct crowd *c, struct crowd_port *p, const struct front_frame *frame)
{
	uint32_t mark = 0;
	uint64_t seq = 0;

	if (frame->len == c->length) {
		memcpy(&mark, frame->data + 44, sizeof(mark));
		memcpy(&seq, frame->data + 48, sizeof(seq));
	}
	/* In order, or something lost between: never again, never what was not sent, never another's. */
	if (mark != TRAFFIC_MARK + p->sender || seq < p->next || seq >= c->port[p->sender].sent) {
		c->wrong += !c->learning;
		return;
	}
	p->next = seq + 1;
	p->received++;
}

static unsigned receive(struct crowd *c, struct crowd_port *p)
{
	struct front_frame frames[BURST_MAX];
	unsigned n = front_rx_burst(p->rx, frames, c->burst);

	for (unsigned k = 0; k < n; k++)
		check_frame(c, p, &frames[k]);
	front_rx_done(p->rx, frames, n);
	return n;
}

/* Frames of port `i` under way, to the receiver that has seen the fewest. */
static uint64_t in_flight(const struct crowd *c, unsigned i)
{
	uint64_t least = c->port[(i + 1) % c->n].next;

	for (unsigned k = 1; c->flood && k < c->n; k++)
		least = c->port[k].next < least ? c->port[k].next : least;
	return c->port[i].sent - least;
}

/* One look at every port. Returns the frames received. */
static unsigned go_round(struct crowd *c, bool sending)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++) {
		struct crowd_port *p = &c->port[i];

		if (p->receives)
			n += receive(c, p);
		if (sending && p->sends && (!c->window || in_flight(c, i) + c->burst <= c->window) &&
			front_tx_room(p->tx, c->burst) == c->burst)
			send_frames(p, c->burst);
	}
	return n;
}

/* Lets what is under way arrive, until nothing came for `seconds`. */
static void settle(struct crowd *c, double seconds)
{
	uint64_t patience = (uint64_t)(seconds * host_tsc_hz()), last = host_tsc();

	while (host_tsc() - last < patience)
		if (go_round(c, false) > 0)
			last = host_tsc();
}

/* Every port is heard once; the frames are flooded, and how many of them arrive says nothing. */
static void learn(struct crowd *c)
{
	c->learning = true;
	for (unsigned i = 0; i < c->n; i++) {
		if (front_tx_room(c->port[i].tx, 1) == 1)
			send_frames(&c->port[i], 1);
		go_round(c, false);
	}
	settle(c, LEARN_S);
	for (unsigned i = 0; i < c->n; i++)
		c->port[i].next = c->port[c->port[i].sender].sent;
	c->learning = false;
}

/* Copies that were to arrive, and those that have. */
static struct generator_result sums(const struct crowd *c)
{
	struct generator_result sum = {.wrong = c->wrong};

	for (unsigned i = 0; i < c->n; i++) {
		sum.sent += c->port[i].sent * c->copies;
		sum.received += c->port[i].received;
	}
	return sum;
}

static void run(void *arg, double seconds, struct generator_result *result)
{
	struct crowd *c = arg;
	uint64_t start = host_tsc(), end = start + (uint64_t)(seconds * host_tsc_hz()), now = start,
		 last = start;
	uint64_t stall = (uint64_t)(c->stall_s * host_tsc_hz());
	struct generator_result before = sums(c), after;
	double ran = host_cpu_s();

	changes_begin(&c->changes);
	/* a port that lost a frame keeps sending: the window moves with what came after it */
	while ((now < end || changes_going_on(&c->changes)) && !atomic_load(c->s->stop) &&
		now - last < stall) {
		if (go_round(c, true) > 0)
			last = now;
		now = host_tsc();
	}
	*result = (struct generator_result){.seconds = (double)(now - start) / host_tsc_hz(),
		.received = sums(c).received - before.received};
	result->share_pct = result->seconds > 0 ? 100 * (host_cpu_s() - ran) / result->seconds : 0;
	settle(c, c->settle_s);
	changes_end(&c->changes);
	after = sums(c);
	result->sent = after.sent - before.sent;
	result->lost = result->sent - (after.received - before.received);
	result->wrong = after.wrong - before.wrong;
}

static int take_crowd(struct crowd *c, const char *kind)
{
	struct session *s = c->s;
	struct trial t;
	int rc;

	c->changes = (struct changes){.s = s, .kind = kind, .count = CHANGES};
	measure_variant(s, kind ? kind : "quiet");
	measure_trial(s, run, c, &t);
	t.generator_share_pct = 0; /* many ports to look at: it is the generator that is slow */
	t.paced = true;
	measure_loss(&t);
	rc = changes_report(&c->changes, &t);
	return rc < 0 ? rc : measure_add(s, &t);
}

static int take_flood(struct crowd *c)
{
	struct generator_result warm_up;
	struct trial t;

	if (c->s->o->warm_up > 0)
		run(c, c->s->o->warm_up, &warm_up);
	measure_trial(c->s, run, c, &t);
	/* The switch counts what it received, not what it delivered. */
	t.value[METRIC_CYCLES] /= c->copies;
	t.value[METRIC_BUSY] /= c->copies;
	return measure_add(c->s, &t);
}

static void set_up(struct crowd *c, struct session *s, const struct traffic *traffic, bool flood)
{
	*c = (struct crowd){.s = s,
		.flood = flood,
		.burst = flood ? BURST_MAX : 8,
		.window = flood ? s->o->window : 32,
		.settle_s = flood ? 0.2 : 0.5,
		.stall_s = flood ? 0.2 : 5, /* a switch that loses floods keeps the window full */
		.n = s->n_fronts,
		.copies = flood ? s->n_fronts - 1 : 1,
		.length = traffic->size[0].length};
	for (unsigned i = 0; i < c->n; i++) {
		c->port[i].rx = front_rx_ring(s->fronts[i], 0);
		c->port[i].tx = front_tx_ring(s->fronts[i], 0);
		c->port[i].sender = flood ? 0 : (i + c->n - 1) % c->n;
		c->port[i].sends = !flood || i == 0;
		c->port[i].receives = !flood || i > 0;
		fill_buffers(c, i, traffic);
	}
}

static int take(struct session *s, bool flood)
{
	struct crowd *c = malloc(sizeof(*c));
	struct traffic *traffic = aligned_alloc(_Alignof(struct traffic), sizeof(*traffic));
	int rc = c && traffic ? 0 : -ENOMEM;

	for (unsigned i = 0; i < s->o->n_sizes && rc == 0 && !atomic_load(s->stop); i++) {
		s->kind.size = s->o->sizes[i] == TRAFFIC_IMIX ? TRAFFIC_MIN : s->o->sizes[i];
		traffic_init(traffic, s->kind.size, false);
		set_up(c, s, traffic, flood);
		if (!flood)
			learn(c);
		for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++) {
			rc = flood ? take_flood(c) : take_crowd(c, NULL);
			if (rc == 0 && !flood)
				rc = take_crowd(c, "ports");
		}
	}
	free(traffic);
	free(c);
	return rc == -ENOTSUP ? 0 : rc;
}

int crowd_take(struct session *s)
{
	return take(s, false);
}

int flood_take(struct session *s)
{
	return take(s, true);
}

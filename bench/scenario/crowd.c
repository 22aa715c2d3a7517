/*
 * crowd: many ports that all carry traffic. Each sends to the next one, the last to the first, so every frame
 * has one place where it belongs; first as it is, then while further ports are added and deleted.
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

enum {
	BURST = 8,   /* frames that a port sends at once */
	WINDOW = 32, /* and has under way at most */
	CHANGES = 200,
};

#define PATIENCE_S 0.5 /* what has not come by then is lost */
#define LEARN_S 0.2

struct crowd_port {
	struct front_ring *rx, *tx;
	uint64_t sent, next; /* `next`: one more than the last number that came from the port before */
	uint64_t received;
};

struct crowd {
	struct session *s;
	struct crowd_port port[PEER_MAX_PORTS];
	unsigned n, length;
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
static void fill_buffers(struct crowd *c, unsigned i, const struct traffic_frame *frame)
{
	struct front_ring *tx = c->port[i].tx;
	uint32_t mark = TRAFFIC_MARK + i;

	for (uint16_t slot = 0; slot < tx->size; slot++) {
		uint8_t *at = front_ring_buffer(tx, slot) + FRONT_HEADROOM;

		memcpy(at, frame->whole[0], frame->length);
		place_mac(at, (i + 1) % c->n);
		place_mac(at + 6, i);
		memcpy(at + 44, &mark, sizeof(mark));
		*front_ring_length(tx, slot) = FRONT_HDR + frame->length;
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

static void check_frame(struct crowd *c, unsigned i, const struct front_frame *frame)
{
	struct crowd_port *p = &c->port[i];
	unsigned before = (i + c->n - 1) % c->n;
	uint32_t mark = 0;
	uint64_t seq = 0;

	if (frame->len == c->length) {
		memcpy(&mark, frame->data + 44, sizeof(mark));
		memcpy(&seq, frame->data + 48, sizeof(seq));
	}
	/* In order, or something lost between: never again, never what was not sent, never another's. */
	if (mark != TRAFFIC_MARK + before || seq < p->next || seq >= c->port[before].sent) {
		c->wrong += !c->learning;
		return;
	}
	p->next = seq + 1;
	p->received++;
}

static unsigned receive(struct crowd *c, unsigned i)
{
	struct front_frame frames[BURST];
	unsigned n = front_rx_burst(c->port[i].rx, frames, BURST);

	for (unsigned k = 0; k < n; k++)
		check_frame(c, i, &frames[k]);
	front_rx_done(c->port[i].rx, frames, n);
	return n;
}

/* One look at every port. Returns the frames received. */
static unsigned go_round(struct crowd *c, bool sending)
{
	unsigned n = 0;

	for (unsigned i = 0; i < c->n; i++) {
		struct crowd_port *p = &c->port[i];

		n += receive(c, i);
		if (sending && p->sent + BURST <= c->port[(i + 1) % c->n].next + WINDOW &&
			front_tx_room(p->tx, BURST) == BURST)
			send_frames(p, BURST);
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
		c->port[(i + 1) % c->n].next = c->port[i].sent;
	c->learning = false;
}

static uint64_t sum_sent(const struct crowd *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->n; i++)
		sum += c->port[i].sent;
	return sum;
}

static uint64_t sum_received(const struct crowd *c)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < c->n; i++)
		sum += c->port[i].received;
	return sum;
}

static void run(void *arg, double seconds, struct generator_result *result)
{
	struct crowd *c = arg;
	uint64_t sent = sum_sent(c), before = sum_received(c), wrong = c->wrong, start = host_tsc();
	uint64_t end = start + (uint64_t)(seconds * host_tsc_hz()),
		 stuck = (uint64_t)(PATIENCE_S * host_tsc_hz());
	uint64_t now = start, last = start;

	changes_begin(&c->changes);
	/* a port that lost a frame keeps sending: the window moves with what came after it */
	while ((now < end || changes_going_on(&c->changes)) && !atomic_load(c->s->stop) &&
		now - last < 10 * stuck) {
		if (go_round(c, true) > 0)
			last = now;
		now = host_tsc();
	}
	*result = (struct generator_result){
		.seconds = (double)(now - start) / host_tsc_hz(), .received = sum_received(c) - before};
	settle(c, PATIENCE_S);
	changes_end(&c->changes);
	result->sent = sum_sent(c) - sent;
	result->lost = result->sent - (sum_received(c) - before);
	result->wrong = c->wrong - wrong;
}

static int take_trial(struct crowd *c, const char *kind)
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

int crowd_take(struct session *s)
{
	struct crowd *c = calloc(1, sizeof(*c));
	struct traffic *traffic = aligned_alloc(_Alignof(struct traffic), sizeof(*traffic));
	int rc = c && traffic ? 0 : -ENOMEM;

	if (rc < 0)
		goto out;
	s->kind.size = s->o->sizes[0] == TRAFFIC_IMIX ? TRAFFIC_MIN : s->o->sizes[0];
	traffic_init(traffic, s->kind.size);
	c->s = s;
	c->n = s->n_fronts;
	c->length = traffic->size[0].length;
	for (unsigned i = 0; i < c->n; i++) {
		c->port[i].rx = front_rx_ring(s->fronts[i], 0);
		c->port[i].tx = front_tx_ring(s->fronts[i], 0);
		fill_buffers(c, i, &traffic->size[0]);
	}
	learn(c);
	for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++) {
		rc = take_trial(c, NULL);
		if (rc == 0)
			rc = take_trial(c, "ports");
	}
out:
	free(traffic);
	free(c);
	return rc == -ENOTSUP ? 0 : rc;
}

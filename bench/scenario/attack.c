#include "bench/scenario/attack.h"

#include <err.h>
#include <errno.h>
#include <netinet/if_ether.h>
#include <string.h>

#include "bench/front/life.h"
#include "bench/front/rx.h"
#include "bench/front/tx.h"
#include "bench/peer/peer.h"
#include "bench/traffic/arp.h"
#include "bench/traffic/traffic.h"

enum {
	BURST = 32,
	RING = 1024,
	GREATEST_RING = 32768,
	SMALL = 60,  /* bytes of a frame with nothing in it */
	LONG = 9014, /* the longest that the network carries */
	ARP_PADDED = 60,
	UNKNOWN_VNI = 666,
};

#define RESOLVE_S 3.0 /* for the switch to ask for the backends */

static const uint8_t broadcast[6] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
static const uint8_t sender_mac[6] = {0x02, 0x5b, 0x66, 0, 0, 1},
		     receiver_mac[6] = {0x02, 0x5b, 0x66, 0, 0, 2};
static const uint8_t vtep_mac[6] = {0x02, 0x5b, 0xff, 0, 0, 1};
static const uint8_t tap_mac[6] = {0x02, 0x5b, 0xaa, 0, 0, 1}; /* as the peer's set-up has it */

/* Every slot of `front` holds a frame of `len` bytes: addresses, an experimental type, zeros. */
static void fill(struct front *front, const uint8_t *dst, const uint8_t *src, uint32_t len)
{
	struct front_ring *r = front_tx_ring(front, 0);

	for (uint16_t i = 0; i < r->size; i++) {
		uint8_t *at = front_ring_buffer(r, i) + FRONT_HEADROOM;

		memset(at, 0, len);
		memcpy(at, dst, 6);
		memcpy(at + 6, src, 6);
		at[12] = 0x88;
		at[13] = 0xb5;
		*front_ring_length(r, i) = FRONT_HDR + len;
	}
}

/* Boots one of the attackers anew, with rings as the attack wants them. */
static int boot(struct front *front, unsigned ring, unsigned buffer, unsigned tx_buffer)
{
	struct front_options opt = {.ring_size = ring,
		.buffer_size = buffer,
		.tx_buffer_size = tx_buffer,
		.pages = FRONT_PAGES_SMALL,
		.timeout_ms = 10000};
	int rc = front_reboot(front, &opt, false);

	if (rc < 0)
		warnx("an attacker does not boot: %s", front_error(front));
	return rc;
}

static int boot_both(struct attack_run *run)
{
	int rc = boot(run->sender, RING, 0, 0);

	return rc < 0 ? rc : boot(run->receiver, RING, 0, 0);
}

static void post(struct front *front)
{
	struct front_ring *r = front_tx_ring(front, 0);

	if (front_tx_room(r, BURST) == BURST)
		front_tx_publish(r, BURST);
}

/* Takes what has come at a port and answers ARP for the backends. */
static void drain(struct attack_run *run, struct front *front)
{
	struct front_ring *r = front_rx_ring(front, 0);
	struct front_frame frames[BURST];
	unsigned n = front_rx_burst(r, frames, BURST);

	for (unsigned i = 0; i < n; i++)
		if (front == run->receiver && arp_take(front_tx_ring(front, 0), &frames[i], balance_host))
			memcpy(run->probe, frames[i].data + 6, 6);
	front_rx_done(r, frames, n);
}

static void post_and_drain(struct attack_run *run)
{
	post(run->sender);
	drain(run, run->receiver);
}

/* Frames as long as may be, to a guest with buffers of one byte each. */
static int begin_one_byte(struct attack_run *run)
{
	struct front_ring *r;
	int rc = boot(run->sender, RING, 0, LONG);

	if (rc == 0)
		rc = boot(run->receiver, GREATEST_RING, 0, 0);
	if (rc < 0)
		return rc;
	/* so that the switch knows where it is */
	fill(run->receiver, broadcast, receiver_mac, SMALL);
	post(run->receiver);
	r = front_rx_ring(run->receiver, 0);
	for (uint16_t i = 0; i < r->mask; i++)
		*front_ring_length(r, i) = 1;
	fill(run->sender, receiver_mac, sender_mac, LONG);
	return 0;
}

/* What was given back is posted again, however little of it was used. */
static void step_one_byte(struct attack_run *run)
{
	struct front_ring *r = front_rx_ring(run->receiver, 0);
	uint16_t used = front_ring_used(r), n = (uint16_t)(used - r->seen);

	post(run->sender);
	if (n == 0)
		return;
	for (; r->seen != used; r->seen++)
		r->avail->ring[r->seen & r->mask] = (uint16_t)r->used->ring[r->seen & r->mask].id & r->mask;
	front_ring_publish(r, n);
}

/* The switch finds no page where the frames were; the kernel has to make each. */
static int begin_holes(struct attack_run *run)
{
	fill(run->sender, receiver_mac, sender_mac, SMALL);
	fill(run->receiver, broadcast, receiver_mac, SMALL);
	post(run->receiver);
	return 0;
}

static int round_of_holes(struct attack_run *run)
{
	return front_punch(run->sender);
}

/* A container whose own packet filter is slow: the switch's write to its TAP runs through it. */
static int begin_slow_tap(struct attack_run *run)
{
	struct front_ring *r = front_tx_ring(run->sender, 0);

	if (run->s->peer->n_ends == 0)
		return -ENOTSUP;
	balance_init(&run->requests, TRAFFIC_MIN, false, tap_mac, BALANCE_VIP_PORT);
	balance_fill(&run->requests, r, BALANCE_CLIENTS);
	for (unsigned i = 0; i < RING; i++)
		balance_request(&run->requests, front_ring_buffer(r, i) + FRONT_HEADROOM, i, i);
	return 0;
}

static int begin_storm(struct attack_run *run)
{
	fill(run->sender, broadcast, sender_mac, SMALL);
	return 0;
}

static void step_storm(struct attack_run *run)
{
	post(run->sender);
	drain(run, run->s->fronts[ATTACK_CROWD + run->number++ % (ATTACK_PORTS - ATTACK_CROWD)]);
}

static int begin_macs(struct attack_run *run)
{
	fill(run->sender, receiver_mac, sender_mac, SMALL);
	return 0;
}

static void step_macs(struct attack_run *run)
{
	struct front_ring *r = front_tx_ring(run->sender, 0);

	if (front_tx_room(r, BURST) == BURST) {
		for (unsigned i = 0; i < BURST; i++) {
			uint32_t low = (uint32_t)++run->number;

			memcpy(front_tx_frame(r, i) + 8, &low, sizeof(low));
		}
		front_tx_publish(r, BURST);
	}
	drain(run, run->receiver);
}

/* The switch asks for the backends now and then, and what is sent to them before it knows is lost. */
static int begin_connections(struct attack_run *run)
{
	balance_init(&run->requests, TRAFFIC_MIN, false, run->s->peer->mac, BALANCE_VIP_PORT);
	fill(run->receiver, broadcast, receiver_mac, SMALL);
	balance_fill(&run->requests, front_tx_ring(run->sender, 0), BALANCE_CLIENTS);
	return 0;
}

static void step_connections(struct attack_run *run)
{
	struct front_ring *r = front_tx_ring(run->sender, 0);

	if (front_tx_room(r, BURST) == BURST) {
		for (unsigned i = 0; i < BURST; i++, run->number++)
			balance_request(&run->requests, front_tx_frame(r, i),
				(uint32_t)(run->number % BALANCE_MAX_CONNECTIONS), run->number);
		front_tx_publish(r, BURST);
	}
	drain(run, run->receiver);
}

static int round_of_flaps(struct attack_run *run)
{
	int rc = front_enable(run->sender, 0, false);

	return rc < 0 ? rc : front_enable(run->sender, 0, true);
}

static int round_of_publication(struct attack_run *run)
{
	int rc = front_halt(run->sender);

	return rc < 0 ? rc : front_go_on(run->sender);
}

/* ARP `op` of the sender about `ip`, into slot i. */
static void put_arp(
	struct attack_run *run, uint16_t slot, const uint8_t *dst, uint16_t op, uint32_t from, uint32_t to)
{
	struct front_ring *r = front_tx_ring(run->sender, 0);
	uint8_t *at = front_ring_buffer(r, slot) + FRONT_HEADROOM;
	struct ether_arp arp = {.ea_hdr = {htons(ARPHRD_ETHER), htons(ETHERTYPE_IP), 6, 4, htons(op)}};

	memset(at, 0, ARP_PADDED);
	memcpy(at, dst, 6);
	memcpy(at + 6, sender_mac, 6);
	at[12] = ETHERTYPE_ARP >> 8;
	at[13] = ETHERTYPE_ARP & 0xff;
	from = htonl(from);
	to = htonl(to);
	memcpy(arp.arp_sha, sender_mac, 6);
	memcpy(arp.arp_spa, &from, 4);
	memcpy(arp.arp_tha, dst, 6);
	memcpy(arp.arp_tpa, &to, 4);
	memcpy(at + 14, &arp, sizeof(arp));
	*front_ring_length(r, slot) = FRONT_HDR + ARP_PADDED;
}

/* Questions for the gateway and answers that nobody asked for: both go to control. */
static int begin_punts(struct attack_run *run)
{
	enum { GATEWAY = 0x0affff01, ME = 0x0a000909, BACKEND = 0x0afe0001 };
	static const uint8_t nobody[6];

	for (unsigned i = 0; i < RING; i++) {
		if (i % 2 && memcmp(run->probe, nobody, 6) != 0)
			put_arp(run, i, run->probe, ARPOP_REPLY, BACKEND + i % BALANCE_BACKENDS, GATEWAY);
		else
			put_arp(run, i, broadcast, ARPOP_REQUEST, ME, GATEWAY);
	}
	return 0;
}

static int begin_unknown_vni(struct attack_run *run)
{
	struct front_ring *r = front_tx_ring(run->uplink, 0);

	overlay_init(&run->overlay, OVERLAY_IPV4, 0, vtep_mac);
	fill(run->uplink, broadcast, sender_mac, SMALL + OVERLAY_OUTER);
	for (uint16_t i = 0; i < r->size; i++) {
		uint8_t *at = front_ring_buffer(r, i) + FRONT_HEADROOM;

		overlay_write(&run->overlay, at, SMALL, i, 0);
		at[46] = 0;
		at[47] = UNKNOWN_VNI >> 8;
		at[48] = UNKNOWN_VNI & 0xff;
	}
	return 0;
}

static void step_unknown_vni(struct attack_run *run)
{
	post(run->uplink);
	drain(run, run->uplink);
}

const struct attack attacks[] = {
	{"one-byte buffers", "long frames to a guest of one-byte buffers", begin_one_byte, step_one_byte,
		NULL},
	{"holes", "a guest whose memory is taken away as it sends", begin_holes, post_and_drain,
		round_of_holes},
	{"slow tap", "frames to a container with 20,000 rules of its own", begin_slow_tap, post_and_drain,
		NULL},
	{"storm", "broadcasts to nine ports", begin_storm, step_storm, NULL},
	{"new MACs", "each frame from another source", begin_macs, step_macs, NULL},
	{"connections", "each packet a new connection to a vip", begin_connections, step_connections, NULL},
	{"flaps", "a link that goes up and down", begin_macs, NULL, round_of_flaps},
	{"publication", "rings that are stopped and started", begin_macs, NULL, round_of_publication},
	{"punts", "ARP to the gateway and to the switch's own probes", begin_punts, post_and_drain, NULL},
	{"unknown VNIs", "VXLAN of networks that are not here", begin_unknown_vni, step_unknown_vni, NULL},
	{0},
};

static void *run_rounds(void *arg)
{
	struct attack_run *run = arg;

	while (run->rc == 0 && !atomic_load(&run->stop))
		run->rc = run->attack->round(run);
	return NULL;
}

int attack_begin(struct attack_run *run, struct session *s, const struct attack *attack)
{
	uint8_t probe[6];

	memcpy(probe, run->probe, sizeof(probe));
	*run = (struct attack_run){.s = s,
		.attack = attack,
		.sender = s->fronts[ATTACK_SENDER],
		.receiver = s->fronts[ATTACK_RECEIVER],
		.uplink = s->fronts[ATTACK_UPLINK]};
	memcpy(run->probe, probe, sizeof(probe));
	run->rc = boot_both(run);
	if (run->rc == 0)
		run->rc = attack->begin(run);
	if (run->rc == 0 && attack->round) {
		run->rc = -pthread_create(&run->thread, NULL, run_rounds, run);
		run->has_thread = run->rc == 0;
	}
	return run->rc;
}

void attack_step(void *arg)
{
	struct attack_run *run = arg;

	if (run->attack->step)
		run->attack->step(run);
}

int attack_end(struct attack_run *run)
{
	atomic_store(&run->stop, true);
	if (run->has_thread)
		pthread_join(run->thread, NULL);
	if (run->rc < 0 && run->rc != -ENOTSUP)
		warnx("%s: %s: %s", run->s->peer->name, run->attack->name, front_error(run->sender));
	return run->rc;
}

#include "bench/lines/send.h"

#include <arpa/inet.h>
#include <string.h>

#include "bench/lines/trap.h"
#include "dataplane/core/dp.h"

enum { ETH = 14, IP = 20, UDP = 8, OUTER = ETH + IP + UDP + 8 };

const uint8_t send_other_mac[6] = {2, 9, 0, 0, 0, 2};

/* What differs between frames. */
struct flow {
	uint8_t to_mac[6], from_mac[6];
	uint32_t from, to;	     /* in network byte order */
	uint16_t from_port, to_port; /* in the host's */
};

static void put16(uint8_t *at, unsigned value)
{
	at[0] = (uint8_t)(value >> 8);
	at[1] = (uint8_t)value;
}

/* Ethernet, IPv4 and UDP without a checksum, before what makes `len` bytes of all. */
static void put_headers(uint8_t *at, const struct flow *flow, unsigned len)
{
	uint8_t *ip = at + ETH, *udp = ip + IP;
	uint32_t sum = 0;

	memcpy(at, flow->to_mac, 6);
	memcpy(at + 6, flow->from_mac, 6);
	put16(at + 12, 0x0800);
	memset(ip, 0, IP + UDP);
	ip[0] = 0x45;
	put16(ip + 2, len - ETH);
	ip[8] = 64;
	ip[9] = 17;
	memcpy(ip + 12, &flow->from, 4);
	memcpy(ip + 16, &flow->to, 4);
	for (unsigned i = 0; i < IP; i += 2)
		sum += (unsigned)ip[i] << 8 | ip[i + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	put16(ip + 10, ~sum & 0xffff);
	put16(udp, flow->from_port);
	put16(udp + 2, flow->to_port);
	put16(udp + 4, len - ETH - IP);
}

/* The headers whole, and of each line behind them a byte: what else is there is all the same. */
static void put_lines(uint8_t *at, const uint8_t *frame, unsigned len)
{
	enum { WHOLE = OUTER + ETH + IP + UDP };

	memcpy(at, frame, len < WHOLE ? len : WHOLE);
	for (unsigned i = WHOLE; i < len; i += TRAP_LINE)
		*(volatile uint8_t *)(at + i) = 1;
	*(volatile uint8_t *)(at + len - 1) = 1;
}

/* A host behind the tunnel, to which guest 2i sends. */
static void put_remote(uint8_t mac[6], unsigned i)
{
	memcpy(mac, (uint8_t[]){2, 8, 0, 0, 0, (uint8_t)i}, 6);
}

static struct flow between(const struct world_guest *from, const struct world_guest *to)
{
	struct flow flow = {.from = from->ip, .to = to->ip, .from_port = 1000, .to_port = 2000};

	memcpy(flow.to_mac, to->mac, 6);
	memcpy(flow.from_mac, from->mac, 6);
	return flow;
}

/* Frame i of a burst of guest `from`. */
static struct flow flow_of(
	struct world *world, struct world_guest *g, unsigned from, unsigned i, enum lines_way kind)
{
	struct flow flow = between(g, &world->guest[kind == LINES_MANY ? 1 : from ^ 1]);
	uint32_t n = g->sent++;

	switch (kind) {
	case LINES_ENCAP:
		put_remote(flow.to_mac, from / 2);
		break;
	case LINES_LEARN:
		memcpy(flow.from_mac,
			(uint8_t[]){2, 7, (uint8_t)from, (uint8_t)(n >> 16), (uint8_t)(n >> 8), (uint8_t)n},
			6);
		break;
	case LINES_REQUEST:
	case LINES_CONNECT:
		memcpy(flow.to_mac, dp_router_mac, 6);
		flow.to = htonl(SEND_VIP);
		flow.to_port = (uint16_t)(SEND_SERVICE + from / 2);
		flow.from_port = (uint16_t)(kind == LINES_CONNECT ? 2000 + n : 1000 + i % WORLD_CONNS);
		break;
	case LINES_ANSWER:
		flow.from_port = SEND_BACKEND;
		flow.to_port = (uint16_t)(1000 + i % WORLD_CONNS);
		break;
	default:
		break;
	}
	return flow;
}

/* What comes out of the tunnel by queue `ring` is for guest 2 * ring. */
static unsigned put_tunnelled(const struct world *world, uint8_t *at, unsigned ring, unsigned size)
{
	struct flow outer = {
		.from = htonl(SEND_OTHER), .to = htonl(SEND_OWN), .from_port = 50000, .to_port = SEND_VXLAN};
	struct flow inner = between(&world->guest[2 * ring + 1], &world->guest[2 * ring]);

	memcpy(outer.to_mac, world->uplink.mac, 6);
	memcpy(outer.from_mac, send_other_mac, 6);
	put_headers(at, &outer, OUTER + size);
	memset(at + OUTER - 8, 0, 8);
	at[OUTER - 8] = 8;
	at[OUTER - 2] = SEND_VNI;
	put_remote(inner.from_mac, ring);
	put_headers(at + OUTER, &inner, size);
	return OUTER + size;
}

void send_kind(struct world *world, struct world_guest *g, unsigned from, unsigned ring, enum lines_way kind)
{
	struct front_ring *r = &g->tx[ring];
	unsigned n = front_tx_room(r, world->config->burst), len = world->config->size;

	for (unsigned i = 0; i < n; i++) {
		uint8_t frame[WORLD_FRAME] = {0}; /* on the stack, where nothing is noted */

		if (kind == LINES_DECAP) {
			len = put_tunnelled(world, frame, ring, world->config->size);
		} else {
			struct flow flow = flow_of(world, g, from, i, kind);

			put_headers(frame, &flow, len);
		}
		put_lines(front_tx_frame(r, i), frame, len);
		front_tx_length(r, i, len);
	}
	front_tx_publish(r, n);
}

void send_hello(struct world *world, struct world_guest *g)
{
	struct front_ring *r = &g->tx[0];
	struct flow flow = {.to_mac = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, .from = g->ip, .to = UINT32_MAX};

	if (!front_tx_room(r, 1))
		return;
	memcpy(flow.from_mac, g->mac, 6);
	put_headers(front_tx_frame(r, 0), &flow, 60);
	front_tx_length(r, 0, 60);
	front_tx_publish(r, 1);
}

void world_send(struct world *world, struct world_guest *g, unsigned from, unsigned ring)
{
	enum lines_way kind = world->config->way;

	if (kind == LINES_L2_BOTH)
		kind = LINES_L2;
	else if (kind == LINES_VIP_BOTH)
		kind = from % 2 ? LINES_ANSWER : LINES_REQUEST;
	send_kind(world, g, from, ring, kind);
}

unsigned world_take(struct world_guest *g, unsigned ring)
{
	struct front_frame frames[WORLD_BURST];
	unsigned all = 0, n;

	while ((n = front_rx_burst(&g->rx[ring], frames, WORLD_BURST)) > 0) {
		for (unsigned i = 0; i < n; i++)
			for (unsigned at = 0; at < frames[i].len; at += TRAP_LINE)
				(void)*(volatile uint8_t *)(frames[i].data + at);
		front_rx_done(&g->rx[ring], frames, n);
		all += n;
	}
	return all;
}

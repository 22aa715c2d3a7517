/*
 * The whole path of a frame: the input is what guests do to their rings and memory, what arrives on an uplink and
 * from containers, and when the worker comes by. Whatever it is, no byte outside is touched, every frame is counted
 * once, and nothing reaches another network.
 *
 * An input is a list of steps; each takes what it needs of the bytes that follow.
 */
#include <string.h>

#include "dataplane/core/exchange.h"
#include "dataplane/engine/inject.h"
#include "dataplane/engine/pipeline.h"
#include "dataplane/frame/parse.h"
#include "dataplane/port/vnet.h"
#include "tests/fuzz/path_packet.h"
#include "tests/fuzz/path_world.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

enum { STEPS_MAX = 24, PIECES_MAX = 140 };

/* How a run of bytes is cut into descriptors. */
struct cut {
	uint16_t first, step; /* bytes; 0: all that is left */
	bool indirect, writable, broken;
};

static struct cut cut_read(struct path_input *in)
{
	uint8_t how = path_u8(in);
	struct cut cut = {.indirect = how & 1, .broken = how > 250};

	if (how & 2)
		cut.first = how & 4 ? path_u8(in) : path_u16(in);
	if (how & 8)
		cut.step = how & 16 ? path_u8(in) : path_u16(in);
	return cut;
}

/* One descriptor of a chain; both kinds of ring have these. */
struct piece {
	uint64_t addr;
	uint32_t len;
	uint16_t flags;
};

static unsigned cut_into(const struct cut *cut, uint64_t gpa, uint32_t total, struct piece *piece)
{
	uint16_t way = cut->writable ? VRING_DESC_F_WRITE : 0;
	uint32_t at = 0, n = cut->first;
	unsigned count = 0;

	do {
		if (!n || n > total - at || count == PIECES_MAX - 1)
			n = total - at;
		piece[count++] = (struct piece){gpa + at, n, way | VRING_DESC_F_NEXT};
		at += n;
		n = cut->step;
	} while (at < total);
	piece[count - 1].flags = way;
	if (cut->broken)
		piece[count / 2].flags ^= cut->first & 7;
	return count;
}

/* The entries of an indirect table, and the descriptor that names it. */
static struct piece table_write(
	struct path_guest *g, bool packed, unsigned number, const struct piece *piece, unsigned n)
{
	uint32_t at = PATH_TABLES + number % PATH_NTABLE * PATH_TABLE_BYTES;

	for (unsigned i = 0; i < n; i++) {
		struct vring_packed_desc p = {
			piece[i].addr, piece[i].len, 0, piece[i].flags & VRING_DESC_F_WRITE};
		struct vring_desc s = {piece[i].addr, piece[i].len, piece[i].flags, (uint16_t)(i + 1)};

		path_write(g, at + i * 16, packed ? (const void *)&p : (const void *)&s, 16);
	}
	return (struct piece){PATH_GPA + at, n * 16, VRING_DESC_F_INDIRECT};
}

static void offer_split(
	struct path_guest *g, unsigned ring, unsigned head, const struct piece *piece, unsigned n)
{
	struct vhost_ring *r = g->ring[ring];

	for (unsigned i = 0; i < n; i++)
		r->desc[(head + i) % PATH_RING] = (struct vring_desc){
			piece[i].addr, piece[i].len, piece[i].flags, (uint16_t)((head + i + 1) % PATH_RING)};
	r->avail->ring[r->avail->idx % PATH_RING] = (uint16_t)(head % PATH_RING);
	r->avail->idx++;
}

static void offer_packed(
	struct path_guest *g, unsigned ring, unsigned id, const struct piece *piece, unsigned n)
{
	struct vhost_ring *r = g->ring[ring];

	for (unsigned i = n; i-- > 0;) {
		struct vhost_position at = vhost_packed_after(r, g->next[ring], i % PATH_RING);

		r->slot[at.slot] = (struct vring_packed_desc){piece[i].addr, piece[i].len, (uint16_t)id,
			(uint16_t)(piece[i].flags | (at.wrap ? VHOST_PACKED_AVAIL : VHOST_PACKED_USED))};
	}
	g->next[ring] = vhost_packed_after(r, g->next[ring], n % PATH_RING);
}

/* Offers `total` bytes at offset `at` of the guest's memory. `head`: of the descriptors, or the buffer's name. */
static void offer(struct path_guest *g, unsigned ring, unsigned head, uint32_t at, uint32_t total,
	const struct cut *cut)
{
	struct piece piece[PIECES_MAX];
	unsigned n = cut_into(cut, PATH_GPA + at, total, piece);
	bool packed = g->ring[ring]->packed;

	path_writable(g, ring * PATH_RING_BYTES, PATH_RING_BYTES);
	/* tables are of both rings, so that one may come to describe what the other was offered */
	if (ring || cut->indirect)
		path_writable(g, at, total);
	if (cut->indirect) {
		piece[0] = table_write(g, packed, head, piece, n);
		n = 1;
	}
	if (packed)
		offer_packed(g, ring, head, piece, n);
	else
		offer_split(g, ring, head, piece, n);
}

/* Copies and segments are what takes long: as many frames as do not hold up all other inputs. */
static unsigned affordable(const struct path_packet *p, unsigned n)
{
	struct virtio_net_hdr hdr;

	if (p->len > 9000)
		return n % 6 + 1;
	memcpy(&hdr, p->virtio, sizeof(hdr));
	if (hdr.gso_type && hdr.gso_size < p->len / 4)
		return n % 8 + 1;
	return n;
}

/* A run of frames: the same packet, to one port after the other. */
static void step_frames(struct path_input *in, unsigned guest)
{
	struct path_guest *g = &path.guest[guest];
	unsigned n = path_u8(in) % 40 + 1, spread = path_u8(in), head = path_u8(in);
	uint32_t at = PATH_DATA + path_u16(in), stride = path_u8(in) * 16u;
	struct cut cut = cut_read(in);
	struct path_packet p;
	uint8_t hdr_len = g->ring[0]->hdr_len;

	path_packet_read(in, &p, guest);
	n = affordable(&p, n);
	for (unsigned i = 0; i < n; i++, at += stride) {
		if (spread & 1)
			path_packet_aim(&p, (spread / 2 + i) % (PATH_GUESTS + PATH_SINKS));
		path_write(g, at, p.virtio, hdr_len);
		path_write(g, at + hdr_len, p.bytes, p.headers);
		offer(g, 0, head + i * (spread & 128 ? 4 : 1), at, hdr_len + p.len, &cut);
	}
}

/* Buffers for what it receives. */
static void step_buffers(struct path_input *in, unsigned guest)
{
	unsigned n = path_u8(in) % 130 + 1, head = path_u8(in);
	uint32_t at = PATH_DATA + path_u16(in), size = path_u16(in);
	struct cut cut = cut_read(in);

	cut.writable = true;
	for (unsigned i = 0; i < n; i++)
		offer(&path.guest[guest], 1, head + i, at, size, &cut);
}

/* Bytes anywhere in its memory, the rings not left out. */
static void step_poke(struct path_input *in, unsigned guest)
{
	uint32_t at = path_u16(in) * 4u;
	uint8_t bytes[32];
	unsigned n = path_u8(in) % sizeof(bytes) + 1;

	if (at >= PATH_MEMORY)
		at %= 2 * PATH_RING_BYTES;
	if (at < PATH_DATA) /* whatever it makes of rings and tables */
		path_writable(&path.guest[guest], 0, PATH_MEMORY);
	for (unsigned i = 0; i < n; i++)
		bytes[i] = path_u8(in);
	path_write(&path.guest[guest], at, bytes, n);
}

/* As a TAP or a packet socket gives it, in any number of spans. False: it was not given. */
static bool outside_take(struct burst *b, const struct path_packet *p, const uint8_t *bytes, uint32_t step)
{
	struct port *port = b->in;
	struct virtio_net_hdr hdr;
	struct frame *f;
	enum drop_reason reason;

	if (p->len < FRAME_MIN || !burst_has_room(b))
		return false;
	f = burst_begin(b);
	f->len = p->len;
	f->hdr_len = p->len < port_hdr_copy(port) ? (uint16_t)p->len : port_hdr_copy(port);
	memcpy(frame_data(f), bytes, f->hdr_len);
	for (uint32_t at = f->hdr_len, n; at < p->len; at += n) {
		n = step && step < p->len - at && f->nspan < FRAME_SPANS - 1 ? step : p->len - at;
		if (!burst_lend(b, f, bytes + at, n))
			return false;
	}
	memcpy(&hdr, p->virtio, sizeof(hdr));
	reason = vnet_take(port, f, &hdr);
	if (reason != DROP_COUNT)
		port_rx_drop(path.w, port, reason);
	else
		burst_keep(b, f);
	return reason == DROP_COUNT;
}

static void outside_run(struct burst *b)
{
	path.w->port_stats[b->in->id].rx_packets += b->count;
	path.w->port_stats[b->in->id].rx_bytes += b->bytes;
	path.w->turn++; /* the budgets of floods are full again */
	if (b->count)
		pipeline_run(path.w, b);
	path_send_late();
}

static struct burst *outside_begin(struct port *port)
{
	struct burst *b = &path.w->burst;

	b->in = port;
	b->queue = b->count = b->nspan = 0;
	b->bytes = 0;
	return b;
}

/* A burst from the uplink, in tunnel packets as a rule, or from a container. */
static void step_outside(struct path_input *in)
{
	unsigned which = path_u8(in), n = path_u8(in) % BURST_MAX + 1, spread = path_u8(in), made;
	struct port *port = which < PATH_SINKS ? path.sink[which] : path.uplink;
	uint32_t step = path_u8(in) * 4u;
	struct burst *b = outside_begin(port);
	struct path_packet p;

	path_packet_read(in, &p, which < PATH_SINKS ? PATH_GUESTS + which : PATH_GUESTS + PATH_SINKS);
	n = affordable(&p, n);
	for (made = 0; made < n; made++) {
		struct path_packet one = p;

		if (spread & 1)
			path_packet_aim(&one, (spread / 2 + made) % (PATH_GUESTS + PATH_SINKS));
		if (port == path.uplink && which % 8)
			path_packet_wrap(in, &one);
		outside_take(b, &one, path_lend(made, one.bytes, one.headers, one.len), step);
	}
	outside_run(b);
	while (made--)
		path_lend_end(made);
}

static void swap(uint8_t *at, unsigned bytes)
{
	uint8_t first[16];

	memcpy(first, at, bytes);
	memcpy(at, at + bytes, bytes);
	memcpy(at + bytes, first, bytes);
}

/* The world outside answers what a guest sent there last, or says that it cannot be had; some bytes of that are others. */
static void step_answer(struct path_input *in)
{
	uint8_t how = path_u8(in), changes = path_u8(in) % 4;
	struct burst *b = outside_begin(path.uplink);
	struct path_packet p = {.headers = path.left_len, .l3 = ETH_LEN};
	uint8_t *ip = p.bytes + ETH_LEN;
	unsigned ip_len;

	if (path.left_len < ETH_LEN + 28)
		return;
	memcpy(p.bytes, path.left, path.left_len);
	swap(p.bytes, 6);
	if (how & 1) { /* an ICMP error quotes it */
		p.headers = (uint16_t)(ETH_LEN + 28 + how / 4 % (path.left_len - ETH_LEN + 1));
		memcpy(ip + 28, path.left + ETH_LEN, p.headers - ETH_LEN - 28u);
		memset(ip, 0, 28);
		ip[0] = 0x45;
		store16(ip + 2, p.headers - ETH_LEN);
		ip[8] = 64;
		ip[9] = IPPROTO_ICMP;
		store_ip4(ip + 12, htobe32(0xc0000202));
		store_ip4(ip + 16, htobe32(0xc0000201));
		ip[20] = how & 2 ? 3 : 11;
		ip[21] = how & 2 ? 4 : 0;
	} else {
		ip_len = (ip[0] & 15) * 4u;
		swap(ip + 12, 4);
		if (ETH_LEN + ip_len + 4 <= p.headers)
			swap(ip + ip_len, 2);
	}
	while (changes--) {
		uint8_t at = path_u8(in);

		ip[at % (p.headers - ETH_LEN)] = path_u8(in);
	}
	p.len = how & 1 ? p.headers : path.left_frame;
	if (p.len < FRAME_MIN)
		p.len = FRAME_MIN;
	outside_take(b, &p, path_lend(0, p.bytes, p.headers, p.len), 0);
	outside_run(b);
	path_lend_end(0);
}

static struct port *any_port(uint8_t number)
{
	if (number < PATH_GUESTS)
		return path.guest[number].port;
	return number < PATH_GUESTS + PATH_SINKS ? path.sink[number - PATH_GUESTS] : path.uplink;
}

/* What operators, links and front-ends change. */
static void step_setting(struct path_input *in, unsigned guest)
{
	uint8_t what = path_u8(in), number = path_u8(in), value = path_u8(in);
	struct port *port = any_port(number);
	struct vhost_ring *r = path.guest[guest].ring[value & 1];

	switch (what % 8) {
	case 0:
		port->mtu = (uint16_t)(value * 36 + 68);
		break;
	case 1:
		for (unsigned i = 0; i < PATH_SINKS; i++)
			path.sink[i]->mtu = (uint16_t)(value * 36 + 68);
		break;
	case 2:
		atomic_store(&port->up, value & 1);
		break;
	case 3:
		/* of a guest they follow from its features */
		if (number >= PATH_GUESTS)
			atomic_store(&port->offloads, value & PORT_CSUM ? value & 63 : 0);
		break;
	case 4:
		path.room = value;
		break;
	case 5:
		r->event_idx = value & 2;
		r->indirect = value & 4;
		break;
	case 6:
		if (r->hdr_len == VHOST_HDR)
			r->mergeable = value & 2;
		break;
	default:
		port->unfinished = port != path.uplink && number >= PATH_GUESTS && (value & 1);
	}
}

/* A guest that moved here, or what control sends. */
static void step_control(struct path_input *in, unsigned guest)
{
	uint8_t what = path_u8(in), bytes[HDR_MAX] = {0};
	uint16_t len = path_u8(in) % HDR_MAX + 1;

	if (what & 1) {
		atomic_store(&path.guest[guest].dev->queue[0].rarp, VHOST_RARP | (uint64_t)what << 8 | 2);
		return;
	}
	if (len < FRAME_MIN)
		len = FRAME_MIN;
	for (unsigned i = 0; i < 20; i++)
		bytes[i] = path_u8(in);
	exchange_inject(path.dp, what & 2 ? path.uplink->id : OUT_NONE, path.net, bytes, len);
	path.w->turn++; /* the budgets of floods are full again */
	inject_send(path.w);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	path_open();
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct path_input in = {data, size};

	path_reset();
	for (unsigned i = 0; i < STEPS_MAX && in.left; i++) {
		uint8_t step = path_u8(&in);
		unsigned guest = step >> 6;

		switch (step % 16) {
		case 0 ... 3:
			step_frames(&in, guest);
			break;
		case 4 ... 5:
			step_buffers(&in, guest);
			break;
		case 6:
			step_poke(&in, guest);
			break;
		case 7 ... 8:
			step_outside(&in);
			break;
		case 9 ... 10:
			step_setting(&in, guest);
			break;
		case 11:
			step_control(&in, guest);
			break;
		case 12:
			step_answer(&in);
			break;
		default:
			path_serve(&path.guest[guest]);
		}
	}
	for (unsigned i = 0; i < 2 * PATH_GUESTS; i++)
		path_serve(&path.guest[i % PATH_GUESTS]);
	path_check();
	return 0;
}

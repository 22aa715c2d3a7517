#include "dataplane/frame/tcp_gro.h"

#include <assert.h>
#include <linux/virtio_net.h>

#include "dataplane/frame/csum.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"

enum {
	IP4_LEN = 20,
	IP6_LEN = 40,
	IP4_ID = 4,
	IP4_FRAGMENT = 6, /* flags and offset */
	IP4_DF = 0x4000,
	IP4_CSUM = 10,
	IP4_ADDRESSES = 12,
	IP6_ADDRESSES = 8,
	TCP_LEN = 20,
	TCP_SEQ = 4,
	TCP_ACK = 8,
	TCP_FLAGS = 13,
	TCP_WINDOW = 14,
	TCP_CSUM = 16,
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_ACK_FLAG = 0x10,
	TCP_ECE = 0x40,
	FLOWS = 8, /* that are put together at once; with more, the one begun first is ended */
	IP_BYTES_MAX = UINT16_MAX,
};

/* A TCP segment right behind an IP header without options or extensions, in a frame without a tag. */
struct segment {
	struct frame *f;
	uint32_t payload, seq;
	uint16_t l4, hdr; /* offsets of the TCP header and of the payload */
	bool six;
	bool good; /* its checksum is right, or still to be made */
};

/* Segments of one connection that follow one another. */
struct flow {
	struct segment first;
	uint32_t bytes; /* of payload */
	uint16_t spans; /* that all of them take */
	uint8_t ends;	/* PSH or FIN of the last */
	uint8_t count;	/* 0: free */
	uint8_t order;	/* of its begin */
	bool full;	/* nothing may follow */
	struct frame *more[BURST_MAX - 1];
	uint8_t end; /* unused, as in struct burst */
};

struct flows {
	struct tcp_gro *gro;
	uint8_t begun;
	struct flow flow[FLOWS];
};

/* Looks at the headers alone. False: no such segment, and none that one could follow. */
static bool find_segment(struct frame *f, struct segment *s)
{
	const uint8_t *data = frame_data(f), *ip = data + ETH_LEN;
	uint16_t type;

	if (f->hdr_len < ETH_LEN + IP6_LEN)
		return false;
	type = load16(data + 12);
	s->six = type == ETHERTYPE_IP6;
	if (s->six ? ip[6] != IPPROTO_TCP || ip[0] >> 4 != 6
		   : type != ETHERTYPE_IP4 || ip[9] != IPPROTO_TCP || ip[0] != 0x45 ||
				(load16(ip + IP4_FRAGMENT) & ~IP4_DF))
		return false;
	s->f = f;
	s->l4 = ETH_LEN + (s->six ? IP6_LEN : IP4_LEN);
	if (f->len < s->l4 + (uint32_t)TCP_LEN || frame_pull(f, s->l4 + TCP_LEN) < s->l4 + TCP_LEN)
		return false;
	s->hdr = s->l4 + (frame_data(f)[s->l4 + 12] >> 4) * 4;
	s->seq = load32(frame_data(f) + s->l4 + TCP_SEQ);
	/* of a tunnel's packet what was found right is the outer checksum */
	s->good = (f->off.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) ||
		  ((f->off.flags & VIRTIO_NET_HDR_F_DATA_VALID) && f->src_vtep == VTEP_NONE);
	return true;
}

/* Does it have payload and nothing else to say, and does the frame end where the packet does? */
static bool is_plain(const struct segment *s)
{
	struct frame *f = s->f;
	const uint8_t *ip, *tcp;
	uint32_t len;

	if (f->off.gso_type != VIRTIO_NET_HDR_GSO_NONE || s->hdr < s->l4 + TCP_LEN || f->len <= s->hdr ||
		frame_pull(f, s->hdr) < s->hdr)
		return false;
	ip = frame_data(f) + ETH_LEN;
	tcp = frame_data(f) + s->l4;
	len = s->six ? load16(ip + 4) + (uint32_t)IP6_LEN : load16(ip + 2);
	if (len != f->len - ETH_LEN || (tcp[TCP_FLAGS] & ~(TCP_FIN | TCP_PSH | TCP_ECE)) != TCP_ACK_FLAG)
		return false;
	return s->six || csum_fold(csum_add(0, ip, IP4_LEN)) == UINT16_MAX;
}

static uint16_t pseudo_sum(const struct segment *s, uint32_t tcp_len)
{
	const uint8_t *ip = s->f->hdr + s->f->hdr_off + ETH_LEN;
	uint64_t sum = csum_add(0, ip + (s->six ? IP6_ADDRESSES : IP4_ADDRESSES), s->six ? 32 : 8);

	return csum_fold(sum + __builtin_bswap16((uint16_t)tcp_len) + __builtin_bswap16(IPPROTO_TCP));
}

/* Sums what nobody has summed yet. */
static bool is_good(struct segment *s)
{
	if (!s->good)
		s->good =
			csum_fold(pseudo_sum(s, s->f->len - s->l4) + offload_sum(s->f, s->l4)) == UINT16_MAX;
	return s->good;
}

/* Of one connection, in one direction? Addresses and ports lie in a row. */
static bool is_of(const struct flow *flow, const struct segment *s)
{
	const struct segment *first = &flow->first;
	uint16_t at = ETH_LEN + (s->six ? IP6_ADDRESSES : IP4_ADDRESSES);

	return flow->count && first->six == s->six && first->f->net == s->f->net &&
	       memcmp(frame_data(first->f) + at, frame_data(s->f) + at, s->l4 + 4 - at) == 0;
}

/* What must be as in the first segment; the id of a packet without DF is one more than the last one's. */
static bool is_alike(const struct flow *flow, const struct segment *s)
{
	const uint8_t *a = frame_data(flow->first.f), *b = frame_data(s->f);
	const uint8_t *tcp = a + s->l4, *tcp2 = b + s->l4;
	uint8_t flags = (tcp[TCP_FLAGS] ^ tcp2[TCP_FLAGS]) & (uint8_t) ~(TCP_FIN | TCP_PSH);

	if (flow->first.hdr != s->hdr || flow->first.f->out != s->f->out || memcmp(a, b, ETH_LEN) != 0)
		return false;
	a += ETH_LEN;
	b += ETH_LEN;
	if (s->six) {
		if (memcmp(a, b, 4) != 0 || a[7] != b[7]) /* class, flow label; hop limit */
			return false;
	} else if (a[1] != b[1] || a[8] != b[8] || a[IP4_FRAGMENT] != b[IP4_FRAGMENT] ||
		   (!(a[IP4_FRAGMENT] & IP4_DF >> 8) &&
			   load16(b + IP4_ID) != (uint16_t)(load16(a + IP4_ID) + flow->count))) {
		return false;
	}
	return !flags && tcp[12] == tcp2[12] && memcmp(tcp + TCP_ACK, tcp2 + TCP_ACK, 4) == 0 &&
	       memcmp(tcp + TCP_WINDOW, tcp2 + TCP_WINDOW, 2) == 0 &&
	       memcmp(tcp + TCP_CSUM + 2, tcp2 + TCP_CSUM + 2, s->hdr - s->l4 - TCP_CSUM - 2) == 0;
}

static uint16_t spans_of(const struct segment *s)
{
	return s->f->nspan + (s->f->hdr_len > s->hdr);
}

static bool can_follow(struct flow *flow, struct segment *s)
{
	struct segment *first = &flow->first;

	return !flow->full && s->seq == first->seq + flow->bytes && s->payload <= first->payload &&
	       first->hdr - ETH_LEN + flow->bytes + s->payload <= IP_BYTES_MAX &&
	       flow->spans + spans_of(s) <= TCP_GRO_FRAME_SPANS && is_alike(flow, s) && is_good(first) &&
	       is_good(s);
}

static uint8_t ends(const struct segment *s)
{
	return frame_data(s->f)[s->l4 + TCP_FLAGS] & (TCP_FIN | TCP_PSH);
}

static void append(struct flow *flow, const struct segment *s)
{
	flow->more[flow->count++ - 1] = s->f;
	flow->bytes += s->payload;
	flow->spans += spans_of(s);
	flow->ends = ends(s);
	flow->full = flow->ends || s->payload < flow->first.payload;
}

/* The payload of `f`, as spans behind those that there are. */
static void lend(struct tcp_gro *gro, const struct frame *f, uint16_t hdr)
{
	if (f->hdr_len > hdr)
		gro->span[gro->used++] = (struct span){f->hdr + f->hdr_off + hdr, f->hdr_len - hdr};
	for (unsigned i = 0; i < f->nspan; i++)
		gro->span[gro->used++] = f->span[i];
}

/* The headers of one large packet, which asks for its checksum and for being cut. */
static void ask(struct flow *flow)
{
	struct segment *s = &flow->first;
	struct frame *f = s->f;
	uint8_t *ip = frame_data(f) + ETH_LEN, *tcp = frame_data(f) + s->l4;

	if (s->six) {
		store16(ip + 4, (uint16_t)(f->len - ETH_LEN - IP6_LEN));
	} else {
		store16(ip + 2, (uint16_t)(f->len - ETH_LEN));
		csum_store(ip + IP4_CSUM, 0);
		csum_store(ip + IP4_CSUM, (uint16_t)~csum_fold(csum_add(0, ip, IP4_LEN)));
	}
	tcp[TCP_FLAGS] |= flow->ends;
	csum_store(tcp + TCP_CSUM, pseudo_sum(s, f->len - s->l4));
	f->off = (struct offload){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = s->six ? VIRTIO_NET_HDR_GSO_TCPV6 : VIRTIO_NET_HDR_GSO_TCPV4,
		.hdr_len = s->hdr,
		.gso_size = (uint16_t)s->payload,
		.csum_start = s->l4,
		.csum_offset = TCP_CSUM};
}

/* Ends the flow: of several segments one frame is made. */
static void finish(struct tcp_gro *gro, struct flow *flow)
{
	struct frame *f = flow->first.f;
	uint16_t from = gro->used;

	if (flow->count > 1) {
		assert(from + flow->spans <= TCP_GRO_SPANS);
		lend(gro, f, flow->first.hdr);
		for (unsigned i = 0; i < flow->count - 1u; i++)
			lend(gro, flow->more[i], flow->first.hdr);
		f->hdr_len = flow->first.hdr;
		f->len = flow->first.hdr + flow->bytes;
		f->span = gro->span + from;
		f->nspan = (uint8_t)flow->spans;
		f->merged = flow->count - 1;
		if (!f->parsed)
			parse_frame(f); /* whoever would have to cut it relies on it */
		ask(flow);
	}
	flow->count = 0;
}

/* A free flow; where there is none, the one begun first is ended. */
static struct flow *take(struct flows *flows)
{
	struct flow *oldest = flows->flow;

	for (struct flow *flow = flows->flow; flow < flows->flow + FLOWS; flow++) {
		if (!flow->count)
			return flow;
		if (flow->order < oldest->order)
			oldest = flow;
	}
	finish(flows->gro, oldest);
	return oldest;
}

static void begin(struct flows *flows, const struct segment *s)
{
	struct flow *flow = take(flows);

	flow->first = *s;
	flow->bytes = s->payload;
	flow->spans = spans_of(s);
	flow->ends = 0;
	flow->count = 1;
	flow->order = flows->begun++;
	flow->full = false;
}

static struct flow *find(struct flows *flows, const struct segment *s)
{
	for (struct flow *flow = flows->flow; flow < flows->flow + FLOWS; flow++)
		if (is_of(flow, s))
			return flow;
	return NULL;
}

/* Does `f` become part of a frame before it? */
static bool merges(struct flows *flows, struct frame *f)
{
	struct segment s;
	struct flow *flow;
	bool plain;

	if (!find_segment(f, &s))
		return false;
	plain = is_plain(&s);
	s.payload = f->len - s.hdr;
	flow = find(flows, &s);
	if (flow && plain && can_follow(flow, &s)) {
		append(flow, &s);
		return true;
	}
	if (flow)
		finish(flows->gro, flow); /* what comes later may not overtake this one */
	if (plain && f->len >= TCP_GRO_MIN && !ends(&s))
		begin(flows, &s);
	return false;
}

static bool is_wanted(const struct frame *f, bool ip4, bool ip6)
{
	uint16_t type = load16(f->hdr + f->hdr_off + 12);

	return (ip4 && type == ETHERTYPE_IP4) || (ip6 && type == ETHERTYPE_IP6);
}

uint16_t tcp_gro_merge(struct tcp_gro *gro, struct frame **frames, uint16_t n, bool ip4, bool ip6)
{
	struct flows flows;
	uint16_t left = 0;

	flows.gro = gro;
	flows.begun = 0;
	for (unsigned i = 0; i < FLOWS; i++)
		flows.flow[i].count = 0;
	for (unsigned i = 0; i < n; i++)
		if (!is_wanted(frames[i], ip4, ip6) || !merges(&flows, frames[i]))
			frames[left++] = frames[i];
	for (unsigned i = 0; i < FLOWS; i++)
		if (flows.flow[i].count)
			finish(gro, &flows.flow[i]);
	return left;
}

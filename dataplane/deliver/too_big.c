#include "dataplane/deliver/too_big.h"

#include <linux/virtio_net.h>
#include <rte_cycles.h>

#include "dataplane/core/dp.h"
#include "dataplane/frame/csum.h"
#include "dataplane/frame/nat.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/network.h"

enum {
	ANSWERS_SECOND = 1000, /* a port's, so that one guest does not use up what others need */
	ANSWERS_BURST = 50,
	ICMP_LEN = 8,
	ICMP_CSUM = 2,
	ICMP_MTU = 4,
	IP4_LEN = 20,
	IP4_DF = 0x4000,
	IP4_OFFSET = 0x1fff,
	IP4_MTU_MIN = 68,
	IP4_ANSWER_MAX = 576, /* (RFC 1812, 4.3.2.3) */
	IP6_LEN = 40,
	IP6_OFFSET = 0xfff8,
	ICMP6_INFORMATION = 128, /* types from here on are no errors */
	ICMP6_REDIRECT = 137,
	IP6_MTU_MIN = 1280, /* also the answer's length at most (RFC 4443, 2.4 c) */
};
static_assert((int)HDR_ROOM >= IP6_LEN + ICMP_LEN, "the answer's headers fit before the frame's");

/* ICMP messages that are errors themselves: unreachable, quench, redirect, time exceeded, parameter. */
static bool icmp4_error(uint8_t type)
{
	return (type >= 3 && type <= 5) || type == 11 || type == 12;
}

static bool one_host4(const uint8_t *ip)
{
	return ip[0] != 0 && ip[0] != 127 && ip[0] < 224;
}

static bool tellable4(const struct frame *f, const uint8_t *ip, uint32_t mtu)
{
	uint16_t flags = load16(ip + 6), header = (ip[0] & 15) * 4;

	if (mtu < IP4_MTU_MIN || load16(ip + 2) <= mtu) /* what was too long is not the packet */
		return false;
	if (!(flags & IP4_DF) || (flags & IP4_OFFSET) || !one_host4(ip + 12) || !one_host4(ip + 16))
		return false;
	if (ip[9] != IPPROTO_ICMP)
		return true;
	return f->l3_off + header < f->hdr_len && !icmp4_error(ip[header]);
}

static bool precedes_upper_layer(uint8_t header)
{
	return header == IPPROTO_HOPOPTS || header == IPPROTO_ROUTING || header == IPPROTO_DSTOPTS ||
	       header == IPPROTO_FRAGMENT;
}

/* Neither an ICMPv6 error or redirect nor a later fragment, as far as the private bytes tell. */
static bool harmless6(const struct frame *f, const uint8_t *ip)
{
	uint32_t have = f->hdr_len - f->l3_off, off = IP6_LEN;
	uint8_t header = ip[6];

	while (precedes_upper_layer(header)) {
		const uint8_t *extension = ip + off;

		if (off + 8 > have || (header == IPPROTO_FRAGMENT && (load16(extension + 2) & IP6_OFFSET)))
			return false;
		off += header == IPPROTO_FRAGMENT ? 8 : (extension[1] + 1) * 8u;
		header = extension[0];
	}
	if (header != IPPROTO_ICMPV6)
		return true;
	return off < have && ip[off] >= ICMP6_INFORMATION && ip[off] != ICMP6_REDIRECT;
}

static bool one_host6(const uint8_t *ip)
{
	static const uint8_t unspecified[15];

	return ip[0] != 0xff && memcmp(ip, unspecified, 15) != 0; /* neither :: nor ::1 */
}

static bool tellable6(const struct frame *f, const uint8_t *ip, uint32_t mtu)
{
	return mtu >= IP6_MTU_MIN && load16(ip + 4) + (uint32_t)IP6_LEN > mtu && one_host6(ip + 8) &&
	       one_host6(ip + 24) && harmless6(f, ip);
}

/* One more answer at `port` now? A bucket of ANSWERS_BURST, kept as the time at which it will be full again.
 */
static bool within_rate(struct port *port)
{
	uint64_t each = rte_get_tsc_hz() / ANSWERS_SECOND, now = rte_rdtsc();
	uint64_t full = atomic_load_explicit(&port->answers_full, memory_order_relaxed), next;

	next = (full > now ? full : now) + each;
	if (next - now > each * ANSWERS_BURST)
		return false;
	/* another worker of the port may have come first: then that was the answer */
	return atomic_compare_exchange_strong_explicit(
		&port->answers_full, &full, next, memory_order_relaxed, memory_order_relaxed);
}

/* Room for the answer's headers between the Ethernet header, with its tags, and the packet quoted. */
static void open_gap(struct frame *f, uint16_t bytes)
{
	uint8_t *data = frame_data(f);

	memmove(data - bytes, data, f->l3_off);
	f->hdr_off -= bytes;
	f->hdr_len += bytes;
	f->len += bytes;
}

/* Asks for the checksum of the ICMP message at `l4`, whose field holds the pseudo header's sum, and has it.
 */
static void checksum(struct frame *f, uint16_t l4)
{
	f->off = (struct offload){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = l4, .csum_offset = ICMP_CSUM};
	offload_checksum(f);
}

static void write4(struct frame *f, uint32_t source, uint32_t mtu)
{
	uint8_t *ip = frame_data(f) + f->l3_off, *icmp = ip + IP4_LEN;
	uint32_t sender = load_ip4(icmp + ICMP_LEN + 12);

	memset(ip, 0, IP4_LEN + ICMP_LEN);
	ip[0] = 0x45;
	ip[1] = 0xc0; /* internetwork control (RFC 1812, 4.3.2.5) */
	store16(ip + 2, (uint16_t)(f->len - f->l3_off));
	store16(ip + 6, IP4_DF);
	ip[8] = 64;
	ip[9] = IPPROTO_ICMP;
	store_ip4(ip + 12, source);
	store_ip4(ip + 16, sender);
	csum_store(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, IP4_LEN)));
	icmp[0] = 3; /* destination unreachable */
	icmp[1] = 4; /* fragmentation needed */
	store16(icmp + ICMP_MTU + 2, (uint16_t)mtu);
	checksum(f, f->l3_off + IP4_LEN);
}

static void write6(struct frame *f, uint32_t mtu)
{
	uint8_t *ip = frame_data(f) + f->l3_off, *icmp = ip + IP6_LEN;
	const uint8_t *quoted = icmp + ICMP_LEN;
	uint16_t len = (uint16_t)(f->len - f->l3_off - IP6_LEN);

	memset(ip, 0, IP6_LEN + ICMP_LEN);
	ip[0] = 0x60;
	store16(ip + 4, len);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = 64;
	memcpy(ip + 8, quoted + 24, 16);
	memcpy(ip + 24, quoted + 8, 16);
	icmp[0] = 2; /* packet too big */
	store_ip4(icmp + ICMP_MTU, __builtin_bswap32(mtu));
	csum_store(icmp + ICMP_CSUM, csum_fold(csum_add(0, ip + 8, 32) + __builtin_bswap16(len) +
					       __builtin_bswap16(IPPROTO_ICMPV6)));
	checksum(f, f->l3_off + IP6_LEN);
}

/* Who answers: the gateway, but not to itself, else as if the destination had. */
static uint32_t source4(struct worker *w, const struct burst *b, const struct frame *f, const uint8_t *ip)
{
	const struct network *net = dp_get_net(w->dp, f->net);

	return net && net->gateway && !b->in->is_gateway ? net->gateway : load_ip4(ip + 16);
}

static void write_answer(struct worker *w, const struct burst *b, struct frame *f, uint32_t mtu)
{
	bool is_ip4 = f->ethertype == ETHERTYPE_IP4;
	uint16_t gap = ICMP_LEN + (is_ip4 ? IP4_LEN : IP6_LEN);
	uint32_t longest = is_ip4 ? IP4_ANSWER_MAX : IP6_MTU_MIN;
	uint32_t source = is_ip4 ? source4(w, b, f, frame_data(f) + f->l3_off) : 0;
	uint8_t sender[6];

	if (longest > b->in->mtu)
		longest = b->in->mtu;
	if (f->len > f->l3_off + longest - gap)
		frame_trim(f, f->l3_off + longest - gap);
	memcpy(sender, frame_data(f) + 6, 6);
	open_gap(f, gap);
	memcpy(frame_data(f) + 6, b->in->is_gateway ? frame_data(f) : dp_router_mac, 6);
	memcpy(frame_data(f), sender, 6);
	if (is_ip4)
		write4(f, source, mtu);
	else
		write6(f, mtu);
}

bool too_big_answer(struct worker *w, const struct burst *b, struct frame *f, uint32_t longest)
{
	const uint8_t *ip;
	uint32_t mtu;

	if (b->in->is_uplink || f->src_vtep != VTEP_NONE)
		return false;
	nat_undo(f);
	frame_pull(f, HDR_MAX);
	parse_frame(f);
	if (!f->l3_off || mac_multicast(frame_data(f)) || mac_multicast(frame_data(f) + 6))
		return false;
	ip = frame_data(f) + f->l3_off;
	mtu = longest - f->l3_off;
	if (!(f->ethertype == ETHERTYPE_IP4 ? tellable4(f, ip, mtu) : tellable6(f, ip, mtu)))
		return false;
	if (!within_rate(b->in))
		return false;
	write_answer(w, b, f, mtu);
	return true;
}

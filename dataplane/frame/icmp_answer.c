#include "dataplane/frame/icmp_answer.h"

#include <linux/virtio_net.h>
#include <netinet/in.h>

#include "dataplane/frame/csum.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/reply.h"

enum {
	ICMP_LEN = 8,
	ICMP_CSUM = 2,
	ICMP_INFO = 4,
	IP4_LEN = REPLY_IP4_LEN,
	IP4_OFFSET = 0x1fff,
	IP4_ANSWER_MAX = 576, /* (RFC 1812, 4.3.2.3) */
	IP6_LEN = 40,
	IP6_OFFSET = 0xfff8,
	ICMP6_INFORMATION = 128, /* types from here on are no errors */
	ICMP6_REDIRECT = 137,
	IP6_ANSWER_MAX = 1280, /* (RFC 4443, 2.4 c) */
};
static_assert((int)HDR_ROOM >= IP6_LEN + ICMP_LEN, "the answer's headers fit before the frame's");

/* ICMP messages that are errors themselves: unreachable, quench, redirect, time exceeded, parameter. */
static bool is_error4(uint8_t type)
{
	return (type >= 3 && type <= 5) || type == 11 || type == 12;
}

static bool one_host4(const uint8_t *ip)
{
	return ip[0] != 0 && ip[0] != 127 && ip[0] < 224;
}

static bool may4(const struct frame *f, const uint8_t *ip)
{
	uint16_t header = (ip[0] & 15) * 4;

	if ((load16(ip + 6) & IP4_OFFSET) || !one_host4(ip + 12) || !one_host4(ip + 16))
		return false;
	if (ip[9] != IPPROTO_ICMP)
		return true;
	return f->l3_off + header < f->hdr_len && !is_error4(ip[header]);
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

bool icmp_answer_may(struct frame *f)
{
	const uint8_t *data = frame_data(f), *ip = data + f->l3_off;

	if (mac_multicast(data) || mac_multicast(data + 6))
		return false;
	if (f->ethertype == ETHERTYPE_IP4)
		return may4(f, ip);
	return one_host6(ip + 8) && one_host6(ip + 24) && harmless6(f, ip);
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

static void write_icmp(uint8_t *icmp, const struct icmp_answer *answer)
{
	icmp[0] = answer->type;
	icmp[1] = answer->code;
	store32(icmp + ICMP_INFO, answer->info);
}

static void write4(struct frame *f, const struct icmp_answer *answer)
{
	enum { INTERNETWORK_CONTROL = 0xc0 }; /* (RFC 1812, 4.3.2.5) */
	uint8_t *ip = frame_data(f) + f->l3_off, *icmp = ip + IP4_LEN;
	uint32_t source, sender = load_ip4(icmp + ICMP_LEN + 12);

	memcpy(&source, answer->source, sizeof(source));
	reply_write_ip4(
		ip, INTERNETWORK_CONTROL, (uint16_t)(f->len - f->l3_off), IPPROTO_ICMP, source, sender);
	memset(icmp, 0, ICMP_LEN);
	write_icmp(icmp, answer);
	checksum(f, f->l3_off + IP4_LEN);
}

static void write6(struct frame *f, const struct icmp_answer *answer)
{
	uint8_t *ip = frame_data(f) + f->l3_off, *icmp = ip + IP6_LEN;
	const uint8_t *quoted = icmp + ICMP_LEN;
	uint16_t len = (uint16_t)(f->len - f->l3_off - IP6_LEN);

	memset(ip, 0, IP6_LEN + ICMP_LEN);
	ip[0] = 0x60;
	store16(ip + 4, len);
	ip[6] = IPPROTO_ICMPV6;
	ip[7] = 64;
	memcpy(ip + 8, answer->source, 16);
	memcpy(ip + 24, quoted + 8, 16);
	write_icmp(icmp, answer);
	csum_store(icmp + ICMP_CSUM, csum_fold(csum_add(0, ip + 8, 32) + __builtin_bswap16(len) +
					       __builtin_bswap16(IPPROTO_ICMPV6)));
	checksum(f, f->l3_off + IP6_LEN);
}

void icmp_answer(struct frame *f, const struct icmp_answer *answer)
{
	bool is_ip4 = f->ethertype == ETHERTYPE_IP4;
	uint16_t gap = ICMP_LEN + (is_ip4 ? IP4_LEN : IP6_LEN);
	uint32_t longest = is_ip4 ? IP4_ANSWER_MAX : IP6_ANSWER_MAX;
	uint8_t sender[6];

	if (longest > answer->longest)
		longest = answer->longest;
	if (f->len > f->l3_off + longest - gap)
		frame_trim(f, f->l3_off + longest - gap);
	memcpy(sender, frame_data(f) + 6, 6);
	open_gap(f, gap);
	memcpy(frame_data(f) + 6, answer->mac, 6);
	memcpy(frame_data(f), sender, 6);
	if (is_ip4)
		write4(f, answer);
	else
		write6(f, answer);
}

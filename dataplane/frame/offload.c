#include "dataplane/frame/offload.h"

#include <linux/virtio_net.h>

#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"

enum {
	TCP_LEN = 20,
	TCP_CSUM = 16,
	TCP_SEQ = 4,
	TCP_FLAGS = 13,
	TCP_FIN = 0x01,
	TCP_PSH = 0x08,
	TCP_CWR = 0x80,
	UDP_LEN = 8,
	UDP_CSUM = 6,
	IP4_LEN = 20,
	IP6_LEN = 40,
};

/* Behind the extension headers that may stand before TCP and UDP in a packet that is not a fragment; 0: not
 * there. */
static uint16_t skip_ip6_extensions(struct frame *f, uint8_t *proto)
{
	const uint8_t *data = frame_data(f);
	uint16_t off = f->l3_off + IP6_LEN;

	*proto = data[f->l3_off + 6];
	while (*proto == IPPROTO_HOPOPTS || *proto == IPPROTO_ROUTING || *proto == IPPROTO_DSTOPTS) {
		if (off + 8 > f->hdr_len)
			return 0;
		*proto = data[off];
		off += (data[off + 1] + 1) * 8;
	}
	return off + UDP_LEN <= f->hdr_len ? off : 0;
}

/* Offset of the TCP or UDP header by our own reading, 0: none. */
static uint16_t find_l4(struct frame *f, uint8_t *proto)
{
	if (!f->l4_off)
		parse_frame(f);
	if (!f->l4_off && f->hdr_len < f->len) {
		frame_pull(f, HDR_MAX);
		parse_frame(f);
	}
	*proto = f->ip_proto;
	if (f->l4_off || !f->l3_off || f->ethertype != ETHERTYPE_IP6)
		return f->l4_off;
	return skip_ip6_extensions(f, proto);
}

/* Where the IP packet ends, from the frame's first byte. */
static uint32_t ip_end(struct frame *f)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;

	if (f->ethertype == ETHERTYPE_IP4)
		return f->l3_off + load16(ip + 2);
	return f->l3_off + IP6_LEN + load16(ip + 4);
}

/* Length of the headers of a large frame whose L4 header is at `l4`, all private; 0: it is not what it says.
 */
static uint16_t large_headers(struct frame *f, uint8_t proto, uint16_t l4)
{
	bool ip4 = f->ethertype == ETHERTYPE_IP4;
	uint16_t len;

	if (f->off.gso_type == VIRTIO_NET_HDR_GSO_UDP_L4)
		return proto == IPPROTO_UDP ? l4 + UDP_LEN : 0;
	if (proto != IPPROTO_TCP ||
		f->off.gso_type != (ip4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6))
		return 0;
	len = (frame_data(f)[l4 + 12] >> 4) * 4;
	if (len < TCP_LEN || l4 + len > f->len || frame_pull(f, l4 + len) < l4 + len)
		return 0;
	return l4 + len;
}

/* The frame must be a large one of the kind that it says, in a bounded number of segments. */
static bool segmentation_valid(struct frame *f, uint8_t proto, uint32_t end)
{
	uint16_t headers = large_headers(f, proto, f->off.csum_start);
	uint32_t payload;

	if (!headers || end != f->len)
		return false;
	payload = f->len - headers;
	f->off.hdr_len = headers;
	if (payload <= f->off.gso_size) { /* one segment: nothing to cut */
		f->off.gso_type = VIRTIO_NET_HDR_GSO_NONE;
		f->off.gso_size = 0;
		f->off.hdr_len = 0;
		return true;
	}
	return payload <= (uint32_t)f->off.gso_size * OFFLOAD_SEGMENTS_MAX;
}

bool offload_valid(struct frame *f)
{
	struct offload *off = &f->off;
	uint16_t l4, field;
	uint32_t end;
	uint8_t proto;

	if (!off->flags && !off->gso_type)
		return true;
	off->gso_type &= ~VIRTIO_NET_HDR_GSO_ECN;
	if (!(off->flags & VIRTIO_NET_HDR_F_NEEDS_CSUM)) {
		bool plain = off->gso_type == VIRTIO_NET_HDR_GSO_NONE;

		*off = (struct offload){.flags = off->flags & VIRTIO_NET_HDR_F_DATA_VALID};
		return plain;
	}
	off->flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	off->hdr_len = 0;

	l4 = find_l4(f, &proto);
	field = proto == IPPROTO_TCP ? TCP_CSUM : UDP_CSUM;
	if (!l4 || (proto != IPPROTO_TCP && proto != IPPROTO_UDP) || off->csum_start != l4 ||
		off->csum_offset != field)
		return false;
	end = ip_end(f);
	if (end < l4 + (proto == IPPROTO_TCP ? 20u : 8u) || frame_pull(f, l4 + field + 2) < l4 + field + 2)
		return false;
	if (off->gso_type != VIRTIO_NET_HDR_GSO_NONE)
		return segmentation_valid(f, proto, end);
	off->gso_size = 0;
	return true;
}

/* The pseudo header's sum of `len` bytes of `proto`. */
static uint16_t pseudo_sum(struct frame *f, uint8_t proto, uint32_t len)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;
	bool ip4 = f->ethertype == ETHERTYPE_IP4;
	uint64_t sum = csum_add(0, ip + (ip4 ? 12 : 8), ip4 ? 8 : 32);

	return csum_fold(sum + __builtin_bswap32(len) + __builtin_bswap16(proto));
}

void offload_detect(struct frame *f)
{
	uint16_t l4, field, found;
	uint32_t end;
	uint8_t proto;

	l4 = find_l4(f, &proto);
	if (!l4 || (proto != IPPROTO_TCP && proto != IPPROTO_UDP))
		return;
	field = proto == IPPROTO_TCP ? TCP_CSUM : UDP_CSUM;
	end = ip_end(f);
	if (end < l4 + (proto == IPPROTO_TCP ? 20u : 8u) || frame_pull(f, l4 + field + 2) < l4 + field + 2)
		return;
	found = csum_load(frame_data(f) + l4 + field);
	if (proto == IPPROTO_UDP && !found)
		return;
	if (found == pseudo_sum(f, proto, end - l4))
		f->off = (struct offload){
			.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = l4, .csum_offset = field};
}

uint64_t offload_sum(struct frame *f, uint16_t start)
{
	uint64_t sum = csum_add(0, frame_data(f) + start, f->hdr_len - start);
	bool odd = (f->hdr_len - start) & 1;

	for (unsigned i = 0; i < f->nspan; i++) {
		uint64_t part = csum_add(0, f->span[i].ptr, f->span[i].len);

		sum += odd ? csum_odd(part) : part;
		odd ^= f->span[i].len & 1;
	}
	return sum;
}

void offload_checksum(struct frame *f)
{
	uint16_t start = f->off.csum_start;

	if (start + f->off.csum_offset + 2 <= f->hdr_len) /* as offload_valid() left it */
		csum_store(frame_data(f) + start + f->off.csum_offset, csum_field(offload_sum(f, start)));
	f->off = (struct offload){0};
}

/* Where in a frame's payload the next segment starts. */
struct cursor {
	uint32_t ahead; /* private payload bytes not yet given out */
	const uint8_t *private;
	unsigned span;
	uint32_t skip; /* bytes of that span given out */
};

static struct cursor cursor_at(struct frame *f, uint32_t offset)
{
	uint32_t private = f->hdr_len - f->off.hdr_len;
	struct cursor at = {.ahead = private, .private = frame_data(f) + f->off.hdr_len};

	if (offset <= private) {
		at.ahead -= offset;
		at.private += offset;
		return at;
	}
	at.ahead = 0;
	for (at.skip = offset - private; at.skip >= f->span[at.span].len; at.span++)
		at.skip -= f->span[at.span].len;
	return at;
}

/* Gives `seg` the next `size` bytes of payload: private ones by copy, the rest as spans of `out`. False: there is
 * no room. */
static bool take_payload(
	struct frame *f, struct cursor *at, struct frame *seg, uint32_t size, struct burst *out)
{
	uint32_t copied = size < at->ahead ? size : at->ahead;

	memcpy(frame_data(seg) + seg->hdr_len, at->private, copied);
	seg->hdr_len += (uint16_t)copied;
	at->private += copied;
	at->ahead -= copied;
	for (size -= copied; size > 0;) {
		const struct span *from = &f->span[at->span];
		uint32_t n = from->len - at->skip < size ? from->len - at->skip : size;

		if (!burst_lend(out, seg, from->ptr + at->skip, n))
			return false;
		size -= n;
		at->skip += n;
		if (at->skip == from->len) {
			at->skip = 0;
			at->span++;
		}
	}
	return true;
}

static void finish_ip(struct frame *seg, uint16_t number)
{
	uint8_t *ip = frame_data(seg) + seg->l3_off;

	if (seg->ethertype == ETHERTYPE_IP4) {
		store16(ip + 2, (uint16_t)(seg->len - seg->l3_off));
		store16(ip + 4, (uint16_t)(load16(ip + 4) + number));
		csum_store(ip + 10, 0);
		csum_store(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, (ip[0] & 15) * 4)));
	} else {
		store16(ip + 4, (uint16_t)(seg->len - seg->l3_off - IP6_LEN));
	}
}

/* The pseudo header's sum counts the L4 length, which has shrunk by `less` (RFC 1624, equation 3). */
static void shorten_pseudo(struct frame *seg, uint32_t less)
{
	uint8_t *field = frame_data(seg) + seg->off.csum_start + seg->off.csum_offset;
	uint64_t pseudo = csum_load(field);

	pseudo += (uint16_t)~csum_fold(__builtin_bswap32(less));
	csum_store(field, csum_fold(pseudo));
}

static void finish_udp(struct frame *seg)
{
	uint16_t start = seg->off.csum_start;

	store16(frame_data(seg) + start + 4, (uint16_t)(seg->len - start));
}

/* `offset` is the segment's first payload byte. */
static void finish_tcp(struct frame *seg, uint32_t offset, bool last)
{
	uint8_t *tcp = frame_data(seg) + seg->off.csum_start;

	store32(tcp + TCP_SEQ, load32(tcp + TCP_SEQ) + offset);
	if (offset > 0)
		tcp[TCP_FLAGS] &= (uint8_t)~TCP_CWR;
	if (!last)
		tcp[TCP_FLAGS] &= (uint8_t) ~(TCP_FIN | TCP_PSH);
}

/* The next frame of `out` as a segment of `f` with `size` bytes of payload, which it does not have yet. */
static struct frame *segment_begin(const struct frame *f, struct burst *out, uint32_t size)
{
	struct frame *seg = burst_begin(out);
	const struct span *span = seg->span;

	memcpy(seg, f, offsetof(struct frame, hdr));
	seg->span = span;
	seg->nspan = 0;
	seg->merged = 0;
	seg->hdr_off = HDR_ROOM;
	seg->hdr_len = f->off.hdr_len;
	seg->len = f->off.hdr_len + size;
	seg->off.gso_type = VIRTIO_NET_HDR_GSO_NONE;
	seg->off.gso_size = 0;
	seg->off.hdr_len = 0;
	memcpy(frame_data(seg), f->hdr + f->hdr_off, seg->hdr_len);
	return seg;
}

/* What offload_valid() has checked, as far as a write out of bounds would depend on it. */
static bool cuttable(const struct frame *f)
{
	const struct offload *off = &f->off;
	bool tcp = off->csum_offset == TCP_CSUM;

	return f->l3_off && off->gso_size > 0 && (tcp || off->csum_offset == UDP_CSUM) &&
	       f->l3_off + IP4_LEN <= off->csum_start &&
	       off->csum_start + (tcp ? TCP_LEN : UDP_LEN) <= off->hdr_len && off->hdr_len <= HDR_MAX &&
	       off->hdr_len <= f->hdr_len;
}

uint16_t offload_segment(struct frame *f, struct burst *out, uint32_t *offset, bool keep_csum)
{
	uint32_t payload = f->len - f->off.hdr_len;
	struct cursor at;

	out->count = 0;
	out->nspan = 0;
	out->bytes = 0;
	if (!cuttable(f) || *offset >= payload)
		return 0;
	at = cursor_at(f, *offset);
	while (*offset < payload && burst_has_room(out)) {
		uint32_t left = payload - *offset, size = left < f->off.gso_size ? left : f->off.gso_size;
		struct frame *seg = segment_begin(f, out, size);

		if (!take_payload(f, &at, seg, size, out))
			break;
		finish_ip(seg, (uint16_t)(*offset / f->off.gso_size));
		shorten_pseudo(seg, f->len - seg->len);
		if (seg->off.csum_offset == TCP_CSUM)
			finish_tcp(seg, *offset, size == left);
		else
			finish_udp(seg);
		if (!keep_csum)
			offload_checksum(seg);
		burst_keep(out, seg);
		*offset += size;
	}
	return out->count;
}

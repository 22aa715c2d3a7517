#include "dataplane/frame/udp_gso.h"

#include "dataplane/frame/csum.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"

enum {
	IP_AT = ETH_LEN,
	IP4_LEN = 20,
	UDP_LEN = 8,
	UDP_CSUM = 6,
	IP6_LEN = 40,
	IP_BYTES_MAX = UINT16_MAX,
};

/* Where the UDP header is of what vxlan.c writes. */
static uint16_t udp_at(const uint8_t *data)
{
	return IP_AT + (load16(data + 12) == ETHERTYPE_IP6 ? IP6_LEN : IP4_LEN);
}

/* `len` bytes with the header, which is `header` long. */
static void set_ip_length(uint8_t *ip, uint16_t header, uint32_t len)
{
	if (ip[0] >> 4 == 6) {
		store16(ip + 4, (uint16_t)(len - IP6_LEN));
		return;
	}
	store16(ip + 2, (uint16_t)len);
	csum_store(ip + 10, 0);
	csum_store(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, header)));
}

/* One header for all, which asks for the cuts and for checksums: the kernel makes none of such a datagram
 * without. */
static void ask_for_cuts(struct frame *f, uint32_t size)
{
	uint16_t at = udp_at(frame_data(f)), len = (uint16_t)(f->len - at);
	uint8_t *ip = frame_data(f) + IP_AT, *udp = frame_data(f) + at;
	bool six = at == IP_AT + IP6_LEN;
	uint64_t addresses = csum_add(0, ip + (six ? 8 : 12), six ? 32 : 8);

	set_ip_length(ip, at - IP_AT, f->len - IP_AT);
	store16(udp + 4, len);
	csum_store(udp + UDP_CSUM,
		csum_fold(addresses + __builtin_bswap16(len) + __builtin_bswap16(IPPROTO_UDP)));
	f->off = (struct offload){.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM,
		.gso_type = VIRTIO_NET_HDR_GSO_UDP_L4,
		.hdr_len = at + UDP_LEN,
		.gso_size = (uint16_t)size,
		.csum_start = at,
		.csum_offset = UDP_CSUM};
}

unsigned udp_gso_coalesce(struct udp_gso *gso, struct frame *const *frames, unsigned n)
{
	struct frame *f = &gso->frame;
	uint16_t payload_at = udp_at(frame_data(frames[0])) + UDP_LEN;
	uint32_t size = frames[0]->len - payload_at;
	unsigned used = frames[0]->nspan, i;

	if (n < 2 || 1 + used + frames[1]->nspan > UDP_GSO_SPANS)
		return 1;
	memcpy(f, frames[0], sizeof(*f));
	memcpy(gso->span, frames[0]->span, used * sizeof(gso->span[0]));
	for (i = 1; i < n; i++) {
		struct frame *next = frames[i];
		uint32_t more = next->len - payload_at;

		if (used + 1 + next->nspan > UDP_GSO_SPANS || f->len + more - IP_AT > IP_BYTES_MAX)
			break;
		gso->span[used++] = (struct span){frame_data(next) + payload_at, next->hdr_len - payload_at};
		memcpy(gso->span + used, next->span, next->nspan * sizeof(gso->span[0]));
		used += next->nspan;
		f->len += more;
	}
	f->span = gso->span;
	f->nspan = (uint8_t)used;
	ask_for_cuts(f, size);
	return i;
}

/* Is the UDP header at `at` right behind the IP header, options and no extensions included? */
static bool is_udp_at(const uint8_t *data, uint32_t at)
{
	uint16_t type = load16(data + 12);

	if (type == ETHERTYPE_IP6)
		return at == IP_AT + IP6_LEN;
	return type == ETHERTYPE_IP4 && (data[IP_AT] & 15) * 4u + IP_AT == at;
}

uint32_t udp_gso_payload(const uint8_t *data, uint32_t len, const struct offload *off)
{
	uint32_t start = off->csum_start + (uint32_t)UDP_LEN;

	if (off->gso_type != VIRTIO_NET_HDR_GSO_UDP_L4 || !off->gso_size || off->csum_offset != UDP_CSUM)
		return 0;
	if (len <= start || start > HDR_MAX || !is_udp_at(data, off->csum_start) ||
		len - start > (uint32_t)off->gso_size * OFFLOAD_SEGMENTS_MAX)
		return 0;
	return len - start;
}

bool udp_gso_split(const uint8_t *data, uint32_t len, const struct offload *off, uint32_t *offset,
	struct frame *f, struct span *span)
{
	uint32_t start = off->csum_start + (uint32_t)UDP_LEN, payload = udp_gso_payload(data, len, off),
		 copied;
	uint32_t left = payload - *offset, size = left < off->gso_size ? left : off->gso_size;
	const uint8_t *from = data + start + *offset;
	uint8_t *ip, *udp;

	if (*offset >= payload)
		return false;
	f->len = start + size;
	f->hdr_len = f->len < HDR_MAX ? (uint16_t)f->len : HDR_MAX;
	copied = f->hdr_len - start;
	memcpy(frame_data(f), data, start);
	memcpy(frame_data(f) + start, from, copied);
	*span = (struct span){from + copied, size - copied};
	ip = frame_data(f) + IP_AT;
	udp = frame_data(f) + off->csum_start;
	set_ip_length(ip, off->csum_start - IP_AT, f->len - IP_AT);
	store16(udp + 4, (uint16_t)(UDP_LEN + size));
	csum_store(udp + UDP_CSUM, 0); /* none: whoever coalesced them has checked it, or left it to us */
	*offset += size;
	return true;
}

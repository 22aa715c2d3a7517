#include "dataplane/frame/sctp.h"

#include <linux/virtio_net.h>
#include <nmmintrin.h>

#include "dataplane/frame/parse.h"

enum { SCTP_HEADER = 12, SCTP_CSUM = 8, IP6_LEN = 40 };

static uint32_t crc_add(uint32_t crc, const uint8_t *data, uint32_t len)
{
	uint64_t wide = crc, word;

	for (; len >= 8; data += 8, len -= 8) {
		memcpy(&word, data, 8);
		wide = _mm_crc32_u64(wide, word);
	}
	for (crc = (uint32_t)wide; len > 0; data++, len--)
		crc = _mm_crc32_u8(crc, *data);
	return crc;
}

/* Of `len` bytes of the frame from private byte `start` on. */
static uint32_t crc_from(struct frame *f, uint16_t start, uint32_t len)
{
	uint32_t private = f->hdr_len - start, n = private < len ? private : len;
	uint32_t crc = crc_add(UINT32_MAX, frame_data(f) + start, n);

	for (unsigned i = 0; i < f->nspan && len > n; i++) {
		len -= n;
		n = f->span[i].len < len ? f->span[i].len : len;
		crc = crc_add(crc, f->span[i].ptr, n);
	}
	return ~crc;
}

/* Bytes of the IP payload, and where it starts. */
static uint32_t ip_payload(struct frame *f, uint16_t *start)
{
	const uint8_t *ip = frame_data(f) + f->l3_off;

	if (f->ethertype == ETHERTYPE_IP6) {
		*start = f->l3_off + IP6_LEN;
		return load16(ip + 4);
	}
	*start = f->l3_off + (ip[0] & 15) * 4;
	return f->l3_off + load16(ip + 2) - *start;
}

bool sctp_serve(struct frame *f)
{
	const struct offload *off = &f->off;
	uint32_t len, crc;
	uint16_t start;

	if (off->flags != VIRTIO_NET_HDR_F_NEEDS_CSUM || off->gso_type || off->csum_offset != SCTP_CSUM)
		return false;
	frame_pull(f, HDR_MAX);
	parse_frame(f);
	if (!f->l3_off || f->ip_proto != IPPROTO_SCTP)
		return false;
	len = ip_payload(f, &start);
	if (start != off->csum_start || len < SCTP_HEADER || start + SCTP_HEADER > f->hdr_len)
		return false;
	memset(frame_data(f) + start + SCTP_CSUM, 0, 4);
	crc = crc_from(f, start, len);
	memcpy(frame_data(f) + start + SCTP_CSUM, &crc, 4); /* goes out in little-endian order */
	f->off = (struct offload){0};
	return true;
}

/* Of `len` bytes of 0 behind what `crc` is of. */
static uint32_t crc_zeros(uint32_t crc, uint32_t len)
{
	uint64_t wide = crc;

	for (; len >= 8; len -= 8)
		wide = _mm_crc32_u64(wide, 0);
	for (crc = (uint32_t)wide; len > 0; len--)
		crc = _mm_crc32_u8(crc, 0);
	return crc;
}

void sctp_port_changed(struct frame *f, unsigned at, uint16_t change)
{
	uint8_t *field = frame_data(f) + f->l4_off + SCTP_CSUM;
	uint32_t len, crc, was;
	uint16_t start;

	len = ip_payload(f, &start);
	len -= f->l4_off - start; /* extension headers of IPv6 */
	if (!change || len < SCTP_HEADER || len > UINT16_MAX)
		return;
	crc = crc_zeros(_mm_crc32_u16(0, change), len - at - 2);
	memcpy(&was, field, sizeof(was));
	was ^= crc;
	memcpy(field, &was, sizeof(was));
}

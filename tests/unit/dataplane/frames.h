/*
 * frames.h: builds frames for tests. A flat frame is plain bytes with right headers; split() makes a struct
 * frame of it whose payload lies in spans of chosen lengths, as if it had arrived in pieces.
 */
#pragma once

#include <arpa/inet.h>
#include <linux/virtio_net.h>
#include <stdint.h>
#include <string.h>

#include "dataplane/frame/burst.h"

struct flat {
	uint32_t len;
	uint16_t l3, l4, payload; /* offsets */
	uint8_t proto, version;
	uint8_t data[FRAME_MAX];
};

/* What to build; zero fields give a plain packet. */
struct recipe {
	uint8_t version;    /* 4 or 6 */
	uint8_t proto;	    /* IPPROTO_TCP, IPPROTO_UDP */
	uint8_t tags;	    /* VLAN tags */
	uint8_t ip_options; /* bytes of IPv4 options, or of an IPv6 destination options header */
	uint8_t tcp_options;
	uint8_t tcp_flags;
	uint32_t payload;
};

static inline void put16(uint8_t *p, uint32_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static inline void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

static inline uint32_t get16(const uint8_t *p)
{
	return (uint32_t)p[0] << 8 | p[1];
}

static inline uint32_t get32(const uint8_t *p)
{
	return get16(p) << 16 | get16(p + 2);
}

/* The plain definition, byte by byte: what the code under test is held to. */
static inline uint32_t ref_sum(uint32_t sum, const uint8_t *p, uint32_t len)
{
	for (uint32_t i = 0; i < len; i++) {
		sum += i & 1 ? p[i] : (uint32_t)p[i] << 8;
		sum = (sum & 0xffff) + (sum >> 16);
	}
	return sum;
}

/* Sum of the pseudo header for the L4 part of `f`, not complemented. */
static inline uint32_t ref_pseudo(const struct flat *f)
{
	const uint8_t *ip = f->data + f->l3;
	uint32_t sum = f->version == 4 ? ref_sum(0, ip + 12, 8) : ref_sum(0, ip + 8, 32);
	uint8_t tail[6];

	put32(tail, f->len - f->l4);
	put16(tail + 4, f->proto);
	return ref_sum(sum, tail, 6);
}

static inline uint32_t csum_at(const struct flat *f)
{
	return f->l4 + (f->proto == IPPROTO_TCP ? 16 : 6);
}

/* Makes lengths and checksums of `f` right; with `partial` the L4 field gets the pseudo header's sum only. */
static inline void flat_finish(struct flat *f, bool partial)
{
	uint8_t *ip = f->data + f->l3;
	uint32_t sum = ref_pseudo(f);

	if (f->version == 4) {
		put16(ip + 2, f->len - f->l3);
		put16(ip + 10, 0);
		put16(ip + 10, ~ref_sum(0, ip, (ip[0] & 15) * 4) & 0xffff);
	} else {
		put16(ip + 4, f->len - f->l3 - 40);
	}
	if (f->proto == IPPROTO_UDP)
		put16(f->data + f->l4 + 4, f->len - f->l4);
	if (!partial) {
		put16(f->data + csum_at(f), 0);
		sum = ~ref_sum(sum, f->data + f->l4, f->len - f->l4) & 0xffff;
		if (sum == 0)
			sum = 0xffff;
	}
	put16(f->data + csum_at(f), sum);
}

static inline void flat_ip(struct flat *f, const struct recipe *r)
{
	uint8_t *ip = f->data + f->l3;

	if (r->version == 4) {
		ip[0] = (uint8_t)(0x40 | (5 + r->ip_options / 4));
		put16(ip + 4, 0xfffe);
		ip[8] = 64;
		ip[9] = r->proto;
		memcpy(ip + 12, (uint8_t[]){10, 1, 0, 2, 10, 1, 0, 3}, 8);
		memset(ip + 20, 1, r->ip_options); /* no-operation */
	} else {
		ip[0] = 0x60;
		ip[6] = r->ip_options ? IPPROTO_DSTOPTS : r->proto;
		ip[7] = 64;
		for (int i = 0; i < 32; i++)
			ip[8 + i] = (uint8_t)(0xfd + i * 7);
		if (r->ip_options) {
			ip[40] = r->proto;
			ip[41] = r->ip_options / 8 - 1;
		}
	}
}

/* `payload` bytes that differ by place, behind headers as `r` says. */
static inline void flat_make(struct flat *f, const struct recipe *r, bool partial)
{
	uint8_t *p = f->data;

	memset(f, 0, sizeof(*f));
	memcpy(p, (uint8_t[]){2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2}, 12);
	for (int i = 0; i < r->tags; i++) {
		put16(p + 12 + i * 4, i + 1 == r->tags ? 0x8100 : 0x88a8);
		put16(p + 14 + i * 4, 7);
	}
	f->l3 = 14 + r->tags * 4;
	put16(p + f->l3 - 2, r->version == 4 ? 0x0800 : 0x86dd);
	f->version = r->version;
	f->proto = r->proto;
	flat_ip(f, r);
	f->l4 = f->l3 + (r->version == 4 ? 20 : 40) + r->ip_options;
	f->payload = f->l4 + (r->proto == IPPROTO_TCP ? 20 + r->tcp_options : 8);
	f->len = f->payload + r->payload;
	put16(p + f->l4, 40000);
	put16(p + f->l4 + 2, 80);
	if (r->proto == IPPROTO_TCP) {
		put32(p + f->l4 + 4, 0xfffff000);
		put32(p + f->l4 + 8, 77);
		p[f->l4 + 12] = (uint8_t)((5 + r->tcp_options / 4) << 4);
		p[f->l4 + 13] = r->tcp_flags;
		put16(p + f->l4 + 14, 500);
		memset(p + f->l4 + 20, 1, r->tcp_options);
	}
	for (uint32_t i = 0; i < r->payload; i++)
		p[f->payload + i] = (uint8_t)(i * 31 + (i >> 8) + 5);
	flat_finish(f, partial);
}

/* Asks in `f` for the checksum of `flat`, and with a gso_size for segmentation. */
static inline void ask(struct frame *f, const struct flat *flat, uint16_t gso_size)
{
	f->off.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM;
	f->off.csum_start = flat->l4;
	f->off.csum_offset = (uint16_t)(csum_at(flat) - flat->l4);
	f->off.gso_size = gso_size;
	if (gso_size && flat->proto == IPPROTO_UDP)
		f->off.gso_type = 5; /* VIRTIO_NET_HDR_GSO_UDP_L4, newer than the headers */
	else if (gso_size)
		f->off.gso_type = flat->version == 4 ? VIRTIO_NET_HDR_GSO_TCPV4 : VIRTIO_NET_HDR_GSO_TCPV6;
}

/*
 * The next frame of `b`: `copy` private bytes, the rest in spans of `step` bytes (0: one span), at most
 * FRAME_SPANS, of which the last takes what is left. The spans point into `data`.
 */
static inline struct frame *split(
	struct burst *b, const uint8_t *data, uint32_t len, uint16_t copy, uint32_t step)
{
	struct frame *f = &b->frame[b->count++];
	uint32_t at;

	frame_init(f);
	f->len = len;
	f->hdr_len = len < copy ? (uint16_t)len : copy;
	memcpy(frame_data(f), data, f->hdr_len);
	f->span = &b->span[b->nspan];
	for (at = f->hdr_len; at < len; f->nspan++) {
		uint32_t n = step && step < len - at && f->nspan < FRAME_SPANS - 1 ? step : len - at;

		b->span[b->nspan++] = (struct span){.ptr = data + at, .len = n};
		at += n;
	}
	return f;
}

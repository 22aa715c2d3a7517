#include "dataplane/frame/headers.h"

#include "dataplane/frame/parse.h"

enum {
	LLC_MAX = 1500, /* an ethertype up to this is a length, and LLC follows (IEEE 802.3) */
	SNAP_LEN = 8,
	IP6_LEN = 40,
	L4_MIN = 8, /* UDP's header, and more than is asked of any other; every extension header is as long */
};

static bool is_tag(uint16_t type)
{
	return type == ETHERTYPE_8021Q || type == ETHERTYPE_8021AD || type == 0x9100;
}

/* Behind the tags. Receivers take off as many tags of VLAN 0 as there are, so no small number will do. */
static void find_type(const struct frame *f, const uint8_t *data, struct headers *h)
{
	static const uint8_t snap[6] = {0xaa, 0xaa, 3, 0, 0, 0};
	unsigned tags = 0;

	h->type = load16(data + 12);
	h->l3 = ETH_LEN;
	while (is_tag(h->type) && h->l3 + VLAN_LEN <= f->hdr_len && tags++ < HEADERS_TAGS) {
		h->type = load16(data + h->l3 + 2);
		h->l3 += VLAN_LEN;
	}
	if (h->type <= LLC_MAX && h->l3 + SNAP_LEN <= f->hdr_len && !memcmp(data + h->l3, snap, 6)) {
		h->type = load16(data + h->l3 + 6);
		h->l3 += SNAP_LEN;
	}
	h->hidden = is_tag(h->type) && f->len >= h->l3 + (uint32_t)VLAN_LEN;
}

/* The packet's own header begins at `at`, or would. */
static void find_l4(const struct frame *f, struct headers *h, unsigned at, uint8_t proto)
{
	h->proto = proto;
	if (at + L4_MIN <= f->hdr_len)
		h->l4 = (uint16_t)at;
	else
		h->hidden = h->fragment || f->len > f->hdr_len;
}

static void find_ip4(const struct frame *f, const uint8_t *ip, struct headers *h)
{
	uint16_t piece = load16(ip + 6);
	unsigned len = (ip[0] & 15) * 4;

	if (ip[0] >> 4 != 4 || len < 20)
		return;
	h->fragment = piece & IP4_MF_OFFSET;
	h->later = piece & 0x1fff;
	if (h->later)
		h->proto = ip[9];
	else
		find_l4(f, h, h->l3 + len, ip[9]);
}

/* Extension headers that a packet may have before its own (RFC 8200, IANA's list). ESP is none of them: what
 * is behind it is for who has the key. */
static bool is_extension(uint8_t proto)
{
	return proto == IPPROTO_HOPOPTS || proto == IPPROTO_ROUTING || proto == IPPROTO_FRAGMENT ||
	       proto == IPPROTO_AH || proto == IPPROTO_DSTOPTS || proto == IPPROTO_MH || proto == 139 ||
	       proto == 140;
}

static unsigned extension_len(uint8_t proto, const uint8_t *header)
{
	if (proto == IPPROTO_FRAGMENT)
		return 8;
	return proto == IPPROTO_AH ? (header[1] + 2u) * 4 : (header[1] + 1u) * 8;
}

static void find_ip6(const struct frame *f, const uint8_t *data, struct headers *h)
{
	unsigned at = h->l3 + IP6_LEN;
	uint8_t proto = data[h->l3 + 6];

	if (data[h->l3] >> 4 != 6)
		return;
	while (is_extension(proto)) {
		uint16_t piece;
		unsigned len;

		if (at + L4_MIN > f->hdr_len) {
			find_l4(f, h, at, proto);
			return;
		}
		piece = proto == IPPROTO_FRAGMENT ? load16(data + at + 2) : 0;
		h->fragment |= (piece & 0xfff9) != 0;
		h->later |= (piece & 0xfff8) != 0;
		if (h->later) {
			h->proto = data[at];
			return;
		}
		len = extension_len(proto, data + at);
		proto = data[at];
		at += len;
	}
	find_l4(f, h, at, proto);
}

void headers_find(struct frame *f, struct headers *h)
{
	const uint8_t *data;

	*h = (struct headers){.proto = HEADERS_NONE};
	frame_pull(f, HDR_MAX);
	data = frame_data(f);
	find_type(f, data, h);
	if (h->type == ETHERTYPE_IP4 && h->l3 + 20 <= f->hdr_len)
		find_ip4(f, data + h->l3, h);
	else if (h->type == ETHERTYPE_IP6 && h->l3 + IP6_LEN <= f->hdr_len)
		find_ip6(f, data, h);
}

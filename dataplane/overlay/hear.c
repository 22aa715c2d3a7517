/* hear.c: what another host tells of its backends. All of a packet is taken, or nothing. Worker. */
#include <string.h>

#include "dataplane/core/dp.h"
#include "dataplane/frame/parse.h"
#include "dataplane/lb/told.h"
#include "dataplane/overlay/load.h"
#include "dataplane/overlay/vxlan.h"

enum { VXLAN_LEN = 8 };

static uint16_t address_len(const uint8_t *header)
{
	return header[5] == 4 ? 4 : header[5] == 6 ? 16 : 0;
}

static struct told_news read_entry(const uint8_t *header, unsigned i)
{
	uint16_t len = address_len(header);
	const uint8_t *at = header + LOAD_HEADER + (size_t)i * (len + LOAD_NUMBERS);
	struct told_news news = {
		.address = len == 4 ? ip_from4(load_ip4(at)) : ip_from6(at),
		.protocol = header[4],
		.several = header[7],
		.in_flight = load16(at + len + 2),
		.us = (uint32_t)load16(at + len + 4) * LOAD_UNIT_US,
	};

	memcpy(&news.port, at + len, 2);
	return news;
}

static bool is_whole(const struct frame *f, uint16_t at, uint32_t end, const uint8_t *header)
{
	uint32_t needs = at + VXLAN_LEN + LOAD_HEADER;

	if (f->hdr_len < needs || !address_len(header) || !header[6] || header[7] > 1)
		return false;
	needs += header[6] * (address_len(header) + UINT32_C(6));
	return needs <= f->hdr_len && needs == end;
}

static bool any_elsewhere(struct worker *w, const uint8_t *header, const struct vxlan_slot *slot)
{
	for (unsigned i = 0; i < header[6]; i++) {
		struct told_news news = read_entry(header, i);

		if (told_is_elsewhere(w, slot->net, slot->vtep, &news))
			return true;
	}
	return false;
}

void hear_load(struct worker *w, struct frame *f, uint16_t at, uint32_t end, const struct vxlan_slot *slot)
{
	const uint8_t *vxlan = frame_data(f) + at, *header = vxlan + VXLAN_LEN;

	if (vxlan[1] != LOAD_MARK) {
		frame_drop(f, DROP_MALFORMED);
	} else if (!is_whole(f, at, end, header) || !told_admits(w, slot->vtep, load32(header)) ||
		   any_elsewhere(w, header, slot)) {
		frame_drop(f, DROP_LOAD_REFUSED);
	} else {
		for (unsigned i = 0; i < header[6]; i++) {
			struct told_news news = read_entry(header, i);

			told_take(w, slot->net, slot->vtep, &news);
		}
		f->off = (struct offload){0};
		f->verdict = V_CONSUMED;
	}
}

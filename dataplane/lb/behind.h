/*
 * behind.h: what is behind the extension headers of an IPv6 packet. Worker.
 */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"
#include "dataplane/lb/item.h"

enum { BEHIND_MIN = 8 }; /* bytes of an extension header */

struct behind {
	uint8_t header;
	uint16_t off;		 /* where it begins */
	bool is_fragment, later; /* one of several; not the first, and `header` is not here */
	uint32_t id;
};

static inline bool behind_is_extension(uint8_t header)
{
	return header == IPPROTO_HOPOPTS || header == IPPROTO_DSTOPTS || header == IPPROTO_ROUTING ||
	       header == IPPROTO_FRAGMENT;
}

static inline void behind_read_fragment(struct behind *behind, const uint8_t *header)
{
	uint16_t offset = load16(header + 2) & 0xfff8;

	behind->is_fragment = offset || (header[3] & 1);
	behind->later = offset != 0;
	behind->id = load32(header + 4);
}

/* Every extension is at least eight bytes long, so the private copy bounds the loop. False: what is behind them is not
 * in the copy, or a fragment is one of a fragment, which nobody sends. */
static inline bool behind_find(struct frame *f, struct behind *behind)
{
	const uint8_t *data = frame_data(f);

	*behind = (struct behind){.header = data[f->l3_off + 6], .off = f->l3_off + IP6_LEN};
	while (behind_is_extension(behind->header) && !behind->later) {
		const uint8_t *extension = data + behind->off;
		bool fragment = behind->header == IPPROTO_FRAGMENT;

		if (behind->off + BEHIND_MIN > f->hdr_len || (fragment && behind->is_fragment))
			return false;
		if (behind->header == IPPROTO_ROUTING && extension[3] != 0) {
			behind->header = IPPROTO_NONE; /* it has stops left */
			return true;
		}
		if (fragment)
			behind_read_fragment(behind, extension);
		behind->header = extension[0];
		behind->off += fragment ? BEHIND_MIN : (extension[1] + 1) * 8;
	}
	return true;
}

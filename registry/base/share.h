/*
 * share.h: a room that several fill, none of whom may fill up the others'. Each has a part of it for sure. Of the rest
 * nobody has more than it leaves free, so there is always some for whoever comes next (Choudhury and Hahne, "Dynamic
 * Queue Length Thresholds", 1998). Pure.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

struct share_room {
	size_t part; /* that each has for sure; all of them together fit beside `rest` */
	size_t rest;
	size_t used; /* of `rest` */
};

static inline size_t share_beyond(const struct share_room *room, size_t used)
{
	return used > room->part ? used - room->part : 0;
}

/** May who has *used have `n` more? Then it has. */
static inline bool share_take(struct share_room *room, size_t *used, size_t n)
{
	size_t beyond = share_beyond(room, *used + n), more = beyond - share_beyond(room, *used);

	if (more && (more > room->rest - room->used || beyond > room->rest - room->used - more))
		return false;
	room->used += more;
	*used += n;
	return true;
}

static inline void share_give(struct share_room *room, size_t *used, size_t n)
{
	room->used -= share_beyond(room, *used) - share_beyond(room, *used - n);
	*used -= n;
}

/*
 * load.h: hosts tell each other how busy the backends behind them are (lb/told.h), in packets that look like VXLAN without
 * a valid VNI, to the same port: who does not know them drops them (RFC 7348, 5). No guest can send one, as a guest's
 * frames are always inside of VXLAN. Lossy: what is lost is told again soon.
 *
 *	VXLAN's header: 0, 'L', 0, 0, VNI (3), 0
 *	number (4)      rises with each packet to anybody
 *	protocol (1), family (1): 4 or 6, entries (1), 1: each port is the first of several in a row; else 0
 *	entries: address (4 or 16), port (2), requests under way (2), service time in units of LOAD_UNIT_US (2)
 *
 * As many entries as lie in the private copy of a frame's first bytes, so nobody looks further.
 */
#pragma once

#include <stdint.h>

struct dp;
struct frame;
struct vxlan_slot;
struct worker;

enum {
	LOAD_MARK = 'L',
	LOAD_HEADER = 8,  /* behind VXLAN's */
	LOAD_NUMBERS = 6, /* of an entry, behind its address */
	LOAD_UNIT_US = 16,
	LOAD_TELL_MS = 20,
};

/** Control thread, with each tick. Begins to tell, every LOAD_TELL_MS, once there is something to be told. */
void tell_begin(struct dp *dp);
/** Control thread. Ends it. */
void tell_end(struct dp *dp);

/**
 * Worker. A frame whose VXLAN header, at byte `at`, has no valid VNI, through a tunnel whose slot is this; `end`: where
 * its packet ends. It gets its verdict.
 */
void hear_load(struct worker *w, struct frame *f, uint16_t at, uint32_t end, const struct vxlan_slot *slot);

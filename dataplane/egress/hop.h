/*
 * hop.h: the MACs of next hops on the links of uplinks. A worker that finds none has control ask for it, and drops the
 * frame: a sender sends again.
 *
 * Bounded: HOPS in sets of HOP_WAYS, chosen by a keyed hash, so that no guest chooses which ones it displaces. An
 * address that does not answer has its place for a few seconds, one that nobody sends to for some minutes; a new one
 * takes the place of no other before. So a guest that tries all addresses of a link displaces nobody who is in use; and it
 * may have HOP_SILENT_MOST that do not answer, so that others find places for theirs.
 *
 * Control writes, workers read.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"

struct dp;
struct hops;

enum { HOP_WAYS = 8, HOP_SETS = 128, HOPS = HOP_WAYS * HOP_SETS, HOP_SILENT_MOST = 32 };

#define HOP_BY_CONTROL UINT32_MAX

enum hop_state {
	HOP_UNKNOWN, /* control has not been asked for it */
	HOP_ASKED,
	HOP_KNOWN,
};

/** Control thread. NULL: no memory. */
struct hops *hops_new(struct dp *dp);
/** NULL is allowed. */
void hops_free(struct hops *hops);

/** Worker. The MAC of `ip` on the link of port `uplink`, into mac[6] when it is known. */
enum hop_state hop_find(
	struct hops *hops, uint16_t uplink, struct ip_addr ip, uint32_t now_s, uint8_t mac[6]);

/** Control thread. Asks for it on behalf of the port with id `by`, unless there is no room, or that port has HOP_SILENT_MOST
 * that have not answered. HOP_BY_CONTROL takes any place and keeps it until hop_forget(). */
void hop_want(struct hops *hops, uint16_t uplink, struct ip_addr ip, uint32_t by);
/** Control thread. Forgets all. */
void hop_forget(struct hops *hops);
/** Control thread, about once a second. */
void hop_tick(struct hops *hops);

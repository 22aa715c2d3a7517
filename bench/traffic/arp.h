/*
 * arp.h: the hosts that a scenario plays answer who they are, by ARP (RFC 826) and neighbour discovery (RFC 4861).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/front/rx.h"
#include "bench/front/tx.h"

/** Knows the MAC of the host with address `ip` (network byte order; of IPv6 the bytes behind the bench's prefix,
 * sum.h); false: there is none. */
typedef bool arp_host_fn(uint32_t ip, uint8_t mac[6]);

/**
 * If `frame` is ARP or a message of neighbour discovery, answers it through `tx` when it asks for one of the
 * hosts; a full ring answers nothing and leaves it to the asker to ask again. The answer takes 60 bytes, of IPv6
 * TRAFFIC_MIN6, of the next free slot, whose length stays (it has held a frame): what follows is padding. False: it is
 * neither.
 */
bool arp_take(struct front_ring *tx, const struct front_frame *frame, arp_host_fn *host);

/*
 * arp.h: the hosts that a scenario plays answer who they are (RFC 826).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "bench/front/rx.h"
#include "bench/front/tx.h"

/** Knows the MAC of the host with address `ip` (network byte order); false: there is none. */
typedef bool arp_host_fn(uint32_t ip, uint8_t mac[6]);

/**
 * If `frame` is ARP, answers it through `tx` when it asks for one of the hosts; a full ring answers nothing
 * and leaves it to the asker to ask again. The answer takes 60 bytes of the next free slot, whose length
 * stays (it has held a frame): what follows is padding. False: it is no ARP.
 */
bool arp_take(struct front_ring *tx, const struct front_frame *frame, arp_host_fn *host);

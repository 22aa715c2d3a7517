/*
 * too_big.h: tells a sender that its packet is longer than the way on carries, so that it sends shorter ones:
 * ICMP "fragmentation needed" (RFC 792, 1191) and ICMPv6 "packet too big" (RFC 4443, 8201).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "dataplane/frame/burst.h"

struct worker;

/**
 * Worker. Turns `f`, which is counted as dropped already, into the answer to its sender, to go out of b->in;
 * `longest` is the frame that would have passed, in bytes from the Ethernet header on. Of a large frame it is
 * its segments that were too long. The answer comes from the router MAC and the network's gateway address;
 * where there is none, from the address that was written to.
 *
 * Returns false, and nothing is to be sent, when there is no sender to tell: not IP; IPv4 that may be
 * fragmented; from a vtep; an ICMP error; a fragment but the first; from or to more than one host; or more
 * than the answers of a port in a second (RFC 1122, 3.2.2; RFC 4443, 2.4).
 */
bool too_big_answer(struct worker *w, const struct burst *b, struct frame *f, uint32_t longest);

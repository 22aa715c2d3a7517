/*
 * icmp.h: ICMP errors about packets that were balanced: "fragmentation needed", without which neither side
 * finds its path's MTU, port unreachable, time exceeded. Only those about a connection that the network has in its
 * table are translated. Worker.
 */
#pragma once

#include "dataplane/frame/burst.h"

struct worker;

/** ICMP to a vip, but for ping. An error about an answer that the vip gave goes to the backend that gave it; all else is
 * dropped. */
void service_icmp_to_vip(struct worker *w, struct frame *f);

/** ICMP to anybody else. An error about a packet that went through a vip is made to come from the vip; all else is left
 * as it is. */
void service_icmp_to_client(struct worker *w, struct frame *f);

/** The same two for ICMPv6 that begins at l4_off (icmp6.c). */
void service_icmp6_to_vip(struct worker *w, struct frame *f);
void service_icmp6_to_client(struct worker *w, struct frame *f);

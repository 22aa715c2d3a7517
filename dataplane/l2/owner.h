/*
 * owner.h: which port on this host owns a MAC or an address of a network. Asked about frames from elsewhere
 * that claim to be one of them, never for a MAC that is known.
 *
 * A map is a part of struct network and never changes. When a port comes, goes or changes, a new map is made.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"

struct dp;
struct network;
struct owner_map;
struct port;

/** Control. A map of the ports that are in network `net` now. NULL: no memory. Freed with free(). */
struct owner_map *owner_map_new(struct dp *dp, uint16_t net);

/** Any thread inside a grace period. The port whose own MAC `mac` (48 bits, as in fdb_key()) is, NULL: none. */
const struct port *owner_of_mac(struct dp *dp, const struct network *net, uint64_t mac);

/** The same for an address, of either family. */
const struct port *owner_of_ip(struct dp *dp, const struct network *net, struct ip_addr ip);

/** Is its link up? While it is not, what it owns may have moved to another host with the machine behind it. */
bool owner_is_up(const struct port *port);

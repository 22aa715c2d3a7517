/*
 * known.h: the guests of a network on other hosts, as control was told of them: which MAC an address has, and whether
 * they are all there are. Read when a guest asks for an address, and of a frame to a MAC that the fdb does not have.
 * Either each address has its MAC, or a range of them that of their host.
 *
 * A map never changes. Control makes a new one (dp_network_known()), and frees the old one after a grace period.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"

struct network;

/** Any thread inside a grace period. NULL: it is not known. */
const uint8_t *known_mac(const struct network *net, struct ip_addr ip);

/** The same. Is a MAC that the fdb does not have nobody's? */
bool known_is_closed(const struct network *net);

/** The same. What this host is to the others where hosts have ranges; NULL: they have none. */
const uint8_t *known_own(const struct network *net);

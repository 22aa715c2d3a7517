/* address.h: addresses of a pool, for the files of this room. */
#pragma once

#include "control/docker/inside.h"
#include "control/host/addr.h"

struct model_network;

/** "10.1.0.2/24" or "10.1.0.2" as Docker writes an address, or the same of IPv6: the address alone. False: neither. */
bool docker_address_read(const char *text, struct ip_addr *ip);

/** Who has the address from now on, the id of a network or an endpoint; NULL: nobody. Nothing without such an address. */
void docker_address_claim(struct docker *docker, const char *pool, struct ip_addr ip, const char *who);
/** No address of the network's pools that is `who`'s is so any longer. */
void docker_addresses_unclaim(struct docker *docker, const char *network, const char *who);
/** Does Docker have it, or had it a moment ago? As of model_on_reserved(); `arg` is a struct docker. */
bool docker_address_is_reserved(void *arg, const struct model_network *network, struct ip_addr ip);
/** Was any of the pool asked for? */
bool docker_address_any(const struct docker *docker, const char *pool);
/** Forgets all of a pool. */
void docker_address_drop(struct docker *docker, const char *pool);

/** The id of the pool of IPv4 or IPv6 that is the network's; NULL: it has none here, and Docker's own IPAM gives it
 * addresses. */
const char *docker_pool_of(const struct docker *docker, const char *network, bool ip6);
/** The subnet of a pool. */
struct ip_prefix docker_pool_subnet(const json_t *pool);
/** The pool is the network's from now on. 0, or -1 with *err: it is another's. Without such a pool nothing happens. */
int docker_pool_bind(struct docker *docker, const char *space, struct ip_prefix subnet, const char *network,
	struct api_err *err);
/** Does a route of the host's lead into the subnet, or past it? A default route does not count. */
bool docker_pool_is_routed(struct ip_prefix subnet);
/** Those that it has are nobody's. */
void docker_pool_unbind(struct docker *docker, const char *network);

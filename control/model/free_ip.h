/* free_ip.h: which address a port gets that names none. Control thread. */
#pragma once

#include "control/model/objects.h"

/**
 * A free address of `within`, which is the network's subnet of a family or a part of it: the lowest that this host may
 * give. Hosts of a cluster share a network of mode overlay, and each may give other ones. -1 with `err`: API_IN_USE, or
 * API_AGAIN where the cluster is being asked for more.
 */
int free_ip_choose(struct model *model, const struct model_network *network, struct ip_prefix within,
	struct ip_addr *out, struct api_err *err);

/** Does a cluster say which addresses of the network this host may give? */
bool free_ip_is_shared(const struct model *model, const struct model_network *network);
/** Calls fn for each address of `within` that this host may give, until fn takes one. Only of a network that is shared. */
void free_ip_walk(struct model *model, const struct model_network *network, struct ip_prefix within,
	bool (*fn)(void *arg, struct ip_addr ip), void *arg);
/** None of those was free. Always -1 with `err`. */
int free_ip_more(struct model *model, const struct model_network *network, struct ip_prefix within,
	struct api_err *err);

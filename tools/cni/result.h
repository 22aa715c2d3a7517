/* result.h: what a runtime is told. */
#pragma once

#include <jansson.h>

#include "tools/cni/conf.h"
#include "tools/cni/env.h"

/** The one of a network's "subnets" or "gateways" that is of the family of `like`; NULL: none. */
const char *result_of_family(const json_t *network, const char *field, const char *like);

/**
 * "10.1.0.9/24": an address of a port with the prefix of its network's subnet, for 64 bytes; *gateway is the network's of
 * that family, NULL: none. Both as the daemon shows them.
 */
void result_address(const json_t *network, const char *ip, char text[64], const char **gateway);

/** ADD's result, in the configuration's version, after what earlier plugins of the chain have done. A new reference. */
json_t *result_of(const struct conf *conf, const struct cni_env *env, const json_t *network,
	const json_t *port, const char *socket);

/* option.h: what `docker network create` says of a network. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "control/api/api.h"

struct docker_option {
	const char *network; /* -o sluice.network: one that is there already; NULL: none. Borrowed */
	bool internal;	     /* --internal */
	bool ip6;	     /* --ipv6 */
	json_t *params; /* of network.add, as far as options say: mode, vni, mtu, egress. The caller's reference */
};

/** Reads the Options of CreateNetwork. 0, or -1 with *err that names the option. */
int docker_option_read(const json_t *options, struct docker_option *out, struct api_err *err);

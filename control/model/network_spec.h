/* network_spec.h: what the parameters of a network say. Pure. */
#pragma once

#include "control/api/api.h"
#include "control/host/forwarding.h"
#include "dataplane/dataplane.h"

/** Names of enum dp_mode and enum egress, NULL-terminated. */
extern const char *const network_modes[];
extern const char *const network_egresses[];

/**
 * Reads the parameters of network.add, defaults filled in, into `spec`. Returns 0, or -1 when they contradict
 * each other.
 */
int network_spec_read(const json_t *params, struct dp_network *spec, struct api_err *err);

/**
 * Reads `egress` of network.add and network.set into *egress, which stays when it is not given: at first EGRESS_HOST for
 * mode host, for others EGRESS_NONE, whose gateway is in a namespace that forwards nothing. -1: not of this mode.
 */
int network_egress_read(
	const json_t *params, const struct dp_network *spec, enum egress *egress, struct api_err *err);

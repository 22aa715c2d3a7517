/* network_spec.h: what the parameters of a network say. Pure. */
#pragma once

#include "control/api/api.h"
#include "dataplane/dataplane.h"

/** Names of enum dp_mode, NULL-terminated. */
extern const char *const network_modes[];

/**
 * Reads the parameters of network.add, defaults filled in, into `spec`. Returns 0, or -1 when they contradict
 * each other.
 */
int network_spec_read(const json_t *params, struct dp_network *spec, struct api_err *err);

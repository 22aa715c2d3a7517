/* check.h: finds what is wrong in a configuration although each of its objects is right by itself. Pure. */
#pragma once

#include <jansson.h>

#include "control/api/api.h"

/**
 * Duplicates, references to nothing, addresses outside their subnet or taken, fields that do not go together:
 * what the handlers would refuse without asking the host. `config` has defaults filled in. Returns 0, or -1
 * with the first in *err: "ports[1].ips: 10.1.0.1 is taken by networks[0]".
 */
int config_check(const json_t *config, struct api_err *err);

/** trial.c: the services and backends, by the registry itself. The same errors. */
int config_trial(const json_t *config, struct api_err *err);

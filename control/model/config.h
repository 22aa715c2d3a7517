/*
 * config.h: the configuration's "dataplane" object.
 */
#pragma once

#include "control/api/api.h"
#include "dataplane/dataplane.h"

/** Its fields, for validation of the configuration; the list of cores and the main core have no default here.
 */
extern const struct api_field dataplane_fields[];

enum { MODEL_CORES_MAX = 64 };

/**
 * Fills `config` (but loop, on_link, ctx) from the validated object; `cores` is the room that config->cores
 * points into. Without main_core it is the first CPU that the process may use, without cores one worker on
 * the next. `no_huge` overrules its huge pages. Returns 0 or -1 with `err`: a core named twice, or one that is no
 * CPU of the process; more memory than there is. Touches nothing, so that it also serves to check.
 */
int model_config_read(const json_t *dataplane, bool no_huge, struct dp_config *config,
	int cores[MODEL_CORES_MAX], struct api_err *err);

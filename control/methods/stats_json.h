/*
 * stats_json.h: the workers as JSON, for stats and status. Control thread.
 */
#pragma once

#include <jansson.h>

struct model;

/** The result of stats.workers. */
json_t *stats_workers_json(struct model *model);

/*
 * The daemon as a whole.
 */
#include "control/base/result.h"
#include "control/methods/list.h"
#include "control/methods/stats_json.h"
#include "control/model/objects.h"

static int status(
	struct model *model, const char *source, json_t *params, json_t **result, struct api_err *err)
{
	json_t *workers = stats_workers_json(model), *worker;
	struct timespec now;
	size_t i;

	json_array_foreach (workers, i, worker) {
		json_object_del(worker, "stages");
		json_object_del(worker, "longest_gap_us");
		json_object_del(worker, "gaps");
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	*result = json_object();
	put_str(*result, "version", SLUICE_VERSION);
	put_int(*result, "uptime_s", (uint64_t)(now.tv_sec - model->started.tv_sec));
	put(*result, "workers", workers);
	put_int(*result, "memory_mb", dp_memory_mb(model->dp));
	put_int(*result, "generation", registry_generation(model->registry));
	put(*result, "not_kept", not_kept_json(&model->not_kept));
	put(*result, "not_listening", not_listening_json(&model->not_listening));
	return 0;
}

static int version(
	struct model *model, const char *source, json_t *params, json_t **result, struct api_err *err)
{
	*result = json_object();
	put_str(*result, "version", SLUICE_VERSION);
	return 0;
}

static const struct api_field no_fields[] = {{NULL}};

const struct api_method status_methods[] = {
	{"status", "Show how the daemon does", no_fields, status, false},
	{"version", "Show the daemon's version", no_fields, version, false},
	{NULL},
};

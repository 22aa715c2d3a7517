/*
 * list.h: all methods, in the order of the documentation. The tables stand beside the handlers; this is
 * their list.
 */
#pragma once

#include "control/api/api.h"

/** The method called `name`, NULL when there is none. */
const struct api_method *method_find(const char *name);

/** Calls fn for every method, in order. */
void methods_walk(void (*fn)(void *arg, const struct api_method *method), void *arg);

/**
 * Checks `params` (may be NULL) and runs the method. Returns 0 with a new reference in *result, or -1 with
 * *err. Control thread.
 */
int method_call(struct model *model, const struct api_method *method, const char *source,
	const json_t *params, json_t **result, struct api_err *err);

/** The same by name, for who wants no result. `params` are taken over; NULL: no memory. */
int method_do(struct model *model, const char *name, const char *source, json_t *params, struct api_err *err);

/* One table a noun, beside its handlers. */
extern const struct api_method network_methods[], conflist_methods[], port_methods[], uplink_methods[],
	vtep_methods[], fdb_methods[], service_methods[], backend_methods[], publish_methods[],
	conn_methods[], stats_methods[], cluster_methods[], api_methods[];

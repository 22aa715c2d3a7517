/*
 * methods.h: all methods, in the order of the documentation. The tables stand beside the handlers; this is
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

/** describe.c: every method with its fields, as api.describe answers. New reference. */
json_t *describe_all(void);
/** describe.c: the fields as api.describe shows them. New reference. */
json_t *describe_fields(const struct api_field *fields);

extern const struct api_method api_methods[]; /* describe.c */

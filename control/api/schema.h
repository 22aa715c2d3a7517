/* schema.h: checks parameters against the fields of a method. Pure, any thread. */
#pragma once

#include "control/api/api.h"

/**
 * Checks `params` (an object, or NULL for none given) against `fields` and returns in *out a new object that
 * has the defaults filled in. `path` goes before the name of a field in an error ("ports[1]."; "" for a
 * method's own parameters). Returns 0, or -1 with *err naming the first field that is missing, unknown,
 * mistyped or out of range.
 */
int schema_check(const struct api_field *fields, const json_t *params, const char *path, json_t **out,
	struct api_err *err);

/** The field called `name`, NULL when there is none. */
const struct api_field *schema_field(const struct api_field *fields, const char *name);

/** "string", "integer in 1..65535", ...: what a field takes, for people. */
void schema_describe(const struct api_field *field, char *buf, size_t size);

/** The name of a type in api.describe: "string", "name", "integer", "boolean", "enum", "ip4", ... */
const char *schema_type_name(enum api_type type);

/** The least and the most that a field of a number, string or list type takes; false for other types. */
bool schema_range(const struct api_field *field, int64_t *min, int64_t *max);

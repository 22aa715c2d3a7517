/*
 * params.h: reading validated parameters. Types and ranges hold already (api.h); a field may only be absent.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/** NULL when absent. */
static inline const char *param_str(const json_t *params, const char *field)
{
	return json_string_value(json_object_get(params, field));
}

static inline int64_t param_int(const json_t *params, const char *field, int64_t absent)
{
	const json_t *value = json_object_get(params, field);

	return value ? json_integer_value(value) : absent;
}

static inline bool param_bool(const json_t *params, const char *field, bool absent)
{
	const json_t *value = json_object_get(params, field);

	return value ? json_is_true(value) : absent;
}

static inline bool param_given(const json_t *params, const char *field)
{
	return json_object_get(params, field) != NULL;
}

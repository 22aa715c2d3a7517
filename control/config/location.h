/* location.h: where in a configuration something stands. Pure. */
#pragma once

#include <stddef.h>

#include "control/api/api.h"

struct config_location {
	const char *section;
	size_t index;
};

/** api_fail for the field of the object there: "ports[1].mac: ...". */
int config_fail(struct config_location at, struct api_err *err, enum api_code code, const char *field,
	const char *fmt, ...) __attribute__((format(printf, 5, 6)));

/**
 * Puts the location before a line that begins with a field of the section's objects or not: "ports[1].mac: ..."
 * or "ports[1]: ...". `line` may lie in `err`. Returns -1.
 */
int config_fail_line(struct config_location at, struct api_err *err, enum api_code code, const char *line);

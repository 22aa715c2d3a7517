#include "control/config/location.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/config/sections.h"

enum { LOCATION = 160, LINE = 256 };

int config_fail(struct config_location at, struct api_err *err, enum api_code code, const char *field,
	const char *fmt, ...)
{
	char where[LOCATION], line[LINE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	snprintf(where, sizeof(where), "%s[%zu].%s", at.section, at.index, field);
	return api_fail(err, code, where, "%s", line);
}

static bool begins_with_field(const char *section, const char *line)
{
	const struct api_method *add = section_method(section_named(section), "add");
	size_t len = strcspn(line, ":.[");
	char field[64];

	snprintf(field, sizeof(field), "%.*s", (int)(len < sizeof(field) ? len : 0), line);
	return schema_field(add->fields, field) != NULL;
}

int config_fail_line(struct config_location at, struct api_err *err, enum api_code code, const char *line)
{
	char copy[LINE];

	snprintf(copy, sizeof(copy), "%s", line);
	return api_fail(err, code, NULL, "%s[%zu]%s%s", at.section, at.index,
		begins_with_field(at.section, copy) ? "." : ": ", copy);
}

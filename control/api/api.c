#include "control/api/api.h"

#include <stdarg.h>
#include <stdio.h>

int api_fail(struct api_err *err, enum api_code code, const char *field, const char *fmt, ...)
{
	int at = 0;
	va_list ap;

	err->code = code;
	if (field)
		at = snprintf(err->text, sizeof(err->text), "%s: ", field);
	if (at < 0 || (size_t)at >= sizeof(err->text))
		return -1;
	va_start(ap, fmt);
	vsnprintf(err->text + at, sizeof(err->text) - (size_t)at, fmt, ap);
	va_end(ap);
	return -1;
}

#include "registry/base/error.h"

#include <stdarg.h>
#include <stdio.h>

int reg_fail(struct reg_err *err, int rc, const char *fmt, ...)
{
	va_list ap;

	if (err) {
		va_start(ap, fmt);
		vsnprintf(err->text, sizeof(err->text), fmt, ap);
		va_end(ap);
	}
	return rc;
}

#include "tools/cni/error.h"

#include <stdarg.h>
#include <stdio.h>

int cni_fail(struct cni_err *err, enum cni_code code, const char *fmt, ...)
{
	va_list args;

	err->code = code;
	va_start(args, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, args);
	va_end(args);
	return -1;
}

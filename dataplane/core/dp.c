#include "dataplane/core/dp.h"

#include <rte_cycles.h>
#include <stdarg.h>
#include <stdio.h>

int dp_fail(struct dp_err *err, int rc, const char *fmt, ...)
{
	va_list ap;

	if (!err)
		return rc;
	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return rc;
}

uint32_t dp_now_s(const struct dp *dp)
{
	return (uint32_t)((rte_rdtsc() - dp->start_tsc) / rte_get_tsc_hz()) + 1;
}

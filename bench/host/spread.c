#include "bench/host/spread.h"

#include <stdlib.h>

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

void spread_add(struct spread *s, double value)
{
	if (s->n < SPREAD_MAX)
		s->value[s->n++] = value;
}

double spread_median(struct spread *s)
{
	qsort(s->value, s->n, sizeof(s->value[0]), compare);
	if (s->n == 0)
		return 0;
	return (s->value[(s->n - 1) / 2] + s->value[s->n / 2]) / 2;
}

double spread_min(struct spread *s)
{
	spread_median(s);
	return s->n ? s->value[0] : 0;
}

double spread_max(struct spread *s)
{
	spread_median(s);
	return s->n ? s->value[s->n - 1] : 0;
}

json_t *spread_json(struct spread *s)
{
	if (s->n == 0)
		return json_null();
	return json_pack("{s:f, s:f, s:f, s:i}", "median", spread_median(s), "min", spread_min(s), "max",
		spread_max(s), "n", (int)s->n);
}

/* spread.h: several measurements of one thing, summed up by their median, least and greatest. */
#pragma once

#include <jansson.h>

enum { SPREAD_MAX = 1024 };

struct spread {
	double value[SPREAD_MAX]; /* in order once spread_median has been asked */
	unsigned n;
};

/** Adds a value; those beyond SPREAD_MAX are left out. */
void spread_add(struct spread *s, double value);

/** The median, least and greatest value; 0 when there is none. */
double spread_median(struct spread *s);
double spread_min(struct spread *s);
double spread_max(struct spread *s);

/** {median, min, max, n}, or null when there is no value. */
json_t *spread_json(struct spread *s);

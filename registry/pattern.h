/*
 * pattern.h: regular expressions that clients send. PCRE's, with bounds on what a match may cost, so that
 * nobody holds up the thread with one. Pure.
 */
#pragma once

#include <stdbool.h>

struct pattern;

/** NULL: not a regular expression, or no memory. */
struct pattern *pattern_make(const char *text);
/** NULL is allowed. */
void pattern_free(struct pattern *pattern);
/** Is it found anywhere in `text`? False also when that would take too long to find out. */
bool pattern_found(const struct pattern *pattern, const char *text);

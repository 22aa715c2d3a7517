/*
 * pattern.h: regular expressions that clients send. PCRE's, with bounds on what a match may cost, so that
 * nobody holds up the thread with one. Pure.
 */
#pragma once

struct pattern;

/** NULL: not a regular expression, or no memory. */
struct pattern *pattern_make(const char *text);
/** NULL is allowed. */
void pattern_free(struct pattern *pattern);
/**
 * 1 when it is found anywhere in `text`, 0 when not, -E2BIG when that would take too long to find out: about a
 * millisecond. Whoever looks at many texts should end there.
 */
int pattern_found(const struct pattern *pattern, const char *text);

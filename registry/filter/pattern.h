/*
 * pattern.h: regular expressions that clients send. PCRE's, with bounds on what a match may cost, so that nobody holds up
 * the thread with one.
 *
 * Steps are no measure of time: one step of `\X*+` over 4 KB takes 16 us. So PCRE calls back between the parts of an
 * expression, and the time is looked at there. The time is a budget that all matches of a request share. It is the
 * clock's, which counts what other processes took too; so who has used it up gets as much once more, of the time that
 * this thread has run. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct pattern;

enum {
	PATTERN_MAX = 512,	      /* bytes of an expression */
	PATTERN_TEXT_MAX = 16 * 1024, /* bytes of a text that one is looked for in */
	PATTERN_BUDGET_US = 2000,     /* for the matches of a request */
	PATTERN_ITEM_US = 2, /* that come back with each item looked at: less than an item costs anyway */
};

struct pattern_budget {
	int64_t left_ns;
	bool exact; /* it is time that the thread ran */
};
#define PATTERN_BUDGET ((struct pattern_budget){.left_ns = PATTERN_BUDGET_US * INT64_C(1000)})

/** Another item is looked at. */
void pattern_budget_item(struct pattern_budget *budget);

/** NULL: not a regular expression, too long, or no memory. */
struct pattern *pattern_make(const char *text);
/** NULL is allowed. */
void pattern_free(struct pattern *pattern);
/**
 * 1 when it is found anywhere in `text`, 0 when not, -E2BIG when the budget does not suffice to find out, or the text is
 * too long. Whoever looks at many texts should end there.
 */
int pattern_found(const struct pattern *pattern, const char *text, struct pattern_budget *budget);

#include "registry/filter/pattern.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

/* Short texts are looked at so seldom by the clock that it costs little beside the callback. */
enum { MATCH_STEPS = 1000000, MATCH_DEPTH = 1000, MATCH_HEAP_KB = 1024, SHORT = 256, SELDOM = 16 };

struct pattern {
	pcre2_code *code;
	pcre2_match_data *data;
	pcre2_match_context *limits;
};

/* One match under way. */
struct timing {
	struct pattern_budget *budget;
	int64_t since_ns;
	unsigned every, calls;
};

static int64_t now_ns(const struct pattern_budget *budget)
{
	struct timespec ts;

	clock_gettime(budget->exact ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

void pattern_budget_item(struct pattern_budget *budget)
{
	budget->left_ns += PATTERN_ITEM_US * INT64_C(1000);
	if (budget->left_ns > PATTERN_BUDGET.left_ns)
		budget->left_ns = PATTERN_BUDGET.left_ns;
}

/* Takes what has passed out of the budget. False: it is used up. */
static bool charge(struct timing *timing)
{
	struct pattern_budget *budget = timing->budget;
	int64_t now = now_ns(budget);

	budget->left_ns -= now - timing->since_ns;
	timing->since_ns = now;
	if (budget->left_ns > 0)
		return true;
	if (budget->exact)
		return false;
	*budget = PATTERN_BUDGET;
	budget->exact = true;
	timing->since_ns = now_ns(budget);
	return true;
}

static int on_callout(pcre2_callout_block *block, void *arg)
{
	struct timing *timing = arg;

	return ++timing->calls % timing->every || charge(timing) ? 0 : PCRE2_ERROR_CALLOUT;
}

struct pattern *pattern_make(const char *text)
{
	struct pattern *pattern = strlen(text) <= PATTERN_MAX ? calloc(1, sizeof(*pattern)) : NULL;
	PCRE2_SIZE where;
	int why;

	if (!pattern)
		return NULL;
	pattern->code = pcre2_compile((PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED,
		PCRE2_NEVER_BACKSLASH_C | PCRE2_AUTO_CALLOUT | PCRE2_NO_AUTO_POSSESS, &why, &where, NULL);
	pattern->data = pcre2_match_data_create(1, NULL);
	pattern->limits = pcre2_match_context_create(NULL);
	if (!pattern->code || !pattern->data || !pattern->limits) {
		pattern_free(pattern);
		return NULL;
	}
	pcre2_set_match_limit(pattern->limits, MATCH_STEPS);
	pcre2_set_depth_limit(pattern->limits, MATCH_DEPTH);
	pcre2_set_heap_limit(pattern->limits, MATCH_HEAP_KB);
	return pattern;
}

void pattern_free(struct pattern *pattern)
{
	if (!pattern)
		return;
	pcre2_match_context_free(pattern->limits);
	pcre2_match_data_free(pattern->data);
	pcre2_code_free(pattern->code);
	free(pattern);
}

int pattern_found(const struct pattern *pattern, const char *text, struct pattern_budget *budget)
{
	size_t len = strnlen(text, PATTERN_TEXT_MAX + 1);
	struct timing timing = {.budget = budget, .every = len < SHORT ? SELDOM : 1};
	int rc;

	if (len > PATTERN_TEXT_MAX || budget->left_ns <= 0)
		return -E2BIG;
	timing.since_ns = now_ns(budget);
	pcre2_set_callout(pattern->limits, on_callout, &timing);
	rc = pcre2_match(pattern->code, (PCRE2_SPTR)text, len, 0, 0, pattern->data, pattern->limits);
	charge(&timing);
	if (rc >= 0)
		return 1;
	return rc == PCRE2_ERROR_NOMATCH ? 0 : -E2BIG;
}

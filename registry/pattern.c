#include "registry/pattern.h"

#include <errno.h>
#include <string.h>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

enum { MATCH_STEPS = 100000, MATCH_DEPTH = 1000, MATCH_HEAP_KB = 1024 };

/* A struct pattern is a pcre2_code: nothing is kept beside it. */
static const pcre2_code *code_of(const struct pattern *pattern)
{
	return (const pcre2_code *)pattern;
}

struct pattern *pattern_make(const char *text)
{
	PCRE2_SIZE where;
	int why;

	return (struct pattern *)pcre2_compile(
		(PCRE2_SPTR)text, PCRE2_ZERO_TERMINATED, PCRE2_NEVER_BACKSLASH_C, &why, &where, NULL);
}

void pattern_free(struct pattern *pattern)
{
	pcre2_code_free((pcre2_code *)pattern);
}

int pattern_found(const struct pattern *pattern, const char *text)
{
	pcre2_match_context *limits = pcre2_match_context_create(NULL);
	pcre2_match_data *data = pcre2_match_data_create(1, NULL);
	int rc = PCRE2_ERROR_NOMEMORY;

	if (limits && data) {
		pcre2_set_match_limit(limits, MATCH_STEPS);
		pcre2_set_depth_limit(limits, MATCH_DEPTH);
		pcre2_set_heap_limit(limits, MATCH_HEAP_KB);
		rc = pcre2_match(code_of(pattern), (PCRE2_SPTR)text, strlen(text), 0, 0, data, limits);
	}
	pcre2_match_data_free(data);
	pcre2_match_context_free(limits);
	if (rc >= 0)
		return 1;
	return rc == PCRE2_ERROR_NOMATCH ? 0 : -E2BIG;
}

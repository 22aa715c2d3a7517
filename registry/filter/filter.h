/*
 * filter.h: Consul's filter language over JSON objects. Pure.
 *
 *   Service.Port == 8080 and ("v2" in Service.Tags or Meta["zone"] matches "^eu-") and Checks is not empty
 *
 * Operators: ==, !=, in, not in, contains, not contains, matches, not matches, is empty, is not empty, and,
 * or, not, parentheses. Values are quoted, in backticks, or bare words. A selector that passes through a list
 * means any of its elements, also with a negated operator: Checks.Status != passing takes what has one check that
 * is not passing. Regular expressions are PCRE's, with bounds on what matches may cost.
 */
#pragma once

#include <jansson.h>

#include "registry/filter/pattern.h"
#include "registry/registry.h"

enum {
	FILTER_MAX = 4096,    /* bytes of an expression */
	FILTER_DEPTH = 64,    /* nesting */
	FILTER_NODES = 512,   /* operators */
	FILTER_PATTERNS = 32, /* regular expressions; to make one takes up to 0.1 ms */
};

struct filter;

/** Parses `text`. -EINVAL with what is wrong at which character, -ENOMEM. */
int filter_parse(const char *text, struct filter **out, struct reg_err *err);
/** NULL is allowed. */
void filter_free(struct filter *filter);

/**
 * 1 when the filter takes `item`, 0 when not, -EINVAL when a selector names no field of it, or its patterns take longer
 * than `budget` has left, which is that of all items of a request. What an item leaves out is looked up in `absent`, an
 * object of the same shape (NULL: nothing may be left out).
 */
int filter_match(const struct filter *filter, const json_t *item, const json_t *absent,
	struct pattern_budget *budget, struct reg_err *err);

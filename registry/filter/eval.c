/* eval.c: does a filter take an object? */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "registry/base/error.h"
#include "registry/filter/tree.h"

/* A number or a boolean as it is written in a filter. */
static const char *text_of(const json_t *value, char room[32])
{
	if (json_is_string(value))
		return json_string_value(value);
	if (json_is_integer(value))
		snprintf(room, 32, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
	else if (json_is_real(value))
		snprintf(room, 32, "%g", json_real_value(value));
	else if (json_is_boolean(value))
		snprintf(room, 32, "%s", json_is_true(value) ? "true" : "false");
	else
		return NULL;
	return room;
}

static bool is_equal(const json_t *value, const char *text)
{
	char room[32];
	const char *own = text_of(value, room);

	return own && strcmp(own, text) == 0;
}

static bool is_empty(const json_t *value)
{
	if (json_is_string(value))
		return json_string_length(value) == 0;
	if (json_is_array(value))
		return json_array_size(value) == 0;
	return json_is_object(value) ? json_object_size(value) == 0 : json_is_null(value) || !value;
}

static bool has(const json_t *value, const char *text)
{
	const json_t *element;
	size_t i;

	if (json_is_string(value))
		return strstr(json_string_value(value), text) != NULL;
	if (json_is_object(value))
		return json_object_get(value, text) != NULL;
	json_array_foreach ((json_t *)value, i, element)
		if (is_equal(element, text))
			return true;
	return false;
}

/* What a filter is applied to. */
struct subject {
	struct pattern_budget *budget;
	struct reg_err *err;
};

static int matches(const struct filter *filter, const json_t *value, const struct subject *subject)
{
	char room[32];
	const char *text = text_of(value, room);
	int rc = text ? pattern_found(filter->pattern, text, subject->budget) : 0;

	return rc < 0 ? reg_fail(subject->err, -EINVAL,
				"pattern \"%.60s\" takes too long to match (the patterns of a request have "
				"%d ms)",
				filter->value, PATTERN_BUDGET_US / 1000)
		      : rc;
}

/* 1, 0 or -EINVAL */
static int holds(const struct filter *filter, const json_t *value, const struct subject *subject)
{
	switch (filter->op) {
	case FILTER_EQ:
		return is_equal(value, filter->value);
	case FILTER_IN:
		return has(value, filter->value);
	case FILTER_MATCHES:
		return matches(filter, value, subject);
	default:
		return is_empty(value);
	}
}

/* Objects whose keys are the user's: what is not there is nothing, not a mistake. */
static bool is_map(const char *name)
{
	size_t len = strlen(name);

	return (len >= 4 && strcmp(name + len - 4, "Meta") == 0) ||
	       (len >= 9 && strcmp(name + len - 9, "Addresses") == 0) || strcmp(name, "Header") == 0;
}

static int unknown(const struct filter *filter, unsigned depth, struct reg_err *err)
{
	return reg_fail(err, -EINVAL, "selector \"%s\" is not valid", filter->path[depth]);
}

/* From part `depth` of the selector on, in `value` or, where that has no such field, in `absent`. */
static int select_from(const struct filter *filter, unsigned depth, const json_t *value, const json_t *absent,
	const struct subject *subject)
{
	const json_t *element, *other;
	size_t i;
	int rc = 0;

	if (depth == filter->npath) {
		rc = holds(filter, value, subject);
		return rc < 0 ? rc : rc != filter->negated;
	}
	if (json_is_array(value)) {
		json_array_foreach ((json_t *)value, i, element) {
			rc = select_from(filter, depth, element, absent, subject);
			if (rc)
				break;
		}
		return rc;
	}
	element = json_object_get(value, filter->path[depth]);
	other = json_object_get(absent, filter->path[depth]);
	if (element || other)
		return select_from(filter, depth + 1, element ? element : other, other, subject);
	if (depth && (is_map(filter->path[depth - 1]) || json_is_null(value)))
		return (filter->op == FILTER_EMPTY) != filter->negated;
	return unknown(filter, depth, subject->err);
}

static int match(
	const struct filter *filter, const json_t *item, const json_t *absent, const struct subject *subject)
{
	int rc;

	switch (filter->op) {
	case FILTER_NOT:
		rc = match(filter->left, item, absent, subject);
		return rc < 0 ? rc : !rc;
	case FILTER_AND:
		rc = match(filter->left, item, absent, subject);
		return rc <= 0 ? rc : match(filter->right, item, absent, subject);
	case FILTER_OR:
		rc = match(filter->left, item, absent, subject);
		return rc != 0 ? rc : match(filter->right, item, absent, subject);
	default:
		return select_from(filter, 0, item, absent, subject);
	}
}

int filter_match(const struct filter *filter, const json_t *item, const json_t *absent,
	struct pattern_budget *budget, struct reg_err *err)
{
	const struct subject subject = {budget, err};

	pattern_budget_item(budget);
	return match(filter, item, absent, &subject);
}

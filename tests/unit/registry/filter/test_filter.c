/* Consul's filter language: what it takes, what it refuses, and that no text does it harm. */
#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/filter/filter.h"
#include "tests/unit/unit.h"

static json_t *item, *absent; /* what is left out of the item */

static int setup(void **state)
{
	item = json_loads("{\"ID\": \"web-1\", \"Port\": 8080, \"Tags\": [\"v1\", \"blue\"], \"Up\": true,"
			  " \"Meta\": {\"zone\": \"eu-1\", \"a.b\": \"dotted\"}, \"Note\": \"\","
			  " \"Node\": {\"Name\": \"edge1\", \"Meta\": {}},"
			  " \"Checks\": [{\"Status\": \"passing\"}, {\"Status\": \"warning\"}]}",
		0, NULL);
	absent = json_loads("{\"Kind\": \"\", \"Port\": 1, \"Node\": {\"Segment\": \"s\"},"
			    " \"Proxy\": {\"Port\": 0, \"Up\": []}}",
		0, NULL);
	return item && absent ? 0 : -1;
}

static int teardown(void **state)
{
	json_decref(item);
	json_decref(absent);
	return 0;
}

/* 1, 0, or what parsing or matching says. */
static int run(const char *text, struct reg_err *err)
{
	struct pattern_budget budget = PATTERN_BUDGET;
	struct filter *filter = NULL;
	int rc = filter_parse(text, &filter, err);

	if (rc == 0)
		rc = filter_match(filter, item, absent, &budget, err);
	filter_free(filter);
	return rc;
}

static const struct {
	const char *text;
	int takes;
} conditions[] = {
	{"ID == \"web-1\"", 1},
	{"ID == web-1", 1},
	{"ID == `web-1`", 1},
	{"ID != web-2", 1},
	{"Port == 8080", 1},
	{"Port == 80", 0},
	{"Up == true", 1},
	{"Up != true", 0},
	{"v1 in Tags", 1},
	{"\"v1\" in Tags", 1},
	{"v2 in Tags", 0},
	{"v2 not in Tags", 1},
	{"Tags contains blue", 1},
	{"Tags not contains blue", 0},
	{"ID contains eb", 1},
	{"zone in Meta", 1},
	{"Meta[\"zone\"] == \"eu-1\"", 1},
	{"Meta.zone == \"eu-1\"", 1},
	{"Meta[\"a.b\"] == dotted", 1},
	{"Meta[\"row\"] == x", 0},
	{"Meta[\"row\"] != x", 1},
	{"Meta.row is empty", 1},
	{"Meta.zone is not empty", 1},
	{"Note is empty", 1},
	{"Tags is empty", 0},
	{"Node.Meta is empty", 1},
	{"Node.Name matches \"^edge[0-9]$\"", 1},
	{"Node.Name not matches `^edge$`", 1},
	{"Checks.Status == warning", 1},
	{"Checks.Status == critical", 0},
	{"Checks.Status != warning", 1},
	{"not Checks.Status == warning", 0},
	{"Checks.Status is not empty", 1},
	{"Checks.Status not matches ing", 0},
	{"warning not in Checks.Status", 1},
	{"Meta[\"row\"] is not empty", 0},
	{"Meta[\"row\"] not matches x", 1},
	{"not ID == web-1", 0},
	{"not not ID == web-1", 1},
	{"Port == 80 or Up == true and ID == web-1", 1},
	{"(Port == 80 or Up == true) and ID == x", 0},
	{"Port == 80 or Up == true and ID == x", 0},
	{" ( ( ID == web-1 ) ) ", 1},
	{"Kind == \"\"", 1},
	{"Kind is not empty", 0},
	{"Node.Segment == s and Node.Name == edge1", 1},
	{"Proxy.Port == 0", 1},
	{"Proxy.Up is empty", 1},
	{"Proxy.Up.Name == x", 0},
	{"Proxy.Up.Name != x", 0},
};

static void what_it_takes(void **state)
{
	struct reg_err err;

	for (size_t i = 0; i < sizeof(conditions) / sizeof(conditions[0]); i++)
		if (run(conditions[i].text, &err) != conditions[i].takes)
			fail_msg("%s: %d, not %d", conditions[i].text, run(conditions[i].text, &err),
				conditions[i].takes);
}

static void what_it_refuses(void **state)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
		{"", "at character 1: a selector is expected"},
		{"ID", "at character 3: an operator is expected"},
		{"ID ==", "at character 6: a value is expected"},
		{"ID = 1", "at character 4: an operator is expected"},
		{"== 1", "at character 1: a selector is expected"},
		{"ID == 1 and", "at character 12: a selector is expected"},
		{"ID == 1 ID == 2", "at character 9: and, or, or the end is expected"},
		{"(ID == 1", "at character 9: ) is expected"},
		{"ID == \"open", "at character 7: a value is expected"},
		{"ID is full", "at character 7: empty is expected"},
		{"ID matches \"(\"", "at character 12: not a regular expression"},
		{"Meta[zone] == 1", "at character 6: a key in quotes is expected"},
		{"Meta[\"zone\" == 1", "at character 13: ] is expected"},
		{"a.b.c.d.e.f.g.h.i == 1", "at character 17: the selector has too many parts"},
		{"Nothing == 1", "selector \"Nothing\" is not valid"},
		{"Proxy.Nothing == 1", "selector \"Nothing\" is not valid"},
		{"Node.Nothing == 1", "selector \"Nothing\" is not valid"},
	};
	struct reg_err err;

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(run(rows[i].text, &err), -EINVAL);
		assert_string_equal(err.text, rows[i].why);
	}
}

/* `n` times `part`, then `end`. */
static char *repeat(const char *part, size_t n, const char *end)
{
	char *text = calloc(n * strlen(part) + strlen(end) + 1, 1);

	assert_non_null(text);
	for (size_t i = 0; i < n; i++)
		strcpy(text + i * strlen(part), part);
	strcat(text, end);
	return text;
}

static void it_is_bounded(void **state)
{
	char *deep = repeat("(", 100, "ID == 1"), *nots = repeat("not ", 100, "ID == 1"),
	     *wide = repeat("ID==x or ", 400, "ID == 1"), *huge = repeat("x", 5000, "");
	struct reg_err err;

	assert_int_equal(run(deep, &err), -EINVAL);
	assert_non_null(strstr(err.text, "nested too deep"));
	assert_int_equal(run(nots, &err), -EINVAL);
	assert_int_equal(run(wide, &err), -EINVAL);
	assert_non_null(strstr(err.text, "too long"));
	assert_int_equal(run(huge, &err), -EINVAL);
	/* an expression that takes for ever in a naive matcher ends at its limit */
	assert_int_equal(run("Meta.zone matches \"^(e|eu|u|-|1)*(e|eu|u|-|1)*x$\"", &err), 0);
	free(deep);
	free(nots);
	free(wide);
	free(huge);
}

/* Words of the language in any order, and bytes in between. */
static void fuzz(void **state)
{
	static const char *const words[] = {"ID", "Port", "Tags", "Meta", ".zone", "[\"zone\"]",
		"==", "!=", "in", "not", "contains", "matches", "is", "empty", "and", "or", "(", ")", "\"a\"",
		"`b`", "8080", "\"", "[", "]", ".", "\\", "\xff", "^(a|b)*$", "Node", "Checks"};
	struct reg_err err;
	char text[400];
	unsigned parsed = 0;

	srand(20240501);
	for (unsigned round = 0; round < 50000; round++) {
		size_t len = 0;

		for (int n = rand() % 12; n >= 0; n--)
			len += (size_t)snprintf(text + len, sizeof(text) - len, "%s%s",
				words[(size_t)rand() % (sizeof(words) / sizeof(words[0]))],
				rand() % 4 ? " " : "");
		err.text[0] = '\0';
		if (run(text, &err) >= 0)
			parsed++;
		else
			assert_true(err.text[0] != '\0');
	}
	assert_true(parsed > 10); /* it did reach the evaluator */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_it_takes),
		cmocka_unit_test(what_it_refuses),
		cmocka_unit_test(it_is_bounded),
		cmocka_unit_test(fuzz),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}

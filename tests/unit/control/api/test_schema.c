/* Parameters against fields: what passes with which defaults, and the line for what does not. */
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "control/api/schema.h"
#include "tests/unit/unit.h"

static const char *const colours[] = {"red", "green", NULL};

static const struct api_field inner[] = {
	{"interval_ms", API_INT, "", .min = 10, .max = 1000, .def = "100"},
	{"type", API_ENUM, "", .required = true, .choices = colours},
	{NULL},
};

static const struct api_field fields[] = {
	{"name", API_NAME, "", .required = true},
	{"text", API_STRING, "", .min = 2, .max = 4},
	{"count", API_INT, "", .min = -1, .max = 7, .def = "3"},
	{"on", API_BOOL, "", .def = "true"},
	{"colour", API_ENUM, "", .choices = colours},
	{"ip", API_IP4, ""},
	{"subnet", API_CIDR4, ""},
	{"address", API_ADDR, ""},
	{"mac", API_MAC, ""},
	{"path", API_PATH, "", .min = 2, .max = 8},
	{"at", API_HOSTPORT, ""},
	{"ips", API_LIST, "", .item = API_IP4, .max = 2},
	{"check", API_OBJECT, "", .fields = inner},
	{NULL},
};

struct example {
	const char *params, *says; /* the parameters with their defaults, or the refusal */
};

static const struct example taken[] = {
	{"{'name': 'a'}", "{'name': 'a', 'count': 3, 'on': true}"},
	{"{'name': 'a', 'count': -1, 'on': false}", "{'name': 'a', 'count': -1, 'on': false}"},
	{"{'name': 'a.b-c_9', 'text': 'four', 'colour': 'green'}",
		"{'name': 'a.b-c_9', 'text': 'four', 'colour': 'green', 'count': 3, 'on': true}"},
	{"{'name': 'a', 'ip': '10.1.0.1', 'subnet': '10.1.0.0/24', 'address': '10.1.0.1/24'}",
		"{'name': 'a', 'ip': '10.1.0.1', 'subnet': '10.1.0.0/24', 'address': '10.1.0.1/24', "
		"'count': 3, 'on': true}"},
	{"{'name': 'a', 'ips': [], 'path': '/x', 'at': '10.1.0.1:80', 'mac': '02:00:00:00:00:01'}",
		"{'name': 'a', 'ips': [], 'path': '/x', 'at': '10.1.0.1:80', 'mac': '02:00:00:00:00:01', "
		"'count': 3, 'on': true}"},
	{"{'name': 'a', 'check': {'type': 'red'}}",
		"{'name': 'a', 'check': {'type': 'red', 'interval_ms': 100}, 'count': 3, 'on': true}"},
};

static const struct example refused[] = {
	{"[]", "ports[1]: must be an object"},
	{"{}", "ports[1].name: missing"},
	{"{'name': 'a', 'colou': 'red'}", "ports[1].colou: unknown key"},
	{"{'name': null}", "ports[1].name: must be a string"},
	{"{'name': ''}", "ports[1].name: must match [a-z0-9][a-z0-9._-]{0,62}"},
	{"{'name': '-a'}", "ports[1].name: must match [a-z0-9][a-z0-9._-]{0,62}"},
	{"{'name': 'a', 'text': 'x'}", "ports[1].text: out of range 2..4 bytes"},
	{"{'name': 'a', 'text': 'x\\n'}", "ports[1].text: has a control character"},
	{"{'name': 'a', 'count': 8}", "ports[1].count: out of range -1..7"},
	{"{'name': 'a', 'count': -2}", "ports[1].count: out of range -1..7"},
	{"{'name': 'a', 'count': 1.0}", "ports[1].count: must be an integer"},
	{"{'name': 'a', 'on': 1}", "ports[1].on: must be true or false"},
	{"{'name': 'a', 'colour': 'blue'}", "ports[1].colour: must be one of red|green"},
	{"{'name': 'a', 'path': 'x/y'}", "ports[1].path: must be an absolute path"},
	{"{'name': 'a', 'path': '/12345678'}", "ports[1].path: out of range 2..8 bytes"},
	{"{'name': 'a', 'ips': ['10.1.0.1', '10.1.0.1']}", "ports[1].ips[1]: is there twice"},
	{"{'name': 'a', 'check': []}", "ports[1].check: must be an object"},
	{"{'name': 'a', 'check': {}}", "ports[1].check.type: missing"},
	{"{'name': 'a', 'check': {'type': 'red', 'interval_ms': 9}}",
		"ports[1].check.interval_ms: out of range 10..1000"},
	{"{'name': 'a', 'check': {'type': 'red', 'every': 9}}", "ports[1].check.every: unknown key"},
};

/* JSON with ' for ". */
static json_t *parse(const char *text)
{
	char copy[512];
	json_t *value;

	snprintf(copy, sizeof(copy), "%s", text);
	for (char *p = copy; *p; p++)
		*p = *p == '\'' ? '"' : *p;
	value = json_loads(copy, JSON_DECODE_ANY, NULL);
	assert_non_null(value);
	return value;
}

static void what_is_right_gets_its_defaults(void **state)
{
	for (size_t i = 0; i < sizeof(taken) / sizeof(taken[0]); i++) {
		json_t *params = parse(taken[i].params), *want = parse(taken[i].says), *out = NULL;
		struct api_err err = {0};

		assert_int_equal(schema_check(fields, params, "", &out, &err), 0);
		assert_true(json_equal(out, want));
		json_decref(params);
		json_decref(want);
		json_decref(out);
	}
}

static void what_is_wrong_is_named(void **state)
{
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
		json_t *params = parse(refused[i].params), *out = NULL;
		struct api_err err = {0};

		assert_int_equal(schema_check(fields, params, "ports[1].", &out, &err), -1);
		assert_int_equal(err.code, API_INVALID);
		assert_string_equal(err.text, refused[i].says);
		json_decref(params);
	}
}

/* A method without required fields may be called without parameters. */
static void nothing_is_an_empty_object(void **state)
{
	static const struct api_field none[] = {{NULL}};
	struct api_err err = {0};
	json_t *out = NULL;

	assert_int_equal(schema_check(none, NULL, "", &out, &err), 0);
	assert_int_equal(json_object_size(out), 0);
	json_decref(out);
	assert_int_equal(schema_check(fields, NULL, "", &out, &err), -1);
	assert_string_equal(err.text, "name: missing");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_right_gets_its_defaults),
		cmocka_unit_test(what_is_wrong_is_named),
		cmocka_unit_test(nothing_is_an_empty_object),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* JSON with integers of 64 bits without a sign, and lines for compact JSON as the library has them. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "registry/http/jsontext.h"
#include "tests/unit/unit.h"

static json_t *load(const char *text)
{
	json_error_t why;

	return jsontext_load(text, strlen(text), &why);
}

static void reads(const char *number, bool is, uint64_t expected)
{
	char text[128];
	uint64_t value = 7;
	json_t *json;

	snprintf(text, sizeof(text), "{\"a\":[%s ],\"b\":%s}", number, number);
	json = load(text);
	assert_non_null(json);
	assert_int_equal(jsontext_unsigned(json_array_get(json_object_get(json, "a"), 0), &value), is);
	assert_int_equal(value, is ? expected : 7);
	assert_int_equal(jsontext_unsigned(json_object_get(json, "b"), &value), is);
	json_decref(json);
}

static void integers_have_64_bits(void **state)
{
	reads("0", true, 0);
	reads("9007199254740993", true, 9007199254740993); /* no double has that */
	reads("999999999999999999", true, 999999999999999999);
	reads("1000000000000000000", true, 1000000000000000000);
	reads("9223372036854775807", true, INT64_MAX);
	reads("9223372036854775808", true, (uint64_t)INT64_MAX + 1);
	reads("18446744073709551615", true, UINT64_MAX);
}

static void nothing_else_is_one(void **state)
{
	reads("18446744073709551616", false, 0);
	reads("99999999999999999999999999", false, 0);
	reads("-1", false, 0);
	reads("-9223372036854775809", false, 0);
	reads("1.5", false, 0);
	reads("1e3", false, 0);
	reads("12345678901234567890.5", false, 0);
	reads("12345678901234567890e2", false, 0);
	reads("\"5\"", false, 0);
	reads("\"18446744073709551615\"", false, 0);
	reads("\"\\\"18446744073709551615\"", false, 0);
	reads("null", false, 0);
	reads("[18446744073709551615]", false, 0);
}

static void bad_json_stays_bad(void **state)
{
	static const char *const bad[] = {"", "{", "[18446744073709551615", "[00000000000000000000001]",
		"[-00000000000000000000001]", "[18446744073709551615x]", "[\"18446744073709551615]", "[\"a\\",
		"[1844674407370955161518446744073709551615", "18446744073709551615\"",
		"[--18446744073709551615]", "[1 18446744073709551615]"};

	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_null(load(bad[i]));
}

static void strings_are_left_alone(void **state)
{
	json_t *json = load(
		"{\"18446744073709551615\":\"a \\\\\\\" 18446744073709551615 \",\"n\":18446744073709551615}");
	uint64_t value;

	assert_string_equal(json_string_value(json_object_get(json, "18446744073709551615")),
		"a \\\" 18446744073709551615 ");
	assert_true(jsontext_unsigned(json_object_get(json, "n"), &value));
	json_decref(json);
}

static void lines_are_the_librarys(void **state)
{
	static const char *const texts[] = {"[]", "{}", "[{}]", "[[],[]]", "{\"a\":{},\"b\":[]}",
		"[1,2.5,null,true]", "{\"a\":[1,{\"b\":\"[{,:}] \\\" \\\\\"}],\"c\":\"\"}",
		"[\"\\\\\",\"\\\"\"]", "[[[[\"x\"]]]]"};

	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		json_t *json = json_loads(texts[i], 0, NULL);
		char *expected = json_dumps(json, JSON_INDENT(4)), *lines = jsontext_indent(texts[i]);

		assert_string_equal(lines, expected);
		free(expected);
		free(lines);
		json_decref(json);
	}
}

static void texts_are_quoted(void **state)
{
	char *quoted = jsontext_quote("say \"\\\" \n \xc3\xa9");

	assert_string_equal(quoted, "\"say \\\"\\\\\\\" \\n \xc3\xa9\"");
	free(quoted);
	assert_null(jsontext_quote("\xff"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(integers_have_64_bits),
		cmocka_unit_test(nothing_else_is_one),
		cmocka_unit_test(bad_json_stays_bad),
		cmocka_unit_test(strings_are_left_alone),
		cmocka_unit_test(lines_are_the_librarys),
		cmocka_unit_test(texts_are_quoted),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

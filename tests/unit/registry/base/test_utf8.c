/* Whatever bytes there are, what comes out is UTF-8 that JSON takes, and no character is cut. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/utf8.h"
#include "tests/unit/unit.h"

static void copied(const char *text, size_t max, const char *expected)
{
	size_t len = utf8_fits(text, max);
	char out[64];

	assert_true(len <= max && len < sizeof(out));
	utf8_copy(out, text, len);
	assert_string_equal(out, expected);
}

static void characters_are_kept_or_replaced(void **state)
{
	copied("plain\ttext\r\n", 63, "plain\ttext\r\n");
	copied("caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", 63, "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80");
	copied("\x01\x1b\x7f", 63, "???");
	copied("\xff\xfe", 63, "??");
	copied("\xc0\xaf \xe0\x80\xaf", 63, "?? ???"); /* longer than need be */
	copied("\xed\xa0\x80", 63, "???");	       /* a surrogate */
	copied("\xf4\x90\x80\x80", 63, "????");	       /* beyond U+10FFFF */
	copied("\xe2\x82", 63, "??");		       /* cut */
	copied("\xe2\x82X", 63, "??X");
}

static void no_character_is_cut(void **state)
{
	copied("abc", 2, "ab");
	copied("caf\xc3\xa9", 4, "caf");
	copied("\xf0\x9f\x98\x80", 3, "");
	copied("a\xf0\x9f\x98\x80", 4, "a");
	copied("", 4, "");
}

static void json_takes_whatever_comes_out(void **state)
{
	char text[24], out[24];

	srand(7);
	for (unsigned round = 0; round < 200000; round++) {
		size_t len = (size_t)rand() % (sizeof(text) - 1), fits;
		json_t *json;

		for (size_t i = 0; i < len; i++)
			text[i] = (char)(rand() % 2 ? 0x80 + rand() % 0x80 : 1 + rand() % 0xff);
		text[len] = '\0';
		json = json_string(text);
		assert_int_equal(utf8_is(text), json != NULL);
		json_decref(json);
		fits = utf8_fits(text, (size_t)rand() % sizeof(text));
		utf8_copy(out, text, fits);
		assert_int_equal(strlen(out), fits);
		json = json_string(out);
		assert_non_null(json);
		json_decref(json);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(characters_are_kept_or_replaced),
		cmocka_unit_test(no_character_is_cut),
		cmocka_unit_test(json_takes_whatever_comes_out),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

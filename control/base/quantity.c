#include "control/base/quantity.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum { DIGITS_MAX = 15, DECIMALS_MAX = 9 };
#define QUANTITY_MAX UINT64_C(1000000000000000)

static uint64_t unit_of(const char *text)
{
	static const struct {
		const char *text;
		uint64_t value;
	} units[] = {{"", 1}, {"K", 1000}, {"M", 1000000}, {"G", 1000000000}};

	for (unsigned i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(text, units[i].text) == 0)
			return units[i].value;
	return 0;
}

/* The digits of `text` as a number; *digits is how many there are. */
static uint64_t number_of(const char *text, size_t *digits)
{
	uint64_t value = 0;

	*digits = strspn(text, "0123456789");
	for (size_t i = 0; i < *digits && i < DIGITS_MAX; i++)
		value = value * 10 + (uint64_t)(text[i] - '0');
	return value;
}

static bool read_text(const char *text, uint64_t *out)
{
	uint64_t whole, part = 0, unit, scale = 1;
	size_t digits;

	whole = number_of(text, &digits);
	if (digits == 0 || digits > DIGITS_MAX)
		return false;
	text += digits;
	if (*text == '.') {
		part = number_of(text + 1, &digits);
		if (digits == 0 || digits > DECIMALS_MAX)
			return false;
		text += 1 + digits;
		for (; digits > 0; digits--)
			scale *= 10;
	}
	unit = unit_of(text);
	if (unit == 0 || whole > QUANTITY_MAX / unit || part * unit % scale != 0)
		return false;
	*out = whole * unit + part * unit / scale;
	return true;
}

bool quantity_read(const json_t *value, uint64_t *out)
{
	json_int_t number = json_integer_value(value);

	if (json_is_string(value))
		return strlen(json_string_value(value)) == json_string_length(value) &&
		       read_text(json_string_value(value), out);
	if (!json_is_integer(value) || number < 0 || (uint64_t)number > QUANTITY_MAX)
		return false;
	*out = (uint64_t)number;
	return true;
}

const char *quantity_text(uint64_t value, char text[QUANTITY_TEXT])
{
	static const char units[] = "KMG";
	unsigned n = 0;

	while (value && value % 1000 == 0 && n < 3) {
		value /= 1000;
		n++;
	}
	snprintf(text, QUANTITY_TEXT, "%" PRIu64 "%.*s", value, n ? 1 : 0, n ? &units[n - 1] : "");
	return text;
}

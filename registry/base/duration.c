#include "registry/base/duration.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

enum { NS_US = 1000 };

static const struct {
	const char *name;
	int64_t ns;
} units[] = {
	/* the longer names first: "ms" is not "m" */
	{"ns", 1},
	{"us", NS_US},
	{"\xc2\xb5s", NS_US},
	{"\xce\xbcs", NS_US},
	{"ms", 1000000},
	{"s", 1000000000},
	{"m", 60000000000},
	{"h", 3600000000000},
};

/* Steps over a unit. 0: there is none. */
static int64_t take_unit(const char **at)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++) {
		size_t len = strlen(units[i].name);

		if (strncmp(*at, units[i].name, len) == 0) {
			*at += len;
			return units[i].ns;
		}
	}
	return 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* One number with its unit, in ns. */
static int take_part(const char **at, int64_t *ns)
{
	int64_t whole = 0, fraction = 0, scale = 1, unit;
	bool digits = false;

	for (; is_digit(**at); (*at)++, digits = true)
		if (__builtin_mul_overflow(whole, 10, &whole) ||
			__builtin_add_overflow(whole, **at - '0', &whole))
			return -ERANGE;
	if (**at == '.')
		for ((*at)++; is_digit(**at); (*at)++, digits = true)
			if (scale <= INT64_MAX / 100) { /* finer digits are below a nanosecond */
				scale *= 10;
				fraction = 10 * fraction + (**at - '0');
			}
	unit = take_unit(at);
	if (!digits || !unit)
		return -EINVAL;
	if (__builtin_mul_overflow(whole, unit, ns) ||
		__builtin_add_overflow(*ns, (int64_t)((__int128)fraction * unit / scale), ns))
		return -ERANGE;
	return 0;
}

int duration_parse(const char *text, int64_t *us)
{
	const char *at = text + (*text == '-' || *text == '+');
	int64_t sum = 0, part;
	int rc = 0;

	if (strcmp(at, "0") == 0) {
		*us = 0;
		return 0;
	}
	if (!*at)
		return -EINVAL;
	while (!rc && *at) {
		rc = take_part(&at, &part);
		if (!rc && __builtin_add_overflow(sum, part, &sum))
			rc = -ERANGE;
	}
	*us = (*text == '-' ? -sum : sum) / NS_US;
	return rc;
}

/* `value` of 1/scale units as a decimal without trailing zeros. */
static void put_decimal(char *text, size_t size, uint64_t value, uint64_t scale, const char *unit)
{
	char digits[24] = "";
	uint64_t rest = value % scale;
	size_t len = 0;

	for (uint64_t at = scale / 10; rest && at; at /= 10) {
		digits[len++] = (char)('0' + rest / at);
		rest %= at;
	}
	digits[len] = '\0';
	snprintf(text, size, "%" PRIu64 "%s%s%s", value / scale, len ? "." : "", digits, unit);
}

const char *duration_text(int64_t us, char text[DURATION_TEXT])
{
	uint64_t left = us < 0 ? -(uint64_t)us : (uint64_t)us, minutes = left / 60000000;
	int n = 0;

	if (us < 0)
		text[n++] = '-';
	if (left == 0)
		snprintf(text, DURATION_TEXT, "0s");
	else if (left < 1000)
		snprintf(text + n, DURATION_TEXT - (size_t)n, "%" PRIu64 "\xc2\xb5s", left);
	else if (left < 1000000)
		put_decimal(text + n, DURATION_TEXT - (size_t)n, left, 1000, "ms");
	else {
		if (minutes >= 60)
			n += snprintf(text + n, DURATION_TEXT - (size_t)n, "%" PRIu64 "h", minutes / 60);
		if (minutes)
			n += snprintf(text + n, DURATION_TEXT - (size_t)n, "%" PRIu64 "m", minutes % 60);
		put_decimal(text + n, DURATION_TEXT - (size_t)n, left % 60000000, 1000000, "s");
	}
	return text;
}

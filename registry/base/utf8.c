#include "registry/base/utf8.h"

#include <stdint.h>
#include <string.h>

/* Bytes of the character that begins here, 0: none does. RFC 3629, section 4. */
static size_t length(const uint8_t *at, size_t len)
{
	static const struct {
		uint8_t first, last;	 /* of the first byte */
		uint8_t second, highest; /* of the second; those that follow are 80..BF */
		uint8_t size;
	} rows[] = {
		{0xc2, 0xdf, 0x80, 0xbf, 2},
		{0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3},
		{0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3},
		{0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4},
		{0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	if (at[0] < 0x80)
		return 1;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (at[0] < rows[i].first || at[0] > rows[i].last || len < rows[i].size ||
			at[1] < rows[i].second || at[1] > rows[i].highest)
			continue;
		for (size_t next = 2; next < rows[i].size; next++)
			if (at[next] >> 6 != 2)
				return 0;
		return rows[i].size;
	}
	return 0;
}

bool utf8_is(const char *text)
{
	const uint8_t *at = (const uint8_t *)text;
	size_t left = strlen(text);

	for (size_t size; left; at += size, left -= size) {
		size = length(at, left);
		if (size == 0)
			return false;
	}
	return true;
}

size_t utf8_fits(const char *text, size_t max)
{
	size_t len = strnlen(text, max + 1);

	if (len <= max)
		return len;
	for (len = max; len > 0 && max - len < 4 && (uint8_t)text[len] >> 6 == 2;)
		len--;
	return len;
}

static bool is_shown(char c)
{
	return (uint8_t)c >= ' ' ? c != 0x7f : c == '\t' || c == '\n' || c == '\r';
}

void utf8_copy(char *out, const char *text, size_t len)
{
	for (size_t i = 0, size; i < len; i += size) {
		size = length((const uint8_t *)text + i, len - i);
		if (size > 1) {
			memcpy(out + i, text + i, size);
			continue;
		}
		out[i] = size == 1 && is_shown(text[i]) ? text[i] : '?';
		size = 1;
	}
	out[len] = '\0';
}

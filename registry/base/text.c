#include "registry/base/text.h"

#include <stdlib.h>
#include <string.h>

bool text_copy(char **out, const char *text)
{
	*out = text ? strdup(text) : NULL;
	return *out || !text;
}

size_t text_size(const char *text)
{
	return text ? strlen(text) + 1 : 0;
}

const char *text_put(char **at, const char *text)
{
	size_t size = text_size(text);

	if (!text)
		return NULL;
	*at += size;
	return memcpy(*at - size, text, size);
}

bool text_same(const char *a, const char *b)
{
	return !a == !b && (!a || strcmp(a, b) == 0);
}

bool text_same_pairs(const struct reg_pair *a, size_t na, const struct reg_pair *b, size_t nb)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (strcmp(a[i].key, b[i].key) != 0 || strcmp(a[i].value, b[i].value) != 0)
			return false;
	return true;
}

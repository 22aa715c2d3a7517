#include "registry/base/text.h"

#include <string.h>

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

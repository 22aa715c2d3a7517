#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/base64.h"
#include "registry/etcd/inside.h"

json_t *etcd_encode_bytes(const void *bytes, size_t len)
{
	char *base64 = base64_text(bytes, len);
	json_t *json = base64 ? json_string(base64) : NULL;

	free(base64);
	return json;
}

json_t *etcd_encode(const char *text)
{
	return etcd_encode_bytes(text, strlen(text));
}

json_t *etcd_encode_int(int64_t value)
{
	char text[24];

	snprintf(text, sizeof(text), "%lld", (long long)value);
	return json_string(text);
}

/* A byte that has none after it is left out. */
char *etcd_prefix_end(const char *prefix)
{
	char *end = strdup(prefix);
	size_t len = end ? strlen(end) : 0;

	while (len && (unsigned char)end[len - 1] == 0xff)
		end[--len] = '\0';
	if (len)
		end[len - 1] = (char)((unsigned char)end[len - 1] + 1);
	return end;
}

#include "registry/base/base64.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

char *base64_text(const void *bytes, size_t len)
{
	char *text = malloc((len + 2) / 3 * 4 + 1);

	if (text)
		EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
	return text;
}

/* How many bytes at its end are padding; negative: it is no base64. The library takes more than that. */
static int padding_of(const char *base64, size_t len)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t used = strspn(base64, digits);
	size_t padding = len - used;

	if (len % 4 || padding > 2 || strspn(base64 + used, "=") != padding)
		return -EINVAL;
	return (int)padding;
}

int base64_bytes(const char *base64, char **bytes, size_t *len)
{
	size_t given = strlen(base64);
	int padding = padding_of(base64, given), n;

	if (padding < 0)
		return padding;
	*bytes = malloc(given / 4 * 3 + 1);
	if (!*bytes)
		return -ENOMEM;
	n = given ? EVP_DecodeBlock((unsigned char *)*bytes, (const unsigned char *)base64, (int)given) : 0;
	if (n < padding) {
		free(*bytes);
		*bytes = NULL;
		return -EINVAL;
	}
	*len = (size_t)(n - padding); /* what padding stands for is decoded as zeros */
	(*bytes)[*len] = '\0';
	return 0;
}

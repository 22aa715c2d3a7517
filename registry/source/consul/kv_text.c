/* kv_text.c: keys and values as Consul shows them: JSON, with values in base64. */
#include <errno.h>
#include <inttypes.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/http/jsontext.h"
#include "registry/source/consul/kv.h"

char *kv_text_base64(const void *bytes, size_t len)
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

int kv_text_bytes(const char *base64, char **bytes, size_t *len)
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
		return -EINVAL;
	}
	*len = (size_t)(n - padding); /* what padding stands for is decoded as zeros */
	return 0;
}

char *kv_text(const struct kv_entry *entry, bool value)
{
	bool shown = value && entry->len, held = entry->session[0];
	char *key = jsontext_quote(entry->key), *text = NULL;
	char *base64 = shown ? kv_text_base64(entry->value, entry->len) : NULL;

	if (key && (base64 || !shown) &&
		asprintf(&text,
			"{\"LockIndex\":%" PRIu64 ",\"Key\":%s,\"Flags\":%" PRIu64 ",\"Value\":%s%s%s%s%s%s"
			",\"CreateIndex\":%" PRIu64 ",\"ModifyIndex\":%" PRIu64 "}",
			entry->lock_index, key, entry->flags, shown ? "\"" : "", shown ? base64 : "null",
			shown ? "\"" : "", held ? ",\"Session\":\"" : "", entry->session, held ? "\"" : "",
			entry->created, entry->modified) < 0)
		text = NULL;
	free(key);
	free(base64);
	return text;
}

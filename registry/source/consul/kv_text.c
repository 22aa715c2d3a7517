/* kv_text.c: keys and values as Consul shows them: JSON, with values in base64. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "registry/base/base64.h"
#include "registry/http/jsontext.h"
#include "registry/source/consul/kv.h"

char *kv_text(const struct kv_entry *entry, bool value)
{
	bool shown = value && entry->len, held = entry->session[0];
	char *key = jsontext_quote(entry->key), *text = NULL;
	char *base64 = shown ? base64_text(entry->value, entry->len) : NULL;

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

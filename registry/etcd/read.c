#include <stdlib.h>

#include "registry/base/base64.h"
#include "registry/etcd/inside.h"

int64_t etcd_int(const json_t *object, const char *field)
{
	const json_t *value = json_object_get(object, field);

	return json_is_string(value) ? strtoll(json_string_value(value), NULL, 10)
				     : json_integer_value(value);
}

void etcd_read_header(const json_t *json, struct etcd_answer *answer)
{
	const json_t *header = json_object_get(json, "header"), *id = json_object_get(header, "cluster_id");

	answer->revision = etcd_int(header, "revision");
	answer->cluster_id = json_is_string(id) ? strtoull(json_string_value(id), NULL, 10)
						: (uint64_t)json_integer_value(id);
}

/* The bytes end with a 0 besides; what is absent is empty. */
static bool read_bytes(const json_t *json, const char *field, const char **out, size_t *len)
{
	const char *text = json_string_value(json_object_get(json, field));
	char *bytes, *ended;

	*out = NULL;
	if (base64_bytes(text ? text : "", &bytes, len) < 0)
		return false;
	ended = realloc(bytes, *len + 1);
	if (!ended) {
		free(bytes);
		return false;
	}
	ended[*len] = '\0';
	*out = ended;
	return true;
}

bool etcd_read_kv(const json_t *json, struct etcd_kv *kv)
{
	*kv = (struct etcd_kv){.created = etcd_int(json, "create_revision"),
		.mod = etcd_int(json, "mod_revision"),
		.lease = etcd_int(json, "lease")};
	if (read_bytes(json, "key", &kv->key, &kv->key_len) &&
		read_bytes(json, "value", &kv->value, &kv->len))
		return true;
	etcd_kv_free(kv);
	return false;
}

void etcd_kv_free(struct etcd_kv *kv)
{
	free((char *)kv->key);
	free((char *)kv->value);
}

/* used.c: whether hosts have ports in a network, by the store: this host hears only of the networks that it is in itself. */
#include <stdio.h>
#include <string.h>

#include "control/global/inside.h"
#include "registry/etcd/etcd.h"

enum { KEY = 256 };

/* A host takes its ports out of a value before it deletes that. What is not understood may be ports. */
static bool has_ports(const struct etcd_kv *kv)
{
	json_t *json = json_loadb(kv->value, kv->len, 0, NULL);
	const json_t *ports = json_object_get(json, "ep");
	bool none = json_is_array(ports) && !json_array_size(ports);

	json_decref(json);
	return !none;
}

/* PREFIX-net/NETWORK/HOST/N */
static void on_kv(void *arg, const struct etcd_kv *kv)
{
	struct global_users *users = arg;
	const char *host = kv->key_len > users->skip ? kv->key + users->skip : "", *end = strchr(host, '/');
	size_t len = end ? (size_t)(end - host) : strlen(host);

	if (users->who[0] || !len || !has_ports(kv))
		return;
	if (len == strlen(users->global->host) && !memcmp(host, users->global->host, len))
		return;
	snprintf(users->who, sizeof(users->who), "%.*s", (int)len, host);
}

static void on_all(void *arg, const struct etcd_answer *answer)
{
	struct global_users *users = arg;

	users->done(users->arg, answer, users->who);
}

struct etcd_op *global_find_users(struct global_users *users, const char *network)
{
	char prefix[KEY];

	users->who[0] = '\0';
	users->skip = (size_t)snprintf(prefix, sizeof(prefix), "%s%s/", users->global->ports_prefix, network);
	return users->skip < sizeof(prefix) ? etcd_scan(users->global->etcd, prefix, on_kv, on_all, users)
					    : NULL;
}

/* show.c: what people see of it. */
#include "control/cluster/show.h"

#include <string.h>

#include "control/base/result.h"
#include "control/cluster/inside.h"
#include "control/global/global.h"
#include "registry/source/hosts/hosts.h"

enum { SECOND_MS = 1000 };

static json_t *members_json(const struct cluster *cluster)
{
	static const char *const states[] = {
		[ETCD_UNTRIED] = "untried", [ETCD_UP] = "up", [ETCD_DOWN] = "down"};
	struct etcd_member member;
	json_t *list = json_array();

	for (size_t i = 0; etcd_member(cluster->etcd, i, &member); i++) {
		json_t *object = json_object();

		put_str(object, "url", member.url);
		put_str(object, "state", states[member.state]);
		put_bool(object, "current", member.current);
		put_str(object, "why", member.why[0] ? member.why : NULL);
		json_array_append_new(list, object);
	}
	return list;
}

static bool is_panic(const struct cluster *cluster, unsigned *hosts)
{
	unsigned lost;

	*hosts = view_count(&cluster->view, &lost);
	return view_panics(lost, *hosts);
}

json_t *cluster_show_status(void *arg)
{
	const struct cluster *cluster = arg;
	const char *why = cluster_read_why(cluster);
	json_t *object = json_object();
	unsigned hosts;
	bool panic = is_panic(cluster, &hosts);
	const struct hosts_info info = hosts_info(cluster->hosts);

	put_str(object, "host", cluster->host);
	put_str(object, "state", cluster->reading ? "up" : "away");
	put_str(object, "why", why[0] ? why : NULL);
	put(object, "etcd", members_json(cluster));
	put_int(object, "revision", (uint64_t)cluster->view.revision);
	put_int(object, "lag_ms", (uint64_t)cluster_read_lag_ms(cluster));
	put_int(object, "age_s", (uint64_t)(cluster_read_age_ms(cluster) / SECOND_MS));
	put_int(object, "hosts", hosts);
	put_int(object, "keys", HASH_COUNT(cluster->view.keys));
	put_bool(object, "panic", panic);
	put_str(object, "conflict", cluster->conflict[0] ? cluster->conflict : NULL);
	put_bool(object, "waiting", cluster->behind_writes);
	put_int(object, "unplaced", cluster->unplaced);
	put_int(object, "refused", cluster->view.refused);
	put_int(object, "instances", info.instances);
	put_int(object, "unregistered", info.refused);
	put_int(object, "untold", info.untold);
	put(object, "global", global_status(cluster->global));
	return object;
}

static json_t *host_json(const struct cluster *cluster, const struct view_host *host)
{
	bool self = !strcmp(host->name, cluster->host);
	const struct hosts_info info = hosts_info(cluster->hosts);
	struct dp_peer peer;
	const struct view_key *key;
	json_t *object = json_object();
	char address[IP_TEXT];
	unsigned endpoints = 0;

	TAILQ_FOREACH (key, &host->keys, link)
		endpoints += key->chunk ? key->chunk->n : 0;
	put_str(object, "host", host->name);
	put_str(object, "address",
		ip_is_none(host->record.address) ? NULL : ip_text(host->record.address, address));
	put_str(object, "zone", host->record.zone);
	put_str(object, "state",
		host->believed				  ? "suspect"
		: cluster_register_is_lost(cluster, host) ? "down"
							  : "up");
	put_str(object, "bfd", cluster_register_peer(cluster, host, &peer) ? peer.state : NULL);
	put_int(object, "seen_s",
		host->alive_key ? 0 : (uint64_t)((cluster_now_ms() - host->since_ms) / SECOND_MS));
	put_int(object, "endpoints", endpoints);
	put_int(object, "instances", self ? info.told : hosts_count(cluster->hosts, host->name));
	put_bool(object, "self", self);
	return object;
}

static int by_name(struct view_host *a, struct view_host *b)
{
	return strcmp(a->name, b->name);
}

json_t *cluster_show_hosts(void *arg)
{
	struct cluster *cluster = arg;
	struct view_host *host, *next;
	json_t *list = json_array();

	HASH_SORT(cluster->view.hosts, by_name);
	HASH_ITER(hh, cluster->view.hosts, host, next)
	if (host->known)
		json_array_append_new(list, host_json(cluster, host));
	return list;
}

static int by_key(struct view_key *a, struct view_key *b)
{
	return strcmp(a->key, b->key);
}

static json_t *value_json(const struct view_key *key)
{
	json_t *json = json_loadb(key->value, key->len, 0, NULL);

	if (json)
		return json;
	json = json_stringn(key->value, key->len);
	return json ? json : json_null();
}

json_t *cluster_show_keys(void *arg)
{
	struct cluster *cluster = arg;
	struct view_key *key, *next;
	json_t *list = json_array();
	char text[VIEW_KEY + CLUSTER_PREFIX];

	HASH_SORT(cluster->view.keys, by_key);
	HASH_ITER(hh, cluster->view.keys, key, next)
	{
		json_t *object = json_object();

		put_str(object, "key", cluster_key(cluster, key->key, text, sizeof(text)));
		put_int(object, "revision", (uint64_t)key->mod);
		put(object, "lease", key->lease ? json_sprintf("%llx", (long long)key->lease) : json_null());
		put_str(object, "state", key->ended ? "held" : key->why ? "refused" : "there");
		put_str(object, "why", key->why);
		put(object, "value", value_json(key));
		json_array_append_new(list, object);
	}
	global_list_keys(cluster->global, list);
	return list;
}

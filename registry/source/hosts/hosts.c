/* hosts.c: the other hosts, and the texts that are known of them. */
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/error.h"
#include "registry/source/hosts/inside.h"

struct hosts_host *hosts_find(const struct hosts *hosts, const char *name)
{
	struct hosts_host *host;

	HASH_FIND_STR(hosts->hosts, name, host);
	return host;
}

static struct hosts_host *host_make(struct hosts *hosts, const char *name)
{
	struct hosts_host *host = hosts_find(hosts, name);

	if (host || strlen(name) >= HOSTS_NAME || HASH_COUNT(hosts->hosts) >= HOSTS_HOSTS)
		return host;
	host = calloc(1, sizeof(*host));
	if (!host)
		return NULL;
	strcpy(host->name, name);
	HASH_ADD_STR(hosts->hosts, name, host);
	if (host->hh.tbl)
		return host;
	free(host);
	return NULL;
}

static struct hosts_key *key_make(struct hosts_host *host, const char *name)
{
	struct hosts_key *key;

	HASH_FIND_STR(host->keys, name, key);
	if (key || strlen(name) >= HOSTS_KEY)
		return key;
	key = calloc(1, sizeof(*key));
	if (!key)
		return NULL;
	strcpy(key->key, name);
	key->host = host;
	TAILQ_INIT(&key->places);
	HASH_ADD_STR(host->keys, key, key);
	if (key->hh.tbl)
		return key;
	free(key);
	return NULL;
}

void hosts_place_free(struct hosts *hosts, struct hosts_place *place)
{
	TAILQ_REMOVE(&place->key->places, place, link);
	share_give(&hosts->room, &place->key->host->instances, 1);
	HASH_DEL(hosts->places, place);
	free(place);
}

static void key_free(struct hosts *hosts, struct hosts_key *key)
{
	struct hosts_place *place;

	while ((place = TAILQ_FIRST(&key->places)))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed is in the list no more */
		hosts_place_free(hosts, place);
	if (key->changed)
		TAILQ_REMOVE(&hosts->changed, key, change);
	json_decref(key->wanted);
	HASH_DEL(key->host->keys, key);
	free(key);
}

static void host_free(struct hosts *hosts, struct hosts_host *host)
{
	struct hosts_key *key, *next;

	HASH_ITER(hh, host->keys, key, next)
	key_free(hosts, key);
	json_decref(host->wanted);
	/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the same */
	HASH_DEL(hosts->hosts, host);
	free(host);
}

static void settle(struct hosts *hosts, struct hosts_host *host)
{
	struct hosts_key *key, *next;
	struct reg_err err;

	HASH_ITER(hh, host->keys, key, next)
	{
		if (key->gone && key->changed)
			host->left = true; /* its turn is to come */
		else if (key->gone)
			key_free(hosts, key);
	}
	if (host->keys || host->wanted)
		return;
	if (host->node[0])
		registry_node_del(hosts->reg, host->node, &err);
	host_free(hosts, host);
}

void hosts_settle(struct hosts *hosts)
{
	struct hosts_host *host, *next;

	HASH_ITER(hh, hosts->hosts, host, next)
	{
		if (!host->left)
			continue;
		host->left = false;
		settle(hosts, host);
	}
}

static void wake(struct hosts *hosts)
{
	event_active(hosts->turn, 0, 0);
}

static void change(struct hosts *hosts, struct hosts_key *key)
{
	if (!key->changed)
		TAILQ_INSERT_TAIL(&hosts->changed, key, change);
	key->changed = true;
	wake(hosts);
}

/* Is each of its instances one? */
static int check_instances(const json_t *json, struct reg_err *err)
{
	const json_t *list = json_object_get(json, "in");
	struct hosts_instance read;

	if (!json_is_array(list) || json_array_size(list) > HOSTS_CHUNK)
		return reg_fail(err, -EINVAL, "in: must be a list of at most %d", HOSTS_CHUNK);
	for (size_t i = 0; i < json_array_size(list); i++)
		if (hosts_read_instance(json_array_get(list, i), "", &read, err) < 0)
			return -EINVAL;
	return 0;
}

static int check_node(const json_t *json, struct reg_err *err)
{
	struct hosts_node read;

	return hosts_read_node(json, &read, err);
}

/* Takes `json` over. */
static int put_node(struct hosts *hosts, const char *name, json_t *json, struct reg_err *err)
{
	struct hosts_host *host = check_node(json, err) < 0 ? NULL : host_make(hosts, name);

	if (!host) {
		json_decref(json);
		return -1;
	}
	json_decref(host->wanted);
	host->wanted = json;
	host->dirty = true;
	wake(hosts);
	return 0;
}

static int put_instances(
	struct hosts *hosts, const char *name, const char *text, json_t *json, struct reg_err *err)
{
	struct hosts_host *host = check_instances(json, err) < 0 ? NULL : host_make(hosts, name);
	struct hosts_key *key = host ? key_make(host, text) : NULL;

	if (!key) {
		json_decref(json);
		return -1;
	}
	json_decref(key->wanted);
	key->wanted = json;
	key->gone = false;
	change(hosts, key);
	return 0;
}

int hosts_put(struct hosts *hosts, const char *host, const char *key, const char *text, size_t len,
	const char **why)
{
	struct reg_err err = {"too many hosts or keys"};
	json_t *json = hosts_read_text(text, len, &err);
	int rc = -1;

	if (json && strcmp(key, "node") == 0)
		rc = put_node(hosts, host, json, &err);
	else if (json)
		rc = put_instances(hosts, host, key, json, &err);
	snprintf(hosts->why, sizeof(hosts->why), "%s", err.text);
	*why = rc < 0 ? hosts->why : NULL;
	return rc;
}

void hosts_drop(struct hosts *hosts, const char *name, const char *text)
{
	struct hosts_host *host = hosts_find(hosts, name);
	struct hosts_key *key = NULL;

	if (!host)
		return;
	host->left = true;
	if (strcmp(text, "node") == 0) {
		json_decref(host->wanted);
		host->wanted = NULL;
		host->dirty = true;
		wake(hosts);
		return;
	}
	HASH_FIND_STR(host->keys, text, key);
	if (!key)
		return;
	json_decref(key->wanted);
	key->wanted = NULL;
	key->gone = true;
	change(hosts, key);
}

void hosts_state(struct hosts *hosts, const char *name, bool lost, struct ip_addr address)
{
	struct hosts_host *host = hosts_find(hosts, name);

	if (!host || (host->lost == lost && ip_equal(host->address, address)))
		return;
	host->lost = lost;
	host->address = address;
	host->dirty = true;
	wake(hosts);
}

static void ask_again(struct hosts *hosts)
{
	struct hosts_host *host, *next;

	HASH_ITER(hh, hosts->hosts, host, next)
	{
		if (!host->again)
			continue;
		host->again = false;
		hosts->ask_again(hosts->arg, host->name);
	}
}

static void on_turn(evutil_socket_t fd, short what, void *arg)
{
	struct hosts *hosts = arg;

	ask_again(hosts);
	if (hosts_apply_turn(hosts))
		wake(hosts);
}

void hosts_apply(struct hosts *hosts)
{
	while (hosts_apply_turn(hosts))
		;
}

enum { RETRY_TICKS = 10 };

void hosts_tick(struct hosts *hosts)
{
	struct hosts_host *host, *next;
	struct hosts_key *key, *next_key;

	if (++hosts->ticks % RETRY_TICKS)
		return;
	HASH_ITER(hh, hosts->hosts, host, next)
	{
		bool refused = host->refused;

		HASH_ITER(hh, host->keys, key, next_key)
		refused = refused || key->refused;
		host->again = host->again || refused;
		if (host->again)
			wake(hosts);
	}
}

/* One of our instances has left the registry. */
static void on_gone(void *arg, const char *service, const struct reg_backend *backend)
{
	struct hosts *hosts = arg;
	char name[REG_SERVICE_MAX + REG_ID_MAX + 2];
	struct hosts_place *place;

	if (hosts->applies)
		return;
	snprintf(name, sizeof(name), "%s\n%s", service, backend->id);
	HASH_FIND_STR(hosts->places, name, place);
	if (!place)
		return;
	place->key->host->again = true;
	place->key->host->dirty = true;
	hosts_place_free(hosts, place);
	wake(hosts);
}

int hosts_open(const struct hosts_config *config, struct hosts **out)
{
	struct hosts *hosts = calloc(1, sizeof(*hosts));

	if (!hosts)
		return -ENOMEM;
	hosts->base = config->base;
	hosts->reg = config->reg;
	hosts->told = config->changed;
	hosts->ask_again = config->again;
	hosts->arg = config->arg;
	TAILQ_INIT(&hosts->changed);
	hosts->room = (struct share_room){.part = HOSTS_INSTANCES_EACH, .rest = HOSTS_INSTANCES / 2};
	hosts->source = (struct registry_source){
		.name = REG_CLUSTER, .arg = hosts, .everywhere = true, .gone = on_gone};
	registry_source_add(hosts->reg, &hosts->source);
	hosts->turn = event_new(hosts->base, -1, 0, on_turn, hosts);
	if (!hosts->turn || hosts_own_open(hosts) < 0) {
		hosts_close(hosts);
		return -ENOMEM;
	}
	*out = hosts;
	return 0;
}

void hosts_close(struct hosts *hosts)
{
	struct hosts_host *host, *next;

	if (!hosts)
		return;
	registry_source_del(hosts->reg, &hosts->source);
	hosts_own_close(hosts);
	HASH_ITER(hh, hosts->hosts, host, next)
	host_free(hosts, host);
	if (hosts->turn)
		event_free(hosts->turn);
	free(hosts);
}

struct hosts_info hosts_info(const struct hosts *hosts)
{
	struct hosts_info info = {
		.instances = HASH_COUNT(hosts->places),
		.told = HASH_COUNT(hosts->owns) - hosts->untold,
		.untold = hosts->untold,
	};
	struct hosts_host *host, *next;
	struct hosts_key *key, *next_key;

	HASH_ITER(hh, hosts->hosts, host, next)
	{
		info.refused += host->refused;
		HASH_ITER(hh, host->keys, key, next_key)
		info.refused += key->refused;
	}
	return info;
}

size_t hosts_count(const struct hosts *hosts, const char *name)
{
	const struct hosts_host *host = hosts_find(hosts, name);

	return host ? host->instances : 0;
}

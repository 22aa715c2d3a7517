#include "control/cluster/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOSTS "hosts/"
#define IPAM "ipam/"

void view_open(
	struct view *view, const char *self, void (*changed)(void *arg, struct view_key *key), void *arg)
{
	*view = (struct view){
		.changed = changed,
		.arg = arg,
		.room_keys = {.part = VIEW_KEYS_EACH, .rest = VIEW_KEYS / 2},
		.room_bytes = {.part = VIEW_BYTES_EACH, .rest = VIEW_BYTES / 2},
	};
	TAILQ_INIT(&view->changes);
	snprintf(view->self, sizeof(view->self), "%s", self);
}

const struct view_key *view_find(const struct view *view, const char *key)
{
	struct view_key *found = NULL;

	HASH_FIND_STR(view->keys, key, found);
	return found;
}

const struct view_host *view_host(const struct view *view, const char *name)
{
	struct view_host *found = NULL;

	HASH_FIND_STR(view->hosts, name, found);
	return found;
}

/* What follows "hosts/NAME/", with the name in `name`; NULL: it is no such key. */
static const char *split(const char *key, char name[VALUE_NAME])
{
	const char *begin = key + strlen(HOSTS), *slash;

	if (strncmp(key, HOSTS, strlen(HOSTS)) != 0)
		return NULL;
	slash = strchr(begin, '/');
	if (!slash || slash == begin || slash - begin >= VALUE_NAME)
		return NULL;
	snprintf(name, VALUE_NAME, "%.*s", (int)(slash - begin), begin);
	return slash + 1;
}

static struct view_host *host_make(struct view *view, const char *name)
{
	struct view_host *host = (struct view_host *)view_host(view, name);

	if (host || HASH_COUNT(view->hosts) >= VIEW_HOSTS)
		return host;
	host = calloc(1, sizeof(*host));
	if (!host)
		return NULL;
	TAILQ_INIT(&host->keys);
	snprintf(host->name, sizeof(host->name), "%s", name);
	HASH_ADD_STR(view->hosts, name, host);
	if (host->hh.tbl)
		return host;
	free(host);
	return NULL;
}

static void host_leave(struct view *view, struct view_host *host)
{
	if (!host || !TAILQ_EMPTY(&host->keys))
		return;
	HASH_DEL(view->hosts, host);
	free(host);
}

static struct view_used *used_by(struct view *view, struct view_host *host)
{
	return host ? &host->used : &view->used;
}

static struct view_key *key_make(struct view *view, const char *name)
{
	char host_name[VALUE_NAME];
	const char *rest;
	struct view_key *key;

	if (strlen(name) >= VIEW_KEY)
		return NULL;
	key = calloc(1, sizeof(*key) + strlen(name) + 1);
	if (!key)
		return NULL;
	strcpy(key->key, name);
	rest = split(name, host_name);
	if (rest) {
		key->registered = !strcmp(rest, "node") || !strncmp(rest, "in/", strlen("in/"));
		key->host = host_make(view, host_name);
		if (!key->host)
			goto fail;
	}
	if (!share_take(&view->room_keys, &used_by(view, key->host)->keys, 1))
		goto fail;
	HASH_ADD_STR(view->keys, key, key);
	if (key->hh.tbl) {
		if (key->host)
			TAILQ_INSERT_TAIL(&key->host->keys, key, link);
		return key;
	}
	share_give(&view->room_keys, &used_by(view, key->host)->keys, 1);
fail:
	host_leave(view, key->host);
	free(key);
	return NULL;
}

static void free_values(struct view_key *key)
{
	free(key->value);
	free(key->chunk);
	free(key->block);
	free(key->ask);
	free(key->reason);
}

static void key_free(struct view *view, struct view_key *key)
{
	struct view_host *host = key->host;

	if (key->changed)
		TAILQ_REMOVE(&view->changes, key, change);
	share_give(&view->room_keys, &used_by(view, host)->keys, 1);
	share_give(&view->room_bytes, &used_by(view, host)->bytes, key->len);
	if (host) {
		TAILQ_REMOVE(&host->keys, key, link);
		if (host->record_key == key)
			host->record_key = NULL;
		if (host->alive_key == key)
			host->alive_key = NULL;
		host_leave(view, host);
	}
	if (view->keys) /* it is in it */
		HASH_DEL(view->keys, key);
	free_values(key);
	free(key);
}

void view_close(struct view *view)
{
	struct view_key *key = view->keys, *next;
	struct view_host *host = view->hosts, *next_host;

	HASH_CLEAR(hh, view->keys);
	HASH_CLEAR(hh, view->hosts);
	for (; key; key = next) {
		next = key->hh.next;
		free_values(key);
		free(key);
	}
	for (; host; host = next_host) {
		next_host = host->hh.next;
		free(host);
	}
}

static void note(struct view *view, struct view_key *key)
{
	if (!key->changed)
		TAILQ_INSERT_TAIL(&view->changes, key, change);
	key->changed = true;
	view->partial = true;
}

static bool set_value(struct view *view, struct view_key *key, const char *value, size_t len)
{
	size_t *used = &used_by(view, key->host)->bytes;
	char *copy = malloc(len + 1);

	if (!copy || (len > key->len && !share_take(&view->room_bytes, used, len - key->len))) {
		free(copy);
		return false;
	}
	if (len < key->len)
		share_give(&view->room_bytes, used, key->len - len);
	memcpy(copy, value, len);
	copy[len] = '\0';
	free(key->value);
	key->value = copy;
	key->len = len;
	return true;
}

void view_put(struct view *view, const char *name, const char *value, size_t len, int64_t mod, int64_t lease)
{
	struct view_key *key = (struct view_key *)view_find(view, name);

	if (key && (view->scanning ? mod == key->mod : mod <= key->mod)) {
		key->seen = true;
		return;
	}
	if (!key)
		key = key_make(view, name);
	if (!key || len > VALUE_MAX || !set_value(view, key, value, len)) {
		view->refused++;
		if (key && !key->value)
			key_free(view, key);
		return;
	}
	key->mod = mod;
	key->lease = lease;
	key->ended = false;
	key->seen = true;
	note(view, key);
}

void view_end(struct view *view, const char *name, int64_t mod)
{
	struct view_key *key = (struct view_key *)view_find(view, name);

	if (!key || key->ended || mod <= key->mod)
		return;
	key->mod = mod;
	key->lease = 0;
	key->ended = true;
	note(view, key);
}

static void read_record(struct view_key *key, int64_t now_ms)
{
	struct view_host *host = key->host;
	struct value_host record;

	if (value_read_host(key->value, key->len, &record, &key->why) < 0)
		return;
	host->record = record;
	host->record_key = key;
	host->known = true;
	if (host->lost_ms)
		host->back_ms = now_ms;
	host->lost_ms = 0;
}

static void read_alive(struct view_key *key, int64_t now_ms)
{
	struct view_host *host = key->host;

	if (value_read_alive(key->value, key->len, host->alive_id, &key->why) < 0)
		return;
	if (!host->alive_key)
		host->since_ms = now_ms;
	host->alive_key = key;
}

/* `place`: "NETWORK/N", which has to be of the same network. */
static void take_chunk(struct view_key *key, struct value_chunk *chunk, const char *place)
{
	size_t len = strlen(chunk->network);

	if (strncmp(place, chunk->network, len) != 0 || place[len] != '/') {
		key->why = "network: not that of its key";
		free(chunk);
		return;
	}
	free(key->chunk);
	key->chunk = chunk;
}

static void read_ask(struct view_key *key, const char *place)
{
	struct block_ask *ask = block_ask_read(key->value, key->len, place, &key->why);

	if (!ask)
		return;
	free(key->ask);
	key->ask = ask;
	key->answered = false;
}

/* Keys that are of no host. */
static void read_shared(struct view_key *key)
{
	struct block_value *block;

	if (strncmp(key->key, IPAM, strlen(IPAM)) != 0) {
		key->why = "no key that is known";
		return;
	}
	block = block_read(key->value, key->len, key->key + strlen(IPAM), &key->why);
	if (!block)
		return;
	free(key->block);
	key->block = block;
}

/* A value that is not understood leaves what was known before: of a later version, it may say more of the same. */
static void read_value(struct view_key *key, int64_t now_ms)
{
	char name[VALUE_NAME];
	const char *rest = split(key->key, name);
	struct value_chunk *chunk;

	key->why = NULL;
	if (!rest)
		read_shared(key);
	else if (strcmp(rest, "host") == 0)
		read_record(key, now_ms);
	else if (strcmp(rest, "alive") == 0)
		read_alive(key, now_ms);
	else if (key->registered)
		return; /* view->changed() reads it */
	else if (strncmp(rest, "ask/", 4) == 0)
		read_ask(key, rest + strlen("ask/"));
	else if (strncmp(rest, "ep/", 3) != 0)
		key->why = "no key that is known";
	else if ((chunk = value_read_chunk(key->value, key->len, &key->why)))
		take_chunk(key, chunk, rest + strlen("ep/"));
}

/* The record ends with the lease that all the others are on, too. */
static void end_record(struct view *view, struct view_key *key, int64_t now_ms)
{
	if (key->host && key->host->record_key == key) {
		key->host->record_key = NULL;
		key->host->lost_ms = now_ms;
	}
	if (key->host && key->host->alive_key == key) {
		key->host->alive_key = NULL;
		key->host->since_ms = now_ms;
	}
}

/* Is it kept, since its owner may only be out of sight? What a host that is there has ended is ended. */
static bool is_held(const struct view *view, const struct view_key *key)
{
	return key->host && key->host->lost_ms && strcmp(key->host->name, view->self) != 0 &&
	       strcmp(key->key + strlen(key->key) - strlen("/alive"), "/alive") != 0;
}

void view_commit(struct view *view, int64_t revision, int64_t now_ms)
{
	struct view_key *key, *next;

	TAILQ_FOREACH (key, &view->changes, change) {
		if (key->ended)
			end_record(view, key, now_ms);
		else
			read_value(key, now_ms);
	}
	for (key = TAILQ_FIRST(&view->changes); key; key = next) {
		next = TAILQ_NEXT(key, change);
		TAILQ_REMOVE(&view->changes, key, change);
		key->changed = false;
		if (key->ended && is_held(view, key))
			continue; /* drop_host() ends it */
		view->changed(view->arg, key);
		if (key->ended)
			key_free(view, key);
	}
	view->partial = false;
	if (revision > view->revision)
		view->revision = revision;
}

void view_scan_begin(struct view *view, bool other)
{
	struct view_key *key, *next;

	HASH_ITER(hh, view->keys, key, next)
	{
		key->seen = false;
		if (other)
			key->mod = 0;
	}
	if (other)
		view->revision = 0;
	view->scanning = true;
	view->other = other;
}

/* A store that was replaced lacks everybody, until each has put its own again. */
static void hold_lost(struct view *view, int64_t now_ms)
{
	struct view_host *host, *next;

	HASH_ITER(hh, view->hosts, host, next)
	if (view->other && host->lost_ms == now_ms)
		host->doubtful = true;
	view->other = false;
}

void view_scan_end(struct view *view, int64_t revision, int64_t now_ms)
{
	struct view_key *key, *next;

	view->scanning = false;
	HASH_ITER(hh, view->keys, key, next)
	if (!key->seen && !key->ended && key->mod <= revision)
		view_end(view, key->key, revision > key->mod ? revision : key->mod + 1);
	view_commit(view, revision, now_ms);
	hold_lost(view, now_ms);
}

bool view_panics(unsigned lost, unsigned all)
{
	return lost >= 2 && lost * 100 > all * VIEW_PANIC_PCT;
}

unsigned view_count(const struct view *view, unsigned *lost)
{
	struct view_host *host, *next;
	unsigned all = 0;

	*lost = 0;
	HASH_ITER(hh, view->hosts, host, next)
	if (host->known) {
		all++;
		*lost += !host->alive_key;
	}
	return all;
}

static void drop_host(struct view *view, struct view_host *host)
{
	struct view_key *key, *next;

	for (key = TAILQ_FIRST(&host->keys); key; key = next) {
		bool last;

		next = TAILQ_NEXT(key, link);
		if (!key->ended)
			continue;
		last = !next && TAILQ_FIRST(&host->keys) == key;
		view->changed(view->arg, key);
		key_free(view, key);
		if (last)
			return; /* and so is the host */
	}
	host->lost_ms = host->back_ms = 0;
	host->doubtful = false;
}

void view_purge(struct view *view, int64_t now_ms, int64_t grace_ms, int64_t hold_ms)
{
	struct view_host *host, *next;
	unsigned lost = 0, all = 0;

	HASH_ITER(hh, view->hosts, host, next)
	{
		all += host->known;
		lost += host->lost_ms != 0;
	}
	HASH_ITER(hh, view->hosts, host, next)
	{
		bool holds = view_panics(lost, all) || host->doubtful;

		if (host->lost_ms ? now_ms - host->lost_ms >= (holds ? hold_ms : grace_ms)
				  : host->back_ms && now_ms - host->back_ms >= grace_ms)
			drop_host(view, host);
	}
}

#include "control/cluster/view.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void part_open(struct view *view, struct view_part *part, const char *network)
{
	snprintf(part->network, sizeof(part->network), "%s", network);
	TAILQ_INIT(&part->keys);
	TAILQ_INIT(&part->changes);
	TAILQ_INSERT_TAIL(&view->parts, part, link);
}

void view_open(
	struct view *view, const char *self, void (*changed)(void *arg, struct view_key *key), void *arg)
{
	*view = (struct view){
		.changed = changed,
		.arg = arg,
		.room_keys = {.part = VIEW_KEYS_EACH, .rest = VIEW_KEYS / 2},
		.room_bytes = {.part = VIEW_BYTES_EACH, .rest = VIEW_BYTES / 2},
	};
	TAILQ_INIT(&view->parts);
	part_open(view, &view->shared, "");
	snprintf(view->self, sizeof(view->self), "%s", self);
}

struct view_part *view_part(const struct view *view, const char *network)
{
	struct view_part *found = NULL;

	HASH_FIND_STR(view->by_network, network, found);
	return found;
}

struct view_part *view_part_make(struct view *view, const char *network)
{
	struct view_part *part = view_part(view, network);

	if (part)
		return part;
	part = calloc(1, sizeof(*part));
	if (!part)
		return NULL;
	part_open(view, part, network);
	HASH_ADD_STR(view->by_network, network, part);
	if (part->hh.tbl)
		return part;
	TAILQ_REMOVE(&view->parts, part, link);
	free(part);
	return NULL;
}

struct view_part *view_part_of(const struct view *view, const char *key)
{
	char network[VALUE_NAME];

	if (strncmp(key, VIEW_NET, strlen(VIEW_NET)) != 0)
		return (struct view_part *)&view->shared;
	return view_network_of(key, network) ? view_part(view, network) : NULL;
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
	struct view_part *part = view_part_of(view, name);
	struct view_key *key;

	if (strlen(name) >= VIEW_KEY || !part)
		return NULL;
	key = calloc(1, sizeof(*key) + strlen(name) + 1);
	if (!key)
		return NULL;
	strcpy(key->key, name);
	key->part = part;
	rest = view_split(name, host_name);
	if (rest) {
		key->registered =
			!part->network[0] && (!strcmp(rest, "node") || !strncmp(rest, "in/", strlen("in/")));
		key->host = host_make(view, host_name);
		if (!key->host)
			goto fail;
	}
	if (!share_take(&view->room_keys, &used_by(view, key->host)->keys, 1))
		goto fail;
	HASH_ADD_STR(view->keys, key, key);
	if (key->hh.tbl) {
		TAILQ_INSERT_TAIL(&part->keys, key, of_part);
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
		TAILQ_REMOVE(&key->part->changes, key, change);
	TAILQ_REMOVE(&key->part->keys, key, of_part);
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
	struct view_part *part;

	HASH_CLEAR(hh, view->by_network);
	while ((part = TAILQ_FIRST(&view->parts))) {
		TAILQ_REMOVE(&view->parts, part, link);
		if (part != &view->shared)
			free(part);
	}
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

static void note(struct view_key *key)
{
	if (!key->changed)
		TAILQ_INSERT_TAIL(&key->part->changes, key, change);
	key->changed = true;
	key->part->partial = true;
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

	if (key && (key->part->scanning ? mod == key->mod : mod <= key->mod)) {
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
	note(key);
}

void view_end(struct view *view, const char *name, int64_t mod)
{
	struct view_key *key = (struct view_key *)view_find(view, name);

	if (!key || key->ended || mod <= key->mod)
		return;
	key->mod = mod;
	key->lease = 0;
	key->ended = true;
	note(key);
}

/* The record ends with the lease that all the others are on, too. */
static void end_record(struct view *view, struct view_key *key, int64_t now_ms)
{
	if (key->host && key->host->record_key == key) {
		key->host->record_key = NULL;
		key->host->lost_ms = now_ms;
		view->holds = true;
	}
	if (key->host && key->host->alive_key == key) {
		key->host->alive_key = NULL;
		key->host->since_ms = now_ms;
	}
}

/* Is it kept, since its owner may only be out of sight? What a host that is there has ended is ended. */
static bool is_held(const struct view *view, const struct view_key *key)
{
	if (!key->host || !strcmp(key->host->name, view->self))
		return false;
	if (key->chunk && key->chunk->n)
		return true;
	return key->host->lost_ms && strcmp(key->key + strlen(key->key) - strlen("/alive"), "/alive") != 0;
}

/* Until its owner has put it again, or its owner's record has ended, too: drop_host() ends it. */
static void hold(struct view *view, struct view_host *host, int64_t now_ms)
{
	view->holds = true;
	if (!host->lost_ms)
		host->back_ms = now_ms;
}

static void end_key(struct view *view, struct view_key *key)
{
	key->ended = true;
	view->changed(view->arg, key);
	key_free(view, key);
}

void view_commit(struct view *view, struct view_part *part, int64_t revision, int64_t now_ms)
{
	struct view_key *key, *next;

	TAILQ_FOREACH (key, &part->changes, change) {
		if (key->ended)
			end_record(view, key, now_ms);
		else
			view_read(key, now_ms);
	}
	for (key = TAILQ_FIRST(&part->changes); key; key = next) {
		next = TAILQ_NEXT(key, change);
		TAILQ_REMOVE(&part->changes, key, change);
		key->changed = false;
		if (key->ended && is_held(view, key))
			hold(view, key->host, now_ms);
		else if (key->ended)
			end_key(view, key);
		else
			view->changed(view->arg, key);
	}
	part->partial = false;
	if (revision > part->revision)
		part->revision = revision;
	if (revision > view->revision)
		view->revision = revision;
}

void view_commit_all(struct view *view, int64_t now_ms)
{
	struct view_part *part;

	TAILQ_FOREACH (part, &view->parts, link)
		view_commit(view, part, 0, now_ms);
}

void view_part_drop(struct view *view, struct view_part *part)
{
	struct view_key *key;

	while ((key = TAILQ_FIRST(&part->keys)))
		end_key(view, key);
	TAILQ_REMOVE(&view->parts, part, link);
	HASH_DEL(view->by_network, part);
	free(part);
}

void view_scan_begin(struct view *view, struct view_part *part, bool other)
{
	struct view_key *key;

	TAILQ_FOREACH (key, &part->keys, of_part) {
		key->seen = false;
		if (other)
			key->mod = 0;
	}
	if (other)
		part->revision = view->revision = 0;
	part->scanning = true;
	part->other = other;
}

/* A store that was replaced lacks everybody, until each has put its own again. */
static void hold_lost(struct view *view, int64_t now_ms)
{
	struct view_host *host, *next;

	HASH_ITER(hh, view->hosts, host, next)
	if (host->lost_ms == now_ms)
		host->doubtful = true;
}

void view_scan_end(struct view *view, struct view_part *part, int64_t revision, int64_t now_ms)
{
	struct view_key *key;

	part->scanning = false;
	TAILQ_FOREACH (key, &part->keys, of_part)
		if (!key->seen && !key->ended && key->mod <= revision)
			view_end(view, key->key, revision > key->mod ? revision : key->mod + 1);
	view_commit(view, part, revision, now_ms);
	if (part->other)
		hold_lost(view, now_ms);
	part->other = false;
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
		end_key(view, key);
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

	if (!view->holds)
		return;
	view->holds = false;
	HASH_ITER(hh, view->hosts, host, next)
	{
		view->holds = view->holds || host->lost_ms || host->back_ms;
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

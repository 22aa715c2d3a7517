/*
 * copy.c: what the store has, told by a scan and a watch. What changes in a revision counts when all of it is there, and only
 * if the store does not lack what is known here (mend.c): until then an object is `open`.
 *
 * What counts is on disk, unless it is not understood: then what was before stays there, as it does in the model.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/global/inside.h"
#include "control/model/state_dir.h"
#include "registry/store/journal.h"

/* Keys of objects have a slash in them. */
#define AT "at"

enum { PATH = 512 };

static void keep_at(struct global *global)
{
	char *text = global_at_value(global->id, global->n, global->host);

	if (text)
		journal_put(global->journal, AT, text);
	free(text);
}

static void keep(struct global *global, const struct global_object *object)
{
	char why[GLOBAL_WHY], *text = NULL;
	json_t *definition, *json;

	if (!object->stored) {
		journal_put(global->journal, object->key, NULL);
		return;
	}
	definition = global_read(object, object->stored, why);
	if (!definition)
		return;
	json = json_pack("{s:I, s:s}", "created", (json_int_t)object->created, "value", object->stored);
	text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	if (text)
		journal_put(global->journal, object->key, text);
	free(text);
	json_decref(json);
	json_decref(definition);
}

static void restore(void *arg, const char *key, const char *value)
{
	struct global *global = arg;
	struct global_object *object;
	struct global_at at;
	json_t *json;
	const char *text;

	if (strcmp(key, AT) == 0) {
		global_read_at(value, 0, &at);
		snprintf(global->id, sizeof(global->id), "%s", at.why ? "" : at.id);
		global->n = at.why ? 0 : at.n;
		return;
	}
	json = json_loads(value, 0, NULL);
	text = param_str(json, "value");
	object = text ? global_find_or_make(global, key) : NULL;
	if (object && !object->open) {
		object->kept = strdup(text);
		object->created = param_int(json, "created", 0);
		object->open = object->due = true;
	}
	json_decref(json);
}

int global_restore(struct global *global, struct api_err *err)
{
	struct reg_err why;
	char path[PATH];
	int rc = state_dir_path(global->dir, STATE_DIR_GLOBAL, path, sizeof(path), err);

	if (rc < 0)
		return rc;
	rc = journal_open(global->base, path, model_registry(global->model), &global->journal, &why);
	if (rc < 0) {
		api_fail(err, API_INTERNAL, NULL, "%s", why.text);
		return rc;
	}
	journal_restore(global->journal, restore, global);
	return 0;
}

/* What the store has of the object now. Takes `text` over. */
static void set_stored(
	struct global *global, struct global_object *object, char *text, int64_t mod, int64_t created)
{
	global->bytes += text ? strlen(text) : 0;
	global->bytes -= object->stored ? strlen(object->stored) : 0;
	if (object->open) {
		free(object->stored);
	} else {
		object->kept = object->stored;
		object->open = true;
	}
	object->stored = text;
	object->mod = mod;
	object->created = text ? created : object->created;
}

/* A value that is none, or has no room, is "": not understood. */
static char *take_value(
	const struct global *global, const struct global_object *object, const struct etcd_kv *kv)
{
	size_t had = object->stored ? strlen(object->stored) : 0;
	bool fits = kv->len <= GLOBAL_VALUE && !memchr(kv->value, '\0', kv->len) &&
		    global->bytes - had + kv->len <= GLOBAL_BYTES;

	return strdup(fits ? kv->value : "");
}

/* Without the prefix; NULL: it is none of ours. */
static const char *short_key(const struct global *global, const char *key)
{
	size_t len = strlen(global->prefix);

	return strncmp(key, global->prefix, len) == 0 ? key + len : NULL;
}

static void on_begin(void *arg, bool other)
{
	struct global *global = arg;
	struct global_object *object, *next;

	HASH_ITER(hh, global->objects, object, next)
	object->seen = false;
	global->no_room = global->strange = 0;
	global->room_freed = false;
	global->at = (struct global_at){.there = false};
	if (other)
		log_line(LOG_WARNING, "global objects: etcd was replaced, or brought back from an old copy");
}

/* A key of the store for which there is no object. */
static void count_refused(struct global *global, const char *key)
{
	if (global_is_key(key)) {
		global->no_room++;
		return;
	}
	global->strange++;
	snprintf(global->strange_key, sizeof(global->strange_key), "%.70s", key);
}

static void on_put(void *arg, const struct etcd_kv *kv)
{
	struct global *global = arg;
	const char *key = short_key(global, kv->key);
	struct global_object *object;
	char *text;

	if (!key)
		return;
	if (strcmp(key, AT) == 0) {
		global_read_at(kv->len <= GLOBAL_VALUE ? kv->value : "", kv->mod, &global->at);
		return;
	}
	key = memchr(kv->key, '\0', kv->key_len) ? "" : key;
	object = global_find_or_make(global, key);
	if (!object)
		count_refused(global, key);
	text = object ? take_value(global, object, kv) : NULL;
	if (!text)
		return;
	object->seen = true;
	if (!object->open && object->stored && !strcmp(object->stored, text)) {
		object->mod = kv->mod;
		object->created = kv->created;
		free(text);
	} else {
		set_stored(global, object, text, kv->mod, kv->created);
	}
}

static void on_del(void *arg, const char *key, int64_t mod)
{
	struct global *global = arg;
	struct global_object *object;

	key = short_key(global, key);
	if (!key)
		return;
	if (strcmp(key, AT) == 0)
		global->at = (struct global_at){.there = false};
	object = global_find(global, key);
	if (object && object->stored)
		set_stored(global, object, NULL, 0, 0);
}

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The store's word counts. */
static void commit(struct global *global)
{
	struct global_object *object, *next;

	HASH_ITER(hh, global->objects, object, next)
	{
		if (!object->open)
			continue;
		if (!is_same(object->kept, object->stored)) {
			keep(global, object);
			global_touch(global, object);
		}
		free(object->kept);
		object->kept = NULL;
		object->open = false;
		global_drop_if_empty(global, object);
	}
	if (!global->at.there || global->at.why ||
		(!strcmp(global->id, global->at.id) && global->n == global->at.n))
		return;
	snprintf(global->id, sizeof(global->id), "%s", global->at.id);
	global->n = global->at.n;
	keep_at(global);
}

static void on_whole(void *arg, int64_t revision, bool scanned)
{
	struct global *global = arg;
	struct global_object *object, *next;

	global->revision = revision;
	if (scanned)
		HASH_ITER(hh, global->objects, object, next)
	if (!object->seen && object->stored)
		set_stored(global, object, NULL, 0, 0);
	global_mend_look(global);
	if (!global->lacks)
		commit(global);
	global_jobs_look(global);
}

static void on_state(void *arg, const char *why)
{
	struct global *global = arg;

	if (why && strcmp(global->why, why) != 0)
		log_line(LOG_WARNING,
			"global objects: the store is away: %s: what was known last is in effect", why);
	snprintf(global->why, sizeof(global->why), "%s", why ? why : "");
	if (!why)
		global_jobs_look(global);
}

const struct etcd_follower global_follower = {on_begin, on_put, on_del, on_whole, on_state};

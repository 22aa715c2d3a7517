/* object.c: what a key and its value say. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/base/params.h"
#include "control/global/inside.h"
#include "control/methods/list.h"

const struct global_kind global_kinds[GLOBAL_KINDS] = {
	[GLOBAL_NETWORKS] = {"networks", "network", 4096},
	[GLOBAL_SERVICES] = {"services", "service", 16384},
	[GLOBAL_PUBLISH] = {"publish", "publish", 4096},
};

struct global_object *global_find(const struct global *global, const char *key)
{
	struct global_object *found = NULL;

	HASH_FIND_STR(global->objects, key, found);
	return found;
}

/* As API_NAME, which all that can be global is called by. */
static bool is_name(const char *name)
{
	size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");

	return len > 0 && len < MODEL_NAME && !name[len] && !strchr("._-", name[0]);
}

/* *name: behind its folder. GLOBAL_KINDS: it is no key of an object. */
static unsigned kind_of(const char *key, const char **name)
{
	for (unsigned i = 0; i < GLOBAL_KINDS; i++) {
		size_t len = strlen(global_kinds[i].folder);

		if (strncmp(key, global_kinds[i].folder, len) != 0 || key[len] != '/')
			continue;
		*name = key + len + 1;
		return is_name(*name) ? i : GLOBAL_KINDS;
	}
	return GLOBAL_KINDS;
}

bool global_is_key(const char *key)
{
	const char *name;

	return kind_of(key, &name) < GLOBAL_KINDS;
}

struct global_object *global_find_or_make(struct global *global, const char *key)
{
	struct global_object *object = global_find(global, key);
	const char *name;
	unsigned kind;

	if (object)
		return object;
	kind = kind_of(key, &name);
	if (kind == GLOBAL_KINDS || global->count[kind] >= global_kinds[kind].most)
		return NULL;
	object = calloc(1, sizeof(*object));
	if (!object)
		return NULL;
	snprintf(object->key, sizeof(object->key), "%s", key);
	object->name = object->key + (name - key);
	object->kind = kind;
	HASH_ADD_STR(global->objects, key, object);
	if (!object->hh.tbl) {
		free(object);
		return NULL;
	}
	global->count[kind]++;
	return object;
}

static void free_object(struct global_object *object)
{
	free(object->stored);
	free(object->kept);
	free(object->made);
	free(object);
}

void global_drop_if_empty(struct global *global, struct global_object *object)
{
	if (object->stored || object->open || object->made || object->busy)
		return;
	global->count[object->kind]--;
	global->room_freed = true;
	HASH_DEL(global->objects, object);
	free_object(object);
}

void global_free_objects(struct global *global)
{
	struct global_object *object = global->objects, *next;

	HASH_CLEAR(hh, global->objects);
	for (; object; object = next) {
		next = object->hh.next;
		free_object(object);
	}
}

const char *global_wanted(const struct global_object *object)
{
	return object->open ? object->kept : object->stored;
}

/* An object of a version that is known, a new reference; NULL with *why. */
static json_t *read_value(const char *text, const char **why)
{
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	int64_t version = json_integer_value(json_object_get(json, "v"));

	*why = NULL;
	if (!json_is_object(json))
		*why = "no JSON object";
	else if (version < 1)
		*why = "v: missing";
	else if (version > GLOBAL_VERSION)
		*why = "v: of a later version";
	else
		return json;
	json_decref(json);
	return NULL;
}

/* What every host has the same of; the rest is a host's own. */
static int check_shared(const struct global_object *object, const json_t *definition, struct api_err *err)
{
	const char *name = param_str(definition, "name"), *mode = param_str(definition, "mode");

	if (!name || strcmp(name, object->name) != 0)
		return api_fail(err, API_INVALID, "name", "not that of its key");
	if (param_given(definition, "scope"))
		return api_fail(err, API_INVALID, "scope", "is not said in the store");
	if (object->kind == GLOBAL_NETWORKS && (!mode || strcmp(mode, "overlay") != 0))
		return api_fail(err, API_INVALID, "mode",
			"a global network is of mode overlay: the others are each host's own");
	return 0;
}

json_t *global_read(const struct global_object *object, const char *value, char why[GLOBAL_WHY])
{
	char method[MODEL_NAME];
	const char *bad;
	json_t *json = read_value(value, &bad), *definition = json_object_get(json, "object"), *filled = NULL;
	struct api_err err;

	if (!json) {
		snprintf(why, GLOBAL_WHY, "%s", value[0] ? bad : "longer than 64 KB, or no text");
		return NULL;
	}
	snprintf(method, sizeof(method), "%s.add", global_kinds[object->kind].noun);
	if (!json_is_object(definition))
		snprintf(why, GLOBAL_WHY, "object: missing");
	else if (check_shared(object, definition, &err) < 0 ||
		 schema_check(method_find(method)->fields, definition, "", &filled, &err) < 0)
		snprintf(why, GLOBAL_WHY, "%.200s", err.text);
	else
		json_incref(definition);
	definition = filled ? definition : NULL;
	json_decref(filled);
	json_decref(json);
	return definition;
}

void global_read_by(const char *value, char by[MODEL_NAME])
{
	json_t *json = json_loads(value, 0, NULL);
	const char *text = param_str(json, "by");

	snprintf(by, MODEL_NAME, "%.63s", text && is_name(text) ? text : "");
	json_decref(json);
}

static char *to_text(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS) : NULL;

	json_decref(json);
	return text;
}

char *global_value(const struct global *global, const json_t *definition)
{
	return to_text(json_pack(
		"{s:i, s:s, s:O}", "v", GLOBAL_VERSION, "by", global->host, "object", (json_t *)definition));
}

char *global_text(const json_t *definition)
{
	return to_text(json_incref((json_t *)definition));
}

void global_read_at(const char *value, int64_t mod, struct global_at *at)
{
	const char *why;
	json_t *json = read_value(value, &why);
	const char *id = param_str(json, "id");
	int64_t n = param_int(json, "n", -1);

	*at = (struct global_at){.there = true, .mod = mod, .why = why};
	at->later = why && strstr(why, "later");
	if (json && (!id || !id[0] || strlen(id) >= sizeof(at->id)))
		at->why = "id: must be a text of 1 to 39 bytes";
	else if (json && (n < 0 || n > INT64_MAX / 2))
		at->why = "n: out of range";
	if (!at->why) {
		snprintf(at->id, sizeof(at->id), "%s", id);
		at->n = (uint64_t)n;
		global_read_by(value, at->by);
	}
	json_decref(json);
}

char *global_at_value(const char *id, uint64_t n, const char *by)
{
	return to_text(json_pack(
		"{s:i, s:s, s:I, s:s}", "v", GLOBAL_VERSION, "id", id, "n", (json_int_t)n, "by", by));
}

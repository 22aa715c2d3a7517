/* apply.c: brings the model to what counts, in an order in which it can be made: what goes first, from what refers to others
 * on; then networks, services, what is published, each as they were made in the store, so that of two networks with one VNI the
 * same one is refused everywhere. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/base/log.h"
#include "control/base/params.h"
#include "control/global/inside.h"
#include "control/methods/list.h"
#include "registry/base/wheel.h"

enum { TURN_US = 20000, METHOD = 32 }; /* of the loop, at a time */

void global_apply_soon(struct global *global)
{
	static const struct timeval now;

	if (global->turn && !evtimer_pending(global->turn, NULL))
		evtimer_add(global->turn, &now);
}

void global_touch(struct global *global, struct global_object *object)
{
	object->due = true;
	global_apply_soon(global);
}

/* Takes `params` over. */
static int call(struct global *global, const struct global_object *object, const char *verb, json_t *params,
	json_t **result, struct api_err *err)
{
	char method[METHOD];
	json_t *answer = NULL;
	int rc = -1;

	snprintf(method, sizeof(method), "%s.%s", global_kinds[object->kind].noun, verb);
	global->applying = true;
	if (params)
		rc = method_call(global->model, method_find(method), SCOPE_GLOBAL, params, &answer, err);
	else
		api_fail(err, API_INTERNAL, NULL, "out of memory");
	global->applying = false;
	global->retry = global->retry || rc == 0; /* what was in its way may be gone */
	json_decref(params);
	if (result && rc == 0)
		*result = answer;
	else
		json_decref(answer);
	return rc;
}

static void set_made(struct global_object *object, const json_t *definition)
{
	free(object->made);
	object->made = definition ? global_text(definition) : NULL;
}

/* A service keeps its instances, which others have registered. */
static int unmake(struct global *global, struct global_object *object, struct api_err *err)
{
	struct reg_err why;

	if (object->kind == GLOBAL_SERVICES) {
		if (registry_service_find(global->model->registry, object->name) &&
			registry_service_undefine(global->model->registry, object->name, &why) < 0)
			return api_fail(err, API_INTERNAL, NULL, "%s", why.text);
		global->retry = true;
	} else if (call(global, object, "del", json_pack("{s:s}", "name", object->name), NULL, err) < 0 &&
		   err->code != API_NOT_FOUND) {
		return -1;
	}
	set_made(object, NULL);
	return 0;
}

static int make(struct global *global, struct global_object *object, const json_t *definition,
	json_t **result, struct api_err *err)
{
	if (call(global, object, "add", json_copy((json_t *)definition), result, err) < 0)
		return -1;
	set_made(object, definition);
	return 0;
}

/* Another spelling of the same. */
static bool has_other(const json_t *definition, const char *key)
{
	return (strcmp(key, "vip") == 0 && param_given(definition, "vips")) ||
	       (strcmp(key, "vips") == 0 && param_given(definition, "vip"));
}

/* The fields that differ, and the name; NULL when NOUN.set cannot change all of them. */
static json_t *settable(const struct global_object *object, const json_t *old, const json_t *fresh)
{
	char name[METHOD];
	const struct api_method *set;
	json_t *out, *value;
	const char *key;
	bool possible;

	snprintf(name, sizeof(name), "%s.set", global_kinds[object->kind].noun);
	set = method_find(name);
	out = json_pack("{s:s}", "name", object->name);
	possible = set && out;
	json_object_foreach ((json_t *)old, key, value)
		possible = possible && (param_given(fresh, key) || has_other(fresh, key));
	json_object_foreach ((json_t *)fresh, key, value) {
		if (!possible || json_equal(value, json_object_get(old, key)))
			continue;
		possible = schema_field(set->fields, key) != NULL;
		json_object_set(out, key, value);
	}
	if (possible)
		return out;
	json_decref(out);
	return NULL;
}

/* What cannot be changed is made anew; if that fails, it is made again as it was. */
static int remake(struct global *global, struct global_object *object, const json_t *old, const json_t *fresh,
	json_t **result, struct api_err *err)
{
	struct api_err ignored;

	if (unmake(global, object, err) < 0)
		return -1;
	if (make(global, object, fresh, result, err) == 0)
		return 0;
	make(global, object, old, NULL, &ignored);
	return -1;
}

int global_bring(struct global *global, struct global_object *object, const json_t *definition,
	json_t **result, struct api_err *err)
{
	json_t *old = object->made ? json_loads(object->made, 0, NULL) : NULL, *set;
	int rc;

	if (result)
		*result = NULL;
	if (!definition) {
		rc = object->made ? unmake(global, object, err) : 0;
	} else if (!old) {
		rc = make(global, object, definition, result, err);
	} else if (json_equal(old, definition)) {
		rc = 0;
	} else if ((set = settable(object, old, definition))) {
		rc = call(global, object, "set", set, result, err);
		if (rc == 0)
			set_made(object, definition);
	} else {
		rc = remake(global, object, old, definition, result, err);
	}
	json_decref(old);
	return rc;
}

static void say(struct global_object *object, const char *why)
{
	if (why[0] && strcmp(object->why, why) != 0)
		log_subject(LOG_WARNING, object->key, "global %s %s: %s", global_kinds[object->kind].noun,
			object->name, why);
	snprintf(object->why, sizeof(object->why), "%s", why);
}

/* May free the object. */
static void apply_one(struct global *global, struct global_object *object)
{
	const char *wanted = global_wanted(object);
	char why[GLOBAL_WHY] = "";
	json_t *definition = wanted ? global_read(object, wanted, why) : NULL;
	struct api_err err;

	object->due = false;
	if ((definition || !wanted) && global_bring(global, object, definition, NULL, &err) < 0)
		snprintf(why, sizeof(why), "%s%.200s",
			wanted ? "" : "was deleted, and stays here: ", err.text);
	say(object, why);
	json_decref(definition);
	global_drop_if_empty(global, object);
}

static int by_order(const void *left, const void *right)
{
	const struct global_object *a = *(struct global_object *const *)left,
				   *b = *(struct global_object *const *)right;
	bool a_goes = !global_wanted(a), b_goes = !global_wanted(b);

	if (a_goes != b_goes)
		return a_goes ? -1 : 1;
	if (a->kind != b->kind)
		return (a->kind < b->kind ? -1 : 1) * (a_goes ? -1 : 1);
	if (a->created != b->created)
		return a->created < b->created ? -1 : 1;
	return strcmp(a->key, b->key);
}

/* Those that are to be looked at, in their order, to be freed; NULL: none. kind GLOBAL_KINDS: of all kinds. */
static struct global_object **gather(struct global *global, unsigned kind, size_t *n)
{
	struct global_object *object, *next,
		**list = calloc(HASH_COUNT(global->objects) + 1, sizeof(struct global_object *));

	*n = 0;
	if (!list)
		return NULL;
	HASH_ITER(hh, global->objects, object, next)
	if (object->due && !object->busy && (kind == GLOBAL_KINDS || object->kind == kind))
		list[(*n)++] = object;
	qsort(list, *n, sizeof(struct global_object *), by_order);
	return list;
}

/* Until `end` (us), 0: all of them. */
static void apply(struct global *global, unsigned kind, uint64_t end)
{
	size_t n, i;
	struct global_object **list = gather(global, kind, &n);

	for (i = 0; list && i < n && (!end || wheel_now_us() < end); i++)
		apply_one(global, list[i]);
	if (list && i < n)
		global_apply_soon(global);
	free(list);
}

void global_apply_kind(struct global *global, unsigned kind)
{
	apply(global, kind, 0);
}

void global_apply_turn(evutil_socket_t fd, short what, void *arg)
{
	apply(arg, GLOBAL_KINDS, wheel_now_us() + TURN_US);
}

void global_apply_again(struct global *global)
{
	struct global_object *object, *next;

	HASH_ITER(hh, global->objects, object, next)
	if (object->why[0])
		global_touch(global, object);
}

/* show.c: what people see of it. */
#include <stdio.h>
#include <string.h>

#include "control/base/result.h"
#include "control/global/inside.h"

enum { SHOWN = 20 }; /* of what is not in effect, by `cluster status` */

static int by_key(struct global_object *a, struct global_object *b)
{
	return strcmp(a->key, b->key);
}

static void add_line(json_t *list, size_t *n, const char *what, const char *why)
{
	if (++*n <= SHOWN)
		json_array_append_new(list, json_sprintf("%s: %s", what, why));
}

/* A line for each. */
static json_t *refused_json(const struct global *global)
{
	struct global_object *object, *next;
	json_t *list = json_array();
	char line[GLOBAL_WHY];
	size_t n = 0;

	if (global->at.why)
		add_line(list, &n, "at", global->at.why);
	if (global->no_room) {
		snprintf(line, sizeof(line), "%llu keys find no room", (unsigned long long)global->no_room);
		add_line(list, &n, "more than there may be", line);
	}
	if (global->strange) {
		snprintf(line, sizeof(line), "%llu keys are no objects, such as \"%s\"",
			(unsigned long long)global->strange, global->strange_key);
		add_line(list, &n, "unknown", line);
	}
	HASH_ITER(hh, global->objects, object, next)
	if (object->why[0]) {
		snprintf(line, sizeof(line), "%s %s", global_kinds[object->kind].noun, object->name);
		add_line(list, &n, line, object->why);
	}
	if (n > SHOWN)
		json_array_append_new(
			list, json_sprintf("and %zu more, which `cluster dump` shows", n - SHOWN));
	return list;
}

json_t *global_status(const struct global *global)
{
	struct global_object *object, *next;
	json_t *status = json_object();
	uint64_t made = 0, there = 0;

	if (!global)
		return json_null();
	HASH_ITER(hh, global->objects, object, next)
	{
		made += object->made != NULL;
		there += global_wanted(object) != NULL;
	}
	put_int(status, "objects", there);
	put_int(status, "in_effect", made);
	put_int(status, "changes", global->n);
	put_str(status, "state", global->lacks ? "putting again" : global->why[0] ? "away" : "up");
	put_str(status, "why", global->mend_why[0] ? global->mend_why : global->why[0] ? global->why : NULL);
	put(status, "refused", refused_json(global));
	return status;
}

static const char *state_of(const struct global_object *object)
{
	if (!global_wanted(object))
		return "held";
	return object->why[0] ? "refused" : "there";
}

static json_t *value_json(const char *text)
{
	json_t *json = text ? json_loads(text, 0, NULL) : NULL;

	if (!json && text)
		json = json_string(text);
	return json ? json : json_null();
}

void global_list_keys(const struct global *global, json_t *list)
{
	struct global_object *object, *next;

	if (!global || !global->prefix)
		return;
	HASH_SORT(((struct global *)global)->objects, by_key);
	HASH_ITER(hh, global->objects, object, next)
	{
		json_t *row = json_object();

		put(row, "key", json_sprintf("%s%s", global->prefix, object->key));
		put_int(row, "revision", (uint64_t)object->mod);
		put(row, "lease", json_null());
		put_str(row, "state", state_of(object));
		put_str(row, "why", object->why[0] ? object->why : NULL);
		put(row, "value", value_json(global_wanted(object)));
		json_array_append_new(list, row);
	}
	if (global->at.there) {
		json_t *row = json_object();

		put(row, "key", json_sprintf("%sat", global->prefix));
		put_int(row, "revision", (uint64_t)global->at.mod);
		put(row, "lease", json_null());
		put_str(row, "state", global->at.why ? "refused" : "there");
		put_str(row, "why", global->at.why);
		put(row, "value",
			json_pack("{s:s, s:I, s:s}", "id", global->at.id, "n", (json_int_t)global->at.n, "by",
				global->at.by));
		json_array_append_new(list, row);
	}
}

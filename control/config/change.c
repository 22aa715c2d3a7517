/* change.c: from one configuration to another. */
#include <stdio.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/config/config.h"
#include "control/host/addr.h"
#include "control/methods/list.h"
#include "control/model/backend_run.h"
#include "control/model/model.h"
#include "control/model/network_spec.h"
#include "control/model/publish.h"
#include "registry/registry.h"

struct change {
	struct model *model;
	struct backend_run run;
	const json_t *old, *fresh;
	json_t *old_ids, *fresh_ids; /* section_id: the object there */
	json_t *remade; /* "network web": goes, so what refers to it goes too, and may come back */
	json_t *stuck;	/* section_id of what could not be deleted */
	json_t *now;	/* what holds at the end */
	void (*fn)(void *arg, const char *line);
	void *arg;
};

static int index_object(void *arg, const struct section *section, size_t index, json_t *object)
{
	char id[SECTION_ID];

	section_id(section, object, id);
	return json_object_set(arg, id, object);
}

static json_t *ids_of(const json_t *config)
{
	json_t *ids = json_object();

	config_walk(config, index_object, ids);
	return ids;
}

/* The object of `ids` with the same key as `like`. */
static json_t *find(const json_t *ids, const struct section *section, const json_t *like)
{
	char id[SECTION_ID];

	section_id(section, like, id);
	return json_object_get(ids, id);
}

/* The fields of `fresh` that differ, and the key; NULL when NOUN.set cannot change all of them. */
static json_t *settable(const struct section *section, const json_t *old, const json_t *fresh)
{
	const struct api_method *set = section_method(section, "set");
	json_t *out = set ? section_key(section, fresh) : NULL, *value;
	const char *key;
	bool possible = out != NULL;

	json_object_foreach ((json_t *)old, key, value)
		possible = possible && json_object_get(fresh, key);
	json_object_foreach ((json_t *)fresh, key, value) {
		if (!possible || json_equal(value, json_object_get(old, key)))
			continue;
		possible = schema_field(set->fields, key) != NULL;
		json_object_set(out, key, value);
	}
	if (!possible) {
		json_decref(out);
		out = NULL;
	}
	return out;
}

static bool is_remade(const struct change *change, const char *noun, const json_t *object, const char *field)
{
	const char *name = json_string_value(json_object_get(object, field));
	char key[128];

	snprintf(key, sizeof(key), "%s %s", noun, name ? name : "");
	return name && json_object_get(change->remade, key);
}

/* Does a publish lead to an address of a network that goes? Those that lead to services follow these. */
static bool leads_to_remade(const struct change *change, const struct section *section, const json_t *object)
{
	struct model_publish publish = {.service = ""};
	json_t *network;
	struct api_err why;
	size_t i;

	if (strcmp(section->noun, "publish") != 0 || model_publish_read(object, &publish, &why) < 0 ||
		publish.service[0])
		return false;
	json_array_foreach (json_object_get(change->old, "networks"), i, network) {
		struct dp_network spec = {0};

		if (is_remade(change, "network", network, "name") &&
			network_spec_read(network, &spec, &why) == 0 &&
			network_spec_lets_in(&spec, !ip_is4(publish.to)) &&
			addr_is_host_of(network_spec_subnet(&spec, !ip_is4(publish.to)), publish.to))
			return true;
	}
	return false;
}

/* Must the object be deleted and made anew, rather than be left alone or set? */
static bool must_remake(
	const struct change *change, const struct section *section, const json_t *old, const json_t *fresh)
{
	json_t *set;

	if (is_remade(change, "network", fresh, "network") ||
		is_remade(change, "service", fresh, "service") || is_remade(change, "port", fresh, "port") ||
		leads_to_remade(change, section, old))
		return true;
	if (json_equal(old, fresh))
		return false;
	set = settable(section, old, fresh);
	json_decref(set);
	return set == NULL;
}

static void mark_remade(struct change *change, const struct section *section, const json_t *object)
{
	const char *name = json_string_value(json_object_get(object, "name"));
	char key[128];

	if (!name)
		return;
	snprintf(key, sizeof(key), "%s %s", section->noun, name);
	json_object_set_new(change->remade, key, json_true());
}

static int call(struct change *change, const struct section *section, const char *verb, json_t *params,
	enum api_code *code)
{
	char line[sizeof(((struct api_err *)0)->text) + 64];
	struct api_err why;
	json_t *result;
	int rc = method_call(change->model, section_method(section, verb), "config", params, &result, &why);

	json_decref(params);
	if (rc == 0) {
		json_decref(result);
		return 0;
	}
	*code = why.code;
	snprintf(line, sizeof(line), "%s %s: %s", section->noun, verb, why.text);
	change->fn(change->arg, line);
	return -1;
}

static void hold(struct change *change, const struct section *section, json_t *object)
{
	json_array_append(json_object_get(change->now, section->name), object);
}

/* A service that comes back keeps the instances that others have registered. */
static bool undefine(struct change *change, const struct section *section, const json_t *object)
{
	struct reg_err why;

	return strcmp(section->noun, "service") == 0 && find(change->fresh_ids, section, object) &&
	       registry_service_undefine(model_registry(change->model),
		       json_string_value(json_object_get(object, "name")), &why) == 0;
}

static void unmake(struct change *change, const struct section *section, json_t *object)
{
	char id[SECTION_ID];
	enum api_code code;

	if (undefine(change, section, object))
		return;
	if (call(change, section, "del", section_key(section, object), &code) == 0 || code == API_NOT_FOUND)
		return;
	section_id(section, object, id);
	json_object_set_new(change->stuck, id, json_true());
	hold(change, section, object);
}

struct leaving {
	struct change *change;
	json_t *objects, *sections; /* side by side; of a section its index */
};

static int leave(void *arg, const struct section *section, size_t index, json_t *old)
{
	struct leaving *leaving = arg;
	const json_t *fresh = find(leaving->change->fresh_ids, section, old);

	if (fresh && !must_remake(leaving->change, section, old, fresh))
		return 0;
	mark_remade(leaving->change, section, old);
	json_array_append(leaving->objects, old);
	return json_array_append_new(leaving->sections, json_integer(section - sections));
}

/* Decides first (networks before what refers to them), deletes last to first. */
static void take_away(struct change *change)
{
	struct leaving leaving = {change, json_array(), json_array()};

	config_walk(change->old, leave, &leaving);
	for (size_t i = json_array_size(leaving.objects); i-- > 0;) {
		const struct section *section =
			&sections[json_integer_value(json_array_get(leaving.sections, i))];

		backend_run_next(&change->run, section->noun);
		unmake(change, section, json_array_get(leaving.objects, i));
	}
	backend_run_end(&change->run);
	json_decref(leaving.objects);
	json_decref(leaving.sections);
}

static void make(
	struct change *change, const struct section *section, size_t index, json_t *fresh, json_t *old)
{
	struct api_err err;

	if (config_make(change->model, section, index, fresh, &err) == 0) {
		hold(change, section, fresh);
		return;
	}
	change->fn(change->arg, err.text);
	if (old && config_make(change->model, section, index, old, &err) == 0)
		hold(change, section, old);
}

static int bring(void *arg, const struct section *section, size_t index, json_t *fresh)
{
	struct change *change = arg;
	json_t *old = find(change->old_ids, section, fresh);
	enum api_code code;

	backend_run_next(&change->run, section->noun);
	if (old && find(change->stuck, section, old))
		return 0;
	if (!old || must_remake(change, section, old, fresh))
		make(change, section, index, fresh, old);
	else if (json_equal(old, fresh) ||
		 call(change, section, "set", settable(section, old, fresh), &code) == 0)
		hold(change, section, fresh);
	else
		hold(change, section, old);
	return 0;
}

json_t *config_change(struct model *model, const json_t *old, const json_t *fresh,
	void (*fn)(void *arg, const char *line), void *arg)
{
	struct change change = {
		.model = model,
		.run = {model, false},
		.old = old,
		.fresh = fresh,
		.old_ids = ids_of(old),
		.fresh_ids = ids_of(fresh),
		.remade = json_object(),
		.stuck = json_object(),
		.now = json_copy((json_t *)fresh),
		.fn = fn,
		.arg = arg,
	};

	for (size_t s = 0; s < sections_count; s++)
		json_object_set_new(change.now, sections[s].name, json_array());
	take_away(&change);
	config_walk(fresh, bring, &change);
	backend_run_end(&change.run);
	json_decref(change.old_ids);
	json_decref(change.fresh_ids);
	json_decref(change.remade);
	json_decref(change.stuck);
	return change.now;
}

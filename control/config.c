#include "control/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/config_check.h"
#include "control/methods.h"
#include "control/model_config.h"
#include "control/schema.h"
#include "control/sections.h"

static const struct api_field control_fields[] = {
	{.name = "socket", .type = API_PATH, .help = "control socket", .max = 107},
	{.name = "http", .type = API_STRING, .help = "address of the HTTP API", .max = 64},
	{.name = "dns", .type = API_STRING, .help = "address of the DNS server", .max = 64},
	{NULL},
};

__attribute__((format(printf, 2, 3))) static int refuse(struct config_err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -1;
}

static bool is_section(const char *key)
{
	for (size_t i = 0; i < sections_count; i++)
		if (strcmp(sections[i].name, key) == 0)
			return true;
	return false;
}

static int check_keys(const json_t *root, struct api_err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)root, key, value) {
		bool list = is_section(key),
		     object = strcmp(key, "dataplane") == 0 || strcmp(key, "control") == 0;

		if (!list && !object)
			return api_fail(err, API_INVALID, key, "unknown key");
		if (list && !json_is_array(value))
			return api_fail(err, API_INVALID, key, "must be a list");
	}
	return 0;
}

static int check_part(
	const struct api_field *fields, const json_t *part, const char *path, struct api_err *err)
{
	json_t *checked;

	if (schema_check(fields, part, path, &checked, err) < 0)
		return -1;
	json_decref(checked);
	return 0;
}

static int check_section(const struct section *section, const json_t *list, struct api_err *err)
{
	const struct api_field *fields = section_method(section, "add")->fields;
	char path[64];

	for (size_t i = 0; i < json_array_size(list); i++) {
		snprintf(path, sizeof(path), "%s[%zu].", section->name, i);
		if (check_part(fields, json_array_get(list, i), path, err) < 0)
			return -1;
	}
	return 0;
}

static int check(const json_t *root, struct api_err *err)
{
	if (!json_is_object(root))
		return api_fail(err, API_INVALID, NULL, "must be one JSON object");
	if (check_keys(root, err) < 0 ||
		check_part(dataplane_fields, json_object_get(root, "dataplane"), "dataplane.", err) < 0 ||
		check_part(control_fields, json_object_get(root, "control"), "control.", err) < 0)
		return -1;
	for (size_t i = 0; i < sections_count; i++)
		if (check_section(&sections[i], json_object_get(root, sections[i].name), err) < 0)
			return -1;
	return config_check(root, err);
}

int config_load(const char *path, bool optional, json_t **out, struct config_err *err)
{
	struct api_err why;
	json_error_t syntax;
	FILE *file = fopen(path, "re");
	json_t *root;

	if (!file && errno == ENOENT && optional) {
		*out = json_object();
		return 0;
	}
	if (!file)
		return refuse(err, "%s: %s", path, strerror(errno));
	root = json_loadf(file, JSON_REJECT_DUPLICATES, &syntax);
	fclose(file);
	if (!root)
		return refuse(err, "%s:%d:%d: %s", path, syntax.line, syntax.column, syntax.text);
	if (check(root, &why) < 0) {
		json_decref(root);
		return refuse(err, "%s: %s", path, why.text);
	}
	*out = root;
	return 0;
}

static json_t *with_defaults(const struct api_field *fields, const json_t *part)
{
	struct api_err err;
	json_t *out;

	return schema_check(fields, part, "", &out, &err) == 0 ? out : NULL;
}

json_t *config_dataplane(const json_t *config)
{
	return with_defaults(dataplane_fields, json_object_get(config, "dataplane"));
}

json_t *config_control(const json_t *config)
{
	return with_defaults(control_fields, json_object_get(config, "control"));
}

/* "ports[1]." before a field's name, "ports[1]: " before any other line. */
static int refuse_at(struct config_err *err, const struct section *section, size_t index, const char *line)
{
	const struct api_field *fields = section_method(section, "add")->fields;
	size_t len = strcspn(line, ":.[");
	char field[64];

	snprintf(field, sizeof(field), "%.*s", (int)(len < sizeof(field) ? len : 0), line);
	return refuse(
		err, "%s[%zu]%s%s", section->name, index, schema_field(fields, field) ? "." : ": ", line);
}

static int make(struct model *model, const struct section *section, size_t index, const json_t *object,
	struct config_err *err)
{
	struct api_err why;
	json_t *result;

	if (method_call(model, section_method(section, "add"), "config", object, &result, &why) < 0)
		return refuse_at(err, section, index, why.text);
	json_decref(result);
	return 0;
}

int config_apply(struct model *model, const json_t *config, struct config_err *err)
{
	for (size_t s = 0; s < sections_count; s++) {
		const json_t *list = json_object_get(config, sections[s].name);

		for (size_t i = 0; i < json_array_size(list); i++)
			if (make(model, &sections[s], i, json_array_get(list, i), err) < 0)
				return -1;
	}
	return 0;
}

/* --- from one configuration to another
 * ---------------------------------------------------------------------- */

struct change {
	struct model *model;
	const json_t *old, *fresh;
	json_t *now; /* what holds at the end */
	void (*fn)(void *arg, const char *line);
	void *arg;
	json_t *remade; /* ids of networks and services that are made anew: what refers to them is too */
};

static const json_t *find(const json_t *config, const struct section *section, const json_t *like)
{
	const json_t *list = json_object_get(config, section->name);
	char want[SECTION_ID], id[SECTION_ID];

	section_id(section, like, want);
	for (size_t i = 0; i < json_array_size(list); i++) {
		section_id(section, json_array_get(list, i), id);
		if (strcmp(id, want) == 0)
			return json_array_get(list, i);
	}
	return NULL;
}

/* The fields of `fresh` that differ, with the key; NULL when NOUN.set cannot bring the object there. */
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

static bool refers_to_remade(const struct change *change, const json_t *object)
{
	const char *network = json_string_value(json_object_get(object, "network"));
	const char *service = json_string_value(json_object_get(object, "service"));
	const char *port = json_string_value(json_object_get(object, "port"));

	return (network && json_object_get(json_object_get(change->remade, "network"), network)) ||
	       (service && json_object_get(json_object_get(change->remade, "service"), service)) ||
	       (port && json_object_get(json_object_get(change->remade, "port"), port));
}

/* Must the object go and come back, rather than be left or set? */
static bool must_remake(
	const struct change *change, const struct section *section, const json_t *old, const json_t *fresh)
{
	json_t *set;

	if (refers_to_remade(change, fresh))
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
	json_t *names = json_object_get(change->remade, section->noun);

	if (!names) {
		names = json_object();
		json_object_set_new(change->remade, section->noun, names);
	}
	if (name)
		json_object_set_new(names, name, json_true());
}

static void call(struct change *change, const struct section *section, const char *verb, json_t *params)
{
	struct api_err why;
	json_t *result;
	char line[512];

	if (method_call(change->model, section_method(section, verb), "config", params, &result, &why) == 0) {
		json_decref(result);
	} else {
		snprintf(line, sizeof(line), "%s %s: %s", section->noun, verb, why.text);
		change->fn(change->arg, line);
	}
	json_decref(params);
}

/* Decides first (networks before what refers to them), deletes last to first. */
static void take_away(struct change *change)
{
	json_t *gone[16] = {0};

	for (size_t s = 0; s < sections_count; s++) {
		const json_t *list = json_object_get(change->old, sections[s].name);

		gone[s] = json_array();
		for (size_t i = 0; i < json_array_size(list); i++) {
			json_t *old = json_array_get(list, i);
			const json_t *fresh = find(change->fresh, &sections[s], old);

			if (fresh && !must_remake(change, &sections[s], old, fresh))
				continue;
			mark_remade(change, &sections[s], old);
			json_array_append(gone[s], old);
		}
	}
	for (size_t s = sections_count; s-- > 0;) {
		for (size_t i = json_array_size(gone[s]); i-- > 0;)
			call(change, &sections[s], "del",
				section_key(&sections[s], json_array_get(gone[s], i)));
		json_decref(gone[s]);
	}
}

static void bring(struct change *change, const struct section *section, size_t index, json_t *fresh)
{
	const json_t *old = find(change->old, section, fresh);
	struct config_err err;
	json_t *list = json_object_get(change->now, section->name);
	bool there = old && !must_remake(change, section, old, fresh);

	if (there && !json_equal(old, fresh))
		call(change, section, "set", settable(section, old, fresh));
	if (!there && make(change->model, section, index, fresh, &err) < 0) {
		change->fn(change->arg, err.text);
		return;
	}
	json_array_append(list, fresh);
}

json_t *config_change(struct model *model, const json_t *old, const json_t *fresh,
	void (*fn)(void *arg, const char *line), void *arg)
{
	struct change change = {model, old, fresh, json_deep_copy(fresh), fn, arg, json_object()};

	take_away(&change);
	for (size_t s = 0; s < sections_count; s++) {
		const json_t *list = json_object_get(fresh, sections[s].name);

		json_object_set_new(change.now, sections[s].name, json_array());
		for (size_t i = 0; i < json_array_size(list); i++)
			bring(&change, &sections[s], i, json_array_get(list, i));
	}
	json_decref(change.remade);
	return change.now;
}

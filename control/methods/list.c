#include "control/methods/list.h"

#include <stdio.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/model/origin.h"
#include "control/model/scope.h"

enum { METHOD_NAME_MAX = 64 };

static const struct api_method *const tables[] = {
	network_methods,
	conflist_methods,
	port_methods,
	uplink_methods,
	vtep_methods,
	fdb_methods,
	service_methods,
	backend_methods,
	publish_methods,
	conn_methods,
	stats_methods,
	cluster_methods,
	api_methods,
};

void methods_walk(void (*fn)(void *arg, const struct api_method *method), void *arg)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct api_method *m = tables[i]; m->name; m++)
			fn(arg, m);
}

const struct api_method *method_find(const char *name)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct api_method *m = tables[i]; m->name; m++)
			if (strcmp(m->name, name) == 0)
				return m;
	return NULL;
}

/* "mtu, age_s": what `set` changes of the object that it names by its required fields. */
static void list_changes(const struct api_method *set, char *buf, size_t size)
{
	const char *comma = "";

	buf[0] = '\0';
	for (const struct api_field *f = set->fields; f->name; f++) {
		size_t used = strlen(buf);

		if (f->required || !strcmp(f->name, "scope"))
			continue;
		snprintf(buf + used, size - used, "%s%s", comma, f->name);
		comma = ", ";
	}
}

/*
 * Refuses a key that `noun.add` has and `noun.set` lacks, with a line that says so: "unknown" would be wrong.
 */
static int check_fixed(const struct api_method *set, const json_t *params, struct api_err *err)
{
	const char *dot = strchr(set->name, '.');
	char name[METHOD_NAME_MAX], changes[API_TEXT];
	const struct api_method *add;
	const char *key;
	json_t *value;

	if (!dot || strcmp(dot, ".set") != 0)
		return 0;
	snprintf(name, sizeof(name), "%.*s.add", (int)(dot - set->name), set->name);
	add = method_find(name);
	json_object_foreach ((json_t *)params, key, value) {
		if (!add || schema_field(set->fields, key) || !schema_field(add->fields, key))
			continue;
		list_changes(set, changes, sizeof(changes));
		return api_fail(err, API_INVALID, key, "fixed since %s; %s changes %s", add->name, set->name,
			changes);
	}
	return 0;
}

/* Does `source` set or delete what the configuration file made? Then the file has the last word. */
static bool file_undoes(
	struct model *model, const struct api_method *method, const char *source, const json_t *params)
{
	const char *dot = strchr(method->name, '.'), *origin;
	char noun[METHOD_NAME_MAX];

	if (!dot || (strcmp(dot, ".set") != 0 && strcmp(dot, ".del") != 0) || !strcmp(source, "config"))
		return false;
	snprintf(noun, sizeof(noun), "%.*s", (int)(dot - method->name), method->name);
	origin = origin_of(model, noun, params);
	return origin && strcmp(origin, "config") == 0;
}

int method_call(struct model *model, const struct api_method *method, const char *source,
	const json_t *params, json_t **result, struct api_err *err)
{
	json_t *checked;
	bool undone;
	int rc;

	if (check_fixed(method, params, err) < 0 ||
		schema_check(method->fields, params, "", &checked, err) < 0)
		return -1;
	*result = NULL;
	undone = file_undoes(model, method, source, checked);
	if (!scope_takes(model, method->name, source, checked, result, err, &rc))
		rc = method->fn(model, source, checked, result, err);
	json_decref(checked);
	if (rc == 0 && !*result)
		*result = json_object();
	if (rc == 0 && undone)
		json_object_set_new(*result, "note",
			json_string("the configuration file has it: the next start brings it back as it is "
				    "there"));
	return rc;
}

int method_do(struct model *model, const char *name, const char *source, json_t *params, struct api_err *err)
{
	json_t *result = NULL;
	int rc = params ? method_call(model, method_find(name), source, params, &result, err)
			: api_fail(err, API_INTERNAL, NULL, "out of memory");

	json_decref(params);
	json_decref(result);
	return rc;
}

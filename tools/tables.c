/* tables.c: prints the tables of methods, of the configuration and of HTTP routes as JSON, for pages that are made of them
 * (tools/manual, tools/http-docs). Links control and is not installed. */
#include <stdio.h>

#include "control/api/schema.h"
#include "control/config/config.h"
#include "control/config/sections.h"
#include "control/methods/list.h"
#include "registry/http/server.h"
#include "registry/source/consul/consul.h"

static json_t *fields_json(const struct api_field *fields);

static json_t *field_json(const struct api_field *field)
{
	char takes[512];
	json_t *out;

	schema_describe(field, takes, sizeof(takes));
	out = json_pack("{s:s, s:s, s:s, s:b}", "name", field->name, "takes", takes, "help",
		field->help ? field->help : "", "required", field->required);
	if (field->def)
		json_object_set_new(out, "default", json_string(field->def));
	if (field->fields)
		json_object_set_new(out, "fields", fields_json(field->fields));
	return out;
}

static json_t *fields_json(const struct api_field *fields)
{
	json_t *out = json_array();

	for (; fields->name; fields++)
		json_array_append_new(out, field_json(fields));
	return out;
}

static void add_part(void *arg, const char *name, const struct api_field *fields)
{
	json_array_append_new(arg, json_pack("{s:s, s:o}", "name", name, "fields", fields_json(fields)));
}

static void add_method(void *arg, const struct api_method *method)
{
	json_array_append_new(arg, json_pack("{s:s, s:s, s:b, s:o}", "name", method->name, "help",
					   method->help, "changes", method->changes, "fields",
					   method->fields ? fields_json(method->fields) : json_array()));
}

static void add_section(json_t *config, const struct section *section)
{
	const struct api_method *add = section_method(section, "add");

	json_array_append_new(
		config, json_pack("{s:s, s:s, s:s, s:o}", "name", section->name, "noun", section->noun,
				"help", add->help, "fields", fields_json(add->fields)));
}

static json_t *verbs_json(unsigned verbs)
{
	static const struct {
		enum http_verb verb;
		const char *name;
	} names[] = {{VERB_GET, "GET"}, {VERB_PUT, "PUT"}, {VERB_POST, "POST"}, {VERB_DELETE, "DELETE"}};
	json_t *list = json_array();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (verbs & names[i].verb)
			json_array_append_new(list, json_string(names[i].name));
	return list;
}

/* What is served over HTTP. */
static json_t *routes_json(void)
{
	json_t *list = json_array();

	for (const struct http_route *route = consul_api(NULL).routes; route->path; route++)
		json_array_append_new(list, json_pack("{s:s, s:o, s:s, s:b, s:b, s:b, s:s?}", "path",
						    route->path, "verbs", verbs_json(route->verbs), "waits",
						    !route->view	   ? ""
						    : route->view->by_hash ? "hash"
									   : "index",
						    "open", route->open, "by_get", route->also_by_get,
						    "cached", route->cached, "why", route->why));
	return list;
}

int main(void)
{
	struct api_err err;
	json_t *methods = NULL, *config = json_array(), *api = json_array(), *all;

	if (method_call(NULL, method_find("api.describe"), "api", NULL, &methods, &err) < 0) {
		fprintf(stderr, "tables: %s\n", err.text);
		return 1;
	}
	config_parts(add_part, config);
	for (size_t i = 0; i < sections_count; i++)
		add_section(config, &sections[i]);
	methods_walk(add_method, api);
	all = json_pack("{s:s, s:o, s:o, s:o, s:o}", "version", SLUICE_VERSION, "methods", methods, "api",
		api, "config", config, "routes", routes_json());
	json_dumpf(all, stdout, JSON_COMPACT);
	printf("\n");
	json_decref(all);
	return 0;
}

/* api.c: the API describes itself, from the tables that also check its methods. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/methods/list.h"

enum { COLUMN = 64 };

static json_t *describe_fields(const struct api_field *fields);

static json_t *describe_field(const struct api_field *field)
{
	json_t *out =
		json_pack("{s:s, s:s, s:s, s:b}", "name", field->name, "type", schema_type_name(field->type),
			"help", field->help ? field->help : "", "required", field->required);
	int64_t min, max;

	if (field->positional)
		json_object_set_new(out, "positional", json_true());
	if (schema_range(field, &min, &max)) {
		json_object_set_new(out, "min", json_integer(min));
		json_object_set_new(out, "max", json_integer(max));
	}
	if (field->choices) {
		json_t *choices = json_array();

		for (const char *const *c = field->choices; *c; c++)
			json_array_append_new(choices, json_string(*c));
		json_object_set_new(out, "choices", choices);
	}
	if (field->def)
		json_object_set_new(out, "default", json_loads(field->def, JSON_DECODE_ANY, NULL));
	if (field->type == API_LIST)
		json_object_set_new(out, "item", json_string(schema_type_name(field->item)));
	if (field->type == API_LIST && field->item == API_OBJECT)
		json_object_set_new(out, "item_fields", describe_fields(field->fields));
	if (field->type == API_OBJECT)
		json_object_set_new(out, "fields", describe_fields(field->fields));
	return out;
}

static json_t *describe_fields(const struct api_field *fields)
{
	json_t *out = json_array();

	for (; fields && fields->name; fields++)
		json_array_append_new(out, describe_field(fields));
	return out;
}

static json_t *in_capitals(const char *text)
{
	char capitals[COLUMN];
	size_t i = 0;

	for (; text[i] && i < COLUMN - 1; i++)
		capitals[i] = (char)toupper((unsigned char)text[i]);
	return json_stringn(capitals, i);
}

/* "name,rx_packets=RX": a title that is not given is the field in capitals. */
static json_t *describe_columns(const char *columns)
{
	json_t *out = json_array();

	for (const char *at = columns, *end; *at; at = end + (*end == ',')) {
		char column[COLUMN], *title;

		end = strchrnul(at, ',');
		snprintf(column, sizeof(column), "%.*s", (int)(end - at), at);
		title = strchr(column, '=');
		if (title)
			*title++ = '\0';
		json_array_append_new(out, json_pack("{s:s, s:o}", "field", column, "title",
						   title ? json_string(title) : in_capitals(column)));
	}
	return out;
}

static json_t *describe_method(const struct api_method *method)
{
	json_t *out = json_pack("{s:s, s:s, s:b, s:o}", "name", method->name, "help", method->help, "changes",
		method->changes, "fields", describe_fields(method->fields));

	if (method->columns)
		json_object_set_new(out, "columns", describe_columns(method->columns));
	if (method->document)
		json_object_set_new(out, "document", json_true());
	return out;
}

static void add_method(void *arg, const struct api_method *method)
{
	json_array_append_new(arg, describe_method(method));
}

static API_HANDLER(describe)
{
	*result = json_array();
	methods_walk(add_method, *result);
	return 0;
}

const struct api_method api_methods[] = {
	{"api.describe", "Tell every method with its fields, types, ranges, defaults and help", NULL,
		describe, false},
	{NULL},
};

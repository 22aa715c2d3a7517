#include "control/config/sections.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/methods/list.h"

const struct section sections[] = {
	{"networks", "network", {"name"}},
	{"uplinks", "uplink", {"name"}},
	{"vteps", "vtep", {"network", "remote"}},
	{"ports", "port", {"name"}},
	{"services", "service", {"name"}},
	{"fdb", "fdb", {"network", "mac"}},
	{"backends", "backend", {"service", "address", "port"}},
	{"publish", "publish", {"name"}},
};
const size_t sections_count = sizeof(sections) / sizeof(sections[0]);

const struct section *section_named(const char *name)
{
	for (size_t i = 0; i < sections_count; i++)
		if (strcmp(sections[i].name, name) == 0)
			return &sections[i];
	return NULL;
}

const struct section *section_of(const char *noun, size_t len)
{
	for (size_t i = 0; i < sections_count; i++)
		if (strlen(sections[i].noun) == len && memcmp(sections[i].noun, noun, len) == 0)
			return &sections[i];
	return NULL;
}

void section_id(const struct section *section, const json_t *object, char id[SECTION_ID])
{
	size_t at = (size_t)snprintf(id, SECTION_ID, "%s ", section->name);

	for (int i = 0; i < SECTION_KEYS && section->key[i] && at < SECTION_ID; i++) {
		char *text = json_dumps(json_object_get(object, section->key[i]), JSON_ENCODE_ANY);
		int n = snprintf(id + at, SECTION_ID - at, "%s ", text ? text : "");

		free(text);
		at += n > 0 ? (size_t)n : 0;
	}
}

json_t *section_key(const struct section *section, const json_t *object)
{
	json_t *out = json_object();

	for (int i = 0; i < SECTION_KEYS && section->key[i]; i++) {
		json_t *value = json_object_get(object, section->key[i]);

		if (value)
			json_object_set(out, section->key[i], value);
	}
	return out;
}

const struct api_method *section_method(const struct section *section, const char *verb)
{
	char name[64];

	snprintf(name, sizeof(name), "%s.%s", section->noun, verb);
	return method_find(name);
}

enum { LINE = 256 };

static bool begins_with_field(const char *section, const char *line)
{
	const struct api_method *add = section_method(section_named(section), "add");
	size_t len = strcspn(line, ":.[");
	char field[64];

	snprintf(field, sizeof(field), "%.*s", (int)(len < sizeof(field) ? len : 0), line);
	return schema_field(add->fields, field) != NULL;
}

int config_fail_line(struct config_location at, struct api_err *err, enum api_code code, const char *line)
{
	char copy[LINE];

	snprintf(copy, sizeof(copy), "%s", line);
	return api_fail(err, code, NULL, "%s[%zu]%s%s", at.section, at.index,
		begins_with_field(at.section, copy) ? "." : ": ", copy);
}

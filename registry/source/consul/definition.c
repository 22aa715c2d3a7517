/* definition.c: what others say of a check that they make themselves, for whoever makes it to read: kept, and shown. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/duration.h"
#include "registry/source/consul/inside.h"

enum kind { TEXT, FLAG, NUMBER, DURATION, TEXTS, HEADERS };

static const struct field {
	const char *name;
	enum kind kind;
} fields[] = {
	{"HTTP", TEXT},
	{"TLSServerName", TEXT},
	{"TLSSkipVerify", FLAG},
	{"Header", HEADERS},
	{"Method", TEXT},
	{"Body", TEXT},
	{"DisableRedirects", FLAG},
	{"TCP", TEXT},
	{"TCPUseTLS", FLAG},
	{"UDP", TEXT},
	{"H2PING", TEXT},
	{"H2PingUseTLS", FLAG},
	{"OSService", TEXT},
	{"GRPC", TEXT},
	{"GRPCUseTLS", FLAG},
	{"ScriptArgs", TEXTS},
	{"DockerContainerID", TEXT},
	{"Shell", TEXT},
	{"AliasNode", TEXT},
	{"AliasService", TEXT},
	{"TTL", DURATION},
	{"Interval", DURATION},
	{"Timeout", DURATION},
	{"DeregisterCriticalServiceAfter", DURATION},
	{"OutputMaxSize", NUMBER},
};

static bool are_texts(const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach ((json_t *)list, i, item)
		if (!json_is_string(item))
			return false;
	return json_is_array(list);
}

static bool are_headers(const json_t *map)
{
	const json_t *list;
	const char *name;

	json_object_foreach ((json_t *)map, name, list)
		if (!are_texts(list))
			return false;
	return json_is_object(map);
}

/* Is it of this kind? Sets *empty for what says as little as nothing. */
static bool is_of_kind(const json_t *value, enum kind kind, bool *empty)
{
	switch (kind) {
	case TEXT:
		*empty = json_string_length(value) == 0;
		return json_is_string(value);
	case FLAG:
		*empty = !json_is_true(value);
		return json_is_boolean(value);
	case NUMBER:
		*empty = json_integer_value(value) == 0;
		return json_is_integer(value) && json_integer_value(value) >= 0;
	case TEXTS:
		*empty = json_array_size(value) == 0;
		return are_texts(value);
	case HEADERS:
		*empty = json_object_size(value) == 0;
		return are_headers(value);
	default:
		return false;
	}
}

static void take_duration(struct consul_body *in, const char *name, json_t *out)
{
	uint32_t ms = consul_read_duration(in, name, 0);
	char text[DURATION_TEXT];

	if (in->rc || !ms)
		return;
	duration_text((int64_t)ms * 1000, text);
	json_object_set_new(out, name, json_string(text));
}

static void take(struct consul_body *in, const struct field *field, json_t *out)
{
	static const char *const kinds[] = {"a string", "true or false", "a number", "a duration",
		"a list of strings", "an object of lists of strings"};
	const json_t *value = consul_field(in->json, field->name);
	bool empty;

	if (field->kind == DURATION)
		take_duration(in, field->name, out);
	else if (value && !is_of_kind(value, field->kind, &empty))
		consul_bad(in, -EINVAL, "Definition.%s: must be %s", field->name, kinds[field->kind]);
	else if (value && !empty)
		json_object_set(out, field->name, (json_t *)value);
}

/* A new reference, NULL: it says nothing, or is refused. */
static json_t *read_definition(struct consul_body *in)
{
	struct consul_body definition = *in;
	json_t *taken;

	definition.json = consul_field(in->json, "Definition");
	if (definition.json && !json_is_object(definition.json))
		consul_bad(in, -EINVAL, "Definition: must be an object");
	if (!json_object_size(definition.json))
		return NULL;
	taken = json_object();
	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		take(&definition, &fields[i], taken);
	in->rc = definition.rc;
	if (!taken)
		consul_bad(in, -ENOMEM, "out of memory");
	if (!in->rc && json_object_size(taken))
		return taken;
	json_decref(taken);
	return NULL;
}

void consul_read_definition(struct consul_body *in, struct consul_checks *list, struct reg_check *spec)
{
	json_t *definition = read_definition(in), *text;
	char *plain;

	if (!definition)
		return;
	plain = json_dumps(definition, JSON_COMPACT);
	text = plain ? json_string(plain) : NULL;
	if (plain && strlen(plain) > REG_DEFINITION_MAX)
		consul_bad(in, -EINVAL, "Definition: longer than %d bytes", REG_DEFINITION_MAX);
	if (!list->texts)
		list->texts = json_array();
	if (!text || json_array_append_new(list->texts, text) < 0)
		consul_bad(in, -ENOMEM, "out of memory");
	else
		spec->definition = json_string_value(text);
	free(plain);
	json_decref(definition);
}

void consul_checks_clear(struct consul_checks *list)
{
	json_decref(list->texts);
	list->texts = NULL;
}

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

static int take_duration(const json_t *definition, const char *name, json_t *out, struct reg_err *err)
{
	char text[DURATION_TEXT];
	uint32_t ms = 0;
	int rc = consul_read_duration(definition, name, &ms, err);

	if (rc || !ms)
		return rc;
	duration_text((int64_t)ms * 1000, text);
	json_object_set_new(out, name, json_string(text));
	return 0;
}

static int take(const json_t *definition, const struct field *field, json_t *out, struct reg_err *err)
{
	static const char *const kinds[] = {"a string", "true or false", "a number", "a duration",
		"a list of strings", "an object of lists of strings"};
	const json_t *value = consul_field(definition, field->name);
	bool empty;

	if (!value)
		return 0;
	if (field->kind == DURATION)
		return take_duration(definition, field->name, out, err);
	if (!is_of_kind(value, field->kind, &empty))
		return reg_fail(err, -EINVAL, "Definition.%s: must be %s", field->name, kinds[field->kind]);
	if (!empty)
		json_object_set(out, field->name, (json_t *)value);
	return 0;
}

/* A new reference, NULL: it says nothing. */
static int read_definition(const json_t *check, json_t **out, struct reg_err *err)
{
	const json_t *definition = consul_field(check, "Definition");
	json_t *taken;
	int rc = 0;

	*out = NULL;
	if (definition && !json_is_object(definition))
		return reg_fail(err, -EINVAL, "Definition: must be an object");
	if (!json_object_size(definition))
		return 0;
	taken = json_object();
	if (!taken)
		return reg_fail(err, -ENOMEM, "out of memory");
	for (size_t i = 0; !rc && i < sizeof(fields) / sizeof(fields[0]); i++)
		rc = take(definition, &fields[i], taken, err);
	if (rc || !json_object_size(taken))
		json_decref(taken);
	else
		*out = taken;
	return rc;
}

int consul_read_definition(
	const json_t *check, struct consul_checks *list, struct reg_check *spec, struct reg_err *err)
{
	json_t *definition, *text = NULL;
	char *plain;
	int rc = read_definition(check, &definition, err);

	if (rc || !definition)
		return rc;
	plain = json_dumps(definition, JSON_COMPACT);
	if (plain && strlen(plain) > REG_DEFINITION_MAX)
		rc = reg_fail(err, -EINVAL, "Definition: longer than %d bytes", REG_DEFINITION_MAX);
	else if (plain)
		text = json_string(plain);
	if (!list->texts)
		list->texts = json_array();
	if (text && json_array_append_new(list->texts, text) == 0)
		spec->definition = json_string_value(text);
	else if (!rc)
		rc = reg_fail(err, -ENOMEM, "out of memory");
	free(plain);
	json_decref(definition);
	return rc;
}

void consul_checks_clear(struct consul_checks *list)
{
	json_decref(list->texts);
	list->texts = NULL;
}

#include "tools/ctl/command.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/nearest.h"

enum { KEY_MAX = 96 };

const char *command_text(const json_t *object, const char *key)
{
	const char *text = json_string_value(json_object_get(object, key));

	return text ? text : "";
}

const char *command_name(const json_t *method, char buf[64])
{
	snprintf(buf, 64, "%s", command_text(method, "name"));
	for (char *p = buf; *p; p++)
		if (*p == '.')
			*p = ' ';
	return buf;
}

static int is_of_noun(const json_t *method, const char *noun)
{
	const char *name = command_text(method, "name");
	size_t len = strlen(noun);

	return strncmp(name, noun, len) == 0 && name[len] == '.';
}

int command_is_noun(const json_t *methods, const char *noun)
{
	json_t *method;
	size_t i;

	json_array_foreach ((json_t *)methods, i, method)
		if (is_of_noun(method, noun))
			return 1;
	return 0;
}

/* "port needs a verb: add, set, ..." */
static void name_verbs(const json_t *methods, const char *noun, char error[COMMAND_ERROR])
{
	size_t at = (size_t)snprintf(error, COMMAND_ERROR, "%s needs a verb", noun), i;
	const char *between = ": ";
	json_t *method;

	json_array_foreach ((json_t *)methods, i, method) {
		if (!is_of_noun(method, noun) || at >= COMMAND_ERROR)
			continue;
		at += (size_t)snprintf(error + at, COMMAND_ERROR - at, "%s%s", between,
			command_text(method, "name") + strlen(noun) + 1);
		between = ", ";
	}
}

/* What is like a command that there is not: a noun, a noun and its verb, or the verbs of a noun that is right. */
static void suggest(const json_t *methods, const char *noun, const char *verb, char error[COMMAND_ERROR])
{
	char said[64], name[64];
	struct nearest nearest;
	json_t *method;
	size_t i;

	snprintf(said, sizeof(said), "%s%s%s", noun, verb ? " " : "", verb ? verb : "");
	nearest_to(&nearest, said);
	json_array_foreach ((json_t *)methods, i, method) {
		nearest_try(&nearest, command_name(method, name));
		name[strcspn(name, " ")] = '\0';
		if (!verb)
			nearest_try(&nearest, name);
	}
	if (verb && !nearest.name[0] && command_is_noun(methods, noun)) {
		name_verbs(methods, noun, error);
		return;
	}
	snprintf(error, COMMAND_ERROR, "no such command \"%s\"%s%s%s; \"sluicectl help\" lists them", said,
		nearest.name[0] ? " (did you mean \"" : "", nearest.name, nearest.name[0] ? "\"?)" : "");
}

const json_t *command_method(
	const json_t *methods, int argc, char **argv, int *used, char error[COMMAND_ERROR])
{
	char said[64], name[64];
	json_t *method;
	size_t i;

	for (*used = argc >= 2 && argv[1][0] != '-' ? 2 : 1; *used > 0; --*used) {
		snprintf(said, sizeof(said), "%s%s%s", argv[0], *used == 2 ? " " : "",
			*used == 2 ? argv[1] : "");
		json_array_foreach ((json_t *)methods, i, method) {
			if (strcmp(command_name(method, name), said) == 0)
				return method;
		}
	}
	if ((argc == 1 || argv[1][0] == '-') && command_is_noun(methods, argv[0])) {
		name_verbs(methods, argv[0], error);
		return NULL;
	}
	suggest(methods, argv[0], argc >= 2 && argv[1][0] != '-' ? argv[1] : NULL, error);
	return NULL;
}

static json_t *scalar(const char *type, const char *text)
{
	char *end;
	long long number;

	if (strcmp(type, "integer") == 0) {
		errno = 0;
		number = strtoll(text, &end, 10);
		if (*text && !*end && !errno)
			return json_integer(number);
	}
	if (strcmp(type, "boolean") == 0 && (strcmp(text, "true") == 0 || strcmp(text, "false") == 0))
		return json_boolean(text[0] == 't');
	return json_string(text); /* what it is not, the daemon says by the field's name */
}

/* The type of the field called `name`. */
static const char *type_in(const json_t *fields, const char *name)
{
	json_t *field;
	size_t i;

	json_array_foreach ((json_t *)fields, i, field)
		if (strcmp(command_text(field, "name"), name) == 0)
			return command_text(field, "type");
	return "string";
}

/* An object of a list, written "name=http port=80". */
static json_t *item_object(const json_t *fields, char *text)
{
	json_t *out = json_object();
	char *word;

	while ((word = strsep(&text, " "))) {
		char *value = strchr(word, '=');

		if (value)
			*value++ = '\0';
		if (*word)
			json_object_set_new(
				out, word, value ? scalar(type_in(fields, word), value) : json_true());
	}
	return out;
}

static json_t *list(const json_t *field, const char *text)
{
	const json_t *fields = json_object_get(field, "item_fields");
	json_t *out = json_array();
	char *copy = strdup(text), *rest = copy, *word;

	while (copy && *text && (word = strsep(&rest, ",")))
		json_array_append_new(
			out, fields ? item_object(fields, word) : scalar(command_text(field, "item"), word));
	free(copy);
	return out;
}

/* "app=web,tier=front" */
static json_t *map(const char *text)
{
	json_t *out = json_object();
	char *copy = strdup(text), *rest = copy, *word, *equals;

	while (copy && *text && (word = strsep(&rest, ","))) {
		equals = strchr(word, '=');
		if (!equals) {
			json_decref(out);
			out = json_string(text); /* the daemon says what it should be */
			break;
		}
		*equals = '\0';
		json_object_set_new(out, word, json_string(equals + 1));
	}
	free(copy);
	return out;
}

static json_t *value_of(const json_t *field, const char *text)
{
	const char *type = command_text(field, "type");

	if (strcmp(type, "map") == 0)
		return map(text);
	return strcmp(type, "list") == 0 ? list(field, text) : scalar(type, text);
}

/* Is `key` (interval_ms written interval-ms) the field's name? */
static int is_key(const json_t *field, const char *key, size_t len)
{
	const char *name = command_text(field, "name");

	if (strlen(name) != len)
		return 0;
	for (size_t i = 0; i < len; i++)
		if (name[i] != (key[i] == '-' ? '_' : key[i]))
			return 0;
	return 1;
}

/* The object that is called so in `object`, made where it is not there. */
static json_t *inner_object(json_t *object, const char *name)
{
	if (!json_object_get(object, name))
		json_object_set_new(object, name, json_object());
	return json_object_get(object, name);
}

const json_t *command_field(const json_t *fields, const char *key, json_t **object)
{
	json_t *field, *inner = NULL;
	size_t i;

	json_array_foreach ((json_t *)fields, i, field) {
		const char *name = command_text(field, "name");
		size_t len = strlen(name);
		const json_t *found;

		if (strcmp(command_text(field, "type"), "object") != 0) {
			if (is_key(field, key, strlen(key)))
				return field;
			continue;
		}
		if (strlen(key) <= len + 1 || key[len] != '-' || !is_key(field, key, len))
			continue;
		if (object)
			inner = inner_object(*object, name);
		found = command_field(
			json_object_get(field, "fields"), key + len + 1, object ? &inner : NULL);
		if (!found)
			continue;
		if (object)
			*object = inner;
		return found;
	}
	return NULL;
}

/* Sets --key, or --outer-inner in a nested object, in `params`. 0: no field is called so. */
static int set_key(const json_t *fields, json_t *params, const char *key, const char *text)
{
	json_t *object = params;
	const json_t *field = command_field(fields, key, &object);

	if (!field)
		return 0;
	json_object_set_new(object, command_text(field, "name"), value_of(field, text));
	return 1;
}

const json_t *command_next_positional(const json_t *method, const json_t *params)
{
	json_t *field;
	size_t i;

	json_array_foreach (json_object_get(method, "fields"), i, field) {
		if (json_is_true(json_object_get(field, "positional")) &&
			!json_object_get(params, command_text(field, "name")))
			return field;
	}
	return NULL;
}

/* Where the port begins in ADDRESS:PORT, whose IPv6 address stands in brackets; NULL: it has none. */
static char *port_of(char *word)
{
	char *colon = strrchr(word, ':');

	return colon && colon != strchr(word, ':') && colon[-1] != ']' ? NULL : colon;
}

/* A positional argument. ADDRESS:PORT fills the two fields that it names. */
static int set_positional(const json_t *method, json_t *params, char *word, char error[COMMAND_ERROR])
{
	const json_t *field = command_next_positional(method, params);
	char *colon = port_of(word);

	if (!field) {
		snprintf(error, COMMAND_ERROR, "unexpected argument \"%s\"", word);
		return -1;
	}
	if (colon && strcmp(command_text(field, "name"), "address") == 0) {
		*colon = '\0';
		if (word[0] == '[' && colon[-1] == ']') {
			colon[-1] = '\0';
			word++;
		}
		json_object_set_new(params, "address", json_string(word));
		field = command_next_positional(method, params);
		word = colon + 1;
	}
	if (field)
		json_object_set_new(params, command_text(field, "name"), value_of(field, word));
	return 0;
}

static void try_option(void *arg, const json_t *field, const char *option)
{
	nearest_try(arg, option);
}

/* "port add has no option --netwrk (did you mean "--network"?); ..." */
static void refuse_option(const json_t *method, const char *key, char error[COMMAND_ERROR])
{
	char name[64], said[KEY_MAX + 2];
	struct nearest nearest;

	snprintf(said, sizeof(said), "--%s", key);
	nearest_to(&nearest, said);
	command_each_option(json_object_get(method, "fields"), "--", try_option, &nearest);
	command_name(method, name);
	snprintf(error, COMMAND_ERROR, "%s has no option %s%s%s%s; \"sluicectl %s --help\" lists them", name,
		said, nearest.name[0] ? " (did you mean \"" : "", nearest.name, nearest.name[0] ? "\"?)" : "",
		name);
}

json_t *command_params(const json_t *method, int argc, char **argv, char error[COMMAND_ERROR])
{
	json_t *params = json_object();
	char key[KEY_MAX];

	for (int i = 0; i < argc; i++) {
		char *equals;

		if (strncmp(argv[i], "--", 2) != 0) {
			if (set_positional(method, params, argv[i], error) < 0)
				goto fail;
			continue;
		}
		snprintf(key, sizeof(key), "%s", argv[i] + 2);
		equals = strchr(key, '=');
		if (!equals && i + 1 >= argc) {
			snprintf(error, COMMAND_ERROR, "--%s needs a value", key);
			goto fail;
		}
		if (equals)
			*equals = '\0';
		if (!set_key(json_object_get(method, "fields"), params, key,
			    equals ? strchr(argv[i], '=') + 1 : argv[++i])) {
			refuse_option(method, key, error);
			goto fail;
		}
	}
	return params;
fail:
	json_decref(params);
	return NULL;
}

void command_each_option(const json_t *fields, const char *prefix,
	void (*fn)(void *arg, const json_t *field, const char *option), void *arg)
{
	json_t *field;
	size_t i;

	json_array_foreach ((json_t *)fields, i, field) {
		char option[KEY_MAX];

		if (json_is_true(json_object_get(field, "positional")))
			continue;
		snprintf(option, sizeof(option), "%s%s%s", prefix, command_text(field, "name"),
			json_object_get(field, "fields") ? "-" : "");
		for (char *p = option; *p; p++)
			*p = *p == '_' ? '-' : *p;
		if (json_object_get(field, "fields"))
			command_each_option(json_object_get(field, "fields"), option, fn, arg);
		else
			fn(arg, field, option);
	}
}

static void print_option(void *arg, const json_t *field, const char *option)
{
	json_t *choice, *value;
	char *text;
	size_t i;

	printf("  %-24s %s", option, command_text(field, "help"));
	if (json_is_true(json_object_get(field, "required")))
		printf(", required");
	value = json_object_get(field, "choices");
	json_array_foreach (value, i, choice)
		printf("%s%s", i ? "|" : " (", json_string_value(choice));
	printf("%s", json_array_size(value) ? ")" : "");
	if (strcmp(command_text(field, "type"), "integer") == 0)
		printf(" (%lld..%lld)", (long long)json_integer_value(json_object_get(field, "min")),
			(long long)json_integer_value(json_object_get(field, "max")));
	value = json_object_get(field, "default");
	if (value) {
		text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		printf(" [%s]", text ? text : "");
		free(text);
	}
	printf("\n");
}

void command_usage(const json_t *method)
{
	char name[64];
	json_t *field;
	size_t i;

	printf("Usage: sluicectl %s", command_name(method, name));
	json_array_foreach (json_object_get(method, "fields"), i, field) {
		int required = json_is_true(json_object_get(field, "required"));

		if (!json_is_true(json_object_get(field, "positional")))
			continue;
		printf(required ? " " : " [");
		for (const char *p = command_text(field, "name"); *p; p++)
			putchar(*p >= 'a' && *p <= 'z' ? *p - 32 : *p);
		printf(required ? "" : "]");
	}
	printf(" [--OPTION VALUE]...\n%s.\n", command_text(method, "help"));
	command_each_option(json_object_get(method, "fields"), "--", print_option, NULL);
}

void command_list(const json_t *methods, const char *noun)
{
	char name[64];
	json_t *method;
	size_t i;

	json_array_foreach ((json_t *)methods, i, method)
		if (!noun || is_of_noun(method, noun))
			printf("  %-20s %s\n", command_name(method, name), command_text(method, "help"));
}

int command_help(const json_t *methods, int argc, char **argv, char error[COMMAND_ERROR])
{
	const json_t *method;
	int used;

	if (argc == 0 || (argc == 1 && command_is_noun(methods, argv[0]))) {
		command_list(methods, argc ? argv[0] : NULL);
		return 0;
	}
	method = command_method(methods, argc, argv, &used, error);
	if (method)
		command_usage(method);
	return method ? 0 : -1;
}

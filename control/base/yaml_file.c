#include "control/base/yaml_file.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

struct reader {
	yaml_parser_t parser;
	char *why;
	unsigned depth;
};

static json_t *fail(struct reader *reader, const yaml_event_t *event, const char *what)
{
	snprintf(reader->why, YAML_FILE_WHY, "line %zu: %s", event->start_mark.line + 1, what);
	return NULL;
}

/* False: it is no YAML. Else the event is the caller's. */
static bool next(struct reader *reader, yaml_event_t *event)
{
	const yaml_parser_t *parser = &reader->parser;

	if (yaml_parser_parse(&reader->parser, event))
		return true;
	snprintf(reader->why, YAML_FILE_WHY, "line %zu: %s", parser->problem_mark.line + 1,
		parser->problem ? parser->problem : "no YAML");
	return false;
}

static bool is_one_of(const char *text, const char *const list[])
{
	for (size_t i = 0; list[i]; i++)
		if (strcmp(text, list[i]) == 0)
			return true;
	return false;
}

static json_t *scalar(struct reader *reader, const yaml_event_t *event)
{
	static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL},
				 *const truths[] = {"true", "True", "TRUE", NULL},
				 *const untruths[] = {"false", "False", "FALSE", NULL};
	const char *text = (const char *)event->data.scalar.value;
	bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
	json_t *value;

	if (strlen(text) != event->data.scalar.length)
		return fail(reader, event, "a text with a NUL");
	if (plain && is_one_of(text, nulls))
		return json_null();
	if (plain && (is_one_of(text, truths) || is_one_of(text, untruths)))
		return json_boolean(is_one_of(text, truths));
	value = json_string(text);
	return value ? value : fail(reader, event, "out of memory");
}

static json_t *value_of(struct reader *reader, const yaml_event_t *event);

static json_t *list(struct reader *reader)
{
	json_t *all = json_array();
	yaml_event_t event;

	while (all && next(reader, &event)) {
		bool ends = event.type == YAML_SEQUENCE_END_EVENT;
		json_t *one = ends ? NULL : value_of(reader, &event);

		yaml_event_delete(&event);
		if (ends)
			return all;
		if (!one || json_array_append_new(all, one) < 0)
			break;
	}
	json_decref(all);
	return NULL;
}

/* One key with its value. NULL: it cannot be. */
static json_t *member(struct reader *reader, json_t *all, const yaml_event_t *key)
{
	const char *name = (const char *)key->data.scalar.value;
	json_t *value = NULL;
	yaml_event_t event;

	if (key->type != YAML_SCALAR_EVENT || strlen(name) != key->data.scalar.length)
		return fail(reader, key, "a key that is no text");
	if (json_object_get(all, name))
		return fail(reader, key, "a key that was there before");
	if (!next(reader, &event))
		return NULL;
	value = value_of(reader, &event);
	yaml_event_delete(&event);
	if (!value)
		return NULL;
	return json_object_set_new(all, name, value) < 0 ? fail(reader, key, "out of memory") : all;
}

static json_t *map(struct reader *reader)
{
	json_t *all = json_object();
	yaml_event_t event;

	while (all && next(reader, &event)) {
		bool ends = event.type == YAML_MAPPING_END_EVENT,
		     goes_on = !ends && member(reader, all, &event) != NULL;

		yaml_event_delete(&event);
		if (ends)
			return all;
		if (!goes_on)
			break;
	}
	json_decref(all);
	return NULL;
}

static json_t *value_of(struct reader *reader, const yaml_event_t *event)
{
	json_t *value;

	if (event->type == YAML_SCALAR_EVENT)
		return scalar(reader, event);
	if (event->type == YAML_ALIAS_EVENT) /* a few lines of them could be gigabytes */
		return fail(reader, event, "an alias");
	if (++reader->depth > YAML_FILE_DEPTH)
		return fail(reader, event, "too deep");
	value = event->type == YAML_SEQUENCE_START_EVENT ? list(reader) : map(reader);
	reader->depth--;
	return value;
}

/* What begins a stream and a document, and the value behind it. */
static json_t *document(struct reader *reader)
{
	json_t *value = NULL;
	yaml_event_t event;

	for (bool before = true; before;) {
		if (!next(reader, &event))
			return NULL;
		before = event.type == YAML_STREAM_START_EVENT || event.type == YAML_DOCUMENT_START_EVENT;
		if (event.type == YAML_STREAM_END_EVENT)
			fail(reader, &event, "nothing is there");
		else if (!before)
			value = value_of(reader, &event);
		yaml_event_delete(&event);
	}
	return value;
}

/* False: something comes behind it. */
static bool is_all(struct reader *reader)
{
	yaml_event_t event;

	for (bool ends = false; !ends;) {
		if (!next(reader, &event))
			return false;
		ends = event.type == YAML_STREAM_END_EVENT;
		if (!ends && event.type != YAML_DOCUMENT_END_EVENT) {
			fail(reader, &event, "more than one document");
			yaml_event_delete(&event);
			return false;
		}
		yaml_event_delete(&event);
	}
	return true;
}

static json_t *parse(const char *text, size_t len, char why[YAML_FILE_WHY])
{
	struct reader reader = {.why = why};
	json_t *value;

	snprintf(why, YAML_FILE_WHY, "out of memory");
	if (!yaml_parser_initialize(&reader.parser))
		return NULL;
	yaml_parser_set_input_string(&reader.parser, (const unsigned char *)text, len);
	value = document(&reader);
	if (value && !is_all(&reader)) {
		json_decref(value);
		value = NULL;
	}
	yaml_parser_delete(&reader.parser);
	return value;
}

json_t *yaml_file_read(const char *path, char why[YAML_FILE_WHY])
{
	FILE *file = fopen(path, "re");
	char *text = file ? malloc(YAML_FILE_BYTES + 1) : NULL;
	json_t *value = NULL;
	size_t len;

	snprintf(why, YAML_FILE_WHY, "%s", strerror(errno));
	if (text) {
		len = fread(text, 1, YAML_FILE_BYTES + 1, file);
		if (ferror(file))
			snprintf(why, YAML_FILE_WHY, "%s", strerror(errno));
		else if (len > YAML_FILE_BYTES)
			snprintf(why, YAML_FILE_WHY, "longer than %d bytes", YAML_FILE_BYTES);
		else
			value = parse(text, len, why);
	}
	free(text);
	if (file)
		fclose(file);
	return value;
}

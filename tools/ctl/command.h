/* command.h: from words on the command line to a method and its parameters, by what api.describe says. Pure.
 */
#pragma once

#include <jansson.h>

enum { COMMAND_ERROR = 448 };

/**
 * The method that `argv` begins with ("port", "add", ... or "status"); *used gets the number of words it
 * took. NULL with a line in `error` when there is none, with the nearest name where one is near.
 */
const json_t *command_method(
	const json_t *methods, int argc, char **argv, int *used, char error[COMMAND_ERROR]);

/** The parameters that the remaining words give: positional values, then --key value. NULL with a line in
 * `error`. */
json_t *command_params(const json_t *method, int argc, char **argv, char error[COMMAND_ERROR]);

/**
 * The field that --key sets ("check-type"), NULL when there is none. Where `object` is not NULL, *object holds the
 * parameters, and becomes the object in them that the field belongs to.
 */
const json_t *command_field(const json_t *fields, const char *key, json_t **object);

/** Calls `fn` for each option that sets one of the fields, spelled as it is typed behind `prefix` ("--"). */
void command_each_option(const json_t *fields, const char *prefix,
	void (*fn)(void *arg, const json_t *field, const char *option), void *arg);

/** A text in an object, or "". */
const char *command_text(const json_t *object, const char *key);

/** The field that the next positional argument fills after those of `params`, NULL when none is left. */
const json_t *command_next_positional(const json_t *method, const json_t *params);

/** "port add NAME [--network NAME] ...": how the method is called, with its help, to stdout. */
void command_usage(const json_t *method);

/** The command line's name of the method: "port add". `buf` has room for 64 bytes. */
const char *command_name(const json_t *method, char buf[64]);

/** Is there a method of `noun`? */
int command_is_noun(const json_t *methods, const char *noun);

/** Nouns, verbs and help of all methods, or of those of `noun` when it is not NULL, to stdout. */
void command_list(const json_t *methods, const char *noun);

/** What `help` prints for the words behind it: everything, a noun, or a command. -1 with a line in `error`. */
int command_help(const json_t *methods, int argc, char **argv, char error[COMMAND_ERROR]);

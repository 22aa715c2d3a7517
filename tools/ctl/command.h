/* command.h: from words on the command line to a method and its parameters, by what api.describe says. Pure.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

enum { COMMAND_ERROR = 320 };

/**
 * The method that `argv` begins with ("port", "add", ... or "status"); *used gets the number of words it
 * took. NULL with a line in `error` when there is none, with the nearest name where one is near.
 */
const json_t *command_method(
	const json_t *methods, int argc, char **argv, int *used, char error[COMMAND_ERROR]);

/** The parameters that the remaining words give: values by place, then --key value. NULL with a line in
 * `error`. */
json_t *command_params(const json_t *method, int argc, char **argv, char error[COMMAND_ERROR]);

/** "port add NAME [--network NAME] ...": how the method is called, with its help, to stdout. */
void command_usage(const json_t *method);

/** The command line's name of the method: "port add". `buf` has room for 64 bytes. */
const char *command_name(const json_t *method, char buf[64]);

/** Nouns, verbs and help of all methods, to stdout. */
void command_list(const json_t *methods);

/* complete.h: what could come next on a command line, for the shell. */
#pragma once

#include <jansson.h>

/** The script that makes bash ask `sluicectl __complete`. */
extern const char complete_bash[];

/**
 * Prints, one a line, what may follow words argv[0..argc-1), the last of which is being typed: nouns, verbs,
 * options, and the choices of an option. By what api.describe says.
 */
void complete_print(const json_t *methods, int argc, char **argv);

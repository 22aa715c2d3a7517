/* complete.h: what could come next on a command line, for the shell. */
#pragma once

#include <jansson.h>

/** The script that makes a shell ("bash", "zsh", "fish") ask `sluicectl __complete`; NULL: another shell. */
const char *complete_script(const char *shell);

struct client;

/**
 * Prints, one a line, what may follow words argv[0..argc-1), the last of which is being typed: nouns, verbs,
 * options, their choices, and the names of objects, for which it asks the daemon (NULL: none is there). By what
 * api.describe says.
 */
void complete_print(struct client *client, const json_t *methods, int argc, char **argv);

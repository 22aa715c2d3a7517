/* batch.h: many commands in one run, from a file. */
#pragma once

/**
 * Calls `fn` with the words of each line of `path` ("-": standard input), as they would stand on the command
 * line. Words are separated by blanks; empty lines and those that begin with # are left out. Stops at the
 * first that does not return 0, names its line on stderr and returns what it returned; 2 when the file cannot
 * be read.
 */
int batch_run(const char *path, int (*fn)(void *arg, int argc, char **argv), void *arg);

#include "tools/ctl/batch.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORDS_MAX = 64, EXIT_USAGE = 2 };

/* Cuts `line` into words; -1: too many. */
static int split(char *line, char *words[WORDS_MAX])
{
	int n = 0;

	for (char *word = strtok(line, " \t\n"); word; word = strtok(NULL, " \t\n")) {
		if (n == WORDS_MAX)
			return -1;
		words[n++] = word;
	}
	return n;
}

static int run_line(char *line, int (*fn)(void *arg, int argc, char **argv), void *arg)
{
	char *words[WORDS_MAX];
	int n = split(line, words);

	if (n < 0) {
		fprintf(stderr, "sluicectl: more than %d words\n", WORDS_MAX);
		return EXIT_USAGE;
	}
	return n > 0 && words[0][0] != '#' ? fn(arg, n, words) : 0;
}

int batch_run(const char *path, int (*fn)(void *arg, int argc, char **argv), void *arg)
{
	FILE *file = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	unsigned number = 0;
	char *line = NULL;
	size_t size = 0;
	int rc = 0;

	if (!file) {
		fprintf(stderr, "sluicectl: --batch: %s: %s\n", path, strerror(errno));
		return EXIT_USAGE;
	}
	while (rc == 0 && getline(&line, &size, file) > 0) {
		number++;
		rc = run_line(line, fn, arg);
	}
	if (rc != 0)
		fprintf(stderr, "sluicectl: --batch: stopped at line %u of %s\n", number, path);
	free(line);
	if (file != stdin)
		fclose(file);
	return rc;
}

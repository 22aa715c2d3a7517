/* api-docs.c: prints docs/api.md: a head, and the method tables. Links control and is not installed. */
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/methods/list.h"

/* What stands before the methods: a file as it is. */
static void print_head(const char *path)
{
	FILE *file = fopen(path, "re");
	int c;

	if (!file)
		err(1, "%s", path);
	while ((c = getc(file)) != EOF)
		putchar(c);
	fclose(file);
}

static void print_fields(const struct api_field *fields, const char *prefix)
{
	char takes[256], inner[128];

	for (; fields->name; fields++) {
		schema_describe(fields, takes, sizeof(takes));
		for (char *p = takes; *p; p++)
			if (*p == '|')
				*p = '/'; /* a bar would end the cell */
		printf("| `%s%s` | %s | %s | %s |\n", prefix, fields->name, takes,
			fields->required ? "required"
			: fields->def	 ? fields->def
					 : "",
			fields->help ? fields->help : "");
		if (fields->type != API_OBJECT)
			continue;
		snprintf(inner, sizeof(inner), "%s%s.", prefix, fields->name);
		print_fields(fields->fields, inner);
	}
}

static void print_method(void *arg, const struct api_method *method)
{
	char *noun = arg;
	size_t len = strcspn(method->name, ".");

	if (strlen(noun) != len || strncmp(noun, method->name, len) != 0) {
		snprintf(noun, 64, "%.*s", (int)len, method->name);
		printf("\n## %s\n", noun);
	}
	printf("\n### %s\n\n%s.%s\n", method->name, method->help, method->changes ? "" : " Changes nothing.");
	if (!method->fields || !method->fields->name)
		return;
	printf("\n| field | takes | default | what |\n|---|---|---|---|\n");
	print_fields(method->fields, "");
}

int main(int argc, char **argv)
{
	char noun[64] = "";

	if (argc != 2)
		errx(2, "usage: api-docs HEAD");
	print_head(argv[1]);
	methods_walk(print_method, noun);
	return 0;
}

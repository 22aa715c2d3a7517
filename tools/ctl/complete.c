#include "tools/ctl/complete.h"

#include <stdio.h>
#include <string.h>

#include "tools/ctl/command.h"

const char complete_bash[] =
	"_sluicectl() {\n"
	"\tlocal IFS=$'\\n'\n"
	"\tCOMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
	"2>/dev/null)\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
	"}\n"
	"complete -F _sluicectl sluicectl\n";

static void print_options(const json_t *fields, const char *prefix)
{
	json_t *field;
	size_t i;

	json_array_foreach ((json_t *)fields, i, field) {
		char option[96];

		if (json_is_true(json_object_get(field, "positional")))
			continue;
		snprintf(option, sizeof(option), "%s%s", prefix,
			json_string_value(json_object_get(field, "name")));
		for (char *p = option; *p; p++)
			*p = *p == '_' ? '-' : *p;
		if (json_object_get(field, "fields")) {
			strncat(option, "-", sizeof(option) - strlen(option) - 1);
			print_options(json_object_get(field, "fields"), option);
		} else {
			printf("%s\n", option);
		}
	}
}

/* The values of the option just typed, where they are few. */
static int print_choices(const json_t *method, const char *option)
{
	json_t *field, *choice;
	size_t i, k;

	json_array_foreach (json_object_get(method, "fields"), i, field) {
		if (strcmp(json_string_value(json_object_get(field, "name")), option + 2) != 0)
			continue;
		json_array_foreach (json_object_get(field, "choices"), k, choice)
			printf("%s\n", json_string_value(choice));
		if (strcmp(json_string_value(json_object_get(field, "type")), "boolean") == 0)
			printf("true\nfalse\n");
		return 1;
	}
	return 0;
}

/* Nouns, or the verbs of `noun`; each once, for the methods of a noun stand together. */
static void print_words(const json_t *methods, const char *noun)
{
	char last[64] = "";
	json_t *method;
	size_t i;

	json_array_foreach ((json_t *)methods, i, method) {
		const char *name = json_string_value(json_object_get(method, "name"));
		size_t len = strcspn(name, ".");
		char word[64];

		if (noun && (strlen(noun) != len || strncmp(noun, name, len) != 0 || !name[len]))
			continue;
		snprintf(word, sizeof(word), "%.*s", noun ? 63 : (int)len, noun ? name + len + 1 : name);
		if (strcmp(word, last) != 0)
			printf("%s\n", word);
		memcpy(last, word, sizeof(last));
	}
}

void complete_print(const json_t *methods, int argc, char **argv)
{
	char error[COMMAND_ERROR];
	const json_t *method = NULL;
	int used;

	if (argc <= 1) {
		print_words(methods, NULL);
		return;
	}
	method = command_method(methods, argc - 1, argv, &used, error);
	if (!method) {
		if (argc == 2)
			print_words(methods, argv[0]);
		return;
	}
	if (argc - 1 > used && strncmp(argv[argc - 2], "--", 2) == 0 && print_choices(method, argv[argc - 2]))
		return;
	print_options(json_object_get(method, "fields"), "--");
}

#include "tools/ctl/complete.h"

#include <stdio.h>
#include <string.h>

#include "tools/ctl/client.h"
#include "tools/ctl/command.h"

/* Each asks `sluicectl __complete` with the words so far, the last of which is being typed. */
static const char bash[] =
	"_sluicectl() {\n"
	"\tlocal IFS=$'\\n'\n"
	"\tCOMPREPLY=($(compgen -W \"$(\"${COMP_WORDS[0]}\" __complete \"${COMP_WORDS[@]:1:COMP_CWORD}\" "
	"2>/dev/null)\" -- \"${COMP_WORDS[COMP_CWORD]}\"))\n"
	"}\n"
	"complete -F _sluicectl sluicectl\n";

/* Zsh loads it as a function from a file in its path; who evaluates it has it defined. */
static const char zsh[] =
	"#compdef sluicectl\n"
	"_sluicectl() {\n"
	"\tlocal -a offered\n"
	"\toffered=(\"${(@f)$(\"${words[1]}\" __complete \"${(@)words[2,CURRENT]}\" 2>/dev/null)}\")\n"
	"\tcompadd -a offered\n"
	"}\n"
	"if [ \"$funcstack[1]\" = _sluicectl ]; then\n"
	"\t_sluicectl \"$@\"\n"
	"else\n"
	"\tcompdef _sluicectl sluicectl\n"
	"fi\n";

static const char fish[] = "function __sluicectl_complete\n"
			   "\tset -l words (commandline -opc)\n"
			   "\tset -l program $words[1]\n"
			   "\tset -e words[1]\n"
			   "\t$program __complete $words (commandline -ct) 2>/dev/null\n"
			   "end\n"
			   "complete -c sluicectl -f -a '(__sluicectl_complete)'\n";

static const struct {
	const char *shell, *script;
} scripts[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};

const char *complete_script(const char *shell)
{
	for (size_t i = 0; shell && i < sizeof(scripts) / sizeof(scripts[0]); i++)
		if (strcmp(scripts[i].shell, shell) == 0)
			return scripts[i].script;
	return NULL;
}

static void print_option(void *arg, const json_t *field, const char *option)
{
	printf("%s\n", option);
}

/* The names of what `noun` lists. */
static void print_names(struct client *client, const char *noun)
{
	char method[80], error[256];
	json_t *list, *row;
	size_t i;
	int code;

	snprintf(method, sizeof(method), "%s.list", noun);
	list = client ? client_call(client, method, NULL, error, sizeof(error), &code) : NULL;
	json_array_foreach (list, i, row)
		if (json_object_get(row, "name"))
			printf("%s\n", command_text(row, "name"));
	json_decref(list);
}

/* What the field may hold, where that is known: a field "network" takes the name of a network. */
static void print_values(
	struct client *client, const json_t *methods, const json_t *method, const json_t *field)
{
	const char *type = command_text(field, "type"), *name = command_text(field, "name");
	char noun[64];
	json_t *choice;
	size_t i;

	json_array_foreach (json_object_get(field, "choices"), i, choice)
		printf("%s\n", json_string_value(choice));
	if (strcmp(type, "boolean") == 0)
		printf("true\nfalse\n");
	if (strcmp(type, "name") != 0 && strcmp(type, "service") != 0)
		return;
	snprintf(noun, sizeof(noun), "%s", command_text(method, "name"));
	noun[strcspn(noun, ".")] = '\0';
	if (strcmp(name, "name") != 0)
		snprintf(noun, sizeof(noun), "%s", name);
	else if (strstr(command_text(method, "name"), ".add"))
		return;
	if (command_is_noun(methods, noun))
		print_names(client, noun);
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

/* Words that sluicectl knows without being told. */
static void print_own(const char *const *words)
{
	for (; *words; words++)
		printf("%s\n", *words);
}

static const char *const shells[] = {"bash", "zsh", "fish", NULL};
static const char *const first_words[] = {
	"help", "completion", "--socket", "--timeout", "--batch", "--json", "--version", "--help", NULL};

void complete_print(struct client *client, const json_t *methods, int argc, char **argv)
{
	char error[COMMAND_ERROR];
	const json_t *method = NULL, *field;
	json_t *params;
	int used;

	if (argc <= 1) {
		print_words(methods, NULL);
		print_own(first_words);
		return;
	}
	if (strcmp(argv[0], "completion") == 0) {
		print_own(shells);
		return;
	}
	if (strcmp(argv[0], "help") == 0) {
		if (argc <= 3)
			print_words(methods, argc == 3 ? argv[1] : NULL);
		return;
	}
	method = command_method(methods, argc - 1, argv, &used, error);
	if (!method) {
		if (argc == 2)
			print_words(methods, argv[0]);
		return;
	}
	if (argc - 1 > used && strncmp(argv[argc - 2], "--", 2) == 0) {
		field = command_field(json_object_get(method, "fields"), argv[argc - 2] + 2, NULL);
		if (field) {
			print_values(client, methods, method, field);
			return;
		}
	}
	params = command_params(method, argc - 1 - used, argv + used, error);
	field = params ? command_next_positional(method, params) : NULL;
	if (field)
		print_values(client, methods, method, field);
	json_decref(params);
	command_each_option(json_object_get(method, "fields"), "--", print_option, NULL);
}

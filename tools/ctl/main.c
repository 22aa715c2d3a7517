/* main.c: sluicectl, the command line of the daemon. What it can do, the daemon tells it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/client.h"
#include "tools/ctl/command.h"
#include "tools/ctl/complete.h"
#include "tools/ctl/table.h"

#define DEFAULT_SOCKET "/run/sluice/control.sock"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2 };

struct options {
	const char *socket;
	int json, used;
};

static void print_usage(void)
{
	printf("Usage: sluicectl [--socket PATH] [--json] NOUN VERB [NAME] [--key value]...\n"
	       "       sluicectl help | NOUN VERB --help | completion bash\n\n"
	       "Lists are comma-separated (--ips 10.1.0.11,10.1.0.12), nested keys joined (--check-type "
	       "tcp).\n");
}

static struct options parse(int argc, char **argv)
{
	struct options o = {.socket = DEFAULT_SOCKET, .used = 1};

	for (; o.used < argc && strncmp(argv[o.used], "--", 2) == 0; o.used++) {
		if (strcmp(argv[o.used], "--json") == 0) {
			o.json = 1;
		} else if (strcmp(argv[o.used], "--socket") == 0 && o.used + 1 < argc) {
			o.socket = argv[++o.used];
		} else if (strcmp(argv[o.used], "--version") == 0) {
			printf("sluicectl %s\n", SLUICE_VERSION);
			exit(0);
		} else if (strcmp(argv[o.used], "--help") == 0) {
			print_usage();
			exit(0);
		} else {
			fprintf(stderr, "sluicectl: unknown option %s\n", argv[o.used]);
			exit(EXIT_USAGE);
		}
	}
	if (o.used == argc) {
		print_usage();
		exit(EXIT_USAGE);
	}
	return o;
}

static void print_json(const json_t *result)
{
	json_dumpf(result, stdout, JSON_COMPACT | JSON_ENCODE_ANY);
	printf("\n");
	fflush(stdout);
}

/* What a connection hears until the daemon or the user ends it. */
static void stream(struct client *client, int as_json)
{
	json_t *message, *params;

	while ((message = client_next(client))) {
		params = json_object_get(message, "params");
		if (as_json) {
			print_json(params);
		} else {
			table_print(params, NULL);
			printf("\n");
			fflush(stdout);
		}
		json_decref(message);
	}
}

static void show(const json_t *method, const json_t *result, int as_json)
{
	if (as_json)
		print_json(result);
	else if (!json_is_true(json_object_get(method, "changes")) || json_array_size(result))
		table_print(result, json_object_get(method, "columns"));
	fflush(stdout);
}

static int run(struct client *client, const json_t *method, json_t *params, int as_json)
{
	const char *name = json_string_value(json_object_get(method, "name"));
	char error[512];
	int code;
	json_t *result = client_call(client, name, params, error, sizeof(error), &code);

	if (!result) {
		fprintf(stderr, "sluicectl: %s\n", error);
		return EXIT_REFUSED;
	}
	show(method, result, as_json);
	json_decref(result);
	if (strcmp(name, "service.watch") == 0)
		stream(client, as_json);
	return 0;
}

static int wants_help(int argc, char **argv)
{
	return argc > 0 && strcmp(argv[argc - 1], "--help") == 0;
}

static int dispatch(struct client *client, const json_t *methods, int argc, char **argv, int as_json)
{
	char error[COMMAND_ERROR];
	const json_t *method;
	json_t *params;
	int used;

	if (strcmp(argv[0], "__complete") == 0) {
		complete_print(methods, argc - 1, argv + 1);
		return 0;
	}
	if (strcmp(argv[0], "help") == 0) {
		print_usage();
		printf("\n");
		command_list(methods);
		return 0;
	}
	/* --json is also taken where people type it: at the end */
	if (argc > 1 && strcmp(argv[argc - 1], "--json") == 0)
		return dispatch(client, methods, argc - 1, argv, 1);
	method = command_method(methods, argc, argv, &used, error);
	if (method && wants_help(argc - used, argv + used)) {
		command_usage(method);
		return 0;
	}
	params = method ? command_params(method, argc - used, argv + used, error) : NULL;
	if (!params) {
		fprintf(stderr, "sluicectl: %s\n", error);
		return EXIT_USAGE;
	}
	return run(client, method, params, as_json);
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct client *client;
	json_t *methods;
	char error[512];
	int rc = EXIT_REFUSED, code;

	if (strcmp(argv[o.used], "completion") == 0) {
		printf("%s", complete_bash);
		return 0;
	}
	client = client_open(o.socket);
	if (!client)
		return EXIT_REFUSED;
	methods = client_call(client, "api.describe", NULL, error, sizeof(error), &code);
	if (methods)
		rc = dispatch(client, methods, argc - o.used, argv + o.used, o.json);
	else
		fprintf(stderr, "sluicectl: %s\n", error);
	json_decref(methods);
	client_close(client);
	return rc;
}

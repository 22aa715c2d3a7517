/* main.c: sluicectl, the command line of the daemon. What it can do, the daemon tells it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/batch.h"
#include "tools/ctl/client.h"
#include "tools/ctl/command.h"
#include "tools/ctl/complete.h"
#include "tools/ctl/table.h"

#define DEFAULT_SOCKET "/run/sluice/control.sock"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2, TIMEOUT_S = 10, TIMEOUT_MAX_S = 86400 };

struct options {
	const char *socket, *batch;
	unsigned timeout_s; /* 0: none */
	int json, completing, used;
};

static void print_usage(void)
{
	printf("Usage: sluicectl [OPTION]... NOUN VERB [NAME] [--key value]...\n"
	       "       sluicectl [OPTION]... --batch FILE   (a command a line; -: standard input)\n"
	       "       sluicectl help | NOUN VERB --help | completion bash\n\n"
	       "  --socket PATH   of the daemon (" DEFAULT_SOCKET ")\n"
	       "  --timeout S     how long the daemon may be silent, in seconds; 0: for ever (10)\n"
	       "  --json          print the result as the daemon gave it\n"
	       "  --version       print the version\n\n"
	       "Lists are comma-separated (--ips 10.1.0.11,10.1.0.12), nested keys joined (--check-type "
	       "tcp).\n");
}

static unsigned read_timeout(const char *text)
{
	char *end;
	unsigned long seconds = strtoul(text, &end, 10);

	if (*text < '0' || *text > '9' || *end || seconds > TIMEOUT_MAX_S) {
		fprintf(stderr, "sluicectl: --timeout: \"%s\" is no number of seconds from 0 to %d\n", text,
			TIMEOUT_MAX_S);
		exit(EXIT_USAGE);
	}
	return (unsigned)seconds;
}

static int takes_value(const char *option)
{
	return strcmp(option, "--socket") == 0 || strcmp(option, "--timeout") == 0 ||
	       strcmp(option, "--batch") == 0;
}

/* One of the options that come before the noun. */
static void take_option(struct options *o, int argc, char **argv)
{
	const char *option = argv[o->used];

	if (takes_value(option) && o->used + 1 >= argc) {
		fprintf(stderr, "sluicectl: %s needs a value\n", option);
		exit(EXIT_USAGE);
	}

	if (strcmp(option, "--json") == 0) {
		o->json = 1;
	} else if (strcmp(option, "--socket") == 0) {
		o->socket = argv[++o->used];
	} else if (strcmp(option, "--timeout") == 0) {
		o->timeout_s = read_timeout(argv[++o->used]);
	} else if (strcmp(option, "--batch") == 0) {
		o->batch = argv[++o->used];
	} else if (strcmp(option, "--version") == 0) {
		printf("sluicectl %s\n", SLUICE_VERSION);
		exit(0);
	} else if (strcmp(option, "--help") == 0) {
		print_usage();
		exit(0);
	} else {
		fprintf(stderr, "sluicectl: unknown option %s\n", option);
		exit(EXIT_USAGE);
	}
}

/* After __complete comes a command line whose last word is still being typed. */
static struct options parse(int argc, char **argv)
{
	struct options o = {.socket = DEFAULT_SOCKET, .timeout_s = TIMEOUT_S, .used = 1};

	for (; o.used < argc; o.used++) {
		if (strcmp(argv[o.used], "__complete") == 0 && !o.completing)
			o.completing = 1;
		else if (strncmp(argv[o.used], "--", 2) == 0 && o.used < argc - o.completing)
			take_option(&o, argc, argv);
		else
			break;
	}
	if ((o.used == argc) == !o.batch && !o.completing) {
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

static void print_document(const json_t *result)
{
	json_dumpf(result, stdout, JSON_INDENT(2));
	printf("\n");
}

/* What a connection hears until the user ends it; it returns when the daemon does. */
static int stream(struct client *client, int as_json)
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
	fprintf(stderr, "sluicectl: the daemon closed the connection\n");
	return EXIT_REFUSED;
}

/* What the daemon did, but not quite as one may think. */
static void print_notes(const json_t *result)
{
	const char *waiting = json_string_value(json_object_get(result, "waiting")),
		   *note = json_string_value(json_object_get(result, "note"));

	if (waiting)
		fprintf(stderr, "sluicectl: %s waits: %s\n",
			json_string_value(json_object_get(result, "name")), waiting);
	if (note)
		fprintf(stderr, "sluicectl: done, but %s\n", note);
}

/* Done it is, so this is no failure. */
static void warn(const json_t *method, const json_t *result)
{
	const char *why = json_string_value(json_object_get(result, "not_kept"));

	if (why && json_is_true(json_object_get(method, "changes")))
		fprintf(stderr, "sluicectl: done, but not kept for the daemon's next start: %s\n", why);
}

static void show(const json_t *method, const json_t *result, int as_json)
{
	int changes = json_is_true(json_object_get(method, "changes"));

	if (as_json)
		print_json(result);
	else if (json_is_true(json_object_get(method, "document")))
		print_document(result);
	else if (!changes || json_array_size(result))
		table_print(result, json_object_get(method, "columns"));
	else
		print_notes(result);
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
	warn(method, result);
	json_decref(result);
	if (strcmp(name, "service.watch") == 0 || strcmp(name, "fdb.watch") == 0)
		return stream(client, as_json);
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

	if (strcmp(argv[0], "help") == 0) {
		print_usage();
		printf("\n");
		command_list(methods, NULL);
		return 0;
	}
	/* --json is also taken where people type it: at the end */
	if (argc > 1 && strcmp(argv[argc - 1], "--json") == 0)
		return dispatch(client, methods, argc - 1, argv, 1);
	if (argc == 2 && wants_help(argc, argv) && command_is_noun(methods, argv[0])) {
		command_list(methods, argv[0]);
		return 0;
	}
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

struct batch {
	struct client *client;
	const json_t *methods;
	int as_json;
};

static int run_one(void *arg, int argc, char **argv)
{
	const struct batch *batch = arg;

	return dispatch(batch->client, batch->methods, argc, argv, batch->as_json);
}

static int print_completion(const char *shell)
{
	if (shell && strcmp(shell, "bash") == 0) {
		printf("%s", complete_bash);
		return 0;
	}
	fprintf(stderr, "sluicectl: completion is there for bash\n");
	return EXIT_USAGE;
}

int main(int argc, char **argv)
{
	static const struct client_names names = {"--socket", "--timeout"};
	struct options o = parse(argc, argv);
	struct client *client;
	json_t *methods;
	char error[CLIENT_ERROR];
	int rc = EXIT_REFUSED, code;

	if (!o.completing && !o.batch && strcmp(argv[o.used], "completion") == 0)
		return print_completion(argv[o.used + 1]);
	client = client_open(o.socket, o.timeout_s, &names, error);
	if (!client) {
		fprintf(stderr, "sluicectl: %s\n", error);
		return EXIT_REFUSED;
	}
	methods = client_call(client, "api.describe", NULL, error, sizeof(error), &code);
	if (!methods)
		fprintf(stderr, "sluicectl: %s\n", error);
	else if (o.completing)
		complete_print(client, methods, argc - o.used, argv + o.used);
	else if (o.batch)
		rc = batch_run(o.batch, run_one, &(struct batch){client, methods, o.json});
	else
		rc = dispatch(client, methods, argc - o.used, argv + o.used, o.json);
	json_decref(methods);
	client_close(client);
	return rc;
}

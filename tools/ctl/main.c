/* main.c: sluicectl, the command line of the daemon. What it can do, the daemon tells it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/ctl/batch.h"
#include "tools/ctl/builtin.h"
#include "tools/ctl/client.h"
#include "tools/ctl/command.h"
#include "tools/ctl/complete.h"
#include "tools/ctl/nearest.h"
#include "tools/ctl/status.h"
#include "tools/ctl/table.h"

#define DEFAULT_SOCKET "/run/sluice/control.sock"

enum { EXIT_REFUSED = 1, EXIT_USAGE = 2, TIMEOUT_S = 10, TIMEOUT_MAX_S = 86400, COMPLETE_S = 1 };

struct options {
	const char *socket, *batch;
	unsigned timeout_s; /* 0: none */
	int json, completing, used;
};

static void print_usage(void)
{
	printf("Usage: sluicectl [OPTION]... NOUN VERB [NAME] [--key value]...\n"
	       "       sluicectl [OPTION]... --batch FILE   (a command a line; -: standard input)\n"
	       "       sluicectl help [NOUN [VERB]] | completion bash|zsh|fish\n\n"
	       "  --socket PATH   of the daemon (" DEFAULT_SOCKET ")\n"
	       "  --timeout S     how long the daemon may be silent, in seconds; 0: for ever (10)\n"
	       "  --batch FILE    run a command a line of it; -: standard input\n"
	       "  --json          print the result as the daemon gave it\n"
	       "  --version       print the version\n\n"
	       "Lists are comma-separated (--ips 10.1.0.11,10.1.0.12), nested keys joined (--check-type "
	       "tcp).\n");
}

static int is_help(const char *word)
{
	return strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0;
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

static void refuse_option(const char *option)
{
	static const char *const known[] = {
		"--socket", "--timeout", "--json", "--batch", "--version", "--help"};
	struct nearest nearest;

	nearest_to(&nearest, option);
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		nearest_try(&nearest, known[i]);
	fprintf(stderr, "sluicectl: unknown option %s%s%s%s\n", option,
		nearest.name[0] ? " (did you mean \"" : "", nearest.name, nearest.name[0] ? "\"?)" : "");
	exit(EXIT_USAGE);
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
	} else if (is_help(option)) {
		print_usage();
		exit(0);
	} else {
		refuse_option(option);
	}
}

/* After __complete comes a command line whose last word is still being typed. */
static struct options parse(int argc, char **argv)
{
	struct options o = {.socket = DEFAULT_SOCKET, .timeout_s = TIMEOUT_S, .used = 1};

	for (; o.used < argc; o.used++) {
		if (strcmp(argv[o.used], "__complete") == 0 && !o.completing)
			o.completing = 1;
		else if (argv[o.used][0] == '-' && o.used < argc - o.completing)
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

static void show(struct client *client, const json_t *method, const json_t *result, int as_json)
{
	int changes = json_is_true(json_object_get(method, "changes"));

	if (as_json)
		print_json(result);
	else if (json_is_true(json_object_get(method, "document")))
		print_document(result);
	else if (strcmp(command_text(method, "name"), "status") == 0)
		status_print(client, result);
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
	show(client, method, result, as_json);
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

/* "help port add" and "port add --help" print the same. */
static int help(const json_t *methods, int argc, char **argv)
{
	char error[COMMAND_ERROR];

	if (argc == 0) {
		print_usage();
		printf("\n");
	}
	if (command_help(methods, argc, argv, error) == 0)
		return 0;
	fprintf(stderr, "sluicectl: %s\n", error);
	return EXIT_USAGE;
}

static int dispatch(struct client *client, const json_t *methods, int argc, char **argv, int as_json)
{
	char error[COMMAND_ERROR];
	const json_t *method;
	json_t *params;
	int used;

	if (strcmp(argv[0], "help") == 0)
		return help(methods, argc - 1, argv + 1);
	/* --json is also taken where people type it: at the end */
	if (argc > 1 && strcmp(argv[argc - 1], "--json") == 0)
		return dispatch(client, methods, argc - 1, argv, 1);
	if (wants_help(argc, argv))
		return help(methods, argc - 1, argv);
	method = command_method(methods, argc, argv, &used, error);
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
	const char *script = complete_script(shell);

	if (script) {
		printf("%s", script);
		return 0;
	}
	fprintf(stderr, "sluicectl: completion is there for bash, zsh and fish\n");
	return EXIT_USAGE;
}

/* What it can do, the daemon says; what this program was built with serves where only words are asked for. */
static json_t *describe(struct client **client, const struct options *o, int argc, char **argv)
{
	static const struct client_names names = {"--socket", "--timeout"};
	char error[CLIENT_ERROR];
	json_t *methods = NULL;
	int code;

	*client = client_open(o->socket, o->completing ? COMPLETE_S : o->timeout_s, &names, error);
	if (*client)
		methods = client_call(*client, "api.describe", NULL, error, sizeof(error), &code);
	if (methods)
		return methods;
	client_close(*client);
	*client = NULL;
	if (o->completing || (!o->batch && (strcmp(argv[0], "help") == 0 || wants_help(argc, argv))))
		return json_loads(builtin_methods, 0, NULL);
	fprintf(stderr, "sluicectl: %s\n", error);
	return NULL;
}

int main(int argc, char **argv)
{
	struct options o = parse(argc, argv);
	struct client *client;
	json_t *methods;
	int rc = EXIT_REFUSED;

	argc -= o.used;
	argv += o.used;
	if (!o.completing && !o.batch && strcmp(argv[0], "completion") == 0)
		return print_completion(argv[1]);
	methods = describe(&client, &o, argc, argv);
	if (!methods)
		return EXIT_REFUSED;
	if (o.completing) {
		complete_print(client, methods, argc, argv);
		rc = 0;
	} else if (o.batch) {
		rc = batch_run(o.batch, run_one, &(struct batch){client, methods, o.json});
	} else {
		rc = dispatch(client, methods, argc, argv, o.json);
	}
	json_decref(methods);
	client_close(client);
	return rc;
}

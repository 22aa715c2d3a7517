#include "bench/options.h"

#include <err.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/generator.h"
#include "bench/scenario.h"
#include "bench/traffic.h"

enum { USAGE = 2, MAX_TURNS = 1000 };

enum key {
	KEY_PEERS = 256,
	KEY_SIZE,
	KEY_PAIRS,
	KEY_TURNS,
	KEY_TRIALS,
	KEY_SECONDS,
	KEY_WARM_UP,
	KEY_RING,
	KEY_WINDOW,
	KEY_GENERATOR_CORE,
	KEY_WORKER_CORE,
	KEY_HUGE_MB,
	KEY_REALTIME,
	KEY_JSON,
	KEY_OUTPUT,
	KEY_PEER_DIR,
	KEY_SOCKETS,
	KEY_CONTROL,
	KEY_BACKEND_CONNECTS,
	KEY_HELP,
	KEY_VERSION,
};

struct option_help {
	struct option option;
	const char *value, *help;
};

static const struct option_help table[] = {
	{{"peers", required_argument, NULL, KEY_PEERS}, "LIST",
		"what to measure, in turns (sluice); see below"},
	{{"peer", required_argument, NULL, KEY_PEERS}, "NAME", "the same, for one"},
	{{"size", required_argument, NULL, KEY_SIZE}, "LIST", "frame sizes, bytes with FCS (64)"},
	{{"pairs", required_argument, NULL, KEY_PAIRS}, "LIST", "pairs of MAC and IP addresses (1)"},
	{{"turns", required_argument, NULL, KEY_TURNS}, "N", "times that each peer has its turn (3)"},
	{{"trials", required_argument, NULL, KEY_TRIALS}, "N", "measurements of each kind in a turn (1)"},
	{{"seconds", required_argument, NULL, KEY_SECONDS}, "S", "length of a measurement (2)"},
	{{"warm-up", required_argument, NULL, KEY_WARM_UP}, "S",
		"traffic before it, repeated until its rate is steady (0.3)"},
	{{"ring", required_argument, NULL, KEY_RING}, "N",
		"slots of the generator's rings, a power of two (256)"},
	{{"window", required_argument, NULL, KEY_WINDOW}, "N",
		"frames under way each way; 0: open loop, as fast as the rings take them (192)"},
	{{"generator-core", required_argument, NULL, KEY_GENERATOR_CORE}, "N", "(0)"},
	{{"worker-core", required_argument, NULL, KEY_WORKER_CORE}, "N",
		"the core that the switch polls on (1)"},
	{{"huge-mb", required_argument, NULL, KEY_HUGE_MB}, "MB",
		"huge pages to reserve for the run; 0: use none (1024)"},
	{{"realtime", no_argument, NULL, KEY_REALTIME}, NULL,
		"the bench and its peers go before everything else on these cores"},
	{{"sockets", required_argument, NULL, KEY_SOCKETS}, "A,B",
		"drive a switch that already runs, by its two vhost-user sockets"},
	{{"control", required_argument, NULL, KEY_CONTROL}, "PATH",
		"its control socket, when it is a sluiced"},
	{{"backend-connects", no_argument, NULL, KEY_BACKEND_CONNECTS}, NULL,
		"it connects to A and B, which we make"},
	{{"peer-dir", required_argument, NULL, KEY_PEER_DIR}, "DIR", "where the peers' programs are"},
	{{"json", no_argument, NULL, KEY_JSON}, NULL, "print JSON instead of a table"},
	{{"output", required_argument, NULL, KEY_OUTPUT}, "FILE", "write the JSON there too"},
	{{"help", no_argument, NULL, KEY_HELP}, NULL, "this"},
	{{"version", no_argument, NULL, KEY_VERSION}, NULL, "the version"},
};

enum { N_OPTIONS = sizeof(table) / sizeof(table[0]) };

static void print_help(void)
{
	printf("sluice-bench SCENARIO [options]: measures a vhost-user switch\n\nScenarios:\n");
	for (const struct scenario *s = scenarios; s->name; s++)
		printf("  %-8s %s\n", s->name, s->help);
	printf("\nOptions (their defaults):\n");
	for (unsigned i = 0; i < N_OPTIONS; i++) {
		char name[40];

		snprintf(name, sizeof(name), "--%s %s", table[i].option.name,
			table[i].value ? table[i].value : "");
		printf("  %-24s %s\n", name, table[i].help);
	}
	printf("\nPeers: null (the generator's own ceiling) and each program in the peer directory: sluice, "
	       "testpmd,\n"
	       "ovs, running (needs --sockets). Lists are separated by commas.\n");
}

static unsigned number(const char *name, const char *text, unsigned min, unsigned max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || value < min || value > max)
		errx(USAGE, "--%s: a number from %u to %u, not \"%s\"", name, min, max, text);
	return (unsigned)value;
}

static double seconds(const char *name, const char *text, double min)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= min && value <= 3600))
		errx(USAGE, "--%s: seconds from %g to 3600, not \"%s\"", name, min, text);
	return value;
}

static unsigned numbers(const char *name, char *text, unsigned min, unsigned max, unsigned *out)
{
	unsigned n = 0;

	for (char *next; (next = strsep(&text, ",")) != NULL; out[n++] = number(name, next, min, max))
		if (n == OPTIONS_MAX_LIST)
			errx(USAGE, "--%s: at most %u values", name, OPTIONS_MAX_LIST);
	return n;
}

static void take_peers(struct options *o, char *text)
{
	o->n_peers = 0;
	for (char *next; (next = strsep(&text, ",")) != NULL;) {
		if (*next == '\0' || strspn(next, "abcdefghijklmnopqrstuvwxyz0123456789-_") != strlen(next))
			errx(USAGE, "--peers: \"%s\" is no name of a peer", next);
		if (o->n_peers == OPTIONS_MAX_PEERS)
			errx(USAGE, "--peers: at most %u", OPTIONS_MAX_PEERS);
		o->peers[o->n_peers++] = next;
	}
}

static void take_sockets(struct options *o, char *text)
{
	o->sockets[0] = strsep(&text, ",");
	o->sockets[1] = text;
	if (!text || strchr(text, ',') || !*text || !*o->sockets[0])
		errx(USAGE, "--sockets: two paths, separated by a comma");
	o->peers[0] = "running";
	o->n_peers = 1;
}

static void take(struct options *o, int key, const char *name, char *value)
{
	switch (key) {
	case KEY_PEERS:
		take_peers(o, value);
		break;
	case KEY_SIZE:
		o->n_sizes = numbers(name, value, TRAFFIC_MIN, TRAFFIC_MAX, o->sizes);
		break;
	case KEY_PAIRS:
		o->n_pairs = numbers(name, value, 1, TRAFFIC_MAX_PAIRS, o->pairs);
		break;
	case KEY_TURNS:
		o->turns = number(name, value, 1, MAX_TURNS);
		break;
	case KEY_TRIALS:
		o->trials = number(name, value, 1, MAX_TURNS);
		break;
	case KEY_SECONDS:
		o->seconds = seconds(name, value, 0.01);
		break;
	case KEY_WARM_UP:
		o->warm_up = seconds(name, value, 0);
		break;
	case KEY_RING:
		o->ring = number(name, value, GENERATOR_MIN_WINDOW, 32768);
		break;
	case KEY_WINDOW:
		o->window = number(name, value, 0, 32768);
		break;
	case KEY_GENERATOR_CORE:
		o->generator_core = (int)number(name, value, 0, 1023);
		break;
	case KEY_WORKER_CORE:
		o->worker_core = (int)number(name, value, 0, 1023);
		break;
	case KEY_HUGE_MB:
		o->huge_mb = number(name, value, 0, 1 << 20);
		break;
	case KEY_REALTIME:
		o->realtime = true;
		break;
	case KEY_SOCKETS:
		take_sockets(o, value);
		break;
	case KEY_CONTROL:
		o->control = value;
		break;
	case KEY_BACKEND_CONNECTS:
		o->backend_connects = true;
		break;
	case KEY_PEER_DIR:
		o->peer_dir = value;
		break;
	case KEY_JSON:
		o->json = true;
		break;
	case KEY_OUTPUT:
		o->output = value;
		break;
	case KEY_HELP:
		print_help();
		exit(0);
	case KEY_VERSION:
		puts(SLUICE_VERSION);
		exit(0);
	default:
		fprintf(stderr, "sluice-bench --help says what there is\n");
		exit(USAGE);
	}
}

static void check(const struct options *o)
{
	if ((o->ring & (o->ring - 1)) != 0)
		errx(USAGE, "--ring: a power of two, not %u", o->ring);
	if (o->window != 0 && (o->window < GENERATOR_MIN_WINDOW || o->window > o->ring))
		errx(USAGE, "--window: 0, or from %u to the ring's %u slots", GENERATOR_MIN_WINDOW, o->ring);
	if (o->generator_core == o->worker_core)
		errx(USAGE, "--worker-core: core %d already generates", o->worker_core);
	for (unsigned i = 0; i < o->n_peers; i++)
		if (strcmp(o->peers[i], "running") == 0 && !o->sockets[0])
			errx(USAGE, "--peers: \"running\" needs --sockets");
}

void options_parse(struct options *o, int argc, char **argv)
{
	struct option longs[N_OPTIONS + 1] = {0};
	int key, at = 0;

	*o = (struct options){.peers = {"sluice"},
		.n_peers = 1,
		.sizes = {TRAFFIC_MIN},
		.n_sizes = 1,
		.pairs = {1},
		.n_pairs = 1,
		.turns = 3,
		.trials = 1,
		.seconds = 2,
		.warm_up = 0.3,
		.ring = 256,
		.window = 192,
		.worker_core = 1,
		.huge_mb = 1024};
	o->peer_dir = getenv("SLUICE_BENCH_PEERS");
	if (!o->peer_dir)
		o->peer_dir =
			access(BENCH_PEERS_INSTALLED, X_OK) == 0 ? BENCH_PEERS_INSTALLED : BENCH_PEERS_SOURCE;
	for (unsigned i = 0; i < N_OPTIONS; i++)
		longs[i] = table[i].option;
	while ((key = getopt_long(argc, argv, "", longs, &at)) != -1)
		take(o, key, key == '?' ? NULL : longs[at].name, optarg);
	if (optind + 1 != argc)
		errx(USAGE, "give one scenario; sluice-bench --help lists them");
	o->scenario = argv[optind];
	check(o);
}

static json_t *list(const unsigned *values, unsigned n)
{
	json_t *array = json_array();

	for (unsigned i = 0; i < n; i++)
		json_array_append_new(array, json_integer(values[i]));
	return array;
}

json_t *options_json(const struct options *o)
{
	json_t *peers = json_array();

	for (unsigned i = 0; i < o->n_peers; i++)
		json_array_append_new(peers, json_string(o->peers[i]));
	return json_pack("{s:o, s:o, s:o, s:i, s:i, s:f, s:f, s:i, s:i, s:i, s:i, s:i, s:b}", "peers", peers,
		"size", list(o->sizes, o->n_sizes), "pairs", list(o->pairs, o->n_pairs), "turns",
		(int)o->turns, "trials", (int)o->trials, "seconds", o->seconds, "warm_up", o->warm_up, "ring",
		(int)o->ring, "window", (int)o->window, "generator_core", o->generator_core, "worker_core",
		o->worker_core, "huge_mb", (int)o->huge_mb, "realtime", o->realtime);
}

#include "bench/report/options.h"

#include <err.h>
#include <getopt.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/report/scenario.h"
#include "bench/traffic/generator.h"
#include "bench/traffic/traffic.h"

enum { USAGE = 2, MAX_TURNS = 1000 };

/* An option: how its value is read, and where to. */
struct row {
	const char *name, *value, *help;
	void (*take)(const struct row *row, struct options *o, char *text);
	size_t at;	 /* in struct options */
	double min, max; /* of a number */
};

static void *field(const struct row *row, struct options *o)
{
	return (char *)o + row->at;
}

static unsigned number(const char *name, const char *text, double min, double max)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);

	if (end == text || *end || (double)value < min || (double)value > max)
		errx(USAGE, "--%s: a number from %.0f to %.0f, not \"%s\"", name, min, max, text);
	return (unsigned)value;
}

static void take_number(const struct row *row, struct options *o, char *text)
{
	*(unsigned *)field(row, o) = number(row->name, text, row->min, row->max);
}

static void take_core(const struct row *row, struct options *o, char *text)
{
	*(int *)field(row, o) = (int)number(row->name, text, 0, 1023);
}

static void take_seconds(const struct row *row, struct options *o, char *text)
{
	char *end;
	double value = strtod(text, &end);

	if (end == text || *end || !(value >= row->min && value <= row->max))
		errx(USAGE, "--%s: seconds from %g to %g, not \"%s\"", row->name, row->min, row->max, text);
	*(double *)field(row, o) = value;
}

static void take_flag(const struct row *row, struct options *o, char *text)
{
	*(bool *)field(row, o) = true;
}

static void take_text(const struct row *row, struct options *o, char *text)
{
	*(const char **)field(row, o) = text;
}

static unsigned list_of_numbers(const struct row *row, char *text, unsigned *out)
{
	unsigned n = 0;

	for (char *next; (next = strsep(&text, ",")) != NULL; n++) {
		if (n == OPTIONS_MAX_LIST)
			errx(USAGE, "--%s: at most %u values", row->name, OPTIONS_MAX_LIST);
		out[n] = strcmp(row->name, "size") == 0 && strcmp(next, "imix") == 0
				 ? TRAFFIC_IMIX
				 : number(row->name, next, row->min, row->max);
	}
	return n;
}

static void take_sizes(const struct row *row, struct options *o, char *text)
{
	o->n_sizes = list_of_numbers(row, text, o->sizes);
}

static void take_counts(const struct row *row, struct options *o, char *text)
{
	o->n_counts = list_of_numbers(row, text, o->counts);
}

static void take_peers(const struct row *row, struct options *o, char *text)
{
	o->n_peers = 0;
	for (char *next; (next = strsep(&text, ",")) != NULL;) {
		if (*next == '\0' || strspn(next, "abcdefghijklmnopqrstuvwxyz0123456789-_") != strlen(next))
			errx(USAGE, "--%s: \"%s\" is no name of a peer", row->name, next);
		if (o->n_peers == OPTIONS_MAX_PEERS)
			errx(USAGE, "--%s: at most %u", row->name, OPTIONS_MAX_PEERS);
		o->peers[o->n_peers++] = next;
	}
}

static void take_sockets(const struct row *row, struct options *o, char *text)
{
	o->sockets[0] = strsep(&text, ",");
	o->sockets[1] = text;
	if (!text || strchr(text, ',') || !*text || !*o->sockets[0])
		errx(USAGE, "--%s: two paths, separated by a comma", row->name);
	o->peers[0] = "running";
	o->n_peers = 1;
}

static void print_help(const struct row *row, struct options *o, char *text);

static void print_version(const struct row *row, struct options *o, char *text)
{
	puts(SLUICE_VERSION);
	exit(0);
}

#define AT(member) offsetof(struct options, member)

static const struct row table[] = {
	{"peers", "LIST", "what to measure, in turns (sluice); see below", take_peers, 0, 0, 0},
	{"peer", "NAME", "the same, for one", take_peers, 0, 0, 0},
	{"size", "LIST", "frame sizes, bytes with FCS, or imix; see above", take_sizes, 0, TRAFFIC_MIN,
		TRAFFIC_MAX},
	{"count", "LIST", "how many pairs of hosts, connections, ports, ...; see above", take_counts, 0, 1,
		TRAFFIC_MAX_PAIRS},
	{"pairs", "LIST", "the same", take_counts, 0, 1, TRAFFIC_MAX_PAIRS},
	{"turns", "N", "times that each peer has its turn (3)", take_number, AT(turns), 1, MAX_TURNS},
	{"trials", "N", "measurements of each kind in a turn (1)", take_number, AT(trials), 1, MAX_TURNS},
	{"search", NULL, "also search the greatest rates with no loss (NDR) and with 0.5 % (PDR)", take_flag,
		AT(search), 0, 0},
	{"seconds", "S", "length of a measurement (2)", take_seconds, AT(seconds), 0.01, 3600},
	{"warm-up", "S", "traffic before it, repeated until its rate is steady (0.3)", take_seconds,
		AT(warm_up), 0, 3600},
	{"ring", "N", "slots of the generator's rings, a power of two (256)", take_number, AT(ring),
		GENERATOR_MIN_WINDOW, 32768},
	{"packed", NULL, "packed rings instead of split ones", take_flag, AT(packed), 0, 0},
	{"window", "N", "frames under way each way; 0: open loop, as fast as the rings take them (192)",
		take_number, AT(window), 0, 32768},
	{"generator-core", "N", "(0)", take_core, AT(generator_core), 0, 0},
	{"worker-core", "N", "the core that the switch polls on (1)", take_core, AT(worker_core), 0, 0},
	{"far", NULL,
		"the worker's core is the one that is furthest from the generator's, whatever --worker-core "
		"says",
		take_flag, AT(far), 0, 0},
	{"huge-mb", "MB", "huge pages to reserve for the run; 0: use none (1024)", take_number, AT(huge_mb),
		0, 1 << 20},
	{"realtime", NULL,
		"the bench and its peers go before everything else on these cores; the bench gives way in "
		"reconfig, neighbours, failover, registry, monitor",
		take_flag, AT(realtime), 0, 0},
	{"sockets", "A,B", "drive a switch that already runs, by its two vhost-user sockets", take_sockets, 0,
		0, 0},
	{"control", "PATH", "its control socket, when it is a sluiced", take_text, AT(control), 0, 0},
	{"backend-connects", NULL, "it connects to A and B, which we make", take_flag, AT(backend_connects),
		0, 0},
	{"peer-dir", "DIR", "where the peers' programs are", take_text, AT(peer_dir), 0, 0},
	{"json", NULL, "print JSON instead of a table", take_flag, AT(json), 0, 0},
	{"output", "FILE", "write the JSON there too", take_text, AT(output), 0, 0},
	{"plot", "DIR", "draw the figures there (SVG and PNG, by gnuplot)", take_text, AT(plot), 0, 0},
	{"help", NULL, "this", print_help, 0, 0, 0},
	{"version", NULL, "the version", print_version, 0, 0, 0},
};

enum { N_OPTIONS = sizeof(table) / sizeof(table[0]) };

static void print_list(const unsigned *values)
{
	for (unsigned i = 0; values[i]; i++)
		if (values[i] == TRAFFIC_IMIX)
			printf("%simix", i ? "," : "");
		else
			printf("%s%u", i ? "," : "", values[i]);
}

static void print_scenarios(void)
{
	printf("Scenarios, and unless --size and --count say otherwise:\n");
	for (const struct scenario *s = scenarios; s->name; s++) {
		printf("  %-10s %s\n%13s", s->name, s->help, "");
		print_list(s->sizes);
		printf(" bytes; ");
		print_list(s->default_counts);
		printf(" %s\n", s->counts);
	}
	printf("  %-10s %s\n", "goals",
		"every trial that a goal of docs/bench.md needs, and whether it is met");
}

static void print_help(const struct row *row, struct options *o, char *text)
{
	printf("sluice-bench SCENARIO [options]: measures a vhost-user switch\n\n");
	print_scenarios();
	printf("\nOptions (their defaults):\n");
	for (const struct row *r = table; r < table + N_OPTIONS; r++) {
		char name[40];

		snprintf(name, sizeof(name), "--%s %s", r->name, r->value ? r->value : "");
		printf("  %-24s %s\n", name, r->help);
	}
	printf("\nPeers: null (the generator's own ceiling) and each program in the peer directory: sluice, "
	       "testpmd,\n"
	       "ovs, running (needs --sockets). Lists are separated by commas.\n");
	exit(0);
}

static void check(const struct options *o)
{
	if ((o->ring & (o->ring - 1)) != 0)
		errx(USAGE, "--ring: a power of two, not %u", o->ring);
	if (o->window != 0 && (o->window < GENERATOR_MIN_WINDOW || o->window > o->ring))
		errx(USAGE, "--window: 0, or from %u to the ring's %u slots", GENERATOR_MIN_WINDOW, o->ring);
	if (!o->far && o->generator_core == o->worker_core)
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
		longs[i] = (struct option){
			table[i].name, table[i].value ? required_argument : no_argument, NULL, 1};
	while ((key = getopt_long(argc, argv, "", longs, &at)) != -1) {
		if (key == '?') {
			fprintf(stderr, "sluice-bench --help says what there is\n");
			exit(USAGE);
		}
		table[at].take(&table[at], o, optarg);
	}
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
	return json_pack("{s:o, s:o, s:o, s:i, s:i, s:b, s:b, s:f, s:f, s:i, s:i, s:i, s:i, s:i, s:b}",
		"peers", peers, "size", list(o->sizes, o->n_sizes), "count", list(o->counts, o->n_counts),
		"turns", (int)o->turns, "trials", (int)o->trials, "search", o->search, "packed", o->packed,
		"seconds", o->seconds, "warm_up", o->warm_up, "ring", (int)o->ring, "window", (int)o->window,
		"generator_core", o->generator_core, "worker_core", o->worker_core, "huge_mb",
		(int)o->huge_mb, "realtime", o->realtime);
}

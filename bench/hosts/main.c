/*
 * bench-hosts --etcd URL [--hosts 50] [--first 0] [--networks N] [--joined 2] [--ports 2000] [--services 0] [--changes 100]
 * [--idle-s 10] [--again 1]: hosts of a cluster in one process, by the code that a daemon runs, with bench/hosts/dataplane.c instead
 * of a dataplane. Each has `joined` of the networks, and its share of the ports and the services, each of which has an
 * instance. Prints a line for each thing that it measured; bench/cluster starts it, and asks etcd what that did there.
 * `again`: they all come back, with what they kept on disk.
 */
#include <err.h>
#include <event2/event.h>
#include <getopt.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <syslog.h>
#include <time.h>
#include <unistd.h>

#include "bench/hosts/dataplane.h"
#include "control/base/log.h"
#include "control/config/config.h"
#include "control/methods/list.h"
#include "control/model/model.h"
#include "control/serve.h"

enum { HOSTS = 4096, LOOK_MS = 20, CHANGES = 10000 };

struct host {
	struct model *model;
	struct serve *serve;
	char name[16], dir[64];
};

static struct options {
	const char *etcd, *dir;
	unsigned hosts, first, networks, joined, ports, services, changes, idle_s, again;
} o = {.hosts = 50, .networks = 50, .joined = 2, .ports = 2000, .changes = 100, .idle_s = 10};

static struct host host[HOSTS];
static struct event_base *base;
static unsigned missing; /* hosts that have not heard of the port that is watched */

static double now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double processor_s(void)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	return (double)usage.ru_utime.tv_sec + (double)usage.ru_stime.tv_sec +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1e-6;
}

/* Of memory that is in use and not a file's. */
static double memory_mb(void)
{
	FILE *file = fopen("/proc/self/status", "re");
	char line[128];
	double kb = 0;

	while (file && fgets(line, sizeof(line), file))
		if (sscanf(line, "RssAnon: %lf", &kb) == 1)
			break;
	if (file)
		fclose(file);
	return kb / 1024;
}

__attribute__((format(printf, 1, 2))) static void say(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vprintf(fmt, args);
	va_end(args);
	putchar('\n');
	fflush(stdout);
}

/* `params` is taken over; a new reference. */
static json_t *call(const struct host *h, const char *method, json_t *params)
{
	struct api_err why = {0};
	json_t *result = NULL;

	if (!params || method_call(h->model, method_find(method), "api", params, &result, &why) < 0)
		errx(1, "%s: %s: %s", h->name, method, why.text);
	json_decref(params);
	return result;
}

static void change(const struct host *h, const char *method, json_t *params)
{
	json_decref(call(h, method, params));
}

/* The networks of a host are one after the other, so each has `joined` of every `networks` hosts. */
static unsigned network_of(unsigned number, unsigned index)
{
	return (number + index) % o.networks;
}

static void add_port(unsigned number, unsigned index, uint8_t mac[6])
{
	unsigned network = network_of(number, index % o.joined);
	char name[32], text[18], ip[48];

	memcpy(mac,
		(uint8_t[6]){0x02, 0, (uint8_t)(number >> 8), (uint8_t)number, (uint8_t)(index >> 8),
			(uint8_t)index},
		6);
	snprintf(name, sizeof(name), "p%u", index);
	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5]);
	snprintf(ip, sizeof(ip), "10.%u.%u.%u", number >> 4 & 255, ((number & 15) << 4) + index / 250,
		index % 250 + 1);
	change(&host[number], "port.add",
		json_pack("{s:s, s:s, s:o, s:s, s:[s]}", "name", name, "type", "vhost-user", "network",
			json_sprintf("n%u", network), "mac", text, "ips", ip));
}

static unsigned share(unsigned all, unsigned number)
{
	return all / o.hosts + (number < all % o.hosts);
}

static void open_host(unsigned number)
{
	struct host *h = &host[number];
	json_t *dataplane = config_dataplane(NULL);
	const struct model_config config = {
		.base = base, .vhost_dir = h->dir, .socket = "", .dataplane = dataplane, .no_huge = true};
	struct api_err why = {0};
	uint8_t mac[6];

	if (model_open(&config, &h->model, &why) < 0)
		errx(1, "%s: %s", h->name, why.text);
	json_decref(dataplane);
	change(h, "uplink.add",
		json_pack("{s:s, s:s, s:o}", "name", "up0", "type", "vhost-user", "address",
			json_sprintf("100.64.%u.%u/10", number >> 7, (number & 127) + 1)));
	for (unsigned i = 0; i < o.joined; i++)
		change(h, "network.add",
			json_pack("{s:o, s:s, s:i, s:s}", "name", json_sprintf("n%u", network_of(number, i)),
				"mode", "overlay", "vni", (int)(100 + network_of(number, i)), "subnet",
				"10.0.0.0/8"));
	for (unsigned i = 0; i < share(o.ports, number); i++)
		add_port(number, i, mac);
	for (unsigned i = 0; i < share(o.services, number); i++) {
		change(h, "service.add",
			json_pack("{s:o}", "name", json_sprintf("s%u", i * o.hosts + number)));
		change(h, "backend.add",
			json_pack("{s:o, s:o, s:i}", "service", json_sprintf("s%u", i * o.hosts + number),
				"address", json_sprintf("10.%u.%u.1", number >> 4 & 255, (number & 15) << 4),
				"port", 80));
	}
}

/* From here on it is known to the others. */
static void join(unsigned number)
{
	struct host *h = &host[number];
	struct api_err why = {0};
	json_t *config = json_pack("{s:{s:s, s:s}, s:{s:s, s:[s], s:i, s:i, s:{s:i}}}", "control", "http", "",
		"dns", "", "cluster", "host", h->name, "etcd", o.etcd, "alive_s", 60, "lease_s", 900, "bfd",
		"interval_ms", 0);

	if (serve_open(base, h->model, config, h->dir, &h->serve, &why) < 0)
		errx(1, "%s: %s", h->name, why.text);
	json_decref(config);
}

static void run_ms(unsigned ms)
{
	const struct timeval pause = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	event_base_loopexit(base, &pause);
	event_base_dispatch(base);
}

/* How many static entries all hosts have when each knows what all others have in its networks. */
static size_t whole(void)
{
	size_t *in_network = calloc(o.networks, sizeof(*in_network)), entries = 0;

	if (!in_network)
		errx(1, "out of memory");
	for (unsigned h = 0; h < o.hosts; h++)
		for (unsigned i = 0; i < share(o.ports, h); i++)
			in_network[network_of(h, i % o.joined)]++;
	for (unsigned h = 0; h < o.hosts; h++) {
		for (unsigned i = 0; i < o.joined; i++)
			entries += in_network[network_of(h, i)];
		entries -= share(o.ports, h);
	}
	free(in_network);
	return entries;
}

static int64_t status(const struct host *h, const char *field)
{
	json_t *shown = call(h, "cluster.status", json_object());
	json_t *value = json_object_get(shown, field);
	int64_t number = json_is_integer(value) ? json_integer_value(value) : json_is_true(value);

	json_decref(shown);
	return number;
}

static bool is_up(const struct host *h)
{
	json_t *shown = call(h, "cluster.status", json_object());
	bool up = !strcmp(json_string_value(json_object_get(shown, "state")), "up") &&
		  json_is_false(json_object_get(shown, "waiting"));

	json_decref(shown);
	return up;
}

/* The first host that lacks something is looked at again and again, and then the next ones. */
static bool know_all(size_t entries)
{
	static unsigned first;

	for (unsigned i = 0; i < o.hosts; i++, first = (first + 1) % o.hosts)
		if (!is_up(&host[first]) ||
			status(&host[first], "instances") != o.services - share(o.services, first))
			return false;
	return hosts_entries == entries;
}

static void until_all_know(const char *what)
{
	size_t entries = whole();
	double began = now_s(), spent = processor_s(), told = began;

	while (!know_all(entries)) {
		run_ms(LOOK_MS);
		if (now_s() - told > 10) {
			told = now_s();
			fprintf(stderr, "%s: %.0f s: %zu of %zu entries\n", what, told - began, hosts_entries,
				entries);
		}
	}
	say("%s %.2f s, %.2f s of a processor", what, now_s() - began, processor_s() - spent);
}

static void on_heard(void)
{
	if (missing && --missing == 0)
		event_base_loopbreak(base);
}

static int by_value(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

/* Ports that come and go, one after the other, each on another host. */
static void make_changes(void)
{
	static double took[CHANGES];
	double began = now_s();
	uint8_t mac[6];

	for (unsigned i = 0; i < o.changes; i++) {
		unsigned number = (unsigned)((uint64_t)i * 7919 % o.hosts), index = share(o.ports, number),
			 others = 0;
		double start = now_s();

		for (unsigned h = 0; h < o.hosts; h++)
			for (unsigned k = 0; k < o.joined && h != number; k++)
				others += network_of(h, k) == network_of(number, index % o.joined);
		missing = others;
		hosts_watch((uint8_t[6]){0x02, 0, (uint8_t)(number >> 8), (uint8_t)number,
				    (uint8_t)(index >> 8), (uint8_t)index},
			on_heard);
		add_port(number, index, mac);
		while (missing)
			run_ms(1000);
		took[i] = (now_s() - start) * 1000;
		hosts_watch(NULL, NULL);
		change(&host[number], "port.del", json_pack("{s:o}", "name", json_sprintf("p%u", index)));
		run_ms(20);
	}
	qsort(took, o.changes, sizeof(took[0]), by_value);
	say("told p50 %.1f ms, p99 %.1f ms, most %.1f ms, %u changes in %.1f s", took[o.changes / 2],
		took[o.changes * 99 / 100], took[o.changes - 1], o.changes, now_s() - began);
}

static void idle(void)
{
	double began = now_s(), spent = processor_s();

	run_ms(o.idle_s * 1000);
	say("idle %.4f %% of a core a host", (processor_s() - spent) / (now_s() - began) / o.hosts * 100);
}

static void read_options(int argc, char **argv)
{
	static const struct {
		const char *name;
		unsigned *value;
	} numbers[] = {{"hosts", &o.hosts}, {"first", &o.first}, {"networks", &o.networks},
		{"joined", &o.joined}, {"ports", &o.ports}, {"services", &o.services},
		{"changes", &o.changes}, {"idle-s", &o.idle_s}, {"again", &o.again}};

	for (int i = 1; i < argc; i += 2) {
		const char *name = strncmp(argv[i], "--", 2) == 0 ? argv[i] + 2 : "", *value = argv[i + 1];
		bool taken = value && (!strcmp(name, "etcd") || !strcmp(name, "dir"));

		if (taken)
			*(name[0] == 'e' ? &o.etcd : &o.dir) = value;
		for (size_t k = 0; k < sizeof(numbers) / sizeof(numbers[0]) && value && !taken; k++)
			if (!strcmp(name, numbers[k].name)) {
				*numbers[k].value = (unsigned)strtoul(value, NULL, 10);
				taken = true;
				break;
			}
		if (!taken)
			errx(2, "%s: unknown, or without its value", argv[i]);
	}
	if (!o.etcd || !o.dir || !o.hosts || o.hosts > HOSTS || !o.joined || o.joined > o.networks ||
		!o.changes || o.changes > CHANGES)
		errx(2, "needs --etcd URL --dir FOLDER, up to %d hosts and %d changes", HOSTS, CHANGES);
}

int main(int argc, char **argv)
{
	double before, empty, known;

	read_options(argc, argv);
	log_set_level(LOG_ERR);
	base = event_base_new();
	if (!base || log_open(base) < 0)
		errx(1, "out of memory");
	before = memory_mb();
	for (unsigned i = 0; i < o.hosts; i++) {
		snprintf(host[i].name, sizeof(host[i].name), "h%04u", o.first + i);
		snprintf(host[i].dir, sizeof(host[i].dir), "%.40s/%u", o.dir, i);
		if (mkdir(host[i].dir, 0700) < 0 && !o.again)
			err(1, "%s", host[i].dir);
		open_host(i);
	}
	empty = memory_mb();
	say("hosts %u, %u ports, %u services", o.hosts, o.ports, o.services);
	for (unsigned i = 0; i < o.hosts; i++)
		join(i);
	until_all_know(o.again ? "restart" : "start");
	if (o.again)
		_exit(0);
	known = memory_mb();
	say("memory %.2f MB a host by itself, %.2f MB more when it knows the others: %.0f bytes a port and "
	    "service",
		(empty - before) / o.hosts, (known - empty) / o.hosts,
		(known - empty) / o.hosts * 1048576 / (o.ports + o.services));
	make_changes();
	idle();
	_exit(0); /* what the kernel has of it goes with it */
}

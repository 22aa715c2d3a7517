/*
 * answers: how often a registry tells who asks for it the list of `count` instances, with so many clients as fast as it can
 * (wrk), and how long that takes at half of that load. Peer nginx serves the same bytes as a file: what a web server
 * that has nothing to make takes for it.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client/paced.h"
#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/scenario/asking.h"

#define PATH "/v1/health/service/s0"

enum { CLIENTS_HALF = 32, ANSWER_MAX = 8 << 20 };

/* What the registry answered last, for the peer that serves files. */
static struct {
	unsigned count;
	char *bytes; /* with the head */
	const char *body;
} told;

static int register_all(struct asking *a)
{
	int rc = 0;

	for (unsigned i = 0; i < a->s->kind.count && rc == 0 && !atomic_load(a->s->stop); i++)
		rc = asking_enlist(a, "s0");
	return rc;
}

static int hear(struct asking *a)
{
	int rc;

	if (!told.bytes)
		told.bytes = malloc(ANSWER_MAX);
	if (!told.bytes)
		return -ENOMEM;
	told.count = 0;
	rc = asker_send(a->http, "GET", PATH, "");
	if (rc == 0)
		rc = asker_read(a->http, told.bytes, ANSWER_MAX);
	if (rc != ASKING_OK)
		return rc < 0 ? rc : -EPROTO;
	told.body = strstr(told.bytes, "\r\n\r\n") + 4;
	told.count = a->s->kind.count;
	return 0;
}

/* The peer serves what is in its directory. */
static int write_file(const struct session *s)
{
	char path[256];
	FILE *file;
	int rc;

	if (told.count != s->kind.count) {
		warnx("%s: serves the bytes that a registry answered: a registry must be measured before it "
		      "(--peers sluice,%s)",
			s->peer->name, s->peer->name);
		return -ENOTSUP;
	}
	snprintf(path, sizeof(path), "%s/www" PATH, s->peer->dir);
	file = fopen(path, "w");
	if (!file)
		return -errno;
	rc = fputs(told.body, file) < 0 ? -EIO : 0;
	return fclose(file) == 0 ? rc : -EIO;
}

/* "1.23ms" in microseconds. */
static double read_time(const char *text)
{
	char *unit;
	double value = strtod(text, &unit);

	return strncmp(unit, "us", 2) == 0 ? value : strncmp(unit, "ms", 2) == 0 ? value * 1e3 : value * 1e6;
}

/* A line that wrk prints. */
static void take_line(const char *line, struct trial *t)
{
	static const char rate[] = "Requests/sec:", bad[] = "Non-2xx or 3xx responses:";
	const char *text = line + strspn(line, " ");
	unsigned long long requests;

	if (strncmp(text, "50%", 3) == 0)
		t->value[METRIC_LATENCY_P50] = read_time(text + 3);
	else if (strncmp(text, "99%", 3) == 0)
		t->value[METRIC_LATENCY_P99] = read_time(text + 3);
	else if (strncmp(text, rate, strlen(rate)) == 0)
		t->value[METRIC_ANSWERS] = strtod(text + strlen(rate), NULL);
	else if (strncmp(text, bad, strlen(bad)) == 0)
		t->wrong += strtoull(text + strlen(bad), NULL, 10);
	else if (strstr(text, " requests in ") && sscanf(text, "%llu", &requests) == 1)
		t->sent = requests;
}

static int run_wrk(const struct session *s, unsigned clients, struct trial *t)
{
	char command[160], line[256];
	unsigned seconds = s->o->seconds < 1 ? 1 : (unsigned)(s->o->seconds + 0.5);
	FILE *wrk;

	snprintf(command, sizeof(command), "exec wrk -t1 -c%u -d%us --latency http://127.0.0.1:%u" PATH,
		clients, seconds, s->peer->registry_http);
	t->seconds = seconds;
	wrk = popen(command, "r");
	if (!wrk)
		return -errno;
	while (fgets(line, sizeof(line), wrk))
		take_line(line, t);
	return pclose(wrk) == 0 && t->sent > 0 ? 0 : -EPROTO;
}

static int full_load(struct session *s, unsigned clients, double *rate)
{
	struct trial t;
	char variant[KIND_VARIANT];
	int rc;

	snprintf(variant, sizeof(variant), "%u client%s", clients, clients == 1 ? "" : "s");
	t = measure_own(s, variant);
	rc = run_wrk(s, clients, &t);
	if (rc < 0 || atomic_load(s->stop)) {
		if (rc < 0)
			warnx("%s: %s: wrk: %s", s->peer->name, variant, strerror(-rc));
		return rc;
	}
	*rate = t.value[METRIC_ANSWERS];
	return report_add(s->report, &t);
}

static int half_load(struct asking *a, double rate)
{
	struct session *s = a->s;
	struct paced paced = {.port = s->peer->registry_http,
		.path = PATH,
		.connections = CLIENTS_HALF,
		.rate = rate / 2,
		.seconds = s->o->seconds,
		.stop = s->stop};
	struct trial t;
	uint64_t start;
	int rc = asking_begin(a, "half load", &t);

	if (rc < 0)
		return rc;
	start = host_tsc();
	rc = paced_run(&paced, t.latency, &t.wrong);
	return asking_end(a, &t, start, rc);
}

int answers_take(struct session *s)
{
	static const unsigned clients[] = {1, 32, 256};
	struct asking a;
	double rate = 0;
	int rc = asking_open(&a, s);

	if (rc == 0)
		rc = s->peer->registry_dns ? register_all(&a) : write_file(s);
	if (rc == 0 && s->peer->registry_dns)
		rc = hear(&a);
	if (rc < 0 && rc != -ENOTSUP)
		warnx("%s: it could not be set up: %s", s->peer->name, strerror(-rc));
	for (unsigned i = 0; i < sizeof(clients) / sizeof(clients[0]) && rc == 0 && !atomic_load(s->stop);
		i++)
		rc = full_load(s, clients[i], &rate);
	if (rc == 0 && !atomic_load(s->stop))
		rc = half_load(&a, rate);
	asking_close(&a);
	return rc;
}

/*
 * monitor: `count` instances in containers, each checked by TCP once a second from inside the network: what
 * that takes the control thread, and how late probes and their time-outs come; first alone, then beside DNS
 * questions and blocking queries (load.h); and at last a tenth of them ten times as often.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/client/load.h"
#include "bench/client/targets.h"
#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/scenario/asking.h"

#define SETTLE_S 30.0 /* until all instances pass */
#define DELAY "sluice_check_delay_seconds_bucket{le=\""

enum { OF_A_SERVICE = 10, BOUNDS = 8, PAGE = 4 << 20, OVER_MS = 1000 };

static const char *const bounds[BOUNDS] = {"0.001", "0.002", "0.005", "0.01", "0.02", "0.05", "0.1", "+Inf"};
static const unsigned bounds_ms[BOUNDS] = {1, 2, 5, 10, 20, 50, 100, OVER_MS};

/* What the registry counted until now. */
struct reading {
	double passed, failed, not_made, cpu_s;
	double delays[BOUNDS]; /* up to each bound */
	uint64_t at;	       /* host_tsc() */
};

struct monitor {
	struct asking a;
	pid_t targets[PEER_MAX_ENDS];
	char *page;
};

static double find(const char *page, const char *series)
{
	const char *at = strstr(page, series);

	return at ? strtod(at + strlen(series), NULL) : 0;
}

static int take_reading(struct monitor *m, struct reading *r)
{
	char series[96];
	int rc = asker_send(m->a.http, "GET", "/metrics", "");

	if (rc == 0)
		rc = asker_read(m->a.http, m->page, PAGE);
	if (rc < 0)
		return rc;
	*r = (struct reading){
		.passed = find(m->page, "sluice_check_results_total{result=\"passed\"} "),
		.failed = find(m->page, "sluice_check_results_total{result=\"failed\"} "),
		.not_made = find(m->page, "sluice_check_results_total{result=\"not-made\"} "),
	};
	for (unsigned i = 0; i < BOUNDS; i++) {
		snprintf(series, sizeof(series), DELAY "%s\"} ", bounds[i]);
		r->delays[i] = find(m->page, series);
	}
	r->cpu_s = (double)host_sched(m->a.s->peer->pid, m->a.s->peer->pid).ran_ns * 1e-9;
	r->at = host_tsc();
	return 0;
}

/* Its check is the service's, or, `often`, its own. */
static int enlist(struct monitor *m, unsigned i, bool often)
{
	const struct peer *p = m->a.s->peer;
	const char *address = p->end[i % p->n_ends].address;
	unsigned port = TARGETS_PORT + i / p->n_ends;
	char body[256], check[128] = "";

	if (often)
		snprintf(check, sizeof(check),
			",\"Check\":{\"TCP\":\"%s:%u\",\"Interval\":\"100ms\",\"Timeout\":\"500ms\"}",
			address, port);
	snprintf(body, sizeof(body), "{\"Name\":\"s%u\",\"ID\":\"i%u\",\"Address\":\"%s\",\"Port\":%u%s}",
		i / OF_A_SERVICE, i, address, port, check);
	return asking_request(&m->a, ASKING_REGISTER, body);
}

/* One instance of each service stays. */
static int thin_out(struct monitor *m)
{
	const struct session *s = m->a.s;
	char id[16];
	int rc = 0;

	for (unsigned i = 0; i < s->kind.count && rc == 0 && !atomic_load(s->stop); i++) {
		snprintf(id, sizeof(id), "i%u", i);
		rc = i % OF_A_SERVICE ? asking_remove(&m->a, id) : enlist(m, i, true);
	}
	return rc;
}

/* Until a second went by in which as many probes as there are instances passed and none failed. */
static int settle(struct monitor *m)
{
	struct reading before, now = {0};
	double count = m->a.s->kind.count;
	int rc = take_reading(m, &before);

	for (double waited = 0; rc == 0 && waited < SETTLE_S; waited++) {
		measure_wait(m->a.s, 1);
		rc = atomic_load(m->a.s->stop) ? -EINTR : take_reading(m, &now);
		if (rc == 0 && now.failed == before.failed && now.passed - before.passed > 0.9 * count)
			return 0;
		before = now;
	}
	return rc < 0 ? rc : -ETIMEDOUT;
}

static int set_up(struct monitor *m)
{
	const struct session *s = m->a.s;
	const struct peer *p = s->peer;
	int rc = 0;

	for (unsigned i = 0; i < p->n_ends && rc >= 0; i++)
		rc = m->targets[i] = targets_start(&p->end[i], s->kind.count / p->n_ends + 1);
	for (unsigned i = 0; i < s->kind.count && rc >= 0 && !atomic_load(s->stop); i++)
		rc = enlist(m, i, false);
	return rc < 0 ? rc : settle(m);
}

/* The bound under which a share of the delays between two readings are. */
static double late_ms(const struct reading *from, const struct reading *to, double share)
{
	double all = to->delays[BOUNDS - 1] - from->delays[BOUNDS - 1];

	for (unsigned i = 0; i < BOUNDS; i++)
		if (to->delays[i] - from->delays[i] >= share * all)
			return bounds_ms[i];
	return NAN;
}

static void compare(struct trial *t, const struct reading *from, const struct reading *to)
{
	const unsigned fifty = 5; /* the place of 50 ms */
	double cpu_s = to->cpu_s - from->cpu_s;

	t->seconds = (double)(to->at - from->at) / host_tsc_hz();
	t->sent = (uint64_t)(to->passed - from->passed + to->failed - from->failed);
	t->wrong = (uint64_t)(to->failed - from->failed + to->not_made - from->not_made);
	t->value[METRIC_CONTROL] = 100 * cpu_s / t->seconds;
	t->value[METRIC_PROBES] = (double)t->sent / t->seconds;
	t->value[METRIC_LATE_P99] = late_ms(from, to, 0.99);
	t->value[METRIC_LATE_MAX] = late_ms(from, to, 1);
	t->value[METRIC_LATE] =
		to->delays[BOUNDS - 1] - from->delays[BOUNDS - 1] - to->delays[fifty] + from->delays[fifty];
}

static void add_load(struct trial *t, const struct load_result *result)
{
	t->latency = result->woken;
	t->lost = result->questions - result->answers;
	t->value[METRIC_ANSWERS] = (double)result->answers / result->seconds;
	report_percentiles(t);
}

static int take(struct monitor *m, const char *variant, bool loaded)
{
	struct session *s = m->a.s;
	struct load_result result = {0};
	struct reading from = {0}, to = {0};
	struct trial t = measure_own(s, variant);
	struct load *load = NULL;
	int rc;

	if (loaded) {
		load = load_start(s->peer->registry_http, s->peer->registry_dns, "s0");
		if (!load)
			return -errno;
	}
	rc = take_reading(m, &from);
	if (rc == 0)
		measure_wait(s, s->o->seconds);
	if (rc == 0)
		rc = atomic_load(s->stop) ? -EINTR : take_reading(m, &to);
	if (load) {
		int ended = load_stop(load, &result);

		rc = rc < 0 ? rc : ended;
	}
	if (rc < 0) {
		free(result.woken);
		return rc;
	}
	compare(&t, &from, &to);
	if (loaded)
		add_load(&t, &result);
	else
		t.value[METRIC_PROBE] = 1e6 * (to.cpu_s - from.cpu_s) / (double)(t.sent ? t.sent : 1);
	return report_add(s->report, &t);
}

static int take_all(struct monitor *m)
{
	const struct session *s = m->a.s;
	int rc = set_up(m);

	for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++) {
		rc = take(m, "alone", false);
		if (rc == 0)
			rc = take(m, "beside dns", true);
	}
	if (rc == 0)
		rc = thin_out(m);
	if (rc == 0)
		rc = settle(m);
	for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++)
		rc = take(m, "every 0.1 s", false);
	return rc;
}

int monitor_take(struct session *s)
{
	struct monitor m = {.page = malloc(PAGE)};
	int rc = asking_open(&m.a, s);

	if (rc == 0 && s->peer->n_ends == 0)
		rc = -ENOTSUP;
	if (rc == 0)
		rc = m.page ? take_all(&m) : -ENOMEM;
	if (rc < 0 && rc != -ENOTSUP && !atomic_load(s->stop))
		warnx("%s: %s", s->peer->name, strerror(-rc));
	for (unsigned i = 0; i < PEER_MAX_ENDS; i++)
		if (m.targets[i] > 0)
			targets_stop(m.targets[i]);
	asking_close(&m.a);
	free(m.page);
	return atomic_load(s->stop) ? 0 : rc;
}

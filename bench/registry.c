/*
 * registry: service discovery with `count` instances registered, ten to a service, as its clients see it:
 * how fast they come in, how soon one of them is found, how many questions are answered, and how soon many
 * who wait hear of a change. A registration is answered once every worker balances by it.
 */
#include <err.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "bench/asker.h"
#include "bench/histogram.h"
#include "bench/host.h"
#include "bench/peer.h"
#include "bench/scenario.h"

enum { OF_A_SERVICE = 10, MEASURED = 1000, WAITING = 5000, OK = 200 };

struct asking {
	struct session *s;
	int http, dns;
	unsigned instances; /* registered so far */
};

/* --- trials --------------------------------------------------------------------------------------------- */

static double rss_anon_mb(const struct asking *a)
{
	return host_status_kb(a->s->peer->pid, "RssAnon: %lf") / 1024;
}

/* Cycles of host_tsc() go into the trial's histogram. */
static int trial_begin(struct asking *a, const char *variant, struct trial *t)
{
	struct session *s = a->s;

	snprintf(s->kind.variant, sizeof(s->kind.variant), "%s", variant);
	*t = report_trial(&s->kind, s->peer->name, s->turn);
	t->paced = true;
	t->latency = calloc(1, sizeof(*t->latency));
	return t->latency ? 0 : -ENOMEM;
}

static int trial_end(struct asking *a, struct trial *t, uint64_t start, int rc)
{
	const double us = 1e6 / host_tsc_hz();

	t->seconds = (double)(host_tsc() - start) / host_tsc_hz();
	if (rc < 0 || atomic_load(a->s->stop)) {
		free(t->latency);
		if (rc < 0)
			warnx("%s: %s: %s", a->s->peer->name, t->kind.variant, strerror(-rc));
		return rc;
	}
	t->sent = t->latency->count;
	t->value[METRIC_ANSWERS] = (double)t->latency->count / t->seconds;
	t->value[METRIC_LATENCY_P50] = (double)histogram_percentile(t->latency, 50) * us;
	t->value[METRIC_LATENCY_P99] = (double)histogram_percentile(t->latency, 99) * us;
	t->value[METRIC_LATENCY_MAX] = (double)t->latency->max * us;
	t->value[METRIC_RSS_ANON] = rss_anon_mb(a);
	return report_add(a->s->report, t);
}

/* --- registrations -------------------------------------------------------------------------------------- */

static int enlist(struct asking *a, const char *service)
{
	unsigned n = a->instances++;
	uint64_t index;
	char body[256];
	int rc;

	snprintf(body, sizeof(body),
		"{\"Name\":\"%s\",\"ID\":\"i%u\",\"Address\":\"10.%u.%u.%u\",\"Port\":80}", service, n,
		n >> 16 & 255, n >> 8 & 255, n & 255);
	rc = asker_send(a->http, "PUT", "/v1/agent/service/register", body);
	if (rc == 0)
		rc = asker_receive(a->http, &index);
	if (rc < 0)
		return rc;
	return rc == OK ? 0 : -EPROTO;
}

static int take_registrations(struct asking *a)
{
	unsigned count = a->s->kind.count;
	struct trial t;
	uint64_t start = host_tsc();
	int rc = trial_begin(a, "register", &t);

	for (unsigned i = 0; i < count && rc == 0 && !atomic_load(a->s->stop); i++) {
		uint64_t asked = host_tsc();
		char service[24];

		snprintf(service, sizeof(service), "s%u", i / OF_A_SERVICE);
		rc = enlist(a, service);
		histogram_add(t.latency, host_tsc() - asked, 1);
	}
	return trial_end(a, &t, start, rc);
}

/* From the request until DNS has the instance. */
static int take_first_answers(struct asking *a)
{
	struct trial t;
	uint64_t start = host_tsc();
	int rc = trial_begin(a, "first answer", &t);

	for (unsigned i = 0; i < MEASURED && rc == 0 && !atomic_load(a->s->stop); i++) {
		uint64_t asked = host_tsc();
		char service[24];

		snprintf(service, sizeof(service), "first%u", i);
		rc = enlist(a, service);
		for (int found = 0; rc == 0 && found == 0 && !atomic_load(a->s->stop);) {
			found = asker_resolve(a->dns, service);
			rc = found < 0 ? found : 0;
		}
		histogram_add(t.latency, host_tsc() - asked, 1);
	}
	return trial_end(a, &t, start, rc);
}

/* --- questions ------------------------------------------------------------------------------------------ */

static int take_questions(struct asking *a)
{
	unsigned services = (a->s->kind.count + OF_A_SERVICE - 1) / OF_A_SERVICE;
	struct trial t;
	uint64_t start = host_tsc(), end = start + (uint64_t)(a->s->o->seconds * host_tsc_hz());
	int rc = trial_begin(a, "dns", &t);

	for (unsigned i = 0; rc == 0 && host_tsc() < end && !atomic_load(a->s->stop); i++) {
		uint64_t asked = host_tsc();
		char service[24];
		int found;

		snprintf(service, sizeof(service), "s%u", i % services);
		found = asker_resolve(a->dns, service);
		rc = found < 0 ? found : 0;
		t.wrong += found == 0;
		histogram_add(t.latency, host_tsc() - asked, 1);
	}
	return trial_end(a, &t, start, rc);
}

/* --- those who wait ------------------------------------------------------------------------------------- */

static int park(struct asking *a, int epoll, int *fd, uint64_t index)
{
	struct epoll_event event = {.events = EPOLLIN};
	char path[96];

	*fd = asker_http(a->s->peer->registry_http);
	if (*fd < 0)
		return *fd;
	event.data.fd = *fd;
	snprintf(path, sizeof(path), "/v1/health/service/s0?index=%llu&wait=10m", (unsigned long long)index);
	if (epoll_ctl(epoll, EPOLL_CTL_ADD, *fd, &event) < 0)
		return -errno;
	return asker_send(*fd, "GET", path, "");
}

/* The last of them is as good as parked when a question that came after it is answered. */
static int park_all(struct asking *a, int epoll, int fds[WAITING])
{
	uint64_t index = 0;
	int rc = 0;

	for (unsigned i = 0; i <= WAITING && rc >= 0; i++) {
		if (i % 100 == 0) {
			rc = asker_send(a->http, "GET", "/v1/health/service/s0", "");
			if (rc == 0)
				rc = asker_receive(a->http, &index);
		}
		if (i < WAITING && rc >= 0)
			rc = park(a, epoll, &fds[i], index);
	}
	return rc < 0 ? rc : 0;
}

static int hear_all(struct asking *a, int epoll, uint64_t changed, struct trial *t)
{
	struct epoll_event events[64];
	uint64_t index;
	int rc = 0;

	for (unsigned heard = 0; heard < WAITING && rc >= 0 && !atomic_load(a->s->stop);) {
		int n = epoll_wait(epoll, events, 64, 60000);

		if (n <= 0)
			return n < 0 ? -errno : -ETIMEDOUT;
		for (int i = 0; i < n && rc >= 0; i++, heard++) {
			rc = asker_receive(events[i].data.fd, &index);
			histogram_add(t->latency, host_tsc() - changed, 1);
			t->wrong += rc != OK;
		}
	}
	return rc < 0 ? rc : 0;
}

static int take_waiting(struct asking *a)
{
	int epoll = epoll_create1(EPOLL_CLOEXEC), rc;
	double before = rss_anon_mb(a), parked;
	uint64_t changed;
	struct trial t;
	int *fds = malloc(WAITING * sizeof(*fds));

	if (!fds)
		return -ENOMEM;
	for (unsigned i = 0; i < WAITING; i++)
		fds[i] = -1;
	rc = trial_begin(a, "waiting", &t);
	if (rc == 0)
		rc = park_all(a, epoll, fds);
	parked = rss_anon_mb(a) - before;
	changed = host_tsc();
	if (rc == 0)
		rc = enlist(a, "s0");
	if (rc == 0)
		rc = hear_all(a, epoll, changed, &t);
	t.value[METRIC_PARKED] = parked;
	rc = trial_end(a, &t, changed, rc);
	for (unsigned i = 0; i < WAITING; i++)
		if (fds[i] >= 0)
			close(fds[i]);
	free(fds);
	close(epoll);
	return rc;
}

int registry_take(struct session *s)
{
	int (*const trials[])(struct asking * a) = {
		take_registrations, take_first_answers, take_questions, take_waiting};
	struct asking a = {.s = s, .http = -1, .dns = -1};
	int rc = 0;

	if (!s->peer->registry_http)
		return -ENOTSUP;
	s->kind.size = s->o->sizes[0];
	if (s->o->realtime)
		host_realtime(false); /* the registry may share the core */
	a.http = asker_http(s->peer->registry_http);
	a.dns = asker_dns(s->peer->registry_dns);
	if (a.http < 0 || a.dns < 0)
		rc = a.http < 0 ? a.http : a.dns;
	for (unsigned i = 0; i < sizeof(trials) / sizeof(trials[0]) && rc == 0 && !atomic_load(s->stop); i++)
		rc = trials[i](&a);
	if (a.http >= 0)
		close(a.http);
	if (a.dns >= 0)
		close(a.dns);
	if (s->o->realtime)
		host_realtime(true);
	return rc;
}

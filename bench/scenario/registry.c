/*
 * registry: service discovery with `count` instances registered, ten to a service, as its clients see it:
 * how fast they come in, how soon one of them is found, how many questions are answered, and how soon many
 * who wait hear of a change. A registration is answered once every worker balances by it.
 */
#include <err.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/scenario/asking.h"

enum { OF_A_SERVICE = 10, MEASURED = 1000 };

double asking_rss_mb(const struct asking *a)
{
	return host_status_kb(a->s->peer->pid, "RssAnon: %lf") / 1024;
}

int asking_begin(struct asking *a, const char *variant, struct trial *t)
{
	*t = measure_own(a->s, variant);
	t->latency = calloc(1, sizeof(*t->latency));
	return t->latency ? 0 : -ENOMEM;
}

int asking_end(struct asking *a, struct trial *t, uint64_t start, int rc)
{
	t->seconds = (double)(host_tsc() - start) / host_tsc_hz();
	if (rc < 0 || atomic_load(a->s->stop)) {
		free(t->latency);
		if (rc < 0)
			warnx("%s: %s: %s", a->s->peer->name, t->kind.variant, strerror(-rc));
		return rc;
	}
	t->sent = t->latency->count;
	if (isnan(t->value[METRIC_ANSWERS]))
		t->value[METRIC_ANSWERS] = (double)t->latency->count / t->seconds;
	report_percentiles(t);
	t->value[METRIC_RSS_ANON] = asking_rss_mb(a);
	return report_add(a->s->report, t);
}

int asking_open(struct asking *a, struct session *s)
{
	*a = (struct asking){.s = s, .http = -1, .dns = -1};
	if (!s->peer->registry_http)
		return -ENOTSUP;
	a->http = asker_http(s->peer->registry_http);
	a->dns = asker_dns(s->peer->registry_dns);
	return a->http < 0 ? a->http : a->dns < 0 ? a->dns : 0;
}

void asking_close(struct asking *a)
{
	if (a->http >= 0)
		close(a->http);
	if (a->dns >= 0)
		close(a->dns);
}

int asking_request(struct asking *a, const char *path, const char *body)
{
	uint64_t index;
	int rc = asker_send(a->http, "PUT", path, body);

	if (rc == 0)
		rc = asker_receive(a->http, &index);
	if (rc < 0)
		return rc;
	return rc == ASKING_OK ? 0 : -EPROTO;
}

static void write_body(
	char body[ASKING_BODY], const char *service, const char *id, const char *address, uint16_t port)
{
	snprintf(body, ASKING_BODY, "{\"Name\":\"%s\",\"ID\":\"%s\",\"Address\":\"%s\",\"Port\":%u}", service,
		id, address, port);
}

int asking_put(struct asking *a, const char *service, const char *id, const char *address, uint16_t port)
{
	char body[ASKING_BODY];

	write_body(body, service, id, address, port);
	return asking_request(a, ASKING_REGISTER, body);
}

int asking_remove(struct asking *a, const char *id)
{
	char path[96];

	snprintf(path, sizeof(path), "/v1/agent/service/deregister/%s", id);
	return asking_request(a, path, "");
}

void asking_next(struct asking *a, const char *service, char body[ASKING_BODY])
{
	unsigned n = a->instances++;
	char id[16], address[16];

	snprintf(id, sizeof(id), "i%u", n);
	snprintf(address, sizeof(address), "10.%u.%u.%u", n >> 16 & 63, n >> 8 & 255, n & 255);
	write_body(body, service, id, address, 80);
}

int asking_enlist(struct asking *a, const char *service)
{
	char body[ASKING_BODY];

	asking_next(a, service, body);
	return asking_request(a, ASKING_REGISTER, body);
}

unsigned asking_services(const struct asking *a)
{
	return (a->s->kind.count + OF_A_SERVICE - 1) / OF_A_SERVICE;
}

/* One request after the other, `count` of them or (0) for as long as a trial is; `one` returns 1 where the answer
 * is wrong, and `memory`: what each takes is a figure too. */
static int take(struct asking *a, const char *variant, unsigned count, bool memory,
	int (*one)(struct asking *a, unsigned i))
{
	double before = asking_rss_mb(a);
	struct trial t;
	uint64_t start = host_tsc(), end = start + (uint64_t)(a->s->o->seconds * host_tsc_hz());
	int rc = asking_begin(a, variant, &t);

	for (unsigned i = 0; rc >= 0 && (count ? i < count : host_tsc() < end) && !atomic_load(a->s->stop);
		i++) {
		uint64_t asked = host_tsc();

		rc = one(a, i);
		t.wrong += rc > 0;
		histogram_add(t.latency, host_tsc() - asked, 1);
	}
	if (memory)
		t.value[METRIC_EACH] = (asking_rss_mb(a) - before) * (1 << 20) / count;
	return asking_end(a, &t, start, rc < 0 ? rc : 0);
}

static int enlist(struct asking *a, unsigned i)
{
	char service[24];

	snprintf(service, sizeof(service), "s%u", i / OF_A_SERVICE);
	return asking_enlist(a, service);
}

/* From the request until DNS has the instance. */
static int enlist_and_find(struct asking *a, unsigned i)
{
	char service[24];
	int rc;

	snprintf(service, sizeof(service), "first%u", i);
	rc = asking_enlist(a, service);
	while (rc == 0 && !atomic_load(a->s->stop)) {
		rc = asker_resolve(a->dns, service);
		if (rc > 0)
			return 0;
	}
	return rc;
}

static int resolve(struct asking *a, unsigned i)
{
	char service[24];
	int found;

	snprintf(service, sizeof(service), "s%u", i % asking_services(a));
	found = asker_resolve(a->dns, service);
	return found < 0 ? found : found == 0;
}

static int take_registrations(struct asking *a)
{
	return take(a, "register", a->s->kind.count, true, enlist);
}

static int take_first_answers(struct asking *a)
{
	return take(a, "first answer", MEASURED, false, enlist_and_find);
}

static int take_questions(struct asking *a)
{
	return take(a, "dns", 0, false, resolve);
}

int registry_take(struct session *s)
{
	int (*const trials[])(struct asking * a) = {take_registrations, take_first_answers, first_take,
		take_questions, clients_take, waiting_take};
	struct asking a;
	int rc = asking_open(&a, s);

	for (unsigned i = 0; i < sizeof(trials) / sizeof(trials[0]) && rc == 0 && !atomic_load(s->stop); i++)
		rc = trials[i](&a);
	asking_close(&a);
	return rc;
}

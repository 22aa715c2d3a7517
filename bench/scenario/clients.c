/*
 * clients.c: many clients of a registry at once, each of whom has one request under way: what it can do where a
 * single client waits for the network most of the time.
 */
#include <errno.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/scenario/asking.h"

enum { AT_ONCE = 32, PART = 10, LEAST = 1000 }; /* one in PART of the instances more */

static int register_batch(struct asking *a, const int *http, struct trial *t)
{
	uint64_t asked = host_tsc(), index;
	int rc = 0;

	for (unsigned i = 0; i < AT_ONCE && rc == 0; i++) {
		char service[24], body[ASKING_BODY];

		snprintf(service, sizeof(service), "many%u", a->instances / PART);
		asking_next(a, service, body);
		rc = asker_send(http[i], "PUT", ASKING_REGISTER, body);
	}
	for (unsigned i = 0; i < AT_ONCE && rc == 0; i++) {
		rc = asker_receive(http[i], &index);
		histogram_add(t->latency, host_tsc() - asked, 1);
		t->wrong += rc >= 0 && rc != ASKING_OK;
		rc = rc < 0 ? rc : 0;
	}
	return rc;
}

static int take_registrations(struct asking *a)
{
	unsigned count = a->s->kind.count / PART > LEAST ? a->s->kind.count / PART : LEAST;
	int http[AT_ONCE], opened = 0, rc;
	struct trial t;
	uint64_t start;

	rc = asking_begin(a, "register 32", &t);
	for (; opened < AT_ONCE && rc == 0; opened++) {
		http[opened] = asker_http(a->s->peer->registry_http);
		rc = http[opened] < 0 ? http[opened] : 0;
	}
	start = host_tsc();
	for (unsigned i = 0; i < count && rc == 0 && !atomic_load(a->s->stop); i += AT_ONCE)
		rc = register_batch(a, http, &t);
	rc = asking_end(a, &t, start, rc);
	while (opened-- > 0)
		if (http[opened] >= 0)
			close(http[opened]);
	return rc;
}

/* All questions, then all answers: so many that none can be lost. */
static int ask_batch(struct asking *a, unsigned first, unsigned services, struct trial *t)
{
	uint64_t asked = host_tsc();
	uint8_t message[1500];

	for (unsigned i = 0; i < AT_ONCE; i++) {
		char service[24];

		snprintf(service, sizeof(service), "s%u", (first + i) % services);
		if (send(a->dns, message, asker_question(message, (uint16_t)i, service), 0) < 0)
			return -errno;
	}
	for (unsigned i = 0; i < AT_ONCE; i++) {
		ssize_t n = recv(a->dns, message, sizeof(message), 0);

		if (n < 0)
			return -errno;
		t->wrong += n < 12 || (message[6] | message[7]) == 0;
		histogram_add(t->latency, host_tsc() - asked, 1);
	}
	return 0;
}

static int take_questions(struct asking *a)
{
	unsigned services = asking_services(a);
	struct trial t;
	uint64_t start = host_tsc(), end = start + (uint64_t)(a->s->o->seconds * host_tsc_hz());
	int rc = asking_begin(a, "dns 32", &t);

	for (unsigned i = 0; rc == 0 && host_tsc() < end && !atomic_load(a->s->stop); i += AT_ONCE)
		rc = ask_batch(a, i, services, &t);
	return asking_end(a, &t, start, rc);
}

int clients_take(struct asking *a)
{
	int rc = take_registrations(a);

	return rc == 0 ? take_questions(a) : rc;
}

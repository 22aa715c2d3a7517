/*
 * asking.h: what the trials of scenario registry share: who asks, and how what was asked becomes a trial.
 */
#pragma once

#include "bench/client/asker.h"
#include "bench/host/histogram.h"
#include "bench/report/scenario.h"

enum { ASKING_OK = 200, ASKING_BODY = 256 };
#define ASKING_REGISTER "/v1/agent/service/register"

struct asking {
	struct session *s;
	int http, dns;
	unsigned instances; /* registered so far */
};

/** Begins and ends to ask the session's registry. 0; -ENOTSUP: it has none; or -errno. */
int asking_open(struct asking *a, struct session *s);
void asking_close(struct asking *a);

/** Megabytes that the registry has for itself. */
double asking_rss_mb(const struct asking *a);

/** A trial of that name; cycles of host_tsc() go into its histogram. 0 or -ENOMEM. */
int asking_begin(struct asking *a, const char *variant, struct trial *t);

/** Adds it to the report, unless `rc` is negative, which is said. `start`: host_tsc() when it began. */
int asking_end(struct asking *a, struct trial *t, uint64_t start, int rc);

/** Makes a PUT, and waits for the answer. 0; -EPROTO: it is not 200; or -errno. */
int asking_request(struct asking *a, const char *path, const char *body);

/** Registers an instance, or takes it out, and waits for the answer. 0 or -errno. */
int asking_put(struct asking *a, const char *service, const char *id, const char *address, uint16_t port);
int asking_remove(struct asking *a, const char *id);

/** The body that registers one instance more of `service`. */
void asking_next(struct asking *a, const char *service, char body[ASKING_BODY]);
/** Registers it, and waits for the answer. 0 or -errno. */
int asking_enlist(struct asking *a, const char *service);

/** How many services the scenario's instances are in: s0, s1, ... */
unsigned asking_services(const struct asking *a);

/** Instances that come, and the first packet balanced to each. */
int first_take(struct asking *a);

/** Registrations and DNS questions of many clients at once. */
int clients_take(struct asking *a);

/** Blocking queries, many at once, of one service that then changes: all of the same, or each another; and the former
 * beside DNS. */
int waiting_take(struct asking *a);

#include "registry/source/consul/shared.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/text.h"
#include "registry/base/wheel.h"

enum { OVERFULL_S = 30 }; /* until it is looked again whether there is room */

int64_t shared_now_ms(void)
{
	return (int64_t)(wheel_now_us() / 1000);
}

bool shared_is_away(const struct shared *shared)
{
	return !shared->known || etcd_follow_age_ms(shared->follow) > SHARED_AWAY_MS;
}

/* Asks nothing but how far the store is. */
static bool plan_nothing(struct shared_job *job, struct shared_plan *plan)
{
	return true;
}

struct reading {
	void (*then)(struct http_request *rq);
};

static void go_on(struct shared_job *job, const char *why)
{
	const struct reading *reading = job->arg;

	if (!job->rq)
		return;
	if (why)
		http_reply_text(job->rq, 500, "No cluster leader: %s", why);
	else
		reading->then(job->rq);
}

void shared_read_newest(struct http_request *rq, void (*then)(struct http_request *rq))
{
	static const struct shared_work work = {.plan = plan_nothing, .finish = go_on};
	struct reading *reading = malloc(sizeof(*reading));

	if (!reading) {
		http_reply_text(rq, 500, "out of memory");
		return;
	}
	reading->then = then;
	shared_job_start(consul_of(rq), rq, &work, reading, 0, 0);
}

void shared_read(struct http_request *rq, void (*then)(struct http_request *rq))
{
	const struct shared *shared = consul_of(rq)->shared;

	if (!shared)
		then(rq);
	else if (!shared->known)
		http_reply_text(
			rq, 500, "No cluster leader: etcd has not told its keys yet: %s", shared->why);
	else if (shared->overfull)
		http_reply_text(rq, 500, "No cluster leader: " SHARED_OVERFULL);
	else if (http_flag(rq, "consistent"))
		shared_read_newest(rq, then);
	else if (http_flag(rq, "stale") || !shared_is_away(shared))
		then(rq);
	else
		http_reply_text(rq, 500,
			"No cluster leader: etcd is away: %s: ?stale reads what was known last", shared->why);
}

bool consul_contact(const struct consul *consul, uint64_t *ms)
{
	const struct shared *shared = consul->shared;

	*ms = shared ? (uint64_t)etcd_follow_age_ms(shared->follow) : 0;
	return !shared || !shared_is_away(shared);
}

bool consul_is_shared(struct http_request *rq)
{
	return consul_of(rq)->shared != NULL;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct shared *shared = arg;

	shared_session_tick(shared);
	if (shared->overfull && ++shared->ticks % OVERFULL_S == 0)
		etcd_follow_anew(shared->follow, false);
}

static int open_parts(struct shared *shared)
{
	static const struct timeval second = {.tv_sec = 1};
	char last[SHARED_WHY];
	struct etcd_follow_config follow = {
		.base = shared->consul->base,
		.etcd = shared->config.etcd,
		.prefix = shared->prefix,
		.last = last,
		.follower = &shared_copy_follower,
		.arg = shared,
	};

	if (!shared->prefix || !shared->host || uuid_make(shared->token) < 0 || shared_job_open(shared) < 0)
		return -1;
	snprintf(last, sizeof(last), "%s%s", shared->prefix, shared_plan_letter(SHARED_AT));
	shared->tick = event_new(shared->consul->base, -1, EV_PERSIST, on_tick, shared);
	shared->follow = etcd_follow(&follow);
	return shared->tick && shared->follow ? event_add(shared->tick, &second) : -1;
}

/* What this daemon has of its own stays in the journal, for when it is alone again. */
int consul_share(struct consul *consul, const struct consul_share *config)
{
	struct shared *shared = calloc(1, sizeof(*shared));

	if (!shared)
		return -1;
	session_close(consul);
	kv_close(consul);
	consul->kv = (struct consul_kv){.bytes = 0};
	session_open(consul);
	consul->shared = shared;
	shared->consul = consul;
	shared->config = *config;
	shared->nscans = 1;
	snprintf(shared->why, sizeof(shared->why), "it has not answered");
	if (asprintf(&shared->prefix, "%s/", config->prefix) < 0)
		shared->prefix = NULL;
	text_copy(&shared->host, config->host);
	TAILQ_INIT(&shared->jobs);
	if (open_parts(shared) == 0)
		return 0;
	consul_unshare(consul);
	return -1;
}

void consul_unshare(struct consul *consul)
{
	struct shared *shared = consul ? consul->shared : NULL;

	if (!shared)
		return;
	etcd_follow_close(shared->follow);
	shared_job_close(shared);
	session_close(consul);
	kv_close(consul);
	consul->kv = (struct consul_kv){.bytes = 0};
	session_open(consul);
	consul->shared = NULL;
	if (shared->tick)
		event_free(shared->tick);
	free(shared->prefix);
	free(shared->host);
	free(shared);
}

/*
 * shared_job.c: what waits for etcd. At most SHARED_JOBS, of which SHARED_ASKED are asked at a time; each ends by
 * SHARED_LATE_MS, whatever etcd does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/shared.h"

enum { AGAIN_MS = 50 };

static void run(struct shared_job *job);

static void job_free(struct shared_job *job)
{
	struct shared *shared = job->consul->shared;

	TAILQ_REMOVE(&shared->jobs, job, link);
	shared->njobs--;
	shared->bytes -= job->bytes;
	if (job->state == SHARED_ASKING)
		shared->asked--;
	etcd_cancel(job->op);
	if (job->work->free)
		job->work->free(job->arg);
	else
		free(job->arg);
	free(job);
}

static void finish(struct shared_job *job, const char *why)
{
	job->work->finish(job, why);
	job_free(job);
}

static void set_state(struct shared_job *job, unsigned state)
{
	struct shared *shared = job->consul->shared;

	shared->asked += (state == SHARED_ASKING) - (job->state == SHARED_ASKING);
	job->state = state;
}

static void again_soon(struct shared *shared)
{
	static const struct timeval pause = {.tv_usec = AGAIN_MS * 1000};

	if (!evtimer_pending(shared->again, NULL))
		evtimer_add(shared->again, &pause);
}

static void try_again(struct shared_job *job)
{
	set_state(job, SHARED_AGAIN);
	again_soon(job->consul->shared);
}

/* Those that found too many under way. */
static void run_queued(struct shared *shared)
{
	struct shared_job *job, *next;

	for (job = TAILQ_FIRST(&shared->jobs); job && shared->asked < SHARED_ASKED; job = next) {
		next = TAILQ_NEXT(job, link);
		if (job->state == SHARED_QUEUED)
			run(job);
	}
}

static void on_granted(void *arg, const struct etcd_answer *answer, int64_t lease)
{
	struct shared_job *job = arg;
	struct shared *shared = job->consul->shared;
	char why[SHARED_WHY];

	job->op = NULL;
	set_state(job, SHARED_QUEUED);
	job->lease = lease;
	if (answer->why && !answer->refused) {
		try_again(job);
	} else if (answer->why || !lease) {
		snprintf(why, sizeof(why), "etcd gave no lease: %s", answer->why ? answer->why : "no reason");
		finish(job, why);
	} else {
		run(job);
	}
	run_queued(shared);
}

/* The copy must have `until` first. */
static void wait_for(struct shared_job *job, int64_t until)
{
	const struct shared *shared = job->consul->shared;

	job->until = until;
	set_state(job, SHARED_WAITING);
	if (shared->revision < until)
		return;
	if (job->done)
		finish(job, NULL);
	else /* the copy has it, and was not as etcd is: a change is on its way */
		try_again(job);
}

static void refused(struct shared_job *job, const struct etcd_answer *answer)
{
	const struct shared *shared = job->consul->shared;
	char why[SHARED_WHY];

	if (job->lease && answer->refused && strstr(answer->why, "lease")) { /* it ended meanwhile */
		job->lease = 0;
		try_again(job);
	} else if (answer->refused) {
		snprintf(why, sizeof(why), "etcd refused it: %s", answer->why);
		finish(job, why);
	} else {
		if (job->changes && !job->doubt)
			job->doubt = shared->nscans;
		try_again(job);
	}
}

static void on_txn(void *arg, const struct etcd_answer *answer, bool took)
{
	struct shared_job *job = arg;
	struct shared *shared = job->consul->shared;

	job->op = NULL;
	set_state(job, SHARED_WAITING);
	if (answer->why) {
		refused(job, answer);
	} else {
		job->done = took;
		job->revision = took && job->changes ? answer->revision : answer->told;
		wait_for(job, job->revision);
	}
	run_queued(shared);
}

static void ask(struct shared_job *job)
{
	struct shared_plan *plan = calloc(1, sizeof(*plan));

	if (!plan) {
		finish(job, "out of memory");
		return;
	}
	plan->shared = job->consul->shared;
	if (!job->work->plan(job, plan)) {
		shared_plan_clear(plan);
		finish(job, NULL);
		return;
	}
	job->changes = plan->nchange > 0;
	set_state(job, SHARED_ASKING);
	job->op = shared_plan_send(plan, job->id, on_txn, job);
	shared_plan_clear(plan);
	if (!job->op)
		finish(job, "out of memory");
}

/* What took effect did so, whether it is known here or not. A scan tells of the last change alone, so that with it in
 * between nobody knows. */
static bool is_settled(struct shared_job *job, int64_t now)
{
	bool late = now >= job->deadline_ms;
	static const char unknown[] = "etcd did not answer in time: the change may be made, or not";

	if (job->seen) {
		job->revision = job->seen;
		job->done = true;
		finish(job, NULL);
	} else if (late && job->done) {
		finish(job, NULL);
	} else if (job->doubt && (late || job->doubt != job->consul->shared->nscans)) {
		finish(job, unknown);
	} else if (late) {
		finish(job, "others change the same all the time, or etcd is slow: it was not done");
	} else {
		return false;
	}
	return true;
}

static void run(struct shared_job *job)
{
	struct shared *shared = job->consul->shared;

	if (job->asked_for && !job->rq) {
		finish(job, "its client is gone");
	} else if (is_settled(job, shared_now_ms())) {
		return;
	} else if (shared->partial) { /* what tells that it is done may be in the other part */
		try_again(job);
	} else if (shared->asked >= SHARED_ASKED) {
		set_state(job, SHARED_QUEUED);
	} else if (job->ttl_s && !job->lease) {
		set_state(job, SHARED_ASKING);
		job->op = etcd_grant(shared->config.etcd, job->ttl_s, on_granted, job);
		if (!job->op)
			finish(job, "out of memory");
	} else {
		ask(job);
	}
}

static void on_gone(void *arg)
{
	struct shared_job *job = arg;

	job->rq = NULL; /* what is under way goes on */
}

static const char *why_not(const struct shared *shared, size_t bytes, char text[SHARED_WHY])
{
	if (shared_is_away(shared)) {
		snprintf(text, SHARED_WHY, "etcd is away: %.200s", shared->why);
		return text;
	}
	if (shared->overfull)
		return SHARED_OVERFULL;
	if (shared->njobs >= SHARED_JOBS || shared->bytes + bytes > SHARED_BYTES)
		return "too many requests wait for etcd";
	return NULL;
}

bool shared_job_start(struct consul *consul, struct http_request *rq, const struct shared_work *work,
	void *arg, int64_t ttl_s, size_t bytes)
{
	struct shared *shared = consul->shared;
	char text[SHARED_WHY];
	const char *why = why_not(shared, bytes, text);
	struct shared_job *job = why ? NULL : calloc(1, sizeof(*job));

	if (!job) {
		if (rq)
			http_reply_text(rq, 500, "No cluster leader: %s", why ? why : "out of memory");
		if (work->free)
			work->free(arg);
		else
			free(arg);
		return false;
	}
	*job = (struct shared_job){.consul = consul,
		.work = work,
		.arg = arg,
		.rq = rq,
		.asked_for = rq != NULL,
		.ttl_s = ttl_s,
		.bytes = bytes,
		.id = ++shared->last_id,
		.deadline_ms = shared_now_ms() + SHARED_LATE_MS};
	if (rq)
		http_hold(rq, on_gone, job);
	TAILQ_INSERT_TAIL(&shared->jobs, job, link);
	shared->njobs++;
	shared->bytes += bytes;
	again_soon(shared); /* it sees to those that are late, too */
	run(job);
	return true;
}

void shared_job_seen(struct shared *shared, const char *at, int64_t revision)
{
	size_t len = strlen(shared->token);
	struct shared_job *job;
	uint64_t id;

	if (strncmp(at, shared->token, len) != 0)
		return;
	id = strtoull(at + len, NULL, 10);
	TAILQ_FOREACH (job, &shared->jobs, link)
		if (job->id == id)
			job->seen = revision;
}

void shared_job_known(struct shared *shared)
{
	struct shared_job *job, *next;

	for (job = TAILQ_FIRST(&shared->jobs); job; job = next) {
		next = TAILQ_NEXT(job, link);
		if (job->state != SHARED_WAITING || shared->revision < job->until)
			continue;
		if (job->done)
			finish(job, NULL);
		else
			run(job);
	}
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	struct shared *shared = arg;
	struct shared_job *job, *next;
	int64_t now = shared_now_ms();

	for (job = TAILQ_FIRST(&shared->jobs); job; job = next) {
		next = TAILQ_NEXT(job, link);
		if (job->state == SHARED_AGAIN)
			run(job);
		else if (job->state != SHARED_ASKING && now >= job->deadline_ms)
			is_settled(job, now);
	}
	run_queued(shared);
	if (!TAILQ_EMPTY(&shared->jobs))
		again_soon(shared);
}

int shared_job_open(struct shared *shared)
{
	shared->again = evtimer_new(shared->consul->base, on_again, shared);
	return shared->again ? 0 : -1;
}

void shared_job_close(struct shared *shared)
{
	struct shared_job *job;

	while ((job = TAILQ_FIRST(&shared->jobs)))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that has ended is in the list no more */
		finish(job, "the daemon ends");
	if (shared->again)
		event_free(shared->again);
}

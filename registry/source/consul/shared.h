/*
 * shared.h: the key-value store and its sessions when hosts share them by etcd. What kv.c and session.c hold is then a copy
 * of what etcd has, kept by a watch. A change is planned against the copy, as one transaction that takes effect only if
 * all that it looked at is still so; when it is not, it is planned anew once the copy has caught up. What is refused for
 * what the copy says is asked of etcd in the same way. So each answer is true of one moment, for all hosts.
 * When etcd does not answer, `at` tells whether the change was made: it has the number of the job that made it. A job that
 * is sent once more takes effect once: what it changes it compares.
 *
 *   shared.c          its beginning and end, and reads
 *   shared_copy.c     from etcd to the copy
 *   shared_job.c      what waits for etcd: bounded, each with an end
 *   shared_plan.c     transactions
 *   shared_kv.c       changes of keys
 *   shared_session.c  sessions: made, renewed, ended
 *
 * Keys in etcd, below the prefix: `at`, which each change puts, so that it tells of the last one; k/KEY, a key;
 * s/ID, a session; sh/ID, put whenever the session gets a lock, so that it cannot end beside that; st/ID, on a lease: its
 * TTL is not over; d/KEY, on a lease: nobody may lock KEY. A scan tells of a session before it tells of its others.
 */
#pragma once

#include "registry/etcd/etcd.h"
#include "registry/source/consul/inside.h"
#include "registry/source/consul/session.h"

enum {
	SHARED_JOBS = 1024,
	SHARED_BYTES = 64 << 20,    /* of the bodies of requests that wait */
	SHARED_ASKED = 32,	    /* transactions under way */
	SHARED_TXN_BYTES = 1400000, /* etcd takes 1.5 MiB */
	SHARED_AWAY_MS = 5000,	    /* after that long nothing is tried any more */
	SHARED_LATE_MS = 10000,	    /* a request is answered by then */
	SHARED_WHY = 256,
};

#define SHARED_OVERFULL "etcd has more keys than control.kv_mb allows here"

/* The kinds of keys. */
enum shared_kind {
	SHARED_AT,
	SHARED_KEY,
	SHARED_SESSION,
	SHARED_HOLDS,
	SHARED_LIVE,
	SHARED_DELAY,
	SHARED_KINDS
};

/* A transaction. */
struct shared_plan {
	struct shared *shared;
	struct etcd_compare compare[ETCD_OPS];
	struct etcd_change change[ETCD_OPS];
	size_t ncompare, nchange, ntext, bytes;
	char *text[5 * ETCD_OPS]; /* that these are made of */
	bool all;		  /* nothing at all may have changed */
	bool failed;		  /* no memory */
};

struct shared_job;
struct shared_work {
	/** Plans it, by the copy as it is. False: etcd need not be asked. */
	bool (*plan)(struct shared_job *job, struct shared_plan *plan);
	/** It is done, or cannot be (why): answers job->rq, unless that is NULL. */
	void (*finish)(struct shared_job *job, const char *why);
	void (*free)(void *arg); /* NULL: free() */
};
struct shared_job {
	TAILQ_ENTRY(shared_job) link;
	struct consul *consul;
	const struct shared_work *work;
	void *arg;		 /* of the work; freed with the job */
	struct http_request *rq; /* NULL: none, or its client is gone */
	bool asked_for;		 /* it is of no use without its client */
	enum { SHARED_QUEUED, SHARED_ASKING, SHARED_WAITING, SHARED_AGAIN } state;
	bool changes, done;
	int64_t ttl_s, lease; /* that its changes need; 0: none */
	int64_t until;	      /* the copy must have this revision before it goes on */
	int64_t revision;     /* at which it took effect */
	uint64_t id;	      /* by which `at` tells of its change */
	int64_t seen;	      /* revision at which it did; 0: not */
	unsigned doubt; /* number of the scan before etcd left a question without an answer; 0: it did not */
	int64_t deadline_ms;
	size_t bytes;
	struct etcd_op *op;
};

struct shared {
	struct consul *consul;
	struct consul_share config;
	char *prefix, *host;
	struct etcd_follow *follow;
	struct event *again, *tick;
	TAILQ_HEAD(, shared_job) jobs;
	unsigned njobs, asked;
	size_t bytes;
	uint64_t last_id;
	char token[UUID_TEXT]; /* of this life of the daemon: what `at` has before an id */
	/* shared_copy.c */
	unsigned nscans;  /* since the start, and 1 */
	bool partial;	  /* a part of a revision is here, and the rest is not */
	bool overfull;	  /* not all keys have found room */
	unsigned ticks;	  /* until all is read again for that */
	int64_t revision; /* that the copy has */
	int64_t at;	  /* revision of the key `at` as the copy has it */
	bool known;	  /* it has been whole */
	bool scans, keys_changed, sessions_changed;
	struct kv_gone gone;
	char why[SHARED_WHY]; /* etcd is away; "": it is there */
};

/* shared.c */
/** Calls then() when the copy is as new as the request asks for, or answers it with why that cannot be. */
void shared_read(struct http_request *rq, void (*then)(struct http_request *rq));
/** When it is as new as etcd is now. */
void shared_read_newest(struct http_request *rq, void (*then)(struct http_request *rq));
bool shared_is_away(const struct shared *shared);
int64_t shared_now_ms(void);

/* shared_copy.c */
extern const struct etcd_follower shared_copy_follower;

/* shared_job.c */
/** Takes over `arg`. False: there is no room, and the request has been answered. */
bool shared_job_start(struct consul *consul, struct http_request *rq, const struct shared_work *work,
	void *arg, int64_t ttl_s, size_t bytes);
/** `at` has told of a change. */
void shared_job_seen(struct shared *shared, const char *at, int64_t revision);
/** Those that waited for what the copy has by now go on. */
void shared_job_known(struct shared *shared);
int shared_job_open(struct shared *shared);
void shared_job_close(struct shared *shared);

/* shared_plan.c */
/** What a key of that kind begins with, behind the prefix. */
const char *shared_plan_letter(enum shared_kind kind);
/** It takes effect only if the key was last changed at `mod`; 0: it is not there. */
void shared_plan_if(struct shared_plan *plan, enum shared_kind kind, const char *name, uint64_t mod);
/** `value` is taken over; NULL: no memory. */
void shared_plan_put(
	struct shared_plan *plan, enum shared_kind kind, const char *name, char *value, int64_t lease);
/** Unless it puts that already. */
void shared_plan_put_once(
	struct shared_plan *plan, enum shared_kind kind, const char *name, const char *value);
void shared_plan_del(struct shared_plan *plan, enum shared_kind kind, const char *name, bool tree);
/** The same for a key of another part of the store, by its whole name. */
void shared_plan_if_absent(struct shared_plan *plan, const char *key);
/** Is there room for so many more changes with so many bytes? */
bool shared_plan_fits(const struct shared_plan *plan, size_t changes, size_t bytes);
/** Sends it, as the change `id`. NULL: no memory. */
struct etcd_op *shared_plan_send(struct shared_plan *plan, uint64_t id,
	void (*done)(void *arg, const struct etcd_answer *answer, bool took), void *arg);
void shared_plan_clear(struct shared_plan *plan);

/* shared_kv.c */
void shared_kv_run(struct http_request *rq, const struct kv_op *op);
void shared_kv_delete_tree(struct http_request *rq);
/** What an operation looks at is as the copy has it. */
void shared_kv_if(struct shared_plan *plan, const struct kv_op *op);
/** The changes of a stage. -E2BIG, -ENOSPC with *err. */
int shared_kv_changes(struct shared_plan *plan, const struct kv_stage *stage, struct kv_err *err);

/* shared_session.c */
void shared_session_create(struct http_request *rq, const json_t *body);
void shared_session_destroy(struct http_request *rq);
void shared_session_renew(struct http_request *rq);
/** It is to end, for all hosts. */
void shared_session_end(struct consul_session *session);
/** Those whose TTL is over, or whose host is lost, are to end. */
void shared_session_tick(struct shared *shared);
/** From etcd. */
void shared_session_put(struct shared *shared, const char *id, const struct etcd_kv *kv);
void shared_session_drop(struct consul_session *session);
/** All that came is there: its own checks are looked for. */
void shared_session_whole(struct shared *shared, bool scanned);

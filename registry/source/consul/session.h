/*
 * session.h: sessions: who may hold keys. A session ends by its own word, when its TTL runs out, when one of its checks
 * is critical or gone, or with its node. Then it gives up what it holds. It outlives the daemon.
 */
#pragma once

#include "registry/source/consul/inside.h"
#include "registry/source/consul/kv.h"

enum {
	SESSION_NAME_MAX = 1024,      /* bytes */
	SESSION_CHECKS_MAX = 16,      /* in all lists together */
	SESSION_DELAY_MAX_MS = 60000, /* as Consul, whatever the session says */
};

/* A check that a session depends on. */
struct session_check {
	const char *id;			/* in the session's lists */
	char service[REG_NAME_MAX + 1]; /* whose check it is, "": the node's */
	char instance[REG_ID_MAX + 1];
	struct registry_watch *watch; /* on the service, NULL: none */
	bool fresh;		      /* restored: that it has not found anything yet is no reason to end */
};

struct consul_session {
	UT_hash_handle hh;
	struct consul *consul;
	char id[UUID_TEXT];
	char *name;
	char node[REG_NODE_MAX + 1]; /* "": this daemon's */
	bool forget;		     /* delete what it holds, instead of releasing it */
	int64_t ttl_ms, delay_ns;    /* 0: for ever; none */
	uint64_t created;
	/* of one that hosts share (shared_session.c) */
	char *owner;		 /* host that looks after its checks */
	int64_t lease;		 /* 0: its TTL is over */
	uint64_t holds;		 /* revision at which it last got a lock; 0: never */
	bool seen, live;	 /* by the scan that is under way; so is its lease */
	bool fresh, ending, due; /* not looked at yet; it is being ended; it is to be */
	unsigned ticks;
	struct event timer;
	struct kv_held held;
	json_t *checks, *node_checks, *service_checks; /* as given; NULL: not */
	struct session_check *check;
	size_t ncheck;
	struct registry_watch *nodes; /* NULL: its node stays, and has no checks of the session's */
	bool doubtful;		      /* on consul->doubtful */
	TAILQ_ENTRY(consul_session) doubt;
};

/* session_read.c */
/** What a body asks for, into a session that is zeroed but for `consul`. -EINVAL; -ERANGE for what Consul answers with
 * 500; -ENOMEM. */
int session_read(const json_t *body, struct consul_session *session, struct reg_err *err);
/** As Consul shows it, and as the journal keeps it. */
json_t *session_read_back(const struct consul_session *session);

/* session_check.c */
/** Finds the checks and watches them; `fresh` as in struct session_check. -ESRCH: one is not there, or critical. */
int session_check_bind(struct consul_session *session, bool fresh, struct reg_err *err);
/** Are they all there and none critical? */
bool session_check_holds(struct consul_session *session);
/** Does it hold although one of them has found nothing yet? The first result need not be a change that one could watch. */
bool session_check_is_fresh(const struct consul_session *session);
void session_check_free(struct consul_session *session);

/* session.c */
struct consul_session *session_find(struct consul *consul, const char *id);
/** *out lives on as long as the session. Errors as of session_read(), and -ENOSPC, -ESRCH. */
int session_make(struct consul *consul, const json_t *body, struct consul_session **out, struct reg_err *err);
/** The same without making it: not in the table, to be freed. */
int session_draft(
	struct consul *consul, const json_t *body, struct consul_session **out, struct reg_err *err);
/** NULL: no memory. */
struct consul_session *session_new(struct consul *consul);
/** One that is not in the table. */
void session_free(struct consul_session *session);
/** How long nobody may lock what it held. */
int64_t session_delay_ms(const struct consul_session *session);
void session_end(struct consul_session *session);
/** Its TTL begins anew. */
void session_renew(struct consul_session *session);
/** Something that it depends on has changed: it is looked at before anything else is answered. */
void session_doubt(struct consul_session *session);

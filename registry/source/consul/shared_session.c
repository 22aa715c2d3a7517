/*
 * shared_session.c: sessions that hosts share. The host where one was made looks after its checks. Any host ends it when its
 * TTL is over (its lease has taken st/ID along) or its host is lost: the transaction takes effect once, whoever is first.
 * A session that holds more than fits into a transaction lets go of it in several, and goes with the last.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/chance.h"
#include "registry/http/jsontext.h"
#include "registry/source/consul/shared.h"

enum {
	OTHERS_TICKS = 3,  /* hosts do not all end the same session in the same second */
	LEASE_LEAST_S = 2, /* etcd gives no shorter one */
	KEY_ROOM = 512,
	RENEW_TRIES = 3, /* each asks another member */
};

/* --- from etcd --- */

static bool is_own(const struct shared *shared, const struct consul_session *session)
{
	return session->owner && strcmp(session->owner, shared->host) == 0;
}

static bool is_local_name(const struct consul *consul, const char *node)
{
	const struct reg_node *local = registry_node_find(consul->reg, "");

	return local && strcmp(local->name, node) == 0;
}

/* Others' programs may write what they like there. */
static bool is_id(const char *id)
{
	return strlen(id) == UUID_TEXT - 1 && strspn(id, "0123456789abcdef-") == UUID_TEXT - 1;
}

static struct consul_session *session_of(struct shared *shared, const char *id, const struct etcd_kv *kv)
{
	struct consul_session *session = is_id(id) ? session_new(shared->consul) : NULL;
	json_t *body = session ? json_loadb(kv->value, kv->len, 0, NULL) : NULL;
	const char *node = json_string_value(json_object_get(body, "Node")),
		   *owner = json_string_value(json_object_get(body, "Owner"));
	struct reg_err err;

	if (!session || !node || strlen(node) > REG_NODE_MAX || !owner || strlen(owner) > REG_NODE_MAX)
		goto fail;
	strcpy(session->id, id);
	if (!is_local_name(shared->consul, node))
		strcpy(session->node, node);
	session->owner = strdup(owner);
	json_object_del(body, "Node");
	if (!session->owner || session_read(body, session, &err) < 0)
		goto fail;
	json_decref(body);
	return session;
fail:
	json_decref(body);
	if (session)
		session_free(session);
	return NULL;
}

void shared_session_put(struct shared *shared, const char *id, const struct etcd_kv *kv)
{
	struct consul_session *session = session_find(shared->consul, id);

	if (session && session->created == (uint64_t)kv->mod) {
		session->seen = true;
		return;
	}
	if (session)
		shared_session_drop(session);
	shared->sessions_changed = true;
	session = HASH_COUNT(shared->consul->sessions) < 2 * KV_SESSIONS ? session_of(shared, id, kv) : NULL;
	if (!session)
		return;
	session->created = (uint64_t)kv->mod;
	session->seen = session->fresh = true;
	HASH_ADD_STR(shared->consul->sessions, id, session);
	if (!session->hh.tbl)
		session_free(session);
}

/* What it holds is told by keys of their own. */
void shared_session_drop(struct consul_session *session)
{
	struct shared *shared = session->consul->shared;
	struct kv_entry *entry;

	while ((entry = LIST_FIRST(&session->held.entries))) {
		LIST_REMOVE(entry, held);
		entry->held.le_prev = NULL;
	}
	shared->sessions_changed = true;
	HASH_DEL(session->consul->sessions, session);
	session_free(session);
}

static int by_age(const struct consul_session *a, const struct consul_session *b)
{
	return (a->created > b->created) - (a->created < b->created);
}

void shared_session_whole(struct shared *shared, bool scanned)
{
	struct consul *consul = shared->consul;
	struct consul_session *session, *next;
	struct reg_err err;

	if (!shared->sessions_changed)
		return;
	if (scanned)
		HASH_SORT(consul->sessions, by_age);
	for (session = consul->sessions; session; session = next) {
		next = session->hh.next;
		if (!session->fresh)
			continue;
		session->fresh = false;
		if (is_own(shared, session) && session_check_bind(session, true, &err) < 0)
			shared_session_end(session);
	}
	session_begin_fresh(consul);
}

/* --- the end --- */

static bool is_over(const struct consul_session *session)
{
	return session->ttl_ms && !session->lease;
}

/* Its host is lost, and it depends on that; `key` is what the host would have in etcd. */
static bool is_orphan(const struct shared *shared, const struct consul_session *session, char key[KEY_ROOM])
{
	return json_array_size(session->node_checks) && !is_own(shared, session) &&
	       shared->config.lost(shared->config.arg, session->owner, key, KEY_ROOM);
}

struct ending {
	char id[UUID_TEXT];
	bool by_word; /* whatever it depends on */
	bool last;
	bool found;
};

/* False: the rest is for another transaction. */
static bool let_go(struct shared_job *job, struct shared_plan *plan, const struct consul_session *session)
{
	int64_t delay_ms = session_delay_ms(session);
	struct kv_entry *entry;
	char *text;

	LIST_FOREACH (entry, &session->held.entries, held) {
		struct kv_entry bare = {.value = entry->value,
			.len = entry->len,
			.flags = entry->flags,
			.lock_index = entry->lock_index};

		/* the session itself takes three more changes */
		if (!shared_plan_fits(plan, 5, session->forget ? 0 : entry->len / 3 * 4))
			return false;
		shared_plan_if(plan, SHARED_KEY, entry->key, entry->modified);
		if (session->forget)
			shared_plan_del(plan, SHARED_KEY, entry->key, false);
		else
			shared_plan_put(plan, SHARED_KEY, entry->key, kv_keep_text(&bare), 0);
		if (delay_ms <= 0)
			continue;
		if (asprintf(&text, "%" PRId64, delay_ms) < 0)
			text = NULL;
		shared_plan_put(plan, SHARED_DELAY, entry->key, text, job->lease);
	}
	return true;
}

static bool plan_end(struct shared_job *job, struct shared_plan *plan)
{
	struct ending *ending = job->arg;
	struct consul_session *session = session_find(job->consul, ending->id);
	char key[KEY_ROOM];

	ending->last = true;
	ending->found = session != NULL;
	if (!session) {
		/* who asks may know of one that is not here yet */
		shared_plan_if(plan, SHARED_SESSION, ending->id, 0);
		return job->rq != NULL;
	}
	if (!ending->by_word) {
		if (is_orphan(plan->shared, session, key))
			shared_plan_if_absent(plan, key);
		else if (is_over(session))
			shared_plan_if(plan, SHARED_LIVE, session->id, 0);
		else
			return false;
	}
	shared_plan_if(plan, SHARED_SESSION, session->id, session->created);
	shared_plan_if(plan, SHARED_HOLDS, session->id, session->holds);
	ending->last = let_go(job, plan, session);
	if (ending->last) {
		shared_plan_del(plan, SHARED_SESSION, session->id, false);
		shared_plan_del(plan, SHARED_HOLDS, session->id, false);
		shared_plan_del(plan, SHARED_LIVE, session->id, false);
	}
	return true;
}

static bool start_end(struct consul *consul, struct http_request *rq, const char *id, bool by_word);

static void on_ended(struct shared_job *job, const char *why)
{
	const struct ending *ending = job->arg;
	struct consul_session *session = session_find(job->consul, ending->id);
	struct http_request *rq = job->rq;

	if (session)
		session->ending = false;
	job->rq = NULL;
	if (!why && !ending->last)
		start_end(job->consul, rq, ending->id, ending->by_word);
	else if (rq && why)
		http_reply_text(rq, 500, "%s", why);
	else if (rq)
		http_reply_json(rq, 200, json_true());
}

/* Each host waits by its own clock from when it hears of a delay; its lease is what cleans up. */
static bool start_end(struct consul *consul, struct http_request *rq, const char *id, bool by_word)
{
	static const struct shared_work work = {.plan = plan_end, .finish = on_ended};
	struct consul_session *session = session_find(consul, id);
	struct ending *ending = calloc(1, sizeof(*ending));
	char own[UUID_TEXT];
	/* one that is not here yet may come while this waits */
	int64_t delay_ms = session ? session_delay_ms(session) : SESSION_DELAY_MAX_MS;
	int64_t ttl_s = delay_ms > 0 ? delay_ms / 1000 + LEASE_LEAST_S : 0;

	if (!ending) {
		if (rq)
			http_reply_text(rq, 500, "out of memory");
		return false;
	}
	snprintf(ending->id, sizeof(ending->id), "%s", id);
	ending->by_word = by_word;
	if (session)
		session->ending = true;
	snprintf(own, sizeof(own), "%s", id); /* it may be the request's, which is gone when it is refused */
	if (shared_job_start(consul, rq, &work, ending, ttl_s, 0))
		return true;
	session = session_find(consul, own);
	if (session)
		session->ending = false;
	return false;
}

void shared_session_end(struct consul_session *session)
{
	session->due = true;
	if (!session->ending)
		start_end(session->consul, NULL, session->id, true);
}

void shared_session_tick(struct shared *shared)
{
	struct consul_session *session, *next;
	char key[KEY_ROOM];

	if (!shared->known || shared->scans || shared_is_away(shared))
		return;
	for (session = shared->consul->sessions; session; session = next) {
		next = session->hh.next;
		if (session->ending)
			continue;
		if (session->due) {
			start_end(shared->consul, NULL, session->id, true);
		} else if (!is_over(session) && !is_orphan(shared, session, key)) {
			session->ticks = 0;
		} else if (!session->ticks) {
			session->ticks = is_own(shared, session) ? 1 : chance_between(1, OTHERS_TICKS);
		} else if (--session->ticks == 0) {
			start_end(shared->consul, NULL, session->id, false);
		}
	}
}

static void destroy(struct http_request *rq)
{
	if (session_find(consul_of(rq), rq->arg[0]))
		start_end(consul_of(rq), rq, rq->arg[0], true);
	else
		http_reply_json(rq, 200, json_true());
}

/* One that nobody has is not worth a lease in etcd, however often it is asked for. */
void shared_session_destroy(struct http_request *rq)
{
	if (strlen(rq->arg[0]) >= UUID_TEXT || session_find(consul_of(rq), rq->arg[0]))
		destroy(rq);
	else
		shared_read_newest(rq, destroy);
}

/* --- the beginning --- */

struct making {
	struct consul_session *session; /* as it is asked for; not in the table */
	char *text;
};

static void making_free(void *arg)
{
	struct making *making = arg;

	if (making->session)
		session_free(making->session);
	free(making->text);
	free(making);
}

static bool plan_make(struct shared_job *job, struct shared_plan *plan)
{
	const struct making *making = job->arg;
	const struct consul_session *session = making->session;

	shared_plan_if(plan, SHARED_SESSION, session->id, 0);
	shared_plan_put(plan, SHARED_SESSION, session->id, strdup(making->text), 0);
	if (session->ttl_ms)
		shared_plan_put(plan, SHARED_LIVE, session->id, strdup("1"), job->lease);
	return true;
}

static void on_made(struct shared_job *job, const char *why)
{
	const struct making *making = job->arg;

	if (!job->rq)
		return;
	if (why)
		http_reply_text(job->rq, 500, "%s", why);
	else
		http_reply_json(job->rq, 200, json_pack("{s:s}", "ID", making->session->id));
}

static char *text_of(const struct shared *shared, const struct consul_session *session)
{
	json_t *object = session_read_back(session);
	char *text = NULL;

	if (object && json_object_set_new(object, "Owner", json_string(shared->host)) == 0)
		text = json_dumps(object, JSON_COMPACT);
	json_decref(object);
	return text;
}

void shared_session_create(struct http_request *rq, const json_t *body)
{
	static const struct shared_work work = {.plan = plan_make, .finish = on_made, .free = making_free};
	struct consul *consul = consul_of(rq);
	struct making *making = calloc(1, sizeof(*making));
	struct reg_err err = {"out of memory"};
	int rc = making ? session_draft(consul, body, &making->session, &err) : -ENOMEM;
	int64_t ttl_s;

	if (rc == 0) {
		making->text = text_of(consul->shared, making->session);
		rc = making->text ? 0 : reg_fail(&err, -ENOMEM, "out of memory");
	}
	if (rc < 0) {
		if (making)
			making_free(making);
		consul_reply(rq, rc, &err);
		return;
	}
	ttl_s = (2 * making->session->ttl_ms + 999) / 1000; /* as session_renew() */
	shared_job_start(consul, rq, &work, making, ttl_s, strlen(making->text));
}

/* --- renewal --- */

struct renewal {
	struct consul *consul;
	struct http_request *rq; /* NULL: gone */
	int64_t lease;
	unsigned tries;
};

static void reply_missing(struct http_request *rq)
{
	http_reply_text(rq, 404, "Session id '%s' not found", rq->arg[0]);
}

static void reply_renewed(struct http_request *rq)
{
	const struct consul_session *session = session_find(consul_of(rq), rq->arg[0]);

	if (session)
		http_reply_json(rq, 200, json_pack("[o]", session_read_back(session)));
	else
		reply_missing(rq);
}

static void on_renewed(void *arg, const struct etcd_answer *answer, int64_t ttl_s)
{
	struct renewal *renewal = arg;
	struct http_request *rq = renewal->rq;

	if (rq && answer->why && !answer->refused && ++renewal->tries < RENEW_TRIES &&
		etcd_renew(renewal->consul->shared->config.etcd, renewal->lease, on_renewed, renewal))
		return;
	if (rq && answer->why && !answer->refused)
		http_reply_text(rq, 500, "etcd did not answer: %s", answer->why);
	else if (rq && (answer->why || ttl_s <= 0))
		reply_missing(rq);
	else if (rq)
		reply_renewed(rq);
	free(renewal);
}

static void on_client_gone(void *arg)
{
	((struct renewal *)arg)->rq = NULL;
}

static void renew(struct http_request *rq)
{
	struct consul *consul = consul_of(rq);
	const struct consul_session *session = session_find(consul, rq->arg[0]);
	struct renewal *renewal;

	if (!session || is_over(session)) {
		reply_missing(rq);
		return;
	}
	if (!session->ttl_ms) {
		reply_renewed(rq);
		return;
	}
	renewal = calloc(1, sizeof(*renewal));
	if (renewal) {
		*renewal = (struct renewal){.consul = consul, .rq = rq, .lease = session->lease};
		http_hold(rq, on_client_gone, renewal);
		if (etcd_renew(consul->shared->config.etcd, session->lease, on_renewed, renewal))
			return;
	}
	free(renewal);
	http_reply_text(rq, 500, "out of memory");
}

/* One that was made at another host may not be known here yet. */
void shared_session_renew(struct http_request *rq)
{
	struct consul *consul = consul_of(rq);

	if (session_find(consul, rq->arg[0]))
		renew(rq);
	else
		shared_read_newest(rq, renew);
}

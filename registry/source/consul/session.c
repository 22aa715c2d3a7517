#include "registry/source/consul/session.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/wheel.h"
#include "registry/source/consul/shared.h"
#include "registry/store/journal.h"

#define KEY_SESSION "session/"

enum {
	SETTLE_US = 1000, /* for sessions that end together, a turn: one that holds all it can takes longer */
};

struct consul_session *session_find(struct consul *consul, const char *id)
{
	struct consul_session *session;

	HASH_FIND_STR(consul->sessions, id, session);
	return session;
}

struct kv_held *session_held(struct consul *consul, const char *id)
{
	struct consul_session *session = session_find(consul, id);

	return session ? &session->held : NULL;
}

void session_free(struct consul_session *session)
{
	if (session->doubtful)
		TAILQ_REMOVE(&session->consul->doubtful, session, doubt);
	event_del(&session->timer);
	session_check_free(session);
	json_decref(session->checks);
	json_decref(session->node_checks);
	json_decref(session->service_checks);
	free(session->name);
	free(session->owner);
	free(session);
}

/* NULL: not any more. */
static void keep(struct consul *consul, const char *id, const json_t *body)
{
	char name[sizeof(KEY_SESSION) + UUID_TEXT], *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	snprintf(name, sizeof(name), KEY_SESSION "%s", id);
	if (text || !body)
		journal_put(consul->journal, name, text);
	free(text);
}

int64_t session_delay_ms(const struct consul_session *session)
{
	int64_t delay_ms = session->delay_ns / 1000000;

	return delay_ms > SESSION_DELAY_MAX_MS ? SESSION_DELAY_MAX_MS : delay_ms;
}

/* The journal loses the session last: should a crash part the two, it is still there to end. */
void session_end(struct consul_session *session)
{
	struct consul *consul = session->consul;
	bool holds = !LIST_EMPTY(&session->held.entries);

	if (consul->shared) {
		shared_session_end(session);
		return;
	}
	kv_release(consul, &session->held, session->forget, session_delay_ms(session));
	keep(consul, session->id, NULL);
	HASH_DEL(consul->sessions, session);
	session_free(session);
	kv_commit(consul, holds, true);
}

static void on_silent(evutil_socket_t fd, short what, void *arg)
{
	session_end(arg);
}

/* Consul grants twice the TTL: clients renew at its half. */
void session_renew(struct consul_session *session)
{
	struct timeval tv = {
		.tv_sec = 2 * session->ttl_ms / 1000, .tv_usec = 2 * session->ttl_ms % 1000 * 1000};

	if (session->ttl_ms)
		event_add(&session->timer, &tv);
}

struct consul_session *session_new(struct consul *consul)
{
	struct consul_session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->consul = consul;
	LIST_INIT(&session->held.entries);
	event_assign(&session->timer, consul->base, -1, 0, on_silent, session);
	return session;
}

static int session_add(struct consul_session *session, struct reg_err *err)
{
	HASH_ADD_STR(session->consul->sessions, id, session);
	if (!session->hh.tbl)
		return reg_fail(err, -ENOMEM, "out of memory");
	session_renew(session);
	return 0;
}

static int fill(struct consul_session *session, const json_t *body, struct reg_err *err)
{
	int rc = session_read(body, session, err);

	if (!rc)
		rc = session_check_bind(session, false, err);
	if (!rc && uuid_make(session->id) < 0)
		rc = reg_fail(err, -EAGAIN, "no randomness for an id");
	return rc;
}

int session_draft(struct consul *consul, const json_t *body, struct consul_session **out, struct reg_err *err)
{
	struct consul_session *session;
	int rc;

	if (HASH_COUNT(consul->sessions) >= KV_SESSIONS)
		return reg_fail(err, -ENOSPC,
			"too many sessions: there are %d; some must end, by session/destroy or a TTL",
			KV_SESSIONS);
	session = session_new(consul);
	if (!session)
		return reg_fail(err, -ENOMEM, "out of memory");
	rc = fill(session, body, err);
	if (rc < 0)
		session_free(session);
	else
		*out = session;
	return rc;
}

int session_make(struct consul *consul, const json_t *body, struct consul_session **out, struct reg_err *err)
{
	struct consul_session *session = NULL;
	json_t *kept;
	int rc = session_draft(consul, body, &session, err);

	if (!session)
		return rc;
	rc = session_add(session, err);
	if (rc < 0) {
		session_free(session);
		return rc;
	}
	session->created = registry_generation(consul->reg) + 1;
	kept = session_read_back(session);
	if (!session->node[0])
		json_object_del(kept, "Node"); /* this daemon's, whatever it is called then */
	keep(consul, session->id, kept);
	json_decref(kept);
	kv_commit(consul, false, true);
	*out = session;
	return 0;
}

void session_doubt(struct consul_session *session)
{
	struct consul *consul = session->consul;

	if (session->doubtful)
		return;
	session->doubtful = true;
	TAILQ_INSERT_TAIL(&consul->doubtful, session, doubt);
	event_active(&consul->settle, 0, 0);
}

static void settle(struct consul_session *session)
{
	TAILQ_REMOVE(&session->consul->doubtful, session, doubt);
	session->doubtful = false;
	if (!session_check_holds(session))
		session_end(session);
}

void session_settle(struct consul *consul)
{
	static const struct timeval at_once;
	uint64_t end = wheel_now_us() + SETTLE_US;
	struct consul_session *session = TAILQ_FIRST(&consul->doubtful), *next;

	for (; session && wheel_now_us() < end; session = next) {
		next = TAILQ_NEXT(session, doubt);
		settle(session);
	}
	if (session) /* in the next turn, after whatever else there is to do */
		event_add(&consul->settle, &at_once);
}

void session_settle_one(struct consul *consul, const char *id)
{
	struct consul_session *session = session_find(consul, id);

	if (session && session->doubtful)
		settle(session);
}

/* Whether there are any for which that is to be done again. */
static bool doubt_fresh(struct consul *consul)
{
	bool any = false;

	for (struct consul_session *s = consul->sessions; s; s = s->hh.next) {
		if (!session_check_is_fresh(s))
			continue;
		session_doubt(s);
		any = true;
	}
	return any;
}

static void on_fresh(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval second = {.tv_sec = 1};
	struct consul *consul = arg;

	if (doubt_fresh(consul))
		event_add(&consul->fresh, &second);
}

void session_begin_fresh(struct consul *consul)
{
	on_fresh(-1, 0, consul);
}

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
	session_settle(arg);
}

void session_open(struct consul *consul)
{
	TAILQ_INIT(&consul->doubtful);
	event_assign(&consul->settle, consul->base, -1, 0, on_settle, consul);
	event_assign(&consul->fresh, consul->base, -1, 0, on_fresh, consul);
}

int session_restore(struct consul *consul, const char *id, const json_t *body, struct reg_err *err)
{
	struct consul_session *session = strlen(id) < UUID_TEXT ? session_new(consul) : NULL;
	int rc;

	if (!session)
		return reg_fail(err, -ENOMEM, "no session's id, or out of memory");
	strcpy(session->id, id);
	session->created = (uint64_t)json_integer_value(consul_field(body, "CreateIndex"));
	registry_generation_above(consul->reg, session->created);
	rc = session_read(body, session, err);
	if (!rc)
		rc = session_add(session, err);
	if (rc < 0)
		session_free(session);
	return rc;
}

/* Those whose checks are not there any more end like others: what they hold is let go of. */
void session_begin(struct consul *consul)
{
	struct consul_session *session, *later;
	struct reg_err err;

	for (session = consul->sessions; session; session = later) {
		later = session->hh.next;
		if (session_check_bind(session, true, &err) < 0)
			session_end(session);
	}
	session_begin_fresh(consul);
}

void session_close(struct consul *consul)
{
	struct consul_session *session = consul->sessions, *later;

	HASH_CLEAR(hh, consul->sessions);
	for (; session; session = later) {
		later = session->hh.next;
		session_free(session);
	}
	event_del(&consul->settle);
	event_del(&consul->fresh);
}

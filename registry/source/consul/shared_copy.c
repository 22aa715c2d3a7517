/*
 * shared_copy.c: from etcd to the copy. A change counts by its revision, whole; what a scan does not find is gone. What
 * another program has put there wrongly is left out.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/http/jsontext.h"
#include "registry/source/consul/shared.h"

enum {
	OVERFULL = 2, /* times what this host lets others put: another one may have a larger bound */
};

/* What follows the prefix and the letter; NULL: it is no key of ours. */
static const char *name_of(const struct shared *shared, const char *key, enum shared_kind *kind)
{
	size_t len = strlen(shared->prefix);

	if (strncmp(key, shared->prefix, len) != 0)
		return NULL;
	key += len;
	for (*kind = 0; *kind < SHARED_KINDS; (*kind)++) {
		size_t letter = strlen(shared_plan_letter(*kind));

		if (strncmp(key, shared_plan_letter(*kind), letter) == 0)
			return key + letter;
	}
	return NULL;
}

static void sweep(struct shared *shared)
{
	if (shared->gone.n)
		kv_gone_sweep(shared->consul, &shared->gone);
	shared->gone.n = 0;
}

static void del_entry(struct shared *shared, struct kv_entry *entry, int64_t mod)
{
	kv_unset(shared->consul, entry);
	shared->consul->kv.deleted = (uint64_t)mod;
	kv_gone_add(&shared->gone, entry);
	shared->keys_changed = true;
}

static void put_entry(struct shared *shared, const char *key, const struct etcd_kv *kv)
{
	struct consul *consul = shared->consul;
	struct kv_entry *old = kv_find(consul, key), *entry;

	if (old && old->modified == (uint64_t)kv->mod) {
		old->seen = true;
		return;
	}
	entry = kv->len > 2 * KV_VALUE_MAX ? NULL : kv_keep_read(key, kv->value, kv->len);
	if (entry && consul->kv.bytes + kv_size(key, entry->len) > OVERFULL * consul->kv_bytes_max)
		shared->overfull = true;
	if (!entry || entry->len > KV_VALUE_MAX || shared->overfull ||
		sorted_reserve(&consul->kv.entries, 1) < 0) {
		kv_entry_free(entry);
		if (old)
			del_entry(shared, old, kv->mod);
		return;
	}
	entry->created = (uint64_t)kv->created;
	entry->modified = (uint64_t)kv->mod;
	entry->seen = true;
	kv_set(consul, entry);
	shared->keys_changed = true;
}

static void put_delay(struct shared *shared, const char *key, const struct etcd_kv *kv)
{
	int64_t ms = strtoll(kv->value, NULL, 10);

	if (!kv_is_key(key) || shared->consul->kv.bytes > OVERFULL * shared->consul->kv_bytes_max)
		return;
	if (ms > SESSION_DELAY_MAX_MS)
		ms = SESSION_DELAY_MAX_MS;
	if (kv_delay_mod(shared->consul, key) != (uint64_t)kv->mod)
		kv_delay(shared->consul, key, ms);
	kv_delay_mark(shared->consul, key, (uint64_t)kv->mod);
}

static void set_lease(struct shared *shared, const char *id, int64_t lease)
{
	struct consul_session *session = session_find(shared->consul, id);

	if (!session)
		return;
	session->lease = lease;
	session->live = true;
}

static void set_holds(struct shared *shared, const char *id, int64_t mod)
{
	struct consul_session *session = session_find(shared->consul, id);

	if (session)
		session->holds = (uint64_t)mod;
}

static void on_put(void *arg, const struct etcd_kv *kv)
{
	struct shared *shared = arg;
	enum shared_kind kind;
	const char *name = memchr(kv->key, '\0', kv->key_len) ? NULL : name_of(shared, kv->key, &kind);

	if (!name)
		return;
	shared->partial = true;
	sweep(shared);
	switch (kind) {
	case SHARED_AT:
		shared->at = kv->mod;
		shared_job_seen(shared, kv->value, kv->mod);
		break;
	case SHARED_KEY:
		put_entry(shared, name, kv);
		break;
	case SHARED_SESSION:
		shared_session_put(shared, name, kv);
		break;
	case SHARED_HOLDS:
		set_holds(shared, name, kv->mod);
		break;
	case SHARED_LIVE:
		set_lease(shared, name, kv->lease);
		break;
	case SHARED_DELAY:
		put_delay(shared, name, kv);
		break;
	default:
		break;
	}
}

static void on_del(void *arg, const char *key, int64_t mod)
{
	struct shared *shared = arg;
	struct kv_entry *entry;
	struct consul_session *session;
	enum shared_kind kind;
	const char *name = name_of(shared, key, &kind);

	if (!name)
		return;
	shared->partial = true;
	switch (kind) {
	case SHARED_AT:
		shared->at = 0;
		break;
	case SHARED_KEY:
		entry = kv_find(shared->consul, name);
		if (entry && !entry->gone)
			del_entry(shared, entry, mod);
		break;
	case SHARED_SESSION:
		session = session_find(shared->consul, name);
		if (session)
			shared_session_drop(session);
		shared->sessions_changed = true;
		break;
	case SHARED_HOLDS:
		set_holds(shared, name, 0);
		break;
	case SHARED_LIVE:
		set_lease(shared, name, 0);
		break;
	case SHARED_DELAY:
		kv_delay_mark(shared->consul, name, 0);
		break;
	default:
		break;
	}
}

static void on_begin(void *arg, bool other)
{
	struct shared *shared = arg;
	struct consul *consul = shared->consul;

	shared->scans = true;
	shared->nscans++;
	shared->overfull = false;
	if (other)
		shared->revision = 0;
	for (size_t i = 0; i < consul->kv.entries.count; i++)
		((struct kv_entry *)consul->kv.entries.item[i])->seen = false;
	for (struct consul_session *s = consul->sessions; s; s = s->hh.next) {
		s->seen = s->live = false; /* its lease is what it was meanwhile, so that it can be renewed */
		s->holds = 0;
	}
	kv_delay_unmark(consul);
	shared->at = 0;
}

/* What the scan did not find. */
static void drop_unseen(struct shared *shared, int64_t revision)
{
	struct consul *consul = shared->consul;
	struct consul_session *session = consul->sessions, *next;

	sweep(shared);
	for (size_t i = 0; i < consul->kv.entries.count; i++) {
		struct kv_entry *entry = consul->kv.entries.item[i];

		if (!entry->seen)
			del_entry(shared, entry, revision);
	}
	for (; session; session = next) {
		next = session->hh.next;
		if (!session->seen)
			shared_session_drop(session);
		else if (!session->live)
			session->lease = 0;
	}
	sweep(shared);
	for (size_t i = 0; i < consul->kv.entries.count; i++)
		kv_hold(consul, consul->kv.entries.item[i]);
}

static void on_whole(void *arg, int64_t revision, bool scanned)
{
	struct shared *shared = arg;
	struct consul *consul = shared->consul;
	bool keys, sessions;

	shared->partial = false;
	sweep(shared);
	if (scanned) {
		drop_unseen(shared, revision);
		shared->scans = false;
		shared->known = true;
		shared->keys_changed = shared->sessions_changed = true;
	}
	shared->revision = revision;
	shared_session_whole(shared, scanned);
	keys = shared->keys_changed;
	sessions = shared->sessions_changed;
	shared->keys_changed = shared->sessions_changed = false;
	if (keys || sessions)
		kv_commit(consul, keys, sessions);
	if (sessions)
		consul->sessions_changed = (uint64_t)revision;
	if (scanned &&
		(uint64_t)revision > consul->kv.deleted) /* what went while nobody looked is not known */
		consul->kv.deleted = (uint64_t)revision;
	shared_job_known(shared);
}

static void on_state(void *arg, const char *why)
{
	struct shared *shared = arg;
	const struct registry_sink *sink = &shared->consul->reg->sink;
	char line[SHARED_WHY + 64];

	if (why && !shared->why[0]) {
		snprintf(line, sizeof(line), "kv: etcd is away: %s: keys are as they were known last", why);
		sink->log(sink->ctx, LOG_WARNING, "kv", line);
	}
	snprintf(shared->why, sizeof(shared->why), "%s", why ? why : "");
}

const struct etcd_follower shared_copy_follower = {on_begin, on_put, on_del, on_whole, on_state};

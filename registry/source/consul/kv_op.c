/*
 * kv_op.c: THE operations on keys, those of single requests and of transactions. What they are refused with is Consul's
 * text, which some clients read.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/inside.h"
#include "registry/source/consul/kv.h"

struct run {
	struct kv_stage *stage;
	const struct kv_op *op;
	const struct kv_entry *now; /* the key as it is so far, NULL: it is not there */
	struct kv_err *err;
};

__attribute__((format(printf, 3, 4))) static int refuse(struct kv_err *err, int rc, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return rc;
}

/* The value of the operation, with this session and so many locks so far. */
static int put(const struct run *run, const char *session, uint64_t lock_index)
{
	const struct kv_op *op = run->op;
	struct kv_entry *entry = kv_entry_new(op->key);

	if (entry)
		entry->value = malloc(op->len + 1);
	if (!entry || !entry->value) {
		kv_entry_free(entry);
		return refuse(run->err, -ENOMEM, "out of memory");
	}
	if (op->len)
		memcpy(entry->value, op->value, op->len);
	entry->len = op->len;
	entry->flags = op->flags;
	entry->lock_index = lock_index;
	snprintf(entry->session, sizeof(entry->session), "%s", session);
	if (kv_stage_put(run->stage, entry) < 0)
		return refuse(run->err, -ENOMEM, "out of memory");
	return 0;
}

static int op_set(struct run *run)
{
	return put(run, run->now ? run->now->session : "", run->now ? run->now->lock_index : 0);
}

/* Was the key last changed at `index`? 0: does it not exist? */
static bool is_at(const struct kv_entry *now, uint64_t index)
{
	return now ? now->modified == index : index == 0;
}

static int op_cas(struct run *run)
{
	if (!is_at(run->now, run->op->index))
		return refuse(run->err, -EAGAIN, "failed to set key \"%s\", index is stale", run->op->key);
	return op_set(run);
}

static int op_lock(struct run *run)
{
	const struct kv_entry *now = run->now;
	const char *session = run->op->session;
	const struct kv_held *held = session_held(run->stage->consul, session);
	bool own = now && strcmp(now->session, session) == 0;

	if (!session[0])
		return refuse(run->err, -ENOENT, "missing session");
	if (!held)
		return refuse(run->err, -ENOENT, "invalid session \"%.64s\"", session);
	if (now && now->session[0] && !own)
		return refuse(
			run->err, -EAGAIN, "failed to lock key \"%s\", lock is already held", run->op->key);
	if (!own && held->n >= KV_HELD_MAX)
		return refuse(run->err, -E2BIG, "session \"%s\" holds %d keys already", session, KV_HELD_MAX);
	return put(run, session, (now ? now->lock_index : 0) + !own);
}

static int op_unlock(struct run *run)
{
	const struct kv_entry *now = run->now;

	if (!run->op->session[0])
		return refuse(run->err, -ENOENT, "missing session");
	if (!now || strcmp(now->session, run->op->session) != 0)
		return refuse(run->err, -EAGAIN,
			"failed to unlock key \"%s\", lock isn't held, or is held by another session",
			run->op->key);
	return put(run, "", now->lock_index);
}

static int op_delete(struct run *run)
{
	if (kv_stage_del(run->stage, run->op->key) < 0)
		return refuse(run->err, -ENOMEM, "out of memory");
	return 0;
}

/* What is not there is deleted already, whatever was known of it. */
static int op_delete_cas(struct run *run)
{
	if (run->now && !is_at(run->now, run->op->index))
		return refuse(run->err, -EAGAIN, "failed to delete key \"%s\", index is stale", run->op->key);
	return op_delete(run);
}

static int op_delete_tree(struct run *run)
{
	const char *prefix = run->op->key;
	const struct kv_entry *entry;
	char at[KV_KEY_MAX + 1];
	bool behind = false;

	snprintf(at, sizeof(at), "%s", prefix);
	while ((entry = kv_stage_next(run->stage, at, behind)) && kv_begins(entry->key, prefix)) {
		snprintf(at, sizeof(at), "%s", entry->key); /* the entry may go with its deletion */
		behind = true;
		if (run->stage->entries.count >= KV_CHANGES_MAX)
			return refuse(run->err, -E2BIG,
				"more than %d keys would change with those of \"%s\": DELETE "
				"/v1/kv/%s?recurse takes any number",
				KV_CHANGES_MAX, prefix, prefix);
		if (kv_stage_del(run->stage, at) < 0)
			return refuse(run->err, -ENOMEM, "out of memory");
	}
	return 0;
}

static int op_get(struct run *run)
{
	if (!run->now)
		return refuse(run->err, -EAGAIN, "key \"%s\" doesn't exist", run->op->key);
	return 0;
}

static int op_any(struct run *run)
{
	return 0;
}

static int op_check_index(struct run *run)
{
	if (!run->now)
		return refuse(
			run->err, -EAGAIN, "failed to check index, key \"%s\" doesn't exist", run->op->key);
	if (run->now->modified != run->op->index)
		return refuse(run->err, -EAGAIN,
			"failed index check for key \"%s\", current modify index %" PRIu64 " != %" PRIu64,
			run->op->key, run->now->modified, run->op->index);
	return 0;
}

static int op_check_session(struct run *run)
{
	if (!run->now)
		return refuse(
			run->err, -EAGAIN, "failed to check session, key \"%s\" doesn't exist", run->op->key);
	if (strcmp(run->now->session, run->op->session) != 0)
		return refuse(run->err, -EAGAIN,
			"failed session check for key \"%s\", current session \"%s\" != \"%.64s\"",
			run->op->key, run->now->session, run->op->session);
	return 0;
}

static int op_check_not_exists(struct run *run)
{
	if (run->now)
		return refuse(run->err, -EAGAIN, "key \"%s\" exists", run->op->key);
	return 0;
}

static const struct {
	const char *name;
	int (*run)(struct run *run);
} verbs[KV_VERBS] = {
	[KV_SET] = {"set", op_set},
	[KV_CAS] = {"cas", op_cas},
	[KV_LOCK] = {"lock", op_lock},
	[KV_UNLOCK] = {"unlock", op_unlock},
	[KV_DELETE] = {"delete", op_delete},
	[KV_DELETE_CAS] = {"delete-cas", op_delete_cas},
	[KV_DELETE_TREE] = {"delete-tree", op_delete_tree},
	[KV_GET] = {"get", op_get},
	[KV_GET_OR_EMPTY] = {"get-or-empty", op_any},
	[KV_GET_TREE] = {"get-tree", op_any},
	[KV_CHECK_INDEX] = {"check-index", op_check_index},
	[KV_CHECK_SESSION] = {"check-session", op_check_session},
	[KV_CHECK_NOT_EXISTS] = {"check-not-exists", op_check_not_exists},
};

enum kv_verb kv_op_verb(const char *name)
{
	enum kv_verb verb = 0;

	while (verb < KV_VERBS && strcmp(verbs[verb].name, name) != 0)
		verb++;
	return verb;
}

int kv_op_check(struct consul *consul, const struct kv_op *op, struct kv_err *err)
{
	if (!op->key[0] && op->verb != KV_DELETE_TREE)
		return refuse(err, -EINVAL, "Must provide key");
	if (op->key[0] && !kv_is_key(op->key))
		return refuse(err, -EINVAL, "key: is longer than %d bytes or not printable", KV_KEY_MAX);
	if (op->len > KV_VALUE_MAX)
		return refuse(err, -EFBIG, "Value for key \"%s\" is too large (%zu > %d bytes)", op->key,
			op->len, KV_VALUE_MAX);
	if (op->verb == KV_LOCK && kv_delay_holds(consul, op->key))
		return refuse(err, -EAGAIN, "failed to lock key \"%s\" due to lock delay", op->key);
	return 0;
}

void kv_op_settle(struct consul *consul, const struct kv_op *op)
{
	const struct kv_entry *entry;

	session_settle_one(consul, op->session);
	entry = kv_find(consul, op->key); /* which the session may have taken along */
	if (entry && entry->session[0])
		session_settle_one(consul, entry->session);
}

int kv_op_run(
	struct kv_stage *stage, const struct kv_op *op, const struct kv_entry **entry, struct kv_err *err)
{
	struct run run = {stage, op, kv_stage_find(stage, op->key), err};
	int rc = verbs[op->verb].run(&run);

	*entry = rc == 0 ? kv_stage_find(stage, op->key) : NULL;
	return rc;
}

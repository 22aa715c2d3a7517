/*
 * kv.h: the key-value store and its sessions. In memory, and in the journal. A key's generations are those of the
 * registry, so a client may mix the indexes of both as it does with Consul.
 *
 *   kv.c         what it holds
 *   kv_keep.c    what the journal holds of it
 *   kv_text.c    keys as Consul shows them
 *   kv_stage.c   changes that are made all at once, or not at all
 *   kv_op.c      THE operations on keys, of single requests and of transactions
 *   kv_delay.c   keys that nobody may lock for a while
 *   kv_api.c     /v1/kv
 *   txn.c, txn_read.c    /v1/txn
 *   session*.c   /v1/session
 */
#pragma once

#include <event2/event_struct.h>
#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "registry/base/sorted.h"
#include "registry/base/uuid.h"
#include "registry/table/table.h"

struct consul;
struct http_request;
struct reg_err;

enum {
	KV_KEY_MAX = 512,	   /* bytes */
	KV_VALUE_MAX = 512 * 1024, /* as Consul */
	KV_SESSIONS = 4096,
	KV_OPS_MAX = 64,	  /* of a transaction, as Consul */
	KV_CHANGES_MAX = 4096,	  /* keys that a transaction may change by its prefixes */
	KV_HELD_MAX = 4096,	  /* keys of a session: it lets go of all of them at once */
	KV_RESULTS_MAX = 4096,	  /* keys of what a transaction is answered with, */
	KV_ANSWER_MAX = 16 << 20, /* and bytes */
};

#define KV_FULL "No room: keys and values have %zu of the %zu bytes that control.kv_mb allows"
#define KV_REVISION UINT64_MAX /* of a change that etcd has not made yet: it says which */
#define KV_TOPIC "@kv"
#define SESSION_TOPIC "@session"

struct kv_entry {
	LIST_ENTRY(kv_entry) held; /* of the session that holds it */
	char *value;
	size_t len;
	uint64_t flags, created, modified, lock_index;
	char session[UUID_TEXT]; /* that holds it, "": none */
	bool gone;		 /* it is to leave the list */
	bool seen;		 /* by the scan that is under way (shared_copy.c) */
	char key[];
};

/* What a session holds. */
struct kv_held {
	LIST_HEAD(, kv_entry) entries;
	size_t n;
};

/* A key that nobody may lock before the timer ends (lock delay); there may be no such key. */
struct kv_delay {
	UT_hash_handle hh;
	struct consul *consul;
	struct event timer;
	bool waits;
	uint64_t mod; /* of the key in etcd that tells of it, 0: there is none */
	char key[];
};

struct consul_kv {
	struct sorted entries; /* struct kv_entry *, by key */
	struct kv_delay *delays;
	size_t bytes;	  /* of all keys, values and delays, and what goes with each */
	uint64_t deleted; /* generation of the last deletion */
};

/* kv.c */
/** Orders struct kv_entry by key. */
int kv_by_key(const void *item, const void *key);
struct kv_entry *kv_entry_new(const char *key);
/** NULL is allowed. */
void kv_entry_free(struct kv_entry *entry);
/** NULL: there is none. */
struct kv_entry *kv_find(struct consul *consul, const char *key);
/** Where the keys begin that are not before `key`: an index of kv.entries. */
size_t kv_from(struct consul *consul, const char *key);
bool kv_begins(const char *key, const char *prefix);
/** May a key be called so? */
bool kv_is_key(const char *key);
/** What an entry counts for. */
size_t kv_size(const char *key, size_t len);
/** Takes the place of the one with its key; room for one more is there. */
void kv_set(struct consul *consul, struct kv_entry *entry);
/** Its session, if that is there, holds it. False: nobody does. */
bool kv_hold(struct consul *consul, struct kv_entry *entry);
/** It counts no longer, and nobody holds it; it is still in the list. */
void kv_unset(struct consul *consul, struct kv_entry *entry);
/* Those that are to leave the list: a few are taken out one by one, more of them in one pass over all. */
enum { KV_FEW = 8 };
struct kv_gone {
	struct kv_entry *few[KV_FEW];
	size_t n;
};
void kv_gone_add(struct kv_gone *gone, struct kv_entry *entry);
/** Takes them out and frees them. */
void kv_gone_sweep(struct consul *consul, const struct kv_gone *gone);
/** Deletes up to `max` of the keys that begin so, as one generation. True when there are more. */
bool kv_del_tree(struct consul *consul, const char *prefix, size_t max);
/** The session that held these is gone: they are, too (`forget`), or are nobody's and nobody may have them for
 * `delay_ms`. The caller commits. */
void kv_release(struct consul *consul, struct kv_held *held, bool forget, int64_t delay_ms);
/** One generation, in which keys changed or sessions or both. */
void kv_commit(struct consul *consul, bool keys, bool sessions);
void kv_close(struct consul *consul);

/* kv_keep.c */
/** The entry as the journal has it, to be freed; NULL: no memory. */
char *kv_keep_text(const struct kv_entry *entry);
void kv_keep(struct consul *consul, const struct kv_entry *entry);
void kv_keep_drop(struct consul *consul, const char *key);
/** Several changes that a crash must not part, in the order of `entry`. -ENOMEM: nothing is kept. */
int kv_keep_all(struct consul *consul, struct kv_entry *const *entry, size_t n);
/** What a crash has left half written is completed: before anything is restored. */
void kv_keep_redo(struct consul *consul);
/** Of kv_keep_text(). NULL: it is none. */
struct kv_entry *kv_keep_read(const char *key, const char *text, size_t len);
void kv_keep_restore(struct consul *consul, const char *key, const char *value);
/** All is restored, sessions too: keys whose session is not there any more are nobody's. */
void kv_keep_begin(struct consul *consul);

/* kv_text.c */
/** The entry as compact JSON, to be freed; NULL: no memory. Without `value` that is null. */
char *kv_text(const struct kv_entry *entry, bool value);

/* kv_stage.c */
struct kv_stage {
	struct consul *consul;
	struct sorted entries; /* struct kv_entry *, by key: what is to become of them */
	uint64_t generation;   /* that it will be */
};
void kv_stage_begin(struct kv_stage *stage, struct consul *consul);
/** The key as it would be then, NULL: it would not be there. */
const struct kv_entry *kv_stage_find(const struct kv_stage *stage, const char *key);
/** The first key at or behind `key` as it would be then, NULL: there is none. */
const struct kv_entry *kv_stage_next(const struct kv_stage *stage, const char *key, bool behind);
/** Takes over `entry`, also when that fails. Unless it says what is there already it has a new index. -ENOMEM. */
int kv_stage_put(struct kv_stage *stage, struct kv_entry *entry);
int kv_stage_del(struct kv_stage *stage, const char *key);
/** Is there room for all of it? */
bool kv_stage_has_room(const struct kv_stage *stage);
/** Makes the changes. -ENOSPC, -ENOMEM: none is made. The stage is empty afterwards. */
int kv_stage_commit(struct kv_stage *stage);
void kv_stage_drop(struct kv_stage *stage);

/* kv_op.c */
enum kv_verb {
	KV_SET,
	KV_CAS,
	KV_LOCK,
	KV_UNLOCK,
	KV_DELETE,
	KV_DELETE_CAS,
	KV_DELETE_TREE,
	KV_GET, /* from here on they change nothing */
	KV_GET_OR_EMPTY,
	KV_GET_TREE,
	KV_CHECK_INDEX,
	KV_CHECK_SESSION,
	KV_CHECK_NOT_EXISTS,
	KV_VERBS
};
struct kv_op {
	enum kv_verb verb;
	const char *key, *session; /* never NULL */
	const char *value;	   /* may be NULL when `len` is 0 */
	size_t len;
	uint64_t flags, index;
};
struct kv_err {
	char text[KV_KEY_MAX + 256];
};
/** KV_VERBS: there is no such verb. */
enum kv_verb kv_op_verb(const char *name);
/** May it be run at all? -EINVAL (the key), -EFBIG (the value), -EAGAIN (lock delay). */
int kv_op_check(struct consul *consul, const struct kv_op *op, struct kv_err *err);
/** Ends the sessions that it depends on and that do not hold any more. Before the stage begins. */
void kv_op_settle(struct consul *consul, const struct kv_op *op);
/**
 * In the stage. *entry: what it is answered with (not for a tree), NULL: nothing. -EAGAIN: something is not as the
 * operation wants it. -EINVAL, -ENOENT (no such session), -E2BIG, -ENOMEM.
 */
int kv_op_run(
	struct kv_stage *stage, const struct kv_op *op, const struct kv_entry **entry, struct kv_err *err);

/* kv_api.c */
/** What an operation by itself is answered with. */
void kv_api_reply(struct http_request *rq, int rc, const struct kv_err *err);

/* kv_delay.c */
bool kv_delay_holds(const struct consul *consul, const char *key);
/** From now on. What does not fit into memory is not delayed. */
void kv_delay(struct consul *consul, const char *key, int64_t ms);
/** Revision of what etcd has of it; 0: nothing. */
uint64_t kv_delay_mod(const struct consul *consul, const char *key);
void kv_delay_mark(struct consul *consul, const char *key, uint64_t mod);
/** Of all: etcd has nothing. */
void kv_delay_unmark(struct consul *consul);
void kv_delay_close(struct consul *consul);

/* session.c */
/** What the session holds, NULL: there is no such session. */
struct kv_held *session_held(struct consul *consul, const char *id);
/** Sessions whose checks have become critical end before anything else is looked at: those that there is time for in a
 * turn of the loop, the others in the turns behind it. Not while a stage is open, nor is the next. */
void session_settle(struct consul *consul);
/** This one at once. Any text, also the id of no session. */
void session_settle_one(struct consul *consul, const char *id);
void session_open(struct consul *consul);
/** Those whose checks have found nothing yet are looked at from time to time. */
void session_begin_fresh(struct consul *consul);
int session_restore(struct consul *consul, const char *id, const json_t *body, struct reg_err *err);
void session_begin(struct consul *consul);
void session_close(struct consul *consul);

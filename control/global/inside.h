/* inside.h: what the files of the room share. */
#pragma once

#include <event2/event.h>
#include <stdint.h>
#include <sys/queue.h>

#include "control/global/global.h"
#include "control/model/objects.h"
#include "control/model/scope.h"
#include "registry/etcd/etcd.h"

struct journal;

enum {
	GLOBAL_NETWORKS,
	GLOBAL_SERVICES,
	GLOBAL_PUBLISH,
	GLOBAL_KINDS,
};

enum {
	GLOBAL_VERSION = 1,
	GLOBAL_VALUE = 65536,	 /* bytes of a value */
	GLOBAL_BYTES = 32 << 20, /* of all values */
	GLOBAL_KEY = 80,
	GLOBAL_WHY = 240,
	GLOBAL_ID = 40,
	GLOBAL_JOBS = 64, /* changes that wait for the store */
};

/* In the order in which they are made. */
struct global_kind {
	const char *folder, *noun;
	unsigned most;
};
extern const struct global_kind global_kinds[GLOBAL_KINDS];

struct global_object {
	UT_hash_handle hh;    /* by key */
	char key[GLOBAL_KEY]; /* "networks/web" */
	const char *name;     /* in it */
	unsigned kind;
	/* What the store has; NULL: nothing. */
	char *stored;
	int64_t mod, created;
	/* What counts while `open`, NULL: it is not to be. Otherwise `stored` does. */
	char *kept;
	bool open; /* `stored` is not to be followed: the rest of its revision is missing, or the store lacks something */
	bool seen;	      /* by the scan that is under way */
	char *made;	      /* the definition that is in effect here, as text; NULL: none */
	bool busy;	      /* a change of it by this host is under way */
	bool due;	      /* `made` may not be what it is to be */
	char why[GLOBAL_WHY]; /* that is so, "": it is not */
};

/* The key that each change puts. */
struct global_at {
	bool there;
	const char *why; /* it is not understood; `later`: for it is of a later version */
	bool later;
	char id[GLOBAL_ID]; /* of the objects as a whole: another one is another cluster's */
	uint64_t n;	    /* changes so far */
	char by[MODEL_NAME];
	int64_t mod;
};

struct global_job;
TAILQ_HEAD(global_jobs, global_job);

struct global {
	struct event_base *base;
	struct model *model;
	struct scope_global scope;
	char *dir;
	struct journal *journal; /* NULL: not open yet */
	struct global_object *objects;
	unsigned count[GLOBAL_KINDS];
	size_t bytes;
	uint64_t no_room, strange; /* keys of the store that found no room, or are none of ours */
	bool room_freed;	   /* since keys found none */
	char strange_key[GLOBAL_KEY];
	struct global_at at;
	char id[GLOBAL_ID]; /* of `at`, as it was last followed; "": never */
	uint64_t n;
	/* the store */
	struct etcd *etcd;
	char *prefix; /* with its end */
	char host[MODEL_NAME];
	char *ports_prefix; /* of all hosts' ports, by network */
	struct etcd_follow *follow;
	char why[160];	  /* it is away, "": it is there */
	int64_t revision; /* all up to it has been told */
	bool other;	  /* what is told is of another store */
	/* apply.c */
	struct event *turn, *tick;
	bool applying, retry;
	unsigned ticks;
	/* change.c */
	struct global_jobs jobs;
	/* mend.c */
	bool lacks; /* the store has not what counts */
	struct event *mend;
	struct etcd_op *mend_op;
	char mend_why[160];
};

/* object.c */

struct global_object *global_find(const struct global *global, const char *key);
/** Without the prefix: is it an object's? */
bool global_is_key(const char *key);
/** By a key without the prefix. NULL: it is no key of an object, or there is no room for more. */
struct global_object *global_find_or_make(struct global *global, const char *key);
/** Frees it if there is nothing of it any more. */
void global_drop_if_empty(struct global *global, struct global_object *object);
void global_free_objects(struct global *global);
/** What is to be in effect, as text; NULL: nothing. Borrowed. */
const char *global_wanted(const struct global_object *object);
/** The definition that a value has, a new reference: what `NOUN.add` takes. NULL with `why`. */
json_t *global_read(const struct global_object *object, const char *value, char why[GLOBAL_WHY]);
/** Who changed it last; "": that is not said. */
void global_read_by(const char *value, char by[MODEL_NAME]);
/** To be freed. */
char *global_value(const struct global *global, const json_t *definition);
/** A definition as text, the same for the same one. To be freed. */
char *global_text(const json_t *definition);
void global_read_at(const char *value, int64_t mod, struct global_at *at);
char *global_at_value(const char *id, uint64_t n, const char *by);

/* copy.c: what the store has */

extern const struct etcd_follower global_follower;
/** Reads the journal. */
int global_restore(struct global *global, struct api_err *err);

/* apply.c */

/** Brings the model to what is to be, a part at a time. */
void global_apply_soon(struct global *global);
/** What could not be made is tried again. */
void global_apply_again(struct global *global);
/** A callback of libevent's. */
void global_apply_turn(evutil_socket_t fd, short what, void *arg);
/** All of one kind, now. */
void global_apply_kind(struct global *global, unsigned kind);
void global_touch(struct global *global, struct global_object *object);
/**
 * Brings an object to a definition, NULL: takes it away. 0 with what the method answered in *result (NULL is allowed), or -1:
 * it is as it was.
 */
int global_bring(struct global *global, struct global_object *object, const json_t *definition,
	json_t **result, struct api_err *err);

/* change.c */

/** As of struct scope_global. */
int global_change(void *arg, const char *method, const json_t *params, json_t **result, struct api_err *err);
bool global_changes(void *arg, const char *method, const json_t *params);
/** After the store told something. */
void global_jobs_look(struct global *global);
void global_jobs_tick(struct global *global);
void global_jobs_end(struct global *global);

/* used.c */

struct etcd_answer;

/* Asked for, and filled. It outlives the answer, unless the operation is cancelled. */
struct global_users {
	struct global *global;
	/** `who`: a host that has ports there, "": only this one may. */
	void (*done)(void *arg, const struct etcd_answer *answer, const char *who);
	void *arg;
	size_t skip; /* bytes of a key, before the host's name */
	char who[MODEL_NAME];
};
/** Which other host has ports in the network? NULL: no memory. */
struct etcd_op *global_find_users(struct global_users *users, const char *network);

/* mend.c */

/** Does the store have what counts? Otherwise it is put, soon. */
void global_mend_look(struct global *global);
void global_mend_tick(struct global *global);
int global_mend_open(struct global *global);

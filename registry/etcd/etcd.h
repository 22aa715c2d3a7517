/*
 * etcd.h: a client of etcd 3 by its JSON gateway. It knows keys, revisions and leases, and nothing of what is kept there.
 * One thread; callbacks come from the event loop, and may begin and cancel anything.
 *
 *   etcd_scan()     all keys under a prefix, in pages, as they were at one revision
 *   etcd_watch()    what changes under it from a revision on; each revision is told whole
 *   etcd_txn()      puts and deletes as one revision, if keys are still as they were
 *   etcd_grant(), etcd_renew(), etcd_revoke()    a lease, on which keys end when their owner is not heard of any more
 *   etcd_follow()   a scan and a watch that go on whatever happens: all keys under a prefix, kept as they are
 *
 * All goes to one member at a time. A member that does not answer, or has no leader, is left for the next one, and its
 * watches end. Nothing is repeated here: whoever asked hears why it failed, and asks again when it wants to. Passwords
 * become tokens, which are asked for anew when a member knows them no more.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/base/fetch.h"

struct etcd;
struct etcd_op;
struct event_base;

enum {
	ETCD_MEMBERS = 9,
	ETCD_PAGE = 500,	    /* keys that are asked for at once */
	ETCD_OPS = 100,		    /* of a transaction; etcd takes 128 */
	ETCD_ANSWER_MAX = 64 << 20, /* bytes of a page, and of a line of a watch */
	ETCD_TIMEOUT_MS = 3000,	    /* of an answer; without a leader etcd takes 7 s to say so */
};

struct etcd_config {
	struct event_base *base;
	const char *const *members; /* URLs without a path; copied, as all here is */
	size_t nmembers;
	struct fetch_tls tls;
	const char *user, *password; /* NULL: none */
};

/** NULL: no memory. */
struct etcd *etcd_open(const struct etcd_config *config);
/** Cancels what is under way. NULL is allowed. */
void etcd_close(struct etcd *etcd);

/* A member as it was last met. */
struct etcd_member {
	const char *url;
	enum { ETCD_UNTRIED, ETCD_UP, ETCD_DOWN } state;
	bool current;	 /* the one that is asked */
	const char *why; /* of ETCD_DOWN, else "" */
};
/** False: there is no such member. What it points to is borrowed until the next call. */
bool etcd_member(const struct etcd *etcd, size_t index, struct etcd_member *out);

/* What every answer has. */
struct etcd_answer {
	const char *why;     /* there is none, and the reason; NULL: here it is */
	bool too_long;	     /* that is why */
	bool refused;	     /* etcd understood, and will not: asking another member is of no use */
	int64_t revision;    /* of the store */
	uint64_t cluster_id; /* another one: it is another store */
	int64_t told;	     /* of a transaction: see etcd_txn.tell */
};

/* A key with its value; both are bytes, and end with a 0 besides. */
struct etcd_kv {
	const char *key, *value;
	size_t key_len, len;
	int64_t created, mod; /* revisions of the first and the last change */
	int64_t lease;
};

/** kv() for each key that begins with `prefix`, as of the revision that done() tells. NULL: no memory. */
struct etcd_op *etcd_scan(struct etcd *etcd, const char *prefix,
	void (*kv)(void *arg, const struct etcd_kv *kv),
	void (*done)(void *arg, const struct etcd_answer *answer), void *arg);

/** The revision of the last change of a key under `prefix` that is still there; 0: there is none. */
struct etcd_op *etcd_last(struct etcd *etcd, const char *prefix,
	void (*done)(void *arg, const struct etcd_answer *answer, int64_t mod), void *arg);

struct etcd_change {
	const char *key;
	const char *value; /* NULL: delete it */
	int64_t lease;	   /* 0: none */
	bool tree;	   /* without a value: delete all keys that begin so */
};
struct etcd_compare {
	const char *key;
	int64_t mod; /* 0: it must not be there */
};
struct etcd_txn {
	const struct etcd_compare *compares; /* it takes effect only while all of them hold */
	size_t ncompare;		     /* ETCD_OPS at most */
	const struct etcd_change *changes;
	size_t nchange; /* ETCD_OPS at most */
	/* If it takes no effect or has no changes: the answer tells the revision of the last change of this key, as of
	 * that moment. NULL: it does not. */
	const char *tell;
};
/** `took`: the keys were as they had to be. */
struct etcd_op *etcd_txn(struct etcd *etcd, const struct etcd_txn *txn,
	void (*done)(void *arg, const struct etcd_answer *answer, bool took), void *arg);

struct etcd_op *etcd_grant(struct etcd *etcd, int64_t ttl_s,
	void (*done)(void *arg, const struct etcd_answer *answer, int64_t lease), void *arg);
/** ttl_s 0: the lease is over. */
struct etcd_op *etcd_renew(struct etcd *etcd, int64_t lease,
	void (*done)(void *arg, const struct etcd_answer *answer, int64_t ttl_s), void *arg);
/** It is over at once, and all keys on it end as one revision. */
struct etcd_op *etcd_revoke(struct etcd *etcd, int64_t lease,
	void (*done)(void *arg, const struct etcd_answer *answer, int64_t zero), void *arg);

/* Who watches. Only whole() and ended() may cancel it. */
struct etcd_watcher {
	/** etcd has answered: nothing is missed from here on. */
	void (*begun)(void *arg);
	/** A change; `deleted`: only its key and mod are there. */
	void (*change)(void *arg, const struct etcd_kv *kv, bool deleted);
	/** All changes up to answer->revision have been told; 0: no more than before. */
	void (*whole)(void *arg, const struct etcd_answer *answer);
	/** It is over. `compacted`: the revision asked for is no longer there, or too large, so that a scan is due. */
	void (*ended)(void *arg, const char *why, bool compacted);
};
/** All keys that begin with `prefix`, from `revision` on. NULL: no memory. */
struct etcd_op *etcd_watch(struct etcd *etcd, const char *prefix, int64_t revision,
	const struct etcd_watcher *watcher, void *arg);

/** Nothing more is heard of it. Every other operation is over when it has told its end. NULL is allowed. */
void etcd_cancel(struct etcd_op *op);

/* follow.c: keys of a prefix as they are, through all that may happen to the store and to the way there. */
struct etcd_follow;
struct etcd_follower {
	/** All keys are told anew from here on. `other`: of another store, nothing known before counts. */
	void (*begin)(void *arg, bool other);
	/** Of the scan, or a change. */
	void (*put)(void *arg, const struct etcd_kv *kv);
	void (*del)(void *arg, const char *key, int64_t mod);
	/** All up to this revision has been told; `scanned`: with it a scan is whole. */
	void (*whole)(void *arg, int64_t revision, bool scanned);
	/** The store is there (why NULL), or is not. */
	void (*state)(void *arg, const char *why);
};
struct etcd_follow_config {
	struct event_base *base;
	struct etcd *etcd;
	const char *prefix; /* copied, as the next is */
	const char *last;   /* a key that each change under the prefix changes, too */
	const struct etcd_follower *follower;
	void *arg;
	int64_t revision;    /* all up to it is known already: it begins with a watch; 0: nothing is */
	uint64_t cluster_id; /* of the store that this is of */
	unsigned delay_ms;   /* at most, before it begins; many that begin together do not ask together */
	unsigned check_ms;   /* between two looks whether the watch tells all; 0: 5 s */
	unsigned full_ms;    /* all is scanned again after half of it to all of it; 0: never */
};
/** NULL: no memory. No call before it returns. */
struct etcd_follow *etcd_follow(const struct etcd_follow_config *config);
/** All of it is scanned again, if it is there now; `other`: in any case, and of another store. */
void etcd_follow_anew(struct etcd_follow *follow, bool other);
/** Before etcd_close(). NULL is allowed. */
void etcd_follow_close(struct etcd_follow *follow);
/** Is what has been told what there is, but for what is on its way? */
bool etcd_follow_is_there(const struct etcd_follow *follow);
/** Milliseconds since that was last so. */
int64_t etcd_follow_age_ms(const struct etcd_follow *follow);
/** Milliseconds since the store turned out to have a change that has not been told yet; 0: it has none. */
int64_t etcd_follow_lag_ms(const struct etcd_follow *follow);
/** Of the store that was scanned last, 0: none was. */
uint64_t etcd_follow_cluster_id(const struct etcd_follow *follow);

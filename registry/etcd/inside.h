/* inside.h: what the files of the room share. */
#pragma once

#include <jansson.h>
#include <sys/queue.h>

#include "registry/etcd/etcd.h"

struct etcd_op {
	TAILQ_ENTRY(etcd_op) link;
	struct etcd *etcd;
	struct fetch *fetch; /* NULL: it waits for a token */
	size_t member;	     /* that was asked */
	const char *path;
	char *body;
	bool tried; /* with a token that was not taken */
	bool is_auth;
	struct event *limit; /* of a watch: until it must have begun */
	/* what the kind of operation does with the answer; NULL where there is none, and *answer says why. It has the last
	 * word on the operation: ends it, or sends it again */
	void (*done)(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer);
	void (*line)(struct etcd_op *op, const json_t *json); /* of a watch */
	void *arg;
	union {
		void (*any)(void *arg, const struct etcd_answer *answer);
		void (*number)(void *arg, const struct etcd_answer *answer, int64_t number);
		void (*took)(void *arg, const struct etcd_answer *answer, bool took);
	} tell;
	/* of a scan */
	void (*kv)(void *arg, const struct etcd_kv *kv);
	char *end;
	json_t *at;   /* the key that the page begins with */
	int64_t page; /* keys of a page, at most */
	int64_t revision;
	/* of a watch */
	struct etcd_watcher watcher;
	int64_t compacted;
	bool begun, bad;
	char why[160];
};

TAILQ_HEAD(etcd_ops, etcd_op);

struct etcd {
	struct event_base *base;
	struct fetcher *fetcher;
	size_t nmembers, current;
	struct {
		char *url;
		int state;
		char why[160];
	} member[ETCD_MEMBERS];
	char *user, *password, *token;
	struct etcd_ops ops;
	bool authenticating;
};

/* etcd.c */

/** A new operation of `path`; `body` (a reference that is taken over, NULL: no memory) is what it asks. NULL: no memory. */
struct etcd_op *etcd_op_new(struct etcd *etcd, const char *path, json_t *body,
	void (*done)(struct etcd_op *op, const json_t *json, const struct etcd_answer *answer), void *arg);
/** Sends it, or lets it wait for a token. NULL when that has no memory, and it is gone. */
struct etcd_op *etcd_op_send(struct etcd_op *op);
/** The same for one that has been sent before, or waited: it always tells its end. */
void etcd_op_go(struct etcd_op *op);
/** With another question. */
bool etcd_op_ask(struct etcd_op *op, json_t *body);
/** Puts a member aside for the next one. Watches of it end. */
void etcd_member_failed(struct etcd *etcd, size_t member, const char *why);

/* auth.c */

/** Is a token needed first? Then it is asked for, and the operations that wait go on when it is there. */
bool etcd_auth_wait(struct etcd *etcd);
void etcd_auth_forget(struct etcd *etcd);
/** Does the answer say that the token is not known (any more)? */
bool etcd_auth_lost(long code, const char *text);

/* encode.c: questions */

/* base64 */
json_t *etcd_encode(const char *text);
json_t *etcd_encode_bytes(const void *bytes, size_t len);
json_t *etcd_encode_int(int64_t value);
/** The key after all that begin with `prefix`, to be freed. */
char *etcd_prefix_end(const char *prefix);

/* read.c: answers, as a stranger may have written them */

/** A number, as JSON has it: int64 are strings. What is absent is 0. */
int64_t etcd_int(const json_t *object, const char *field);
/** Fills revision and cluster_id. */
void etcd_read_header(const json_t *json, struct etcd_answer *answer);
/** False: it is none. To be given back with etcd_kv_free(). */
bool etcd_read_kv(const json_t *json, struct etcd_kv *kv);
void etcd_kv_free(struct etcd_kv *kv);

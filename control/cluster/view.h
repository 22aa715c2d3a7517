/*
 * view.h: what the store has, as this host knows it, read into hosts and their guests. Control thread.
 *
 * It is in parts, each of which is followed by itself: what all hosts hear of (hosts, their instances, blocks of
 * addresses), and the guests of each network that this host has to do with ("net/NETWORK/..."). What one part has is as of
 * its revision, and no part waits for another.
 *
 * A change counts once and in its place: an older one of the same key, or one told twice, changes nothing. Changes of a
 * revision are put in and taken out one by one, and view_commit() makes them count together.
 *
 * What ends with its owner's lease is not gone at once. The keys of a host whose record has ended are kept, as held,
 * until view_purge() lets them go: at a time that their owner might have come back by, and not while so many hosts are
 * lost together that the store or the network is the likelier cause. A host takes its guests out of a chunk before it ends
 * that, so a chunk with guests that ends has ended with the lease, even if its record's end has yet to be heard of.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "control/cluster/block.h"
#include "control/cluster/value.h"
#include "registry/base/share.h"

enum {
	VIEW_HOSTS = 4096,
	/* Each host has these for sure, and so have all keys together that are of none; as much again is for who needs more
	 * (share.h). */
	VIEW_KEYS_EACH = 8,
	VIEW_BYTES_EACH = 16 << 10, /* of values */
	VIEW_KEYS = 2 * VIEW_KEYS_EACH * VIEW_HOSTS,
	VIEW_BYTES = 2 * VIEW_BYTES_EACH * VIEW_HOSTS,
	VIEW_KEY = 512,	     /* bytes of a key, without the prefix */
	VIEW_PANIC_PCT = 30, /* of the hosts lost at once, and two at least: none of them counts as gone */
};

#define VIEW_NET "net/" /* what keys of networks begin with */

struct cluster_feed;
struct view_host;
struct view_part;

struct view_key {
	UT_hash_handle hh;	       /* by key */
	TAILQ_ENTRY(view_key) link;    /* of its host, in no order */
	TAILQ_ENTRY(view_key) of_part; /* the same of its part */
	TAILQ_ENTRY(view_key) change;  /* of what view_commit() looks at */
	struct view_host *host;	       /* NULL: a key of another kind */
	struct view_part *part;
	bool changed, ended, seen;
	char *value;
	size_t len;
	int64_t mod, lease;
	bool registered;	   /* "node" or "in/N": it is for the registry to read */
	const char *why;	   /* it is not understood */
	char *reason;		   /* what `why` is, where it is of this key alone */
	struct value_chunk *chunk; /* of net/..., NULL: none, or not understood */
	struct block_value *block; /* the same of ipam/... */
	struct block_ask *ask;	   /* and of .../ask/... */
	bool answered;		   /* `ask` has been looked at */
	char key[];		   /* without the prefix: "hosts/h1/host", "net/web/h1/0" */
};

TAILQ_HEAD(view_keys, view_key);

struct view_part {
	UT_hash_handle hh; /* by network, if it is of one */
	TAILQ_ENTRY(view_part) link;
	char network[VALUE_NAME]; /* "": what all hear of */
	struct view_keys keys, changes;
	int64_t revision; /* all up to it is in here; 0: nothing was read yet */
	uint64_t cluster_id;
	bool other;    /* the scan is of another store */
	bool scanning; /* from view_scan_begin() to view_scan_end() */
	bool partial;  /* changes came that view_commit() has not seen */
	bool wanted;
	int64_t left_ms;	   /* since then it is not wanted; 0: it is */
	int64_t barred_ms;	   /* the store refused then what this host has there; 0: it does not */
	char barred[160];	   /* and the reason */
	struct cluster_feed *feed; /* who follows it; NULL: nobody */
};

/* What somebody has of the room. */
struct view_used {
	size_t keys, bytes;
};

struct view_host {
	UT_hash_handle hh; /* by name */
	char name[VALUE_NAME];
	struct view_keys keys;
	struct view_used used;
	struct value_host record;
	bool known;				 /* `record` is one that was read */
	struct view_key *record_key, *alive_key; /* NULL: not there, or of a host that is lost */
	char alive_id[VALUE_ID];
	int64_t since_ms; /* alive began or ended */
	bool believed;	  /* it is not alive, and counts as if it were: too many went with it */
	int64_t lost_ms;  /* the record ended; 0: it is there, or never was */
	bool doubtful;	  /* it was lost with a store that was replaced */
	int64_t back_ms; /* it is there again, and what it does not put again will be let go of; 0: nothing is held */
};

struct view {
	struct view_key *keys;
	struct view_host *hosts;
	struct view_part shared;       /* what all hear of */
	TAILQ_HEAD(, view_part) parts; /* it, and those of networks */
	struct view_part *by_network;
	struct share_room room_keys, room_bytes;
	struct view_used used; /* by keys that are of no host */
	int64_t revision;      /* the latest that any part has */
	uint64_t refused;      /* keys that found no room, or are no keys of ours */
	bool holds;	       /* some host is lost, or was: view_purge() has to look */
	char self[VALUE_NAME];
	/* of a change that counts now: `key` as it is, or with `ended` as it was, when it is not held (any longer); it may
	 * say that it is not understood */
	void (*changed)(void *arg, struct view_key *key);
	void *arg;
};

void view_open(
	struct view *view, const char *self, void (*changed)(void *arg, struct view_key *key), void *arg);
void view_close(struct view *view);

/** The part that the key is of, or would be; NULL: this host does not follow it. */
struct view_part *view_part_of(const struct view *view, const char *key);
/** That of a network, NULL: there is none. */
struct view_part *view_part(const struct view *view, const char *network);
/** The one there is, or a new one. NULL: no memory. */
struct view_part *view_part_make(struct view *view, const char *network);
/** All its keys have ended for this host, which follows that network no more. Not of `shared`. */
void view_part_drop(struct view *view, struct view_part *part);

/** `key` without the prefix. What has no room, or is of no part, is counted. */
void view_put(struct view *view, const char *key, const char *value, size_t len, int64_t mod, int64_t lease);
void view_end(struct view *view, const char *key, int64_t mod);
/** All changes of the part so far are one, as of `revision` (0: of none that was told). */
void view_commit(struct view *view, struct view_part *part, int64_t revision, int64_t now_ms);
/** The same of all parts, of no revision that was told. */
void view_commit_all(struct view *view, int64_t now_ms);

/** Before and after all keys of the part are put anew, as of `revision`: those that were not put have ended, unless they
 * are younger. `other`: it is another store, whose revisions mean something else. */
void view_scan_begin(struct view *view, struct view_part *part, bool other);
void view_scan_end(struct view *view, struct view_part *part, int64_t revision, int64_t now_ms);

/** Lets go of hosts that were lost `grace_ms` ago, or when many are, `hold_ms`. */
void view_purge(struct view *view, int64_t now_ms, int64_t grace_ms, int64_t hold_ms);

const struct view_key *view_find(const struct view *view, const char *key);
const struct view_host *view_host(const struct view *view, const char *name);
/** Hosts with a record or lost; *lost: of these, how many are not alive. */
unsigned view_count(const struct view *view, unsigned *lost);
/** Are so many of them lost that it is taken for something else? */
bool view_panics(unsigned lost, unsigned all);

/* view_read.c */

/** What follows "net/NETWORK/", with the network's name in `name`; NULL: it is no such key. */
const char *view_network_of(const char *key, char name[VALUE_NAME]);
/** What follows "hosts/NAME/" or "net/NETWORK/NAME/", with the host's name in `name`; NULL: it is no such key. */
const char *view_split(const char *key, char name[VALUE_NAME]);
/** What the key says counts from now on, or key->why says why not. */
void view_read(struct view_key *key, int64_t now_ms);

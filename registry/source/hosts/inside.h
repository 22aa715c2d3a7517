/*
 * inside.h: what the files of this room share.
 *
 *   own.c     which instances this daemon tells of, in which chunk, and when
 *   write.c   one of them as a text
 *   read.c    the same, read
 *   hosts.c   the other hosts and their texts
 *   apply.c   brings the registry to them
 */
#pragma once

#include <jansson.h>
#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "registry/base/share.h"
#include "registry/registry.h"
#include "registry/source/hosts/hosts.h"

enum {
	HOSTS_VERSION = 1,
	HOSTS_NAME = 64, /* of a host, with its end */
	HOSTS_KEY = 32,
	HOSTS_LIST = 64,    /* tags, pairs and addresses of an instance, as the registry allows */
	HOSTS_OUTPUT = 512, /* bytes of what a check says that are told */
	HOSTS_HOSTS = 4096,
	/* A host has these for sure, and all together as much again for those that have more (share.h). */
	HOSTS_INSTANCES_EACH = 32,
	HOSTS_INSTANCES = 2 * HOSTS_INSTANCES_EACH * HOSTS_HOSTS,
};

/* An instance of another host that the registry has. */
struct hosts_place {
	UT_hash_handle hh;
	TAILQ_ENTRY(hosts_place) link; /* of its key */
	struct hosts_key *key;
	uint64_t hash; /* of what was told of it */
	bool seen;
	const char *id; /* in the registry; behind the service's name */
	char name[];	/* the service, "\n", the id */
};

TAILQ_HEAD(hosts_places, hosts_place);

/* A text of another host. */
struct hosts_key {
	UT_hash_handle hh; /* of its host */
	TAILQ_ENTRY(hosts_key) change;
	struct hosts_host *host;
	json_t *wanted; /* until the registry has it; NULL: it has */
	bool changed, gone;
	unsigned refused; /* of its instances */
	struct hosts_places places;
	char key[HOSTS_KEY];
};

TAILQ_HEAD(hosts_keys, hosts_key);

struct hosts_host {
	UT_hash_handle hh;
	char name[HOSTS_NAME];
	char node[REG_NODE_MAX + 1]; /* as the registry calls it; "": it has none of it */
	json_t *wanted;		     /* its node, NULL: not told */
	bool dirty;		     /* the node is to be brought to the registry */
	bool refused;		     /* it has no name that is free */
	bool again;		     /* somebody took something of it away */
	bool lost;
	bool left; /* something of it is gone: maybe all is */
	struct ip_addr address;
	struct hosts_key *keys;
	size_t instances;
};

/* An instance of this daemon's node. */
struct hosts_own {
	UT_hash_handle hh;
	uint64_t revision, sum; /* of the registry, and of the text without what checks say */
	json_t *json;		/* NULL: it is too long */
	size_t len;
	unsigned chunk;
	bool seen, withheld;
	enum reg_health health; /* that was told */
	int64_t flaps_ms;	/* rises with each change of health, and falls as time goes by */
	int64_t flapped_ms;	/* when it was reckoned */
	char name[];
};

struct hosts_chunk {
	unsigned n;
	size_t len;
	char *text; /* NULL: to be made anew */
};

struct hosts {
	struct event_base *base;
	struct registry *reg;
	struct registry_source source;
	struct registry_watch *watch;
	void (*told)(void *arg);
	void (*ask_again)(void *arg, const char *host);
	void *arg;
	struct event *turn, *own_turn;
	/* of others */
	struct hosts_host *hosts;
	struct hosts_place *places;
	struct share_room room; /* for places */
	struct hosts_keys changed;
	bool applies;
	unsigned ticks;
	char why[200];
	/* own */
	struct hosts_own *owns;
	struct hosts_chunk chunks[HOSTS_CHUNKS];
	char *node_text;
	uint64_t node_sum;
	int64_t next_ms; /* not looked at before */
	int64_t due_ms;	 /* of own_turn, while that is pending */
	size_t untold;
};

/* write.c: new references, NULL: no memory, or it is no UTF-8. `said`: with what its checks say. */

json_t *hosts_write_node(struct registry *reg, bool said);
json_t *hosts_write_instance(const char *service, const struct reg_backend *backend, bool said);
/** Of its text. */
uint64_t hosts_sum(const json_t *json);

/* read.c: what is read is borrowed of `json`. 0, or -1 with a line in `err`. */

struct hosts_checks {
	unsigned n;
	struct reg_check spec[REG_CHECKS_MAX];
	enum reg_health health[REG_CHECKS_MAX];
	const char *output[REG_CHECKS_MAX];
};
/** A check that nobody makes here: it is what its host says until that says otherwise. There is room for it. */
struct reg_check *hosts_check_add(struct hosts_checks *checks, const char *id, const char *name,
	enum reg_health health, const char *output);

struct hosts_instance {
	const char *service;
	struct reg_backend backend;
	struct reg_metadata metadata;
	const char *tags[HOSTS_LIST];
	struct reg_pair meta[HOSTS_LIST];
	struct reg_tagged tagged[HOSTS_LIST];
	struct hosts_checks checks;
};
struct hosts_node {
	struct reg_node node;
	struct reg_pair meta[HOSTS_LIST];
	struct reg_tagged tagged[HOSTS_LIST];
	bool drained;
	const char *reason;
	struct hosts_checks checks;
};
int hosts_read_node(const json_t *json, struct hosts_node *out, struct reg_err *err);
/** `node`: what the registry calls the one that it runs on. */
int hosts_read_instance(
	const json_t *json, const char *node, struct hosts_instance *out, struct reg_err *err);
/** NULL with a line: no object of a version that is known. */
json_t *hosts_read_text(const char *text, size_t len, struct reg_err *err);

/* apply.c */

/** Brings the registry to what has changed, as far as one turn goes. True: there is more. */
bool hosts_apply_turn(struct hosts *hosts);

/* hosts.c */

struct hosts_host *hosts_find(const struct hosts *hosts, const char *name);
void hosts_place_free(struct hosts *hosts, struct hosts_place *place);
/** Takes away those of whom nothing is known. */
void hosts_settle(struct hosts *hosts);

/* own.c */

int hosts_own_open(struct hosts *hosts);
void hosts_own_close(struct hosts *hosts);

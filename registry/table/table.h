/*
 * table.h: the inside of the registry, for the files of registry/ only. What is stored, and how the parts
 * that change it meet:
 *
 *   service.c, backend.c   change definitions, whole or not at all
 *   backend_check.c        the checks of a backend
 *   node.c, node_check.c   the machines that backends run on, and the checks of those
 *   port.c                 the switch ports' states
 *   check.c, check/set.c   what the checks find
 *   alias.c                checks that follow others
 *   commit.c               collects what they changed, derives health, and makes one generation of it
 *   change.c               remembers why
 *   watch.c                tells who waits for it
 *
 * Names are found by hash (uthash); what is listed or given to the sink is kept sorted.
 */
#pragma once

#include <assert.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

/* A failed allocation leaves the element out of the table, its hh.tbl NULL, instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "registry/base/error.h"
#include "registry/base/sorted.h"
#include "registry/check/set.h"
#include "registry/check/spec.h"
#include "registry/registry.h"

/* Most services have a handful of backends; a table of 32 buckets each would cost more than they do. */
#undef HASH_INITIAL_NUM_BUCKETS
#undef HASH_INITIAL_NUM_BUCKETS_LOG2
#define HASH_INITIAL_NUM_BUCKETS 4U
#define HASH_INITIAL_NUM_BUCKETS_LOG2 2U

struct backend;
struct changes;
struct topic;

/* Who balances an address: no two services may. */
struct vip_key {
	char network[REG_NAME_MAX + 1];
	struct ip_addr vip;
	uint32_t port, protocol;
};

struct vip {
	struct vip_key key; /* no byte of padding: hashed as a whole */
	uint32_t more;	    /* ports that follow key.port and are the service's too */
	struct service *service;
	struct vip *next; /* of the same service */
	UT_hash_handle hh;
};
static_assert(sizeof(struct vip_key) == REG_NAME_MAX + 1 + 16 + 8, "hashed as bytes");

struct service {
	struct reg_service def;
	struct reg_check *spec; /* of def.check, whose texts are there; NULL: REG_CHECK_NONE */
	struct registry *reg;
	uint64_t generation;	/* of its last commit; 0: none yet */
	uint64_t revision;	/* of it and its backends, see registry_revision() */
	struct vip *vip;	/* one for each of its ports; NULL: none */
	struct sorted backends; /* struct backend *, by address and port */
	struct backend *by_id;
	bool changed;		   /* on reg->changed */
	TAILQ_ENTRY(service) link; /* reg->changed or reg->gone */
	UT_hash_handle hh;
};

struct backend {
	struct reg_backend pub; /* first: the sink is given service->backends as it is */
	struct service *service;
	struct check_set checks, next; /* at work; prepared to follow those */
	uint64_t revision;	       /* see registry_revision() */
	bool touched;		       /* changed since the last generation */
	bool rechecked; /* one of its or its node's checks says something else now: its health may be the same */
	bool replaced;	  /* another has its id and its place */
	bool dirty;	  /* on reg->dirty: its health is to be derived anew */
	bool by_node;	  /* a check or the maintenance of its node is why */
	enum reg_why why; /* to be noted with the health that is derived */
	char *cause;	  /* the id of the check that is why; NULL: none is */
	int8_t port;	  /* its switch port: 1 up, 0 down, -1 there is none */
	TAILQ_ENTRY(backend) dirty_link;
	bool overdue; /* on reg->overdue: a check of it has been critical for too long */
	TAILQ_ENTRY(backend) overdue_link;
	struct host *host;
	LIST_ENTRY(backend) same_host;
	UT_hash_handle hh;
};
static_assert(offsetof(struct backend, pub) == 0, "a struct reg_backend * is a struct backend *");

struct node {
	struct reg_node pub; /* first: what is shown of it is the node */
	struct registry *reg;
	struct reg_check *specs; /* one block; of `checks` */
	char word[300];		 /* why it is drained */
	struct check_set checks;
	bool touched; /* changed since the last generation */
	UT_hash_handle hh;
};

static_assert(offsetof(struct node, pub) == 0, "a struct reg_node * is a struct node *");

/* The backends at one address, of all services; at none those that have no address of their own. */
struct host {
	struct ip_addr address;
	LIST_HEAD(, backend) backends;
	UT_hash_handle hh;
};

struct registry {
	struct event_base *base;
	struct registry_sink sink;
	struct checks checks;
	uint64_t generation;
	unsigned batch;	 /* depth */
	bool committing; /* the sink or a watch is being called */
	struct service *by_name;
	struct sorted services; /* struct service *, by name */
	unsigned ncapital;	/* services with a capital in their name */
	struct vip *vips;
	unsigned nrange;    /* of them, those with more than one port */
	unsigned nmeasured; /* services that tell measured weights */
	uint64_t told_us;   /* when what they tell was last taken for another */
	struct host *hosts;
	struct node *node_by_name, *local;
	struct sorted nodes; /* struct node *, by name */
	bool nodes_changed, names_changed;
	uint64_t nodes_generation, names_generation, gone_generation, first_generation;
	uint64_t revision, nodes_revision, names_revision, gone_revision;
	TAILQ_HEAD(, registry_source) sources;
	struct topic *topics;
	struct changes *changes;
	TAILQ_HEAD(, service) changed, gone;
	TAILQ_HEAD(, backend) dirty, overdue;
	struct event settle; /* commits what the checks found in this turn of the loop */
};

/* service.c */
struct service *service_find(struct registry *reg, const char *name);
/** Takes it out of the table with its backends; the next commit tells the sink. */
void service_remove(struct service *service);
void service_free(struct service *service);

/* backend.c */
struct backend *backend_find(struct service *service, const char *id);
/** By its id, or else by its address and port. NULL with a line in `err` (NULL: without): there is none. */
struct backend *backend_need(struct registry *reg, const char *name, const char *id, struct reg_err *err);
/** Takes it out of its service. */
void backend_remove(struct backend *backend);

/* backend_check.c */
/** The specifications that hold for it: its own, or else its service's as `spec` (NULL: none) has it. */
struct check_specs backend_specs(const struct backend *backend, const struct reg_check *spec);
/** Prepares its checks by these in backend->next; with `keep` beside those that stay. -ENOMEM. */
int backend_prepare_checks(struct backend *backend, struct check_specs specs, bool keep);
/** The prepared ones replace those at work; with `keep` they take over what those found. */
void backend_swap_checks(struct backend *backend, struct check_specs specs, bool keep);
/** What is shown of it is different, and thus what is shown of its service. */
void backend_revise(struct backend *backend);

/* told.c */

/** What is measured changes without a commit: once a second it is taken for another. */
void told_revise(struct registry *reg);
/** What the checks say now: it changes between commits. */
const struct reg_backend *backend_show(struct backend *backend);
/** Takes out those on reg->overdue, for the next commit. */
void backends_reap(struct registry *reg);

/* metadata.c */
/** A copy in one allocation, to be freed as one; NULL of NULL, or no memory (then *rc is -ENOMEM). */
struct reg_metadata *metadata_copy(const struct reg_metadata *from, int *rc);
bool metadata_same(const struct reg_metadata *a, const struct reg_metadata *b);
bool metadata_same_tagged(const struct reg_tagged *a, size_t na, const struct reg_tagged *b, size_t nb);

/* node.c */
struct node *node_find(struct registry *reg, const char *name);
/** Makes this daemon's own. -ENOMEM. */
int nodes_init(struct registry *reg);
/** The first generation is made: those that are there without one carry it. */
void nodes_begin(struct registry *reg);
/** The generation is made: those that changed carry it. */
void nodes_stamp(struct registry *reg);
void nodes_close(struct registry *reg);
/** It is another one since the last generation. */
void node_touch(struct registry *reg, struct node *node);
/** Calls fn for each backend that runs on it. */
void node_backends(struct registry *reg, const struct node *node, void (*fn)(struct backend *backend));

/* node_check.c */
/** The health that all that runs there has at best. */
enum reg_health node_health(const struct node *node);
/** What the node says when that is worse news than `health`, NULL: it is not. */
const char *node_word(const struct node *node, enum reg_health health);
void node_checks_free(struct node *node);

/* alias.c */
/** Brings the checks that follow others to what those are now; derives whom that changes. */
void aliases_follow(struct registry *reg);

/* port.c */
/** Puts the backend among those of its address and asks for the state of its switch port. -ENOMEM. */
int port_attach(struct backend *backend);
void port_detach(struct backend *backend);
/** Asks for the state anew: the network has changed. */
void port_refresh(struct backend *backend);

/* commit.c */
/** The definition of the service or of one of its backends changed. */
void commit_service(struct service *service);
/** Something that the backend's health depends on changed. */
void commit_backend(struct backend *backend);
/** The same, and what its checks say is another thing, which those who watch are told also when its health is the same. */
void commit_rechecked(struct backend *backend);
/** What is not of services, backends or nodes changed: one generation, told to those who watch `topic`. */
void commit_topic(struct registry *reg, const char *topic);
/** Derives the health of those that commit_backend() was called for. */
void commit_derive(struct registry *reg);
/** Makes the generation, unless in a batch. */
void commit(struct registry *reg);
/** Makes it after the callbacks of this turn of the event loop. */
void commit_soon(struct registry *reg);
/** Health, port_down and balanced as they follow from the rest. True when that changed them. */
bool backend_derive(struct backend *backend);

/* source.c */
/** Tells its source that the backend leaves. */
void source_gone(const struct backend *backend);
/** The service of the instance that a node knows by this id, as the first source that knows it says. NULL: none. */
const char *source_locate(const struct registry *reg, const char *node, const char *id);
/** If it is a ttl check, tells the source called `of` (NULL: all of them) of its health. */
void source_ttl(const struct registry *reg, const char *of, const struct check *check);

/* change.c */
/** -ENOMEM. */
int change_init(struct registry *reg);
void change_close(struct registry *reg);
/** Of the commit that follows. `backend` NULL: it is about the service; `check` NULL: no check is why. */
void change_note(struct registry *reg, enum reg_why why, const struct service *service,
	const struct backend *backend, enum reg_health before, const char *check);
/** The generation is made: what was noted is of it. */
void change_stamp(struct registry *reg);
/** What came before is of another life. */
void change_begin(struct registry *reg);

/* watch.c */
/** Calls the watchers of this service and those of any. */
void watch_notify(struct registry *reg, const char *service, uint64_t generation);
/** Calls those of a topic that is no service: REG_WATCH_NODES, ... */
void watch_notify_topic(struct registry *reg, const char *topic, uint64_t generation);
/** Frees every watch. */
void watch_close(struct registry *reg);

/* spec.c */
int service_valid(const struct reg_service *service, struct reg_err *err);
int backend_valid(const struct reg_backend *backend, struct reg_err *err);
int node_valid(const struct reg_node *node, struct reg_err *err);
/** May this daemon's own node be called so? */
bool node_name_fits(const char *name);

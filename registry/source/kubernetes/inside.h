/*
 * inside.h: what the files of this room share.
 *
 *   kubernetes.c  opens and closes
 *   follow.c      one kind of object: listed, then watched, for ever
 *   read.c        what of a Service and of an EndpointSlice concerns us
 *   table.c       the Services, each with its slices
 *   outside.c     by what other addresses a Service is reached
 *   left.c        which objects have no room
 *   choose.c      which endpoints a port of a Service has
 *   apply.c       brings the registry there
 *   keep.c        what outlives the daemon
 *   gather.c      what leads in from outside, each Service its share
 *   lead.c        hands that on
 *   nodes.c       where this node is, and what others have
 *   health.c      tells load balancers whether to send here
 */
#pragma once

#include <jansson.h>
#include <sys/queue.h>

#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "registry/registry.h"
#include "registry/source/kubernetes/kubernetes.h"

#define KUBE_SOURCE "kubernetes"

enum {
	KUBE_LABEL = 63,	       /* bytes of a name of a namespace, Service, port or zone (RFC 1123) */
	KUBE_KEY = 2 * KUBE_LABEL + 2, /* "NAMESPACE/NAME" with its end */
	KUBE_SLICE_KEY = KUBE_LABEL + 1 + 253 + 1,
	KUBE_NODE = 253,
	KUBE_PORTS = 100,      /* of a Service or slice */
	KUBE_ENDPOINTS = 1000, /* of a slice */
	KUBE_SERVICES = 32768,
	KUBE_SLICES = 65536,
	KUBE_ADDRESSES = 64, /* external ones of a Service, of each kind */
	KUBE_WAYS = 4096,    /* node ports and addresses from outside, in all */
	KUBE_RANGES = 64,    /* from where a load balancer lets in */
};

/* What of an endpoint decides about it. */
enum {
	KUBE_READY = 1,
	KUBE_STANDBY = 2, /* serves and ends: taken when nobody is ready */
	KUBE_LOCAL = 4,	  /* on this node */
	KUBE_HINTED = 8,  /* has hints, maybe: */
	KUBE_FOR_NODE = 16,
	KUBE_FOR_ZONE = 32,
};

struct kube_endpoint {
	struct ip_addr address;
	uint8_t flags;
};

/* How a port of a Service and of its slices are found to be the same, and its number there. */
struct kube_port_id {
	char name[KUBE_LABEL + 1];
	enum reg_protocol protocol;
	uint16_t port;
};

struct kube_slice {
	UT_hash_handle hh;
	TAILQ_ENTRY(kube_slice) link; /* of its Service */
	struct kube_service *service;
	char key[KUBE_SLICE_KEY];
	unsigned round, nport, n;
	struct kube_port_id *ports;
	struct kube_endpoint *endpoints;
};

/* An instance, as the registry has it or is to have it. */
struct kube_target {
	struct ip_addr address;
	uint16_t port;
	bool drained; /* it gets nothing new, and keeps what it has */
	bool local;   /* on this node */
};

struct kube_targets {
	struct kube_target *list; /* sorted by address and port */
	size_t n;
};

/* As what the registry has a port: its name and protocol never change. */
struct kube_as {
	struct ip_addr vip, vip6;
	uint32_t affinity_s;
	uint16_t port;
	bool drops;
};

/*
 * A port of a Service is a service of the registry: ports differ in their targets, and in which slices have them. Where
 * who comes from outside is to get other endpoints than pods do, the port is there twice: the `outer` one has the same
 * vip and another number.
 */
struct kube_port {
	struct kube_port_id id;
	uint16_t node_port; /* 0: none */
	bool outer;
	bool made;		     /* the registry has it */
	bool lost;		     /* maybe not its targets */
	struct kube_as as;	     /* so */
	struct kube_targets targets; /* that the registry has */
};

/* How a Service is reached by other addresses than its own. */
struct kube_outside {
	bool local_only; /* externalTrafficPolicy: Local */
	bool limited;	 /* load balancers let in who is in `from` alone */
	uint16_t health_port;
	unsigned naddress, nfrom;
	struct kube_door {
		struct ip_addr address;
		bool limited; /* it is a load balancer's, with ranges */
	} * addresses;
	struct ip_prefix *from; /* none holds another */
};

struct kube_spec {
	struct ip_addr vip, vip6;
	uint32_t affinity_s;
	bool local_only; /* internalTrafficPolicy: Local */
	unsigned nport;
	struct kube_port *ports;
	struct kube_outside outside;
};

TAILQ_HEAD(kube_slices, kube_slice);

struct kube_service {
	UT_hash_handle hh;
	TAILQ_ENTRY(kube_service) link; /* of those that have changed */
	char key[KUBE_KEY];
	unsigned round;
	bool known; /* there is such a Service; else only slices name it */
	bool changed;
	bool waits; /* the registry refused a port of it */
	struct kube_spec spec;
	struct kube_port *old; /* ports that it had, while the registry still has them */
	unsigned nold;
	struct kube_slices slices;
};

TAILQ_HEAD(kube_services, kube_service);

struct kube_follow;
struct kube_left; /* left.c */

enum { KUBE_SERVICES_OF, KUBE_SLICES_OF, KUBE_NODE_OF, KUBE_FOLLOWS };

struct kubernetes {
	struct event_base *base;
	struct registry *reg;
	struct registry_source source;
	struct fetcher *fetcher;
	struct event *turn;	/* what has changed is brought to the registry */
	struct kube_lead *lead; /* lead.c; NULL: nothing leads in */
	struct kube_follow *follows[KUBE_FOLLOWS];
	struct kube_health *health;
	struct kube_nodes *nodes; /* nodes.c; NULL: others do not matter */
	bool leaving;		  /* this node is to go */
	bool restored;		  /* all is known that an earlier life had heard */
	bool restoring;
	struct journal *journal; /* NULL: nothing outlives it */
	char *api, *token_file, *token, *node, *network;
	char of_node[64 + 3 * KUBE_NODE]; /* the selector of this node; "": of all */
	char zone[KUBE_LABEL + 1];	  /* "": not known */
	struct kube_service *services;
	struct kube_slice *slices;
	struct kube_services changed;
	unsigned rounds[2];	       /* of listing Services and slices */
	struct kube_left *left_out[2]; /* of these, in this round, for want of room */
	bool made_room;		       /* something has left the registry */
	bool applies, lost; /* we change the registry; somebody else has, and something of ours is gone */
	size_t endpoints;
};

/* follow.c */

/* A kind of object. `begin`: all that there is comes now by put(); `end`: that was all, what has not come is gone. */
struct kube_kind {
	const char *path, *selector; /* a part of a URL */
	bool of_node;		     /* the selector is that of nodes */
	void (*begin)(struct kubernetes *k);
	void (*put)(struct kubernetes *k, const json_t *object);
	void (*del)(struct kubernetes *k, const json_t *object);
	void (*end)(struct kubernetes *k);
};

/** Begins at once. NULL: no memory. */
struct kube_follow *kube_follow_open(struct kubernetes *k, const struct kube_kind *kind);
/** NULL is allowed. */
void kube_follow_close(struct kube_follow *follow);
/** All comes again, as after a start. */
void kube_follow_anew(struct kube_follow *follow);
/** All that there is was heard of once. */
bool kube_follow_synced(const struct kube_follow *follow);
/** Why the server is not heard, NULL: it is; and for how long that has been so. */
const char *kube_follow_why(const struct kube_follow *follow, int64_t *since_s);

/* kubernetes.c */

extern const struct kube_kind *const kube_kinds[KUBE_FOLLOWS];

/* read.c */

/** NULL: it has no text of that name. */
const char *kube_text(const json_t *object, const char *key);
/** 1..65535; 0: it has none such. */
uint16_t kube_number(const json_t *object, const char *key);
/** "10.244.1.0/24", without bits beyond its length. False: it is no such text. */
bool kube_prefix(const char *text, struct ip_prefix *out);
/** "NAMESPACE/NAME" of an object. False: it has none that is sound. */
bool kube_read_key(const json_t *object, char *key, size_t size);
/** The Service's spec; its ports are the caller's. A Service without an address of its own has no ports. False: no memory. */
bool kube_read_service(const json_t *object, struct kube_spec *spec);
/** One that no Service has taken. */
void kube_spec_free(struct kube_spec *spec);
/** The key of the Service that the slice is of, and all but the key and the links of `slice`. False: it is of none, or not understood. */
bool kube_read_slice(
	const struct kubernetes *k, const json_t *object, char service[KUBE_KEY], struct kube_slice *slice);
/** Is the Node to be deleted? */
bool kube_is_leaving(const json_t *object);
/** topology.kubernetes.io/zone of a Node, "": none. */
void kube_read_zone(const json_t *object, char zone[KUBE_LABEL + 1]);

/* table.c */

extern const struct kube_kind kube_kind_services, kube_kind_slices;
/** Do they go by the same name and protocol? Whether one is for who comes from outside is another matter. */
bool kube_is_same_port(const struct kube_port_id *a, const struct kube_port_id *b);
/** The Service has changed, or its slices have. */
void kube_changed(struct kubernetes *k, struct kube_service *service);
/** Takes it away if nothing is known of it any more, and the registry has nothing of it. */
void kube_service_settle(struct kubernetes *k, struct kube_service *service);
void kube_table_free(struct kubernetes *k);

/* left.c */

/** True: it is the first that is left out. */
bool kube_left_add(struct kube_left **set, const char *key);
/** It has room now, or is gone. */
void kube_left_del(struct kube_left **set, const char *key);
void kube_left_clear(struct kube_left **set);
/** How many they are, as far as it is counted: up to 65,536. */
size_t kube_left_count(const struct kube_left *set);

/* choose.c */

/** By address and port. */
int kube_target_compare(const struct kube_target *a, const struct kube_target *b);
/** Does the port have endpoints of this node alone? */
bool kube_is_local_only(const struct kube_spec *spec, const struct kube_port *port);
/** What the port is to have. False: no memory. */
bool kube_choose(const struct kube_service *service, const struct kube_port *port, struct kube_targets *out);

/* outside.c */

/** What of a Service says how it is reached from outside, and its outer ports behind the others. False: no memory. */
bool kube_read_outside(const json_t *object, struct kube_spec *spec);
void kube_outside_free(struct kube_outside *outside);

/* keep.c */

/** Keeps it, or no longer (`object` is NULL). `which` is KUBE_..._OF. */
void kube_keep(struct kubernetes *k, unsigned which, const char *key, const json_t *object);
/** All that there is was heard of. */
void kube_keep_whole(struct kubernetes *k);
/** What an earlier life has heard of the same server is known. Before anything is followed. NULL is allowed. */
void kube_keep_open(struct kubernetes *k, struct journal *journal);

/* gather.c */

/* What leads in, as struct kubernetes_ways has it. */
struct kube_ways {
	struct kubernetes_way *list;
	struct ip_addr *vips;
	size_t n, nvip;
	size_t over;	  /* for which there is no room; */
	size_t most_over; /* of these those of the Service that has most, */
	const char *most; /* whose key this is; the table's */
};

/** All ways in, and all addresses of Services that the registry has. False: no memory. To be freed in any case. */
bool kube_gather(const struct kubernetes *k, struct kube_ways *out);
void kube_ways_free(struct kube_ways *ways);

/* lead.c */

/** Hands on all ways in, and does so again after what changes. -ENOMEM. */
int kube_lead_open(struct kubernetes *k, const struct kubernetes_config *config);
void kube_lead_close(struct kubernetes *k);
/** Something has changed of what leads in, maybe. */
void kube_lead_due(struct kubernetes *k);
/** Why what has changed does not lead in, NULL: nothing fails; how many ways there are, and is a change of them due? */
const char *kube_lead_why(const struct kubernetes *k, size_t *n, bool *due);

/* nodes.c */

extern const struct kube_kind kube_kind_nodes;
/** Hands on the nodes, and does so again after what changes. -ENOMEM. */
int kube_nodes_open(struct kubernetes *k, const struct kubernetes_config *config);
void kube_nodes_close(struct kubernetes *k);
/** Why some are not reached, NULL: all are; and how many are known. */
const char *kube_nodes_why(const struct kubernetes *k, size_t *n);

/* health.c */

/** `healthz`: "ADDRESS:PORT" for all Services, NULL: none. -ENOMEM. */
int kube_health_open(struct kubernetes *k, const char *healthz);
void kube_health_close(struct kubernetes *k);
/** Services have changed, maybe with their ports. */
void kube_health_update(struct kubernetes *k);

/* apply.c */

/** Brings the registry to what has changed, as far as one turn goes. */
void kube_apply(struct kubernetes *k);

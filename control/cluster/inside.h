/* inside.h: what the files of the room share. */
#pragma once

#include <event2/event.h>
#include <jansson.h>

#include "control/cluster/cluster.h"
#include "control/cluster/view.h"
#include "control/model/model.h"
#include "control/model/objects.h"
#include "dataplane/dataplane.h"
#include "registry/etcd/etcd.h"

struct journal;
struct cluster_local;
struct global;
struct cluster_forget;
struct cluster_ipam;
struct cluster_net;
struct hosts;

/* A lease of this host. */
struct cluster_lease {
	int64_t id; /* 0: none */
	int64_t ttl_s, renewed_ms;
	struct etcd_op *op;
};

enum { CLUSTER_PREFIX = 128 }; /* bytes of the prefix with its end */

enum { CLUSTER_ALIVE, CLUSTER_LONG, CLUSTER_LEASES };

struct cluster {
	struct event_base *base;
	struct model *model;
	struct etcd *etcd;
	struct model_cluster shown; /* what the model has of it */
	char *prefix;		    /* with a slash at its end */
	char host[VALUE_NAME], zone[VALUE_NAME], id[VALUE_ID];
	bool floods;	 /* frames to a MAC that nobody has */
	uint32_t bfd_ms; /* between two packets to each host that has a tunnel; 0: none */
	uint8_t bfd_multiplier;
	struct view view;
	struct journal *journal;
	struct event *tick, *sync; /* each second; when something has changed */
	/* reader.c */
	bool opened;
	bool reading;	/* what all hear of is followed: what the store has of it is here, or about to be */
	bool replacing; /* all parts are read again, of another store */
	bool lingers;	/* some network is followed that need not be */
	/* writer.c */
	struct cluster_lease lease[CLUSTER_LEASES];
	struct etcd_op *txn;
	struct event *write_again;
	unsigned write_failures, txn_changes;
	size_t txn_bytes;
	struct cluster_change *sent; /* [txn_changes] of the transaction that is under way */
	char conflict[96];	     /* who else has the name of this host, "": nobody */
	bool behind_writes;	     /* not all of this host's is in the store */
	bool no_room;		     /* some of it is, and is not in the view */
	bool apart;	/* a transaction has changes of one part alone: the store refused one of several */
	bool held_back; /* changes of a part that it refuses */
	struct view_part *txn_part; /* of the first change */
	/* local.c */
	struct cluster_local *locals;
	bool locals_sorted;		  /* by the value that they are in */
	struct ip_addr address, address6; /* of this host in the underlay; maybe none */
	/* ipam.c */
	struct cluster_ipam *ipam;
	/* forget.c */
	struct cluster_forget *forget; /* NULL: nobody asked yet */
	/* register.c */
	struct hosts *hosts;
	/* keys.c */
	struct consul *consul; /* NULL: it shares nothing yet */
	struct global *global; /* NULL: it has none */
	/* remote.c */
	struct cluster_net *nets;
	bool local_changed, states_changed;
	bool applying;	   /* what changes of the model is by us */
	unsigned unplaced; /* guests of others that found no room, or clash with what is here */
};

/* A change of a key of ours: what it is to be. */
struct cluster_change {
	char *key, *value; /* value NULL: it ends */
	unsigned lease;
};

int64_t cluster_now_ms(void);
/** The event comes after a pause, doubled for each failure before: full jitter up to 10 s. */
void cluster_back_off(struct event *event, unsigned failures);
/** What changed is put in effect when the loop comes to it. `local`: and what this host has into the store. */
void cluster_touch(struct cluster *cluster, bool local);

/* kept.c: the last state, on disk */

int cluster_kept_open(struct cluster *cluster, const char *dir, struct api_err *err);
void cluster_kept_key(struct cluster *cluster, const struct view_key *key);
void cluster_kept_revision(struct cluster *cluster, const struct view_part *part);

/* reader.c */

int cluster_read_open(struct cluster *cluster);
/** Before etcd_close(). */
void cluster_read_close(struct cluster *cluster);
/** Follows the networks that this host has ports or addresses in, and no others for long. */
void cluster_read_networks(struct cluster *cluster);
/** Is what hosts tell of the network known, as of some revision? */
bool cluster_read_is_whole(const struct cluster *cluster, const char *network);
/** All of it again, of a store that the view is not of. */
void cluster_read_anew(struct cluster *cluster);
/** Why it is not told, or not of some network, or may not tell of some; "": nothing is amiss. */
const char *cluster_read_why(const struct cluster *cluster);
int64_t cluster_read_age_ms(const struct cluster *cluster);
int64_t cluster_read_lag_ms(const struct cluster *cluster);
/** The key as the store has it. Keys of networks are beside the others: who reads those need not read these. */
const char *cluster_key(const struct cluster *cluster, const char *key, char *out, size_t size);

/* writer.c */

int cluster_write_open(struct cluster *cluster);
void cluster_write_close(struct cluster *cluster);
/** Puts what this host's keys lack, if that can be done now. */
void cluster_write(struct cluster *cluster);
void cluster_write_tick(struct cluster *cluster);

/* local.c */

/** Looks at the ports of this host. */
void cluster_local_read(struct cluster *cluster);
/** Calls fn for each key that this host is to have, without its prefix; `value` is taken over. */
void cluster_local_walk(struct cluster *cluster,
	void (*fn)(struct cluster *cluster, const char *key, char *value, unsigned lease));
void cluster_local_close(struct cluster *cluster);
/** Where this host reaches the other one; none: nowhere. */
struct ip_addr cluster_address_of(const struct cluster *cluster, const struct view_host *host);

/* ipam.c: the addresses that this host may give */

/** When the view has what was kept. -1: no memory. */
int cluster_ipam_open(struct cluster *cluster);
void cluster_ipam_close(struct cluster *cluster);
/** As of struct model_cluster. */
void cluster_ipam_own(void *arg, const struct model_network *network, struct ip_prefix within,
	bool (*fn)(void *fn_arg, struct ip_addr ip), void *fn_arg);
int cluster_ipam_more(
	void *arg, const struct model_network *network, struct ip_prefix within, struct api_err *err);
/** Some of the prefix will be needed. */
void cluster_ipam_ahead(
	struct cluster *cluster, const struct model_network *network, struct ip_prefix within);
void cluster_ipam_key(struct cluster *cluster, const struct view_key *key);
/** Does the next thing that is to be done, if it can be done now. */
void cluster_ipam(struct cluster *cluster);
void cluster_ipam_tick(struct cluster *cluster);
/** As cluster_local_walk(), of its keys. */
void cluster_ipam_walk(struct cluster *cluster,
	void (*fn)(struct cluster *cluster, const char *key, char *value, unsigned lease));

/* forget.c */

/** As of struct model_cluster. */
int cluster_forget(void *arg, const char *host, json_t **result, struct api_err *err);
void cluster_forget_close(struct cluster *cluster);

/* register.c: this host's instances for the others, and theirs for the registry */

int cluster_register_open(struct cluster *cluster);
void cluster_register_close(struct cluster *cluster);
/** A key of another host's registry counts as it is, or has ended. */
void cluster_register_key(struct cluster *cluster, struct view_key *key);
/** Tells the registry which hosts are lost. */
void cluster_register_states(struct cluster *cluster);
/** BFD with the host, where there is any. False: there is none. */
bool cluster_register_peer(const struct cluster *cluster, const struct view_host *host, struct dp_peer *peer);
/** Is it lost, as the store or BFD has it? */
bool cluster_register_is_lost(const struct cluster *cluster, const struct view_host *host);

/* keys.c: Consul's keys and sessions are in the same store */

int cluster_keys_open(struct cluster *cluster, struct consul *consul);

/* remote.c */

/** Brings tunnels, MACs and addresses of others' guests to what the view says. */
void cluster_remote_apply(struct cluster *cluster);
/** What another host's key says is to be looked at. */
void cluster_remote_key(struct cluster *cluster, const struct view_key *key);
/** The network, NULL: each, is to be looked at. `doubtful`: others have changed what it made there. */
void cluster_remote_dirty(struct cluster *cluster, const char *network, bool doubtful);
/** Takes away what it made in a network, if no port of this host is there. */
void cluster_remote_leave(struct cluster *cluster, const char *network);
void cluster_remote_close(struct cluster *cluster);

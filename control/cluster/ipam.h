/*
 * ipam.h: what the files share that say which addresses this host may give: ipam.c (what it has, and who asks), ipam_key.c
 * (what becomes of a key), ipam_share.c (what it wants, gives and gives back).
 *
 * An address is in `own` from the moment that the store has it as this host's, until the host begins to part with it. That
 * begins on disk, in `leaving`, so that a restart does not give an address that another host may have by now, and goes on
 * until the store has it otherwise, whatever happens meanwhile.
 */
#pragma once

#include "control/cluster/inside.h"

struct cluster_block_id {
	char network[VALUE_NAME];
	struct ip_addr base;
};

/* A block that this host has a part of. */
struct cluster_block {
	UT_hash_handle hh; /* by id */
	struct cluster_block_id id;
	uint64_t own, leaving;
	char to[VALUE_NAME]; /* whose `leaving` becomes, "": nobody's */
	uint64_t foreign;    /* of `own`, what others' guests have all the same */
	uint64_t used;	     /* of `own`, by what is here: ipam_find_used() */
	unsigned idle;	     /* looks at which nothing of it was used */
};

/* Addresses that are missing. */
struct cluster_need {
	UT_hash_handle hh; /* by ask: a network and a family, or a part of it */
	struct block_ask ask;
	int64_t since_ms, wanted_ms; /* it began; it was last asked for */
	unsigned round;		     /* times that others were asked */
	bool asks;		     /* them */
	bool ahead;		     /* nobody waits for it */
	bool failed;
};

struct cluster_ipam {
	struct cluster_block *blocks;
	struct cluster_need *needs;
	bool foreign_changed, asked; /* since these were looked at */
	bool settled;		     /* the store has been read since the start */
	bool keeping;		     /* what is leaving goes to disk */
	bool waits_again;	     /* and did not get there */
	bool waits;		     /* for a change of the view, or a tick */
	unsigned lost;		     /* times in a row that another host was first */
	unsigned ticks;
	/* a change of a block that is under way */
	struct etcd_op *op;
	struct cluster_block_id id;
	uint64_t gains; /* addresses that it brings */
	char *key, *value;
};

enum { IPAM_NEEDS = 256, IPAM_KEY = VALUE_NAME + IP_TEXT + 8 };

/* ipam.c */

struct cluster_block *ipam_find(const struct cluster *cluster, const struct cluster_block_id *id);
/** The one there is, or a new one; NULL: no memory. */
struct cluster_block *ipam_make(struct cluster *cluster, const struct cluster_block_id *id);
struct cluster_block_id ipam_id(const char *network, struct ip_addr base);
/** The block's key, without the prefix. */
const char *ipam_key(const struct cluster_block_id *id, char key[IPAM_KEY]);
/** Fills in `used` of all blocks. False: no memory. */
bool ipam_find_used(struct cluster *cluster);
/** Those of the block that are addresses of hosts within the prefix. */
uint64_t ipam_hosts_of(struct ip_addr base, struct ip_prefix within);
/** Is there a need that addresses of the block meet? */
bool ipam_is_needed(const struct cluster *cluster, const struct cluster_block_id *id);
/** The needs that these addresses may meet are met. */
void ipam_met(struct cluster *cluster, const struct cluster_block_id *id);

/* ipam_key.c */

/** What the store has of this block, NULL: nothing. *mod: its revision, 0. */
const struct block_value *ipam_stored(
	const struct cluster *cluster, const struct cluster_block_id *id, int64_t *mod);
/** Has the store give this host's part of the block another one; `gains` are own when it has, and `to` gets `gives`. */
void ipam_put(struct cluster *cluster, const struct cluster_block_id *id, uint64_t part, uint64_t gains,
	const char *to, uint64_t gives);
/** These addresses of its own are given away, or to nobody, when that is on disk. */
void ipam_leave(struct cluster *cluster, struct cluster_block *block, uint64_t bits, const char *to);
/** What is leaving goes on when it is on disk. */
void ipam_wait_kept(struct cluster *cluster);
/** Brings the block to what the store has of it. True: a change of it is under way. */
bool ipam_mend(struct cluster *cluster, struct cluster_block *block);
/** Reads what was leaving when the daemon ended. */
void ipam_restore(struct cluster *cluster, const char *key, const char *value);

/* ipam_share.c */

/** Takes addresses for one of the needs. True: a change is under way. */
bool ipam_meet(struct cluster *cluster);
/** Gives some to a host that asks. The same. */
bool ipam_lend(struct cluster *cluster);
/** Now and then: gives back what is not used, and takes some for later. */
void ipam_tidy(struct cluster *cluster);

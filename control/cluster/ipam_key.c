/* ipam_key.c: a block's key in the store, one change of one key at a time. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/cluster/ipam.h"
#include "registry/store/journal.h"

#define LEAVING "leaving "

/* Keys of the store have a slash in them; a network's name has no space. */
static void keep(struct cluster *cluster, const struct cluster_block *block)
{
	char key[IPAM_KEY + sizeof(LEAVING)], text[IP_TEXT], bits[20];

	snprintf(key, sizeof(key), LEAVING "%s %s", block->id.network, ip_text(block->id.base, text));
	snprintf(bits, sizeof(bits), "%" PRIx64, block->leaving);
	journal_put(cluster->journal, key, block->leaving ? bits : NULL);
}

void ipam_restore(struct cluster *cluster, const char *key, const char *value)
{
	char network[VALUE_NAME], text[IP_TEXT];
	struct cluster_block_id id;
	struct cluster_block *block;
	struct ip_addr base;

	if (sscanf(key, LEAVING "%63s %45s", network, text) != 2 || !ip_parse(text, &base))
		return;
	id = ipam_id(network, base);
	block = ipam_make(cluster, &id);
	if (block)
		block->leaving = strtoull(value, NULL, 16);
}

const struct block_value *ipam_stored(
	const struct cluster *cluster, const struct cluster_block_id *id, int64_t *mod)
{
	char text[IPAM_KEY];
	const struct view_key *key = view_find(&cluster->view, ipam_key(id, text));

	*mod = key && !key->ended ? key->mod : 0;
	return *mod && !key->why ? key->block : NULL;
}

static void forget_change(struct cluster_ipam *ipam)
{
	free(ipam->key);
	free(ipam->value);
	ipam->key = ipam->value = NULL;
	ipam->op = NULL;
}

/* The view has it at once, as of that revision. */
static void take_over(struct cluster *cluster, int64_t revision)
{
	struct cluster_ipam *ipam = cluster->ipam;
	struct cluster_block *block = ipam->gains ? ipam_make(cluster, &ipam->id) : NULL;

	if (ipam->value)
		view_put(&cluster->view, ipam->key, ipam->value, strlen(ipam->value), revision, 0);
	else
		view_end(&cluster->view, ipam->key, revision);
	if (block)
		block->own |= ipam->gains;
	view_commit(&cluster->view, &cluster->view.shared, 0, cluster_now_ms());
}

static void on_changed(void *arg, const struct etcd_answer *answer, bool took)
{
	struct cluster *cluster = arg;
	struct cluster_ipam *ipam = cluster->ipam;
	uint64_t gains = ipam->gains;

	if (took && !answer->why)
		take_over(cluster, answer->revision);
	else if (answer->why && answer->refused)
		log_line(LOG_WARNING, "cluster: etcd refused a change of addresses: %s", answer->why);
	forget_change(ipam);
	ipam->lost = took ? 0 : ipam->lost + 1;
	ipam->waits = !took; /* another host was first: the watch tells what it did */
	if (!took || answer->why)
		return;
	if (gains)
		ipam_met(cluster, &ipam->id);
	cluster_touch(cluster, false);
}

void ipam_put(struct cluster *cluster, const struct cluster_block_id *id, uint64_t part, uint64_t gains,
	const char *to, uint64_t gives)
{
	struct cluster_ipam *ipam = cluster->ipam;
	int64_t mod;
	struct block_value *block = block_copy(ipam_stored(cluster, id, &mod));
	char key[CLUSTER_PREFIX + IPAM_KEY], short_key[IPAM_KEY];
	struct etcd_change change = {.key = key};
	const struct etcd_compare known = {key, mod};
	const struct etcd_txn txn = {.compares = &known, .ncompare = 1, .changes = &change, .nchange = 1};

	ipam->waits = true;
	if (!block)
		return;
	snprintf(block->network, sizeof(block->network), "%s", id->network);
	block->base = id->base;
	block_set(block, cluster->host, part);
	if (gives)
		block_set(block, to, block_part_of(block, to) | gives);
	cluster_key(cluster, ipam_key(id, short_key), key, sizeof(key));
	ipam->key = strdup(short_key);
	ipam->value = block->n ? block_text(block) : NULL;
	ipam->id = *id;
	ipam->gains = gains;
	change.value = ipam->value;
	if (ipam->key && (ipam->value || !block->n))
		ipam->op = etcd_txn(cluster->etcd, &txn, on_changed, cluster);
	if (!ipam->op)
		forget_change(ipam);
	free(block);
}

static void on_kept(void *arg, int rc);

/* What is another's in the store and this host's own on its disk would be given by both after a restart without etcd: it goes
 * only when that is on disk, however long the disk is full. */
void ipam_wait_kept(struct cluster *cluster)
{
	struct cluster_ipam *ipam = cluster->ipam;

	ipam->keeping = true;
	ipam->waits_again = journal_wait(cluster->journal, on_kept, cluster) < 0;
}

static void on_kept(void *arg, int rc)
{
	struct cluster *cluster = arg;

	if (rc < 0) {
		cluster->ipam->waits_again = true;
		return;
	}
	cluster->ipam->keeping = false;
	cluster_touch(cluster, false);
}

void ipam_leave(struct cluster *cluster, struct cluster_block *block, uint64_t bits, const char *to)
{
	block->own &= ~bits;
	block->used &= ~bits;
	block->leaving |= bits;
	snprintf(block->to, sizeof(block->to), "%s", to);
	keep(cluster, block);
	ipam_wait_kept(cluster);
}

/*
 * The store has addresses as this host's that are not known to be. Another host gave them, or nobody heard that they were
 * taken; or the store was brought back from an old copy, or this host has lost its state. Those that are asked for or in
 * use are its own, and at the first start all are. The others it does without, for who knows who has them.
 */
static bool adopt(struct cluster *cluster, struct cluster_block *block, uint64_t bits)
{
	bool all = !cluster->ipam->settled;

	block->own |= bits;
	if (ipam_is_needed(cluster, &block->id)) {
		ipam_met(cluster, &block->id);
		return false;
	}
	if (all || !ipam_find_used(cluster))
		return false;
	bits &= ~block->used;
	if (bits)
		ipam_leave(cluster, block, bits, "");
	return bits != 0;
}

/* The store has them as another's, as after it was brought back from an old copy: those that are not in use go. */
static void yield(struct cluster *cluster, struct cluster_block *block, uint64_t bits)
{
	if (!ipam_find_used(cluster))
		return;
	if (bits & block->used)
		log_subject(LOG_WARNING, block->id.network,
			"cluster: network %s: etcd has addresses in use here as another host's",
			block->id.network);
	block->own &= ~(bits & ~block->used);
}

bool ipam_mend(struct cluster *cluster, struct cluster_block *block)
{
	int64_t mod;
	const struct block_value *stored = ipam_stored(cluster, &block->id, &mod);
	uint64_t part = stored ? block_part_of(stored, cluster->host) : 0;
	uint64_t others = stored ? block_taken(stored) & ~part : 0, lacks;

	if (mod && !stored) /* it is not understood, as of a later version: hands off */
		return false;
	if (block->leaving && !(block->leaving & part)) {
		block->leaving = 0;
		keep(cluster, block);
	}
	if (part & ~block->own & ~block->leaving &&
		adopt(cluster, block, part & ~block->own & ~block->leaving))
		return true;
	if (block->own & others)
		yield(cluster, block, block->own & others);
	lacks = block->own & ~part & ~others;
	if (!lacks && !(block->leaving & part))
		return false;
	ipam_put(cluster, &block->id, (part | lacks) & ~block->leaving, 0, block->to,
		block->to[0] ? block->leaving & part : 0);
	return true;
}

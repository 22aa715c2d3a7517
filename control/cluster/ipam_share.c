/* ipam_share.c: how hosts come by addresses, and part with them. */
#include <stdio.h>
#include <string.h>

#include "control/cluster/ipam.h"
#include "control/model/network_spec.h"
#include "registry/base/chance.h"

enum {
	TAKE = 16,  /* addresses that are nobody's, at once */
	LEND = 8,   /* at most, of those that are free */
	AHEAD = 8,  /* with fewer left, a block is taken before it is needed */
	SPARE = 24, /* with as many beside it, a block that is not used is given back */
	IDLE = 2,   /* looks */
	SKIP = 15,  /* blocks, at most, when another host took the same one */
};

/* The lowest `n` of them. */
static uint64_t lowest(uint64_t bits, unsigned n)
{
	uint64_t rest = bits;

	while (n-- && rest)
		rest &= rest - 1;
	return bits & ~rest;
}

static struct ip_addr next_block(struct ip_addr base)
{
	unsigned carry = BLOCK_SIZE;

	for (unsigned i = sizeof(base.b); i-- > 0 && carry;) {
		carry += base.b[i];
		base.b[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return base;
}

/* A block that the view does not have, in which there are addresses to give; none: all are somebody's. */
static bool find_free(struct cluster *cluster, const struct block_ask *ask, struct cluster_block_id *out)
{
	unsigned skip = cluster->ipam->lost > 1 ? chance_between(0, SKIP) : 0;
	struct ip_addr base = block_base(ask->within.address);
	char text[IPAM_KEY];
	bool found = false;

	for (unsigned i = 0; i <= VIEW_KEYS; i++, base = next_block(base)) {
		const struct cluster_block_id id = ipam_id(ask->network, base);

		if (i && !ip_inside(base, ask->within))
			break;
		if (view_find(&cluster->view, ipam_key(&id, text)) || ipam_find(cluster, &id) ||
			!ipam_hosts_of(base, ask->within))
			continue;
		*out = id;
		found = true;
		if (!skip--)
			break;
	}
	return found;
}

/* One in which some are nobody's; not one that is not understood, of which what is known is old. */
static uint64_t find_loose(struct cluster *cluster, const struct block_ask *ask, struct cluster_block_id *out)
{
	struct view_key *key, *next;

	HASH_ITER(hh, cluster->view.keys, key, next)
	if (key->block && !key->ended && !key->why && !strcmp(key->block->network, ask->network)) {
		uint64_t bits = ipam_hosts_of(key->block->base, ask->within) & ~block_taken(key->block);
		const struct cluster_block *own;

		*out = ipam_id(ask->network, key->block->base);
		own = ipam_find(cluster, out);
		if (own)
			bits &= ~own->leaving;
		if (bits)
			return lowest(bits, TAKE);
	}
	return 0;
}

/* Of the whole subnet, and not only of the part that somebody wants: a block is taken whole. */
static uint64_t whole(struct cluster *cluster, const struct cluster_block_id *id)
{
	const struct model_network *network = model_network(cluster->model, id->network);

	return network ? ipam_hosts_of(id->base, network_spec_subnet(&network->spec, !ip_is4(id->base))) : 0;
}

bool ipam_meet(struct cluster *cluster)
{
	struct cluster_need *need, *next;
	struct cluster_block_id id;
	int64_t mod;

	HASH_ITER(hh, cluster->ipam->needs, need, next)
	{
		uint64_t bits = 0;

		/* what others' guests have all the same is not given */
		if (need->failed || !cluster_read_is_whole(cluster, need->ask.network))
			continue;
		if (find_free(cluster, &need->ask, &id))
			bits = whole(cluster, &id);
		else if (!need->ahead)
			bits = find_loose(cluster, &need->ask, &id);
		if (bits) {
			const struct block_value *stored = ipam_stored(cluster, &id, &mod);

			ipam_put(cluster, &id, bits | (stored ? block_part_of(stored, cluster->host) : 0),
				bits, "", 0);
			return true;
		}
		if (!need->ahead && !need->asks) {
			need->asks = true;
			cluster_touch(cluster, true);
		}
	}
	return false;
}

static uint64_t free_of(const struct cluster_block *block, struct ip_prefix within)
{
	return block->own & ~block->used & ~block->foreign & ipam_hosts_of(block->id.base, within);
}

/* Of several blocks, the one with the most: a part of it, so that this host has some left. */
static bool lend_to(struct cluster *cluster, const struct view_host *host, const struct block_ask *ask)
{
	struct cluster_block *block, *next, *best = NULL;
	unsigned most = 0, n;
	uint64_t bits;

	HASH_ITER(hh, cluster->ipam->blocks, block, next)
	if (strcmp(block->id.network, ask->network) == 0 && !block->leaving) {
		n = (unsigned)__builtin_popcountll(free_of(block, ask->within));
		if (n > most) {
			most = n;
			best = block;
		}
	}
	n = most / 2 < LEND ? most / 2 : LEND;
	if (!n)
		return false;
	bits = free_of(best, ask->within); /* the highest: this host gives the lowest first */
	ipam_leave(cluster, best, bits & ~lowest(bits, most - n), host->name);
	return true;
}

bool ipam_lend(struct cluster *cluster)
{
	struct view_host *host, *next;
	struct view_key *key;

	if (!cluster->ipam->asked || !ipam_find_used(cluster))
		return false;
	HASH_ITER(hh, cluster->view.hosts, host, next)
	{
		if (!host->alive_key || !strcmp(host->name, cluster->host))
			continue;
		TAILQ_FOREACH (key, &host->keys, link) {
			if (!key->ask || key->ended || key->answered)
				continue;
			key->answered = true; /* whatever comes of it: it asks again */
			if (lend_to(cluster, host, key->ask))
				return true;
		}
	}
	cluster->ipam->asked = false;
	return false;
}

/* Addresses that are free in the network beside this block, of its family. */
static unsigned free_beside(const struct cluster *cluster, const struct cluster_block *block, bool *used)
{
	const struct cluster_block *other;
	unsigned n = 0;

	for (other = cluster->ipam->blocks; other; other = other->hh.next)
		if (!strcmp(other->id.network, block->id.network) &&
			ip_is4(other->id.base) == ip_is4(block->id.base)) {
			*used = *used || other->used;
			if (other != block)
				n += (unsigned)__builtin_popcountll(other->own & ~other->used);
		}
	return n;
}

static void tidy_block(struct cluster *cluster, struct cluster_block *block)
{
	const struct model_network *network = model_network(cluster->model, block->id.network);
	struct ip_prefix subnet = {.len = 0};
	bool used = false;
	unsigned beside = free_beside(cluster, block, &used);

	if (network && network->spec.mode == DP_OVERLAY)
		subnet = network_spec_subnet(&network->spec, !ip_is4(block->id.base));
	block->idle = block->used ? 0 : block->idle + 1;
	if (block->own && !block->leaving && !cluster->ipam->keeping && block->idle > IDLE &&
		(!used || beside >= SPARE))
		ipam_leave(cluster, block, block->own, "");
	else if (used && subnet.len &&
		 beside + (unsigned)__builtin_popcountll(block->own & ~block->used) < AHEAD)
		cluster_ipam_ahead(cluster, network, subnet);
}

void ipam_tidy(struct cluster *cluster)
{
	struct cluster_block *block, *next;

	if (!ipam_find_used(cluster))
		return;
	HASH_ITER(hh, cluster->ipam->blocks, block, next)
	tidy_block(cluster, block);
}

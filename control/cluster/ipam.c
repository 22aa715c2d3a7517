/*
 * ipam.c: the addresses that this host may give in networks that it shares with others. It has them by blocks (block.h),
 * and gives one without asking anybody; when none is left it takes a block that is nobody's, or asks the others.
 */
#include "control/cluster/ipam.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/model/network_spec.h"

/* A need that nobody could meet for so long is refused; one that nobody comes back for is forgotten. */
enum { NEED_MS = 3000, FORGET_MS = 2000, TIDY_TICKS = 4 };

struct cluster_block_id ipam_id(const char *network, struct ip_addr base)
{
	struct cluster_block_id id;

	memset(&id, 0, sizeof(id)); /* it is compared as bytes */
	snprintf(id.network, sizeof(id.network), "%s", network);
	id.base = base;
	return id;
}

const char *ipam_key(const struct cluster_block_id *id, char key[IPAM_KEY])
{
	char text[IP_TEXT];

	snprintf(key, IPAM_KEY, "ipam/%s/%s", id->network, ip_text(id->base, text));
	return key;
}

struct cluster_block *ipam_find(const struct cluster *cluster, const struct cluster_block_id *id)
{
	struct cluster_block *block;

	HASH_FIND(hh, cluster->ipam->blocks, id, sizeof(*id), block);
	return block;
}

static int by_base(struct cluster_block *a, struct cluster_block *b)
{
	return ip_compare(a->id.base, b->id.base);
}

struct cluster_block *ipam_make(struct cluster *cluster, const struct cluster_block_id *id)
{
	struct cluster_ipam *ipam = cluster->ipam;
	struct cluster_block *block = ipam_find(cluster, id);

	if (block)
		return block;
	block = calloc(1, sizeof(*block));
	if (!block)
		return NULL;
	block->id = *id;
	HASH_ADD(hh, ipam->blocks, id, sizeof(block->id), block);
	if (!block->hh.tbl) {
		free(block);
		return NULL;
	}
	HASH_SORT(ipam->blocks, by_base);
	ipam->foreign_changed = true;
	return block;
}

uint64_t ipam_hosts_of(struct ip_addr base, struct ip_prefix within)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < BLOCK_SIZE; i++) {
		struct ip_addr ip = base;

		ip.b[15] |= (uint8_t)i;
		bits |= addr_is_host_of(within, ip) ? block_bit(ip) : 0;
	}
	return bits;
}

static void mark_chunk(struct cluster *cluster, const struct value_chunk *chunk)
{
	for (unsigned i = 0; i < chunk->n; i++)
		for (unsigned k = 0; k < chunk->ep[i].nips; k++) {
			struct ip_addr ip = chunk->ep[i].ips[k];
			const struct cluster_block_id id = ipam_id(chunk->network, block_base(ip));
			struct cluster_block *block = ipam_find(cluster, &id);

			if (block)
				block->foreign |= block_bit(ip);
		}
}

/* Who names the addresses of a port may name one that is this host's to give. */
static void find_foreign(struct cluster *cluster)
{
	struct cluster_ipam *ipam = cluster->ipam;
	struct cluster_block *block, *next;
	struct view_host *host, *next_host;
	struct view_key *key;

	if (!ipam->foreign_changed || !ipam->blocks)
		return;
	ipam->foreign_changed = false;
	HASH_ITER(hh, ipam->blocks, block, next)
	block->foreign = 0;
	HASH_ITER(hh, cluster->view.hosts, host, next_host)
	if (strcmp(host->name, cluster->host) != 0)
		TAILQ_FOREACH (key, &host->keys, link)
			if (key->chunk && model_network(cluster->model, key->chunk->network))
				mark_chunk(cluster, key->chunk);
}

static void mark_used(
	struct cluster *cluster, const struct model_network *network, struct cluster_block *block)
{
	const struct model *model = cluster->model;

	for (unsigned i = 0; model->reserved && i < BLOCK_SIZE; i++) {
		struct ip_addr ip = block->id.base;

		ip.b[15] |= (uint8_t)i;
		if ((block->own & block_bit(ip)) && model->reserved(model->reserved_arg, network, ip))
			block->used |= block_bit(ip);
	}
}

/* It is the same on all hosts, and no reason to have a block. */
static bool is_gateway(const struct model_network *network, struct ip_addr ip)
{
	return ip_equal(ip, network_spec_gateway(&network->spec, !ip_is4(ip)));
}

static bool find_used_of(struct cluster *cluster, const struct model_network *network)
{
	size_t n;
	struct ip_addr *ips = model_ips(cluster->model, network, &n);
	struct cluster_block *block, *next;

	if (!ips)
		return false;
	for (size_t i = 0; i < n; i++) {
		const struct cluster_block_id id = ipam_id(network->name, block_base(ips[i]));

		block = is_gateway(network, ips[i]) ? NULL : ipam_find(cluster, &id);
		if (block)
			block->used |= block->own & block_bit(ips[i]);
	}
	free(ips);
	HASH_ITER(hh, cluster->ipam->blocks, block, next)
	if (strcmp(block->id.network, network->name) == 0)
		mark_used(cluster, network, block);
	return true;
}

bool ipam_find_used(struct cluster *cluster)
{
	struct cluster_block *block, *next;
	struct model_network *network;

	HASH_ITER(hh, cluster->ipam->blocks, block, next)
	block->used = 0;
	TAILQ_FOREACH (network, &cluster->model->networks, link)
		if (network->spec.mode == DP_OVERLAY && !find_used_of(cluster, network))
			return false;
	return true;
}

void cluster_ipam_own(void *arg, const struct model_network *network, struct ip_prefix within,
	bool (*fn)(void *fn_arg, struct ip_addr ip), void *fn_arg)
{
	struct cluster *cluster = arg;
	struct cluster_block *block, *next;

	find_foreign(cluster);
	HASH_ITER(hh, cluster->ipam->blocks, block, next)
	{
		uint64_t bits = block->own & ~block->foreign;

		if (!bits || strcmp(block->id.network, network->name) != 0)
			continue;
		for (bits &= ipam_hosts_of(block->id.base, within); bits; bits &= bits - 1) {
			struct ip_addr ip = block->id.base;

			ip.b[15] |= (uint8_t)__builtin_ctzll(bits);
			if (fn(fn_arg, ip))
				return;
		}
	}
}

static struct cluster_need *need_of(
	struct cluster *cluster, const struct model_network *network, struct ip_prefix within)
{
	struct cluster_ipam *ipam = cluster->ipam;
	struct block_ask ask;
	struct cluster_need *need;

	memset(&ask, 0, sizeof(ask)); /* it is compared as bytes */
	snprintf(ask.network, sizeof(ask.network), "%s", network->name);
	ask.within.address = within.address;
	ask.within.len = within.len;
	HASH_FIND(hh, ipam->needs, &ask, sizeof(ask), need);
	if (need || HASH_COUNT(ipam->needs) >= IPAM_NEEDS)
		return need;
	need = calloc(1, sizeof(*need));
	if (!need)
		return NULL;
	memcpy(&need->ask, &ask, sizeof(ask));
	need->since_ms = cluster_now_ms();
	need->ahead = true;
	HASH_ADD(hh, ipam->needs, ask, sizeof(need->ask), need);
	if (need->hh.tbl)
		return need;
	free(need);
	return NULL;
}

static void drop_need(struct cluster *cluster, struct cluster_need *need)
{
	if (need->asks) /* its key goes */
		cluster_touch(cluster, true);
	HASH_DEL(cluster->ipam->needs, need);
	free(need);
}

static bool meets(const struct cluster_block_id *id, const struct cluster_need *need)
{
	return !strcmp(need->ask.network, id->network) && ipam_hosts_of(id->base, need->ask.within);
}

bool ipam_is_needed(const struct cluster *cluster, const struct cluster_block_id *id)
{
	const struct cluster_need *need = cluster->ipam->needs;

	while (need && !meets(id, need))
		need = need->hh.next;
	return need != NULL;
}

void ipam_met(struct cluster *cluster, const struct cluster_block_id *id)
{
	struct cluster_need *need, *next;

	HASH_ITER(hh, cluster->ipam->needs, need, next)
	if (meets(id, need))
		drop_need(cluster, need);
	model_again(cluster->model);
}

/* Why none will come, for now. */
static int refuse(const struct cluster *cluster, const char *within, struct api_err *err)
{
	if (cluster->conflict[0])
		return api_fail(err, API_IN_USE, "cluster.host", "%s: it may give no address of %s",
			cluster->conflict, within);
	if (!cluster->reading)
		return api_fail(err, API_IN_USE, "ips",
			"no address of %s is left that this host may give, and etcd is away", within);
	return api_fail(err, API_IN_USE, "ips",
		"no free address left in %s: those that are not used are other hosts', who gave none",
		within);
}

int cluster_ipam_more(
	void *arg, const struct model_network *network, struct ip_prefix within, struct api_err *err)
{
	struct cluster *cluster = arg;
	bool away = !cluster->reading &&
		    cluster_read_why(cluster)[0]; /* just after the start it is not known yet */
	struct cluster_need *need;
	char text[ADDR_IP_PREFIX_TEXT];

	addr_ip_prefix_text(within, text);
	if (away || cluster->conflict[0])
		return refuse(cluster, text, err);
	need = need_of(cluster, network, within);
	if (!need)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	need->wanted_ms = cluster_now_ms();
	if (need->ahead) { /* somebody waits for it from now on */
		need->ahead = false;
		need->since_ms = need->wanted_ms;
	}
	if (need->failed)
		return refuse(cluster, text, err);
	cluster_touch(cluster, false);
	return api_fail(err, API_AGAIN, "ips", "no address of %s yet: the cluster is asked", text);
}

void cluster_ipam_ahead(struct cluster *cluster, const struct model_network *network, struct ip_prefix within)
{
	need_of(cluster, network, within);
}

void cluster_ipam_key(struct cluster *cluster, const struct view_key *key)
{
	struct cluster_ipam *ipam = cluster->ipam;

	ipam->waits = false;
	ipam->foreign_changed = ipam->foreign_changed || key->chunk;
	ipam->asked = ipam->asked || (key->ask && !key->ended);
	if (key->block && !key->ended && block_part_of(key->block, cluster->host)) {
		const struct cluster_block_id id = ipam_id(key->block->network, key->block->base);

		ipam_make(cluster, &id);
	}
}

void cluster_ipam(struct cluster *cluster)
{
	struct cluster_ipam *ipam = cluster->ipam;
	struct cluster_block *block, *next;
	const struct view_host *self = view_host(&cluster->view, cluster->host);

	if (ipam->op || ipam->keeping || ipam->waits || !cluster->reading || cluster->view.shared.partial ||
		cluster->conflict[0] || !self || !self->record_key ||
		strcmp(self->record.id, cluster->id) != 0)
		return;
	HASH_ITER(hh, ipam->blocks, block, next)
	{
		if (ipam_mend(cluster, block))
			return;
		if (!block->own && !block->leaving) {
			/* NOLINTNEXTLINE(clang-analyzer-core.NullDereference, clang-analyzer-unix.Malloc): it is in the table */
			HASH_DEL(ipam->blocks, block);
			free(block);
		}
	}
	ipam->settled = true;
	if (!ipam_meet(cluster))
		ipam_lend(cluster);
}

void cluster_ipam_tick(struct cluster *cluster)
{
	struct cluster_ipam *ipam = cluster->ipam;
	int64_t now = cluster_now_ms();
	struct cluster_need *need, *next;
	bool again = false;

	HASH_ITER(hh, ipam->needs, need, next)
	{
		again = true;
		if ((now - need->wanted_ms > FORGET_MS && now - need->since_ms > FORGET_MS) ||
			now - need->since_ms > NEED_MS + FORGET_MS) {
			drop_need(cluster, need);
		} else if (now - need->since_ms > NEED_MS) {
			need->failed = true;
		} else if (need->asks) {
			need->round++;
			cluster_touch(cluster, true);
		}
	}
	ipam->waits = false;
	if (ipam->waits_again)
		ipam_wait_kept(cluster);
	if (again)
		model_again(cluster->model);
	if (cluster->reading && ++ipam->ticks % TIDY_TICKS == 0)
		ipam_tidy(cluster);
	cluster_ipam(cluster);
}

/* Those that still ask others. */
void cluster_ipam_walk(struct cluster *cluster,
	void (*fn)(struct cluster *cluster, const char *key, char *value, unsigned lease))
{
	struct cluster_need *need, *next;
	char key[VIEW_KEY], text[IP_TEXT];

	HASH_ITER(hh, cluster->ipam->needs, need, next)
	{
		if (!need->asks)
			continue;
		snprintf(key, sizeof(key), "hosts/%s/ask/%s/%s-%u", cluster->host, need->ask.network,
			ip_text(need->ask.within.address, text), need->ask.within.len);
		fn(cluster, key, block_ask_text(&need->ask, need->round), CLUSTER_LONG);
	}
}

/* What it had at the last end is its own still, but for what was leaving. */
int cluster_ipam_open(struct cluster *cluster)
{
	struct view_key *key, *next;

	HASH_ITER(hh, cluster->view.keys, key, next)
	if (key->block) {
		const struct cluster_block_id id = ipam_id(key->block->network, key->block->base);
		uint64_t part = block_part_of(key->block, cluster->host);
		struct cluster_block *block = part ? ipam_make(cluster, &id) : NULL;

		if (part && !block)
			return -1;
		if (block)
			block->own = part & ~block->leaving;
	}
	cluster->ipam->settled = cluster->view.revision > 0;
	return 0;
}

void cluster_ipam_close(struct cluster *cluster)
{
	struct cluster_ipam *ipam = cluster->ipam;
	struct cluster_block *block, *next;
	struct cluster_need *need, *next_need;

	if (!ipam)
		return;
	HASH_ITER(hh, ipam->blocks, block, next)
	{
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): one that was freed is in the table no more */
		HASH_DEL(ipam->blocks, block);
		free(block);
	}
	HASH_ITER(hh, ipam->needs, need, next_need)
	{
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): the same */
		HASH_DEL(ipam->needs, need);
		free(need);
	}
	free(ipam->key);
	free(ipam->value);
	free(ipam);
	cluster->ipam = NULL;
}

/*
 * forget.c: the addresses of a host that never comes back become nobody's, by a person's word: no clock knows whether such a
 * host is only cut off, with its guests at their addresses. Each block is changed only while it is as it is known, and while
 * the host is not alive in the store. Then the lease ends that its record, its ports and its instances are on; a host that was
 * only slow puts them again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/cluster/ipam.h"

enum {
	FORGET_BLOCKS = ETCD_OPS - 1, /* of a transaction, beside the question whether it is alive */
	FORGET_STALE_MS = 2000,	      /* whoever asked is gone */
};

struct forget_block {
	char short_key[IPAM_KEY], key[CLUSTER_PREFIX + IPAM_KEY];
	char *value; /* NULL: it ends */
	unsigned addresses;
};

struct cluster_forget {
	char host[VALUE_NAME];
	struct etcd_op *op;
	bool done;
	bool ended; /* its record and what else is on its lease, or there was none */
	int64_t done_ms;
	char why[160];		    /* it was refused, "": it was not */
	unsigned blocks, addresses; /* that are nobody's now */
	unsigned n;
	struct forget_block sent[FORGET_BLOCKS];
};

static void free_sent(struct cluster_forget *forget)
{
	for (unsigned i = 0; i < forget->n; i++)
		free(forget->sent[i].value);
	forget->n = 0;
}

static uint64_t part_in(const struct view_key *key, const char *host)
{
	return key->block && !key->ended && !key->why ? block_part_of(key->block, host) : 0;
}

static unsigned count_blocks(const struct cluster *cluster, const char *host)
{
	const struct view_key *key;
	unsigned n = 0;

	TAILQ_FOREACH (key, &cluster->view.shared.keys, of_part)
		n += part_in(key, host) != 0;
	return n;
}

static bool take_block(struct cluster *cluster, const struct view_key *key, struct etcd_compare *known)
{
	struct cluster_forget *forget = cluster->forget;
	struct forget_block *sent = &forget->sent[forget->n];
	struct block_value *block = block_copy(key->block);

	if (!block)
		return false;
	sent->addresses = (unsigned)__builtin_popcountll(block_part_of(block, forget->host));
	block_set(block, forget->host, 0);
	snprintf(sent->short_key, sizeof(sent->short_key), "%s", key->key);
	cluster_key(cluster, key->key, sent->key, sizeof(sent->key));
	sent->value = block->n ? block_text(block) : NULL;
	*known = (struct etcd_compare){sent->key, key->mod};
	forget->n += !block->n || sent->value;
	free(block);
	return true;
}

static void finish(struct cluster *cluster, const char *why)
{
	struct cluster_forget *forget = cluster->forget;

	free_sent(forget);
	forget->done = true;
	forget->done_ms = cluster_now_ms();
	snprintf(forget->why, sizeof(forget->why), "%s", why);
	model_again(cluster->model);
}

static void send_some(struct cluster *cluster);

static void on_revoked(void *arg, const struct etcd_answer *answer, int64_t zero)
{
	struct cluster *cluster = arg;
	struct cluster_forget *forget = cluster->forget;

	forget->op = NULL;
	/* refused: by the role of this host, unless the lease was over just then */
	forget->ended = !answer->why || strstr(answer->why, "not found");
	finish(cluster, answer->why && !answer->refused ? answer->why : "");
}

/* All that it put is on one lease. */
static void end_record(struct cluster *cluster)
{
	struct cluster_forget *forget = cluster->forget;
	const struct view_host *host = view_host(&cluster->view, forget->host);
	int64_t lease = host && host->record_key ? host->record_key->lease : 0;

	if (!lease) {
		forget->ended = true;
		finish(cluster, "");
		return;
	}
	forget->op = etcd_revoke(cluster->etcd, lease, on_revoked, cluster);
	if (!forget->op)
		finish(cluster, "out of memory");
}

/* What was changed is so in the view at once. */
static void take_over(struct cluster *cluster, int64_t revision)
{
	struct cluster_forget *forget = cluster->forget;

	for (unsigned i = 0; i < forget->n; i++) {
		const struct forget_block *sent = &forget->sent[i];

		if (sent->value)
			view_put(&cluster->view, sent->short_key, sent->value, strlen(sent->value), revision,
				0);
		else
			view_end(&cluster->view, sent->short_key, revision);
		forget->blocks++;
		forget->addresses += sent->addresses;
	}
	free_sent(forget);
	view_commit(&cluster->view, &cluster->view.shared, 0, cluster_now_ms());
}

static void on_freed(void *arg, const struct etcd_answer *answer, bool took)
{
	struct cluster *cluster = arg;
	struct cluster_forget *forget = cluster->forget;

	forget->op = NULL;
	if (answer->why || !took) {
		finish(cluster, answer->why ? answer->why
					    : "it is back, or its addresses changed meanwhile: ask again");
		return;
	}
	take_over(cluster, answer->revision);
	if (count_blocks(cluster, forget->host))
		send_some(cluster);
	else
		end_record(cluster);
}

/* Without blocks it asks whether the host is alive, no more. */
static void send_some(struct cluster *cluster)
{
	struct cluster_forget *forget = cluster->forget;
	struct etcd_compare known[ETCD_OPS];
	struct etcd_change changes[FORGET_BLOCKS];
	struct etcd_txn txn = {.compares = known, .changes = changes};
	char short_key[VIEW_KEY], alive[VIEW_KEY + CLUSTER_PREFIX];
	const struct view_key *key;
	bool left = false;

	snprintf(short_key, sizeof(short_key), "hosts/%s/alive", forget->host);
	known[0] = (struct etcd_compare){cluster_key(cluster, short_key, alive, sizeof(alive)), 0};
	txn.tell = known[0].key;
	TAILQ_FOREACH (key, &cluster->view.shared.keys, of_part) {
		left = left || part_in(key, forget->host);
		if (forget->n < FORGET_BLOCKS && part_in(key, forget->host) &&
			!take_block(cluster, key, &known[forget->n + 1]))
			break;
	}
	for (unsigned i = 0; i < forget->n; i++)
		changes[i] = (struct etcd_change){.key = forget->sent[i].key, .value = forget->sent[i].value};
	txn.nchange = forget->n;
	txn.ncompare = forget->n + 1;
	if (forget->n || !left)
		forget->op = etcd_txn(cluster->etcd, &txn, on_freed, cluster);
	if (!forget->op)
		finish(cluster, "out of memory");
}

/* May it be forgotten? */
static int check(struct cluster *cluster, const char *name, struct api_err *err)
{
	const struct view_host *host = view_host(&cluster->view, name);
	struct dp_peer peer;

	if (strcmp(name, cluster->host) == 0)
		return api_fail(err, API_IN_USE, "name", "%s is this host", name);
	if (!cluster->reading || cluster->view.shared.partial)
		return api_fail(
			err, API_IN_USE, "name", "etcd is away: nobody knows whether %s is alive", name);
	if (host && host->alive_key)
		return api_fail(err, API_IN_USE, "name", "%s is alive", name);
	if (host && host->believed)
		return api_fail(err, API_IN_USE, "name",
			"%s may be alive: so many hosts were lost at once that the store or the network may "
			"be to blame",
			name);
	if (host && cluster_register_peer(cluster, host, &peer) && peer.up)
		return api_fail(err, API_IN_USE, "name",
			"%s is cut off from etcd only: BFD hears of it, so its ports are in use", name);
	return host || count_blocks(cluster, name)
		       ? 0
		       : api_fail(err, API_NOT_FOUND, "name", "%s: no such host is known", name);
}

static int tell(struct cluster *cluster, json_t **result, struct api_err *err)
{
	struct cluster_forget *forget = cluster->forget;
	int rc = 0;

	if (forget->why[0])
		rc = api_fail(err, API_IN_USE, "name", "%s: %s", forget->host, forget->why);
	else
		*result = json_pack("{s:s, s:i, s:i, s:b}", "host", forget->host, "blocks",
			(int)forget->blocks, "addresses", (int)forget->addresses, "ended", forget->ended);
	forget->done = false;
	return rc;
}

/* One at a time; whoever asked for it hears what came of it. */
static bool is_busy(const struct cluster_forget *forget)
{
	return forget->op || (forget->done && cluster_now_ms() - forget->done_ms < FORGET_STALE_MS);
}

int cluster_forget(void *arg, const char *host, json_t **result, struct api_err *err)
{
	struct cluster *cluster = arg;
	struct cluster_forget *forget = cluster->forget;

	if (!forget)
		forget = cluster->forget = calloc(1, sizeof(*forget));
	if (!forget)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (is_busy(forget)) {
		if (strcmp(forget->host, host) != 0)
			return api_fail(
				err, API_IN_USE, "name", "%s is being forgotten: ask again", forget->host);
		if (forget->done)
			return tell(cluster, result, err);
		return api_fail(err, API_AGAIN, "name", "%s: etcd is asked", host);
	}
	if (check(cluster, host, err) < 0)
		return -1;
	*forget = (struct cluster_forget){.done = false};
	snprintf(forget->host, sizeof(forget->host), "%s", host);
	send_some(cluster);
	return forget->done ? tell(cluster, result, err)
			    : api_fail(err, API_AGAIN, "name", "%s: etcd is asked", host);
}

void cluster_forget_close(struct cluster *cluster)
{
	if (cluster->forget)
		free_sent(cluster->forget);
	free(cluster->forget);
	cluster->forget = NULL;
}

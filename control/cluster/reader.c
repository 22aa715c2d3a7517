/*
 * reader.c: brings the view to what the store has, and keeps it there: a follower (registry/etcd/follow.c) of what all hosts
 * hear of, and one of each network that this host has to do with. A host that joins a network begins to follow it, and
 * one that has left it forgets what it has heard: what others do in other networks costs it nothing.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/cluster/inside.h"
#include "control/cluster/ipam.h"

enum {
	CHECK_MS = 10000,
	NET_CHECK_MS =
		30000, /* a network's change is heard of soon enough, or what is shared tells that the way is broken */
	FULL_MS = 20 * 60 * 1000,
	AGAIN = 3,	/* failures of a network's that are told, if what is shared is there */
	DELAY_MS = 800, /* at most: hosts that start together do not ask together */
	/* Etcd may take 7 s for a put whose answer was not waited for: one of this host's must be heard of, to be taken away. */
	LINGER_MS = 8000,
	LINGER_MOST_MS = 10 * LINGER_MS, /* of what the store tells nothing of */
};

struct cluster_feed {
	struct cluster *cluster;
	struct view_part *part;
	struct etcd_follow *follow;
	char why[160];	   /* the store does not tell of it, "": it does */
	unsigned failures; /* one after the other */
};

const char *cluster_key(const struct cluster *cluster, const char *key, char *out, size_t size)
{
	bool beside = strncmp(key, VIEW_NET, strlen(VIEW_NET)) == 0;

	snprintf(out, size, "%.*s%c%s", (int)strlen(cluster->prefix) - 1, cluster->prefix, beside ? '-' : '/',
		key);
	return out;
}

static bool is_shared(const struct cluster_feed *feed)
{
	return feed->part == &feed->cluster->view.shared;
}

/* Without the prefix; NULL: it is none of what is followed here. */
static const char *short_key(const struct cluster_feed *feed, const char *key)
{
	size_t len = strlen(feed->cluster->prefix);

	return strlen(key) > len && view_part_of(&feed->cluster->view, key + len) == feed->part ? key + len
												: NULL;
}

/* The view is of another store: what was read of any part of it is. */
static void is_replaced(struct cluster_feed *feed)
{
	struct cluster *cluster = feed->cluster;
	struct view_part *part;

	if (cluster->replacing)
		return;
	log_line(LOG_WARNING, "cluster: etcd was replaced, or brought back from an old copy: all is "
			      "read again, and what this host has is put again");
	cluster->replacing = true;
	TAILQ_FOREACH (part, &cluster->view.parts, link)
		if (part->feed && part->feed != feed)
			etcd_follow_anew(part->feed->follow, true);
	cluster->replacing = false;
}

static void on_begin(void *arg, bool other)
{
	struct cluster_feed *feed = arg;

	if (is_shared(feed))
		feed->cluster->reading = false;
	view_scan_begin(&feed->cluster->view, feed->part, other);
	if (other)
		is_replaced(feed);
}

static void on_put(void *arg, const struct etcd_kv *kv)
{
	struct cluster_feed *feed = arg;
	const char *key = memchr(kv->key, '\0', kv->key_len) ? NULL : short_key(feed, kv->key);

	if (key)
		view_put(&feed->cluster->view, key, kv->value, kv->len, kv->mod, kv->lease);
	else
		feed->cluster->view.refused++;
}

static void on_del(void *arg, const char *full, int64_t mod)
{
	struct cluster_feed *feed = arg;
	const char *key = short_key(feed, full);

	if (key)
		view_end(&feed->cluster->view, key, mod);
}

static void on_whole(void *arg, int64_t revision, bool scanned)
{
	struct cluster_feed *feed = arg;
	struct cluster *cluster = feed->cluster;

	if (scanned) {
		feed->part->cluster_id = etcd_follow_cluster_id(feed->follow);
		view_scan_end(&cluster->view, feed->part, revision, cluster_now_ms());
	} else {
		view_commit(&cluster->view, feed->part, revision, cluster_now_ms());
	}
	cluster_kept_revision(cluster, feed->part);
	cluster_touch(cluster, scanned);
}

/* When its member is left all watches end, and that of what is shared says so for all. */
static void tell_away(struct cluster_feed *feed, const char *why)
{
	feed->failures++;
	if (is_shared(feed) && strcmp(feed->why, why) != 0)
		log_line(
			LOG_WARNING, "cluster: the store is away: %s: what was known last is in effect", why);
	else if (!is_shared(feed) && feed->cluster->reading && feed->failures == AGAIN)
		log_subject(LOG_WARNING, feed->part->network,
			"cluster: network %s: the store tells nothing of it: %s", feed->part->network, why);
}

static void on_state(void *arg, const char *why)
{
	struct cluster_feed *feed = arg;
	struct cluster *cluster = feed->cluster;

	if (why)
		tell_away(feed, why);
	else if (feed->why[0] && is_shared(feed))
		log_line(LOG_NOTICE, "cluster: the store is there, at revision %lld",
			(long long)feed->part->revision);
	snprintf(feed->why, sizeof(feed->why), "%s", why ? why : "");
	if (!why)
		feed->failures = 0;
	if (!is_shared(feed))
		return;
	cluster->reading = !why;
	if (!why)
		cluster_touch(cluster, true);
}

static const struct etcd_follower follower = {on_begin, on_put, on_del, on_whole, on_state};

/* -1: no memory. */
static int open_feed(struct cluster *cluster, struct view_part *part)
{
	char under[VIEW_KEY], prefix[VIEW_KEY + CLUSTER_PREFIX];
	struct cluster_feed *feed = calloc(1, sizeof(*feed));
	struct etcd_follow_config config = {
		.base = cluster->base,
		.etcd = cluster->etcd,
		.prefix = prefix,
		.last = prefix,
		.follower = &follower,
		.arg = feed,
		.revision = part->revision,
		.cluster_id = part->cluster_id,
		.delay_ms = cluster->opened ? 0 : DELAY_MS,
		.check_ms = part->network[0] ? NET_CHECK_MS : CHECK_MS,
		.full_ms = FULL_MS,
	};

	if (!feed)
		return -1;
	feed->cluster = cluster;
	feed->part = part;
	snprintf(under, sizeof(under), VIEW_NET "%s/", part->network);
	cluster_key(cluster, part->network[0] ? under : "", prefix, sizeof(prefix));
	feed->follow = etcd_follow(&config);
	if (!feed->follow) {
		free(feed);
		return -1;
	}
	part->feed = feed;
	return 0;
}

static void close_feed(struct view_part *part)
{
	if (part->feed)
		etcd_follow_close(part->feed->follow);
	free(part->feed);
	part->feed = NULL;
}

static void follow(struct cluster *cluster, const char *network)
{
	struct view_part *part = view_part_make(&cluster->view, network);

	if (!part || (!part->feed && open_feed(cluster, part) < 0))
		log_subject(LOG_ERR, network, "cluster: out of memory: network %s is not followed", network);
	else
		part->wanted = true;
	if (part)
		part->left_ms = 0;
}

/* Something of this host's is there, and has to be put right. */
static bool has_own(const struct cluster *cluster, const struct view_part *part)
{
	const struct view_key *key;

	TAILQ_FOREACH (key, &part->keys, of_part)
		if (key->host && !strcmp(key->host->name, cluster->host))
			return true;
	return false;
}

static bool is_left(const struct cluster *cluster, const struct view_part *part)
{
	int64_t waited = cluster_now_ms() - part->left_ms;

	if (!part->feed)
		return true;
	return cluster->reading && !cluster->txn &&
	       waited >= (etcd_follow_is_there(part->feed->follow) ? LINGER_MS : LINGER_MOST_MS);
}

static void forget(struct cluster *cluster, struct view_part *part)
{
	close_feed(part);
	part->revision = 0;
	cluster_kept_revision(cluster, part);
	view_part_drop(&cluster->view, part);
}

void cluster_read_networks(struct cluster *cluster)
{
	const struct model_network *network;
	const struct cluster_block *block;
	const struct cluster_need *need;
	struct view_part *part, *next;

	cluster->lingers = false;
	TAILQ_FOREACH (part, &cluster->view.parts, link)
		part->wanted = part == &cluster->view.shared;
	TAILQ_FOREACH (network, &cluster->model->networks, link)
		if (network->spec.mode == DP_OVERLAY && network->nports > 0)
			follow(cluster, network->name);
	for (block = cluster->ipam->blocks; block; block = block->hh.next)
		follow(cluster, block->id.network);
	for (need = cluster->ipam->needs; need; need = need->hh.next)
		follow(cluster, need->ask.network);
	for (part = TAILQ_FIRST(&cluster->view.parts); part; part = next) {
		next = TAILQ_NEXT(part, link);
		if (part->wanted)
			continue;
		if (has_own(cluster, part)) {
			follow(cluster, part->network);
			continue;
		}
		if (!part->left_ms)
			part->left_ms = cluster_now_ms();
		if (is_left(cluster, part))
			forget(cluster, part);
		else
			cluster->lingers = true;
	}
}

bool cluster_read_is_whole(const struct cluster *cluster, const char *network)
{
	const struct view_part *part = view_part(&cluster->view, network);

	return part && part->revision && !part->scanning && !part->partial;
}

void cluster_read_anew(struct cluster *cluster)
{
	etcd_follow_anew(cluster->view.shared.feed->follow, true);
}

const char *cluster_read_why(const struct cluster *cluster)
{
	const struct view_part *part;

	TAILQ_FOREACH (part, &cluster->view.parts, link) /* what is shared is the first */
		if (part->feed && part->feed->why[0])
			return part->feed->why;
	TAILQ_FOREACH (part, &cluster->view.parts, link)
		if (part->barred_ms)
			return part->barred;
	return "";
}

int64_t cluster_read_age_ms(const struct cluster *cluster)
{
	return cluster->reading ? 0 : etcd_follow_age_ms(cluster->view.shared.feed->follow);
}

int64_t cluster_read_lag_ms(const struct cluster *cluster)
{
	const struct view_part *part;
	int64_t most = 0, lag;

	TAILQ_FOREACH (part, &cluster->view.parts, link) {
		lag = part->feed ? etcd_follow_lag_ms(part->feed->follow) : 0;
		most = lag > most ? lag : most;
	}
	return most;
}

int cluster_read_open(struct cluster *cluster)
{
	return open_feed(cluster, &cluster->view.shared);
}

void cluster_read_close(struct cluster *cluster)
{
	struct view_part *part;

	if (!cluster->view.parts.tqh_last) /* it was not opened */
		return;
	TAILQ_FOREACH (part, &cluster->view.parts, link)
		close_feed(part);
}

/*
 * reader.c: brings the view to what the store has, and keeps it there. A scan gives all keys as of one revision, and a watch
 * what came later; after a break the watch goes on from the revision that is known, so that a thousand hosts that
 * come back do not scan. It is scanned anew when that revision was compacted, when it is another store (wiped, or brought
 * back from an old copy), and when the store turns out to have a change that the watch did not tell.
 */
#include <stdio.h>
#include <string.h>

#include "control/base/log.h"
#include "control/cluster/inside.h"
#include "registry/base/chance.h"

enum { CHECK_MS = 10000, CHECK_SOON_MS = 2000, FULL_MS = 20 * 60 * 1000 };

static void away(struct cluster *cluster, const char *why)
{
	if (strcmp(cluster->why, why) != 0)
		log_line(
			LOG_WARNING, "cluster: the store is away: %s: what was known last is in effect", why);
	snprintf(cluster->why, sizeof(cluster->why), "%s", why);
	cluster->reading = false;
	cluster_back_off(cluster->read_again, cluster->read_failures++);
}

static void heard(struct cluster *cluster)
{
	cluster->heard_ms = cluster_now_ms();
	cluster->read_failures = 0;
	if (cluster->why[0])
		log_line(LOG_NOTICE, "cluster: the store is there, at revision %lld",
			(long long)cluster->view.revision);
	cluster->why[0] = '\0';
}

/* Without the prefix; NULL: it is none of ours. */
static const char *short_key(const struct cluster *cluster, const struct etcd_kv *kv)
{
	size_t len = strlen(cluster->prefix);

	if (kv->key_len <= len || memchr(kv->key, '\0', kv->key_len) ||
		strncmp(kv->key, cluster->prefix, len) != 0)
		return NULL;
	return kv->key + len;
}

static void on_change(void *arg, const struct etcd_kv *kv, bool deleted)
{
	struct cluster *cluster = arg;
	const char *key = short_key(cluster, kv);

	if (!key || kv->mod <= cluster->view.revision) /* told twice */
		return;
	if (deleted)
		view_end(&cluster->view, key, kv->mod);
	else
		view_put(&cluster->view, key, kv->value, kv->len, kv->mod, kv->lease);
}

static void stop(struct etcd_op **op)
{
	etcd_cancel(*op);
	*op = NULL;
}

/* All of it again. */
void cluster_read_anew(struct cluster *cluster, bool other)
{
	stop(&cluster->watch);
	stop(&cluster->scan);
	cluster->other = other;
	cluster->view.revision = 0;
	cluster->reading = false;
	cluster_read(cluster);
}

static bool has_other_id(const struct cluster *cluster, const struct etcd_answer *answer)
{
	return cluster->view.cluster_id && answer->cluster_id &&
	       answer->cluster_id != cluster->view.cluster_id;
}

/* The view is of another store. */
static void is_replaced(struct cluster *cluster)
{
	log_line(LOG_WARNING, "cluster: etcd was replaced, or brought back from an old copy: all is "
			      "read again, and what this host has is put again");
	cluster_read_anew(cluster, true);
}

static void on_whole(void *arg, const struct etcd_answer *answer)
{
	struct cluster *cluster = arg;

	if (has_other_id(cluster, answer)) {
		is_replaced(cluster);
		return;
	}
	heard(cluster);
	view_commit(&cluster->view, answer->revision, cluster->heard_ms);
	cluster_kept_revision(cluster);
	cluster_touch(cluster, false, true);
}

static void on_watching(void *arg)
{
	struct cluster *cluster = arg;

	cluster->reading = true;
	cluster->checked_ms = 0; /* soon: is it still the same store? */
	cluster_touch(cluster, true, false);
}

static void on_ended(void *arg, const char *why, bool compacted)
{
	struct cluster *cluster = arg;

	cluster->watch = NULL;
	if (compacted) {
		cluster->view.revision = 0;
		cluster->reading = false;
		cluster_back_off(cluster->read_again, 0);
		return;
	}
	away(cluster, why);
}

static const struct etcd_watcher watcher = {on_watching, on_change, on_whole, on_ended};

static void watch(struct cluster *cluster)
{
	cluster->watch =
		etcd_watch(cluster->etcd, cluster->prefix, cluster->view.revision + 1, &watcher, cluster);
	if (!cluster->watch)
		away(cluster, "out of memory");
}

static void on_key(void *arg, const struct etcd_kv *kv)
{
	struct cluster *cluster = arg;
	const char *key = short_key(cluster, kv);

	if (key)
		view_put(&cluster->view, key, kv->value, kv->len, kv->mod, kv->lease);
}

static void on_scanned(void *arg, const struct etcd_answer *answer)
{
	struct cluster *cluster = arg;

	cluster->scan = NULL;
	if (answer->why) {
		away(cluster, answer->why);
		return;
	}
	cluster->other = false;
	heard(cluster);
	cluster->view.cluster_id = answer->cluster_id;
	view_scan_end(&cluster->view, answer->revision, cluster->heard_ms);
	cluster_kept_revision(cluster);
	cluster_touch(cluster, true, true);
	watch(cluster);
}

void cluster_read(struct cluster *cluster)
{
	if (cluster->scan || cluster->watch)
		return;
	if (cluster->view.revision && !cluster->view.partial) {
		watch(cluster);
		return;
	}
	cluster->compare_ms = cluster_now_ms() + chance_between(FULL_MS / 2, FULL_MS);
	view_scan_begin(&cluster->view, cluster->other);
	cluster->scan = etcd_scan(cluster->etcd, cluster->prefix, on_key, on_scanned, cluster);
	if (!cluster->scan)
		away(cluster, "out of memory");
}

static void on_read_again(evutil_socket_t fd, short what, void *arg)
{
	cluster_read(arg);
}

/* The watch tells nothing while nothing changes, and one that is broken tells nothing, either. */
static void on_checked(void *arg, const struct etcd_answer *answer, int64_t mod)
{
	struct cluster *cluster = arg;

	cluster->check = NULL;
	cluster->checked_ms = cluster_now_ms();
	if (answer->why || !cluster->reading) /* its member is left, and the watch with it */
		return;
	/* A member may tell its watches of an older revision than another one did; this answer is of all of them, and no
	 * older than what was known when it was asked for. What the watch told since may be younger. */
	if (has_other_id(cluster, answer) || answer->revision < cluster->check_revision) {
		is_replaced(cluster);
		return;
	}
	heard(cluster);
	if (cluster->behind && cluster->view.revision < cluster->behind) {
		log_line(LOG_WARNING, "cluster: a change was not told: all is read again");
		cluster->behind = 0;
		cluster_read_anew(cluster, false);
		return;
	}
	cluster->behind = mod > cluster->view.revision ? mod : 0;
}

void cluster_read_tick(struct cluster *cluster)
{
	int64_t now = cluster_now_ms(), every = cluster->behind ? CHECK_SOON_MS : CHECK_MS;

	if (cluster->reading && now >= cluster->compare_ms)
		cluster_read_anew(cluster, false);
	else if (cluster->reading && !cluster->check && now - cluster->checked_ms >= every) {
		cluster->check_revision = cluster->view.revision;
		cluster->check = etcd_last(cluster->etcd, cluster->prefix, on_checked, cluster);
	}
}

int cluster_read_open(struct cluster *cluster)
{
	cluster->read_again = evtimer_new(cluster->base, on_read_again, cluster);
	return cluster->read_again ? 0 : -1;
}

void cluster_read_close(struct cluster *cluster)
{
	if (cluster->read_again)
		event_free(cluster->read_again);
}

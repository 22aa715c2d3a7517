/*
 * follow.c: a scan gives all keys as of one revision, and a watch what came later. After a break the watch goes on from the
 * revision that is known. It is scanned anew when that revision was compacted, when it is another store (wiped, or
 * brought back from an old copy), and when the store turns out to have a change that the watch did not tell.
 */
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/chance.h"
#include "registry/base/text.h"
#include "registry/base/wheel.h"
#include "registry/etcd/inside.h"

enum { CHECK_MS = 5000, CHECK_SOON_MS = 1000, BACK_OFF_MS = 200, BACK_OFF_MOST_MS = 5000 };
enum { SOON_MS = 1 };

struct etcd_follow {
	struct etcd *etcd;
	const struct etcd_follower *follower;
	void *arg;
	char *prefix, *last;
	struct etcd_op *scan, *watch, *check;
	struct event *again, *tick;
	unsigned failures;
	unsigned check_ms, full_ms;
	bool there;	  /* a watch has begun, and has not ended */
	bool partial;	  /* a scan has begun, and was not whole */
	bool other;	  /* the next scan is of another store */
	int64_t revision; /* all up to it has been told, 0: nothing */
	int64_t behind;	  /* the store had a change of this revision which was not here; 0: it had none */
	int64_t heard_ms; /* the last time that all was here */
	int64_t checked_ms;
	int64_t compare_ms;	/* when all of it is to be read again, to be sure */
	int64_t check_revision; /* that was known when `check` was sent */
	int64_t seen;		/* the latest revision of the store that all of its members had agreed on */
	uint64_t cluster_id;
};

static int64_t now_ms(void)
{
	return (int64_t)(wheel_now_us() / 1000);
}

static int wait_ms(struct etcd_follow *follow, unsigned ms)
{
	const struct timeval pause = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	return evtimer_add(follow->again, &pause);
}

static void away(struct etcd_follow *follow, const char *why)
{
	unsigned most = BACK_OFF_MOST_MS, failures = follow->failures++;

	if (failures < 5 && BACK_OFF_MS << failures < BACK_OFF_MOST_MS)
		most = BACK_OFF_MS << failures;
	wait_ms(follow, chance_between(1, most));
	follow->there = false;
	follow->follower->state(follow->arg, why);
}

static void heard(struct etcd_follow *follow)
{
	follow->heard_ms = now_ms();
	follow->failures = 0;
}

static void stop(struct etcd_op **op)
{
	etcd_cancel(*op);
	*op = NULL;
}

static void read_all(struct etcd_follow *follow);

static void read_anew(struct etcd_follow *follow, bool other)
{
	stop(&follow->watch);
	stop(&follow->scan);
	follow->other = follow->other || other;
	if (other)
		follow->seen = 0;
	follow->revision = 0;
	follow->behind = 0;
	follow->there = false;
	read_all(follow);
}

void etcd_follow_anew(struct etcd_follow *follow, bool other)
{
	if (other || follow->there)
		read_anew(follow, other);
}

static bool has_other_id(const struct etcd_follow *follow, const struct etcd_answer *answer)
{
	return follow->cluster_id && answer->cluster_id && answer->cluster_id != follow->cluster_id;
}

static void on_change(void *arg, const struct etcd_kv *kv, bool deleted)
{
	struct etcd_follow *follow = arg;

	if (kv->mod <= follow->revision) /* told twice */
		return;
	if (deleted)
		follow->follower->del(follow->arg, kv->key, kv->mod);
	else
		follow->follower->put(follow->arg, kv);
}

static void on_whole(void *arg, const struct etcd_answer *answer)
{
	struct etcd_follow *follow = arg;

	if (has_other_id(follow, answer)) {
		read_anew(follow, true);
		return;
	}
	heard(follow);
	if (answer->revision <= follow->revision)
		return;
	follow->revision = answer->revision;
	follow->follower->whole(follow->arg, answer->revision, false);
}

static void on_watching(void *arg)
{
	struct etcd_follow *follow = arg;

	follow->there = true;
	follow->checked_ms = 0; /* soon: is it still the same store? */
	heard(follow);
	follow->follower->state(follow->arg, NULL);
}

static void on_ended(void *arg, const char *why, bool compacted)
{
	struct etcd_follow *follow = arg;

	follow->watch = NULL;
	if (!compacted) {
		away(follow, why);
		return;
	}
	follow->revision = 0;
	follow->there = false;
	wait_ms(follow, chance_between(1, BACK_OFF_MS));
}

static const struct etcd_watcher watcher = {on_watching, on_change, on_whole, on_ended};

static void watch(struct etcd_follow *follow)
{
	follow->watch = etcd_watch(follow->etcd, follow->prefix, follow->revision + 1, &watcher, follow);
	if (!follow->watch)
		away(follow, "out of memory");
}

static void on_kv(void *arg, const struct etcd_kv *kv)
{
	struct etcd_follow *follow = arg;

	follow->follower->put(follow->arg, kv);
}

static void on_scanned(void *arg, const struct etcd_answer *answer)
{
	struct etcd_follow *follow = arg;

	follow->scan = NULL;
	if (answer->why) {
		away(follow, answer->why);
		return;
	}
	heard(follow);
	follow->other = follow->partial = false;
	follow->cluster_id = answer->cluster_id;
	follow->revision = answer->revision;
	follow->follower->whole(follow->arg, answer->revision, true);
	watch(follow);
}

static void read_all(struct etcd_follow *follow)
{
	if (follow->scan || follow->watch)
		return;
	if (follow->revision && !follow->partial) {
		watch(follow);
		return;
	}
	follow->partial = true;
	if (follow->full_ms)
		follow->compare_ms = now_ms() + chance_between(follow->full_ms / 2, follow->full_ms);
	follow->follower->begin(follow->arg, follow->other);
	follow->scan = etcd_scan(follow->etcd, follow->prefix, on_kv, on_scanned, follow);
	if (!follow->scan)
		away(follow, "out of memory");
}

static void on_again(evutil_socket_t fd, short what, void *arg)
{
	read_all(arg);
}

/* The watch tells nothing while nothing changes, and one that is broken tells nothing, either. */
static void on_checked(void *arg, const struct etcd_answer *answer, int64_t mod)
{
	struct etcd_follow *follow = arg;

	follow->check = NULL;
	follow->checked_ms = now_ms();
	if (answer->why || !follow->there) /* its member is left, and the watch with it */
		return;
	/* A member may tell its watches of an older revision than another one did; this answer is of all of them, and no
	 * older than what was known when it was asked for. What the watch told since may be younger. */
	if (has_other_id(follow, answer) || answer->revision < follow->check_revision) {
		read_anew(follow, true);
		return;
	}
	heard(follow);
	follow->seen = answer->revision;
	if (follow->behind && follow->revision < follow->behind) {
		read_anew(follow, false);
		return;
	}
	follow->behind = mod > follow->revision ? mod : 0;
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
	struct etcd_follow *follow = arg;
	int64_t now = now_ms(), every = follow->behind ? CHECK_SOON_MS : follow->check_ms;

	if (follow->there && follow->full_ms && now >= follow->compare_ms) {
		read_anew(follow, false);
		return;
	}
	if (!follow->there || follow->check || now - follow->checked_ms < every)
		return;
	follow->check_revision = follow->seen > follow->revision ? follow->seen : follow->revision;
	follow->check = etcd_last(follow->etcd, follow->last, on_checked, follow);
}

struct etcd_follow *etcd_follow(const struct etcd_follow_config *config)
{
	static const struct timeval second = {.tv_sec = 1};
	unsigned delay_ms = config->delay_ms ? chance_between(1, config->delay_ms) : SOON_MS;
	struct etcd_follow *follow = calloc(1, sizeof(*follow));

	if (!follow)
		return NULL;
	follow->etcd = config->etcd;
	follow->follower = config->follower;
	follow->arg = config->arg;
	follow->heard_ms = now_ms();
	follow->check_ms = config->check_ms ? config->check_ms : CHECK_MS;
	follow->full_ms = config->full_ms;
	follow->revision = config->revision;
	follow->cluster_id = config->cluster_id;
	/* what was kept is compared some time, too */
	follow->compare_ms = now_ms() + (follow->full_ms ? chance_between(1, follow->full_ms) : 0);
	follow->again = evtimer_new(config->base, on_again, follow);
	follow->tick = event_new(config->base, -1, EV_PERSIST, on_tick, follow);
	if (text_copy(&follow->prefix, config->prefix) && text_copy(&follow->last, config->last) &&
		follow->again && follow->tick && event_add(follow->tick, &second) == 0 &&
		wait_ms(follow, delay_ms) == 0)
		return follow;
	etcd_follow_close(follow);
	return NULL;
}

void etcd_follow_close(struct etcd_follow *follow)
{
	if (!follow)
		return;
	etcd_cancel(follow->scan);
	etcd_cancel(follow->watch);
	etcd_cancel(follow->check);
	if (follow->again)
		event_free(follow->again);
	if (follow->tick)
		event_free(follow->tick);
	free(follow->prefix);
	free(follow->last);
	free(follow);
}

bool etcd_follow_is_there(const struct etcd_follow *follow)
{
	return follow->there && !follow->partial;
}

int64_t etcd_follow_age_ms(const struct etcd_follow *follow)
{
	return etcd_follow_is_there(follow) ? 0 : now_ms() - follow->heard_ms;
}

int64_t etcd_follow_lag_ms(const struct etcd_follow *follow)
{
	return follow->behind ? now_ms() - follow->checked_ms : 0;
}

uint64_t etcd_follow_cluster_id(const struct etcd_follow *follow)
{
	return follow->cluster_id;
}

/*
 * mend.c: a store that has forgotten. Who knows of more changes than the store has counted puts what counts here again, so
 * far as the store has it otherwise, and takes away what it has besides; the last transaction brings the count to what is known.
 * Several hosts may do that at once: each transaction holds only if none was made since, and all put the same.
 *
 * A store of another `id` is another cluster's: this host has been moved there, and takes what it finds.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/global/inside.h"
#include "registry/base/chance.h"

enum { KEYS = 50, TXN_BYTES = 512 << 10, SOON_MS = 200, LATER_MS = 2000, FAILED_MS = 10000, KEY = 256 };

static void later(struct global *global, unsigned least, unsigned most)
{
	unsigned ms = chance_between(least, most);
	const struct timeval pause = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	if (!evtimer_pending(global->mend, NULL))
		evtimer_add(global->mend, &pause);
}

static bool lacks(const struct global *global)
{
	const struct global_at *at = &global->at;

	if (!global->n || at->later)
		return false;
	return !at->there || at->why || (!strcmp(at->id, global->id) && at->n < global->n);
}

void global_mend_look(struct global *global)
{
	bool did = global->lacks;

	global->lacks = lacks(global);
	if (global->lacks && !did)
		log_line(LOG_WARNING,
			"global objects: the store has forgotten some of %llu changes: they are put again",
			(unsigned long long)global->n);
	if (global->lacks)
		later(global, SOON_MS, LATER_MS);
	else
		global->mend_why[0] = '\0';
}

static void on_mended(void *arg, const struct etcd_answer *answer, bool took)
{
	struct global *global = arg;

	global->mend_op = NULL;
	if (!answer->why) {
		global->mend_why[0] = '\0'; /* the watch tells what it did, or who was first */
		return;
	}
	if (strcmp(global->mend_why, answer->why) != 0)
		log_line(LOG_WARNING, "global objects: they cannot be put again: %s", answer->why);
	snprintf(global->mend_why, sizeof(global->mend_why), "%s", answer->why);
	later(global, FAILED_MS / 2, FAILED_MS);
}

struct mending {
	struct etcd_change changes[KEYS + 1];
	char keys[KEYS + 1][KEY];
	size_t n, bytes;
	bool rest; /* there is more than one transaction takes */
};

/* Keys whose value is to be another one. */
static void gather(const struct global *global, struct mending *mending)
{
	struct global_object *object, *next;

	HASH_ITER(hh, global->objects, object, next)
	{
		size_t len = object->kept ? strlen(object->kept) : 0;

		if (!object->open ||
			(object->kept && object->stored && !strcmp(object->kept, object->stored)) ||
			(!object->kept && !object->stored))
			continue;
		if (mending->n == KEYS || mending->bytes + len > TXN_BYTES) {
			mending->rest = true;
			return;
		}
		snprintf(mending->keys[mending->n], KEY, "%s%s", global->prefix, object->key);
		mending->changes[mending->n] =
			(struct etcd_change){.key = mending->keys[mending->n], .value = object->kept};
		mending->n++;
		mending->bytes += len;
	}
}

static void mend(struct global *global)
{
	struct mending *mending = calloc(1, sizeof(*mending));
	struct etcd_compare known = {.mod = global->at.mod};
	struct etcd_txn txn = {.compares = &known, .ncompare = 1};
	uint64_t n;
	char *value;

	if (!mending)
		return;
	gather(global, mending);
	n = !mending->rest ? global->n : global->at.why ? 0 : global->at.n;
	value = global_at_value(global->id, n, global->host);
	snprintf(mending->keys[mending->n], KEY, "%sat", global->prefix);
	known.key = mending->keys[mending->n];
	mending->changes[mending->n] = (struct etcd_change){.key = known.key, .value = value};
	txn.changes = mending->changes;
	txn.nchange = mending->n + 1;
	if (value)
		global->mend_op = etcd_txn(global->etcd, &txn, on_mended, global);
	free(value);
	free(mending);
}

static void on_mend(evutil_socket_t fd, short what, void *arg)
{
	struct global *global = arg;

	if (!global->mend_op && global->lacks && global->follow && etcd_follow_is_there(global->follow))
		mend(global);
}

/* What was tried came to nothing, such as by another host that died between two transactions. */
void global_mend_tick(struct global *global)
{
	if (global->lacks && !global->mend_op)
		later(global, LATER_MS, 2 * LATER_MS);
}

int global_mend_open(struct global *global)
{
	global->mend = evtimer_new(global->base, on_mend, global);
	return global->mend ? 0 : -1;
}

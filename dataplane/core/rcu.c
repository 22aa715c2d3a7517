#include "dataplane/core/rcu.h"

#include <rte_pause.h>
#include <rte_rcu_qsbr.h>
#include <sched.h>
#include <stdlib.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/private.h"

enum { SPINS = 1000 }; /* some ten microseconds: longer than a turn as a rule */

void rcu_wait(struct dp *dp)
{
	uint64_t token;

	if (!dp->qsbr)
		return;
	/* rte_rcu_qsbr_synchronize() in its inline parts, so that ThreadSanitizer sees what they order */
	token = rte_rcu_qsbr_start(dp->qsbr);
	for (unsigned tries = 0; !rte_rcu_qsbr_check(dp->qsbr, token, false); tries++) {
		if (tries < SPINS)
			rte_pause();
		else
			sched_yield(); /* the worker may be waiting for this very core */
	}
}

void rcu_defer(struct dp *dp, void (*fn)(void *arg), void *arg)
{
	struct deferred *item = malloc(sizeof(*item));

	if (!item) { /* no memory to remember it with: wait here instead */
		rcu_wait(dp);
		fn(arg);
		return;
	}
	item->fn = fn;
	item->arg = arg;
	item->next = dp->priv->deferred;
	dp->priv->deferred = item;
}

void rcu_flush(struct dp *dp)
{
	struct deferred *item = dp->priv->deferred, *next;

	if (!item)
		return;
	dp->priv->deferred = NULL;
	rcu_wait(dp);
	for (; item; item = next) {
		next = item->next;
		item->fn(item->arg);
		free(item);
	}
}

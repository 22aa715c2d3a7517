#include "dataplane/rcu.h"

#include <rte_rcu_qsbr.h>
#include <stdlib.h>

#include "dataplane/dp.h"
#include "dataplane/private.h"

void rcu_wait(struct dp *dp)
{
	/* rte_rcu_qsbr_synchronize() in its inline parts, so that ThreadSanitizer sees what they order */
	if (dp->qsbr)
		rte_rcu_qsbr_check(dp->qsbr, rte_rcu_qsbr_start(dp->qsbr), true);
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

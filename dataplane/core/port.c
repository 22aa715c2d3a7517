#include "dataplane/core/port.h"

#include <rte_cycles.h>

#include "dataplane/core/private.h"

enum { ANSWERS_SECOND = 1000, ANSWERS_BURST = 50 };

/* A bucket of ANSWERS_BURST, kept as the time at which it will be full again. */
bool port_may_answer(struct port *port)
{
	uint64_t each = rte_get_tsc_hz() / ANSWERS_SECOND, now = rte_rdtsc();
	uint64_t full = atomic_load_explicit(&port->answers_full, memory_order_relaxed), next;

	next = (full > now ? full : now) + each;
	if (next - now > each * ANSWERS_BURST)
		return false;
	/* another worker of the port may have come first: then that was the answer */
	return atomic_compare_exchange_strong_explicit(
		&port->answers_full, &full, next, memory_order_relaxed, memory_order_relaxed);
}

void port_set_link(struct port *port, bool up)
{
	struct dp *dp = port->dp;

	if (atomic_exchange(&port->up, up) == up || !dp->priv)
		return;
	atomic_fetch_or(&dp->priv->link_news[port->id / 64], UINT64_C(1) << (port->id % 64));
	workers_wake(dp);
	dp_tell_control(dp);
}

/* told_own.c: how busy the backends here are, with everybody's requests. Control thread. */
#include "dataplane/core/dp.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/network.h"
#include "dataplane/lb/lb.h"
#include "dataplane/lb/least.h"
#include "dataplane/lb/told.h"

enum { LATELY_S = 10 }; /* a host is told for so long after its last request */

bool told_is_wanted(const struct dp *dp)
{
	return dp->lb->least;
}

static bool is_here(struct dp *dp, const struct backend *b)
{
	const struct network *net = dp_get_net(dp, b->net);
	uint64_t mac = atomic_load_explicit(&b->mac, memory_order_relaxed), value;

	if (!net || !mac)
		return false;
	value = fdb_lookup(dp->fdb, fdb_key(b->net, (const uint8_t *)&mac));
	return fdb_alive(value, net->flush_gen) && !(fdb_flags(value) & FDB_VTEP);
}

unsigned told_find_own(struct dp *dp, struct told_own *own)
{
	unsigned n = 0;

	for (unsigned i = 0; dp->lb->least && i < dp->lb->service_end; i++) {
		const struct service *s = dp->lb->service[i];

		for (uint32_t k = 0; s && s->least && k < s->nbackends && n < dp->config.backends; k++) {
			const struct backend *b = backend_get(dp->lb->backends, s->backend[k]);

			if (is_here(dp, b))
				own[n++] = (struct told_own){b->id, b->net,
					{.address = b->address,
						.port = b->port,
						.protocol = b->protocol,
						.several = s->more > 0}};
		}
	}
	return n;
}

static bool is_still(const struct backend *b, const struct told_own *own)
{
	return !(atomic_load_explicit(&b->flags, memory_order_relaxed) & BACKEND_GONE) &&
	       b->net == own->net && ip_equal(b->address, own->news.address) && b->port == own->news.port;
}

bool told_measure(struct dp *dp, struct told_own *own)
{
	uint32_t mine = least_in_flight_of(dp, LEAST_OWN, own->id);
	uint32_t us = least_latency_us_of(dp, LEAST_OWN, own->id);
	uint32_t inbound_us = least_latency_us_of(dp, LEAST_INBOUND, own->id);

	if (!is_still(backend_get(dp->lb->backends, own->id), own))
		return false;
	own->news.in_flight = mine + least_in_flight_of(dp, LEAST_INBOUND, own->id);
	own->news.us = us > inbound_us ? us : inbound_us;
	told_note(dp->lb, own->id, &own->news, mine, dp_now_s(dp));
	return true;
}

bool told_has_asked(const struct dp *dp, uint16_t vtep)
{
	uint32_t asked_s = told_read(&dp->lb->told_host[vtep].asked_s);

	return asked_s && (int32_t)(dp_now_s(dp) - asked_s) <= LATELY_S;
}

#include "dataplane/egress/published.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>

#include "dataplane/core/open.h"
#include "dataplane/core/rcu.h"
#include "dataplane/egress/inside.h"
#include "dataplane/egress/route.h"

struct place {
	uint64_t key; /* address << 32 | port << 16 | protocol; 0: empty */
	struct published_to to;
};

/* Open addressing, at most half full. What anybody may ask for is in here, so nobody chooses who meets whom. */
struct published {
	uint32_t mask;
	struct place place[];
};

static uint64_t key_of(uint32_t address, uint16_t port, uint8_t proto)
{
	return (uint64_t)address << 32 | (uint32_t)port << 16 | proto;
}

static const struct published_to *find(const struct published *p, uint64_t key)
{
	for (uint32_t i = open_slot(key); p; i++) {
		const struct place *place = &p->place[i & p->mask];

		if (place->key == key)
			return &place->to;
		if (!place->key)
			break;
	}
	return NULL;
}

const struct published_to *published_find(struct dp *dp, uint32_t address, uint16_t port, uint8_t proto)
{
	const struct published *p = atomic_load_explicit(&dp->egress->published, memory_order_acquire);
	const struct published_to *to = find(p, key_of(address, port, proto));

	return to ? to : find(p, key_of(0, port, proto));
}

bool published_has(struct dp *dp, uint32_t address, uint16_t port, uint8_t proto)
{
	const struct routes *routes = atomic_load_explicit(&dp->egress->routes, memory_order_acquire);

	for (unsigned i = 0; proto == IPPROTO_UDP && routes && i < routes->n; i++)
		if (htons(routes->route[i].vxlan_port) == port)
			return true;
	return published_find(dp, address, port, proto) != NULL;
}

static void enter(struct published *p, const struct dp_published *one)
{
	uint64_t key = key_of(ip_to4(one->address), htons(one->port), (uint8_t)one->protocol);
	uint32_t at = open_slot(key);

	while (p->place[at & p->mask].key && p->place[at & p->mask].key != key)
		at++;
	p->place[at & p->mask] =
		(struct place){key, {ip_to4(one->to), htons(one->to_port), one->net, one->vip}};
}

int dp_publish(struct dp *dp, const struct dp_published *list, size_t n, struct dp_err *err)
{
	uint32_t size = open_size(n);
	struct published *p, *old;

	p = calloc(1, sizeof(*p) + size * sizeof(p->place[0]));
	if (!p)
		return dp_fail(err, -ENOMEM, "out of memory");
	p->mask = size - 1;
	for (size_t i = 0; i < n; i++)
		enter(p, &list[i]);
	old = atomic_exchange(&dp->egress->published, p);
	if (old)
		rcu_defer(dp, free, old);
	return 0;
}

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
	struct ip_addr address;
	uint32_t key; /* port << 16 | protocol; 0: empty */
	struct published_to to;
};

/* Open addressing, at most half full. What anybody may ask for is in here, so nobody chooses who meets whom. */
struct published {
	uint32_t mask;
	struct place place[];
};

static uint32_t key_of(uint16_t port, uint8_t proto)
{
	return (uint32_t)port << 16 | proto;
}

/* What stands for all addresses of the family of `ip`. */
static struct ip_addr any_of(struct ip_addr ip)
{
	return ip_is4(ip) ? ip_from4(0) : (struct ip_addr){0};
}

static uint32_t slot_of(struct ip_addr address, uint32_t key)
{
	return open_slot2((uint64_t[]){address.q[0] ^ key, address.q[1]});
}

static const struct published_to *find(const struct published *p, struct ip_addr address, uint32_t key)
{
	for (uint32_t i = slot_of(address, key); p; i++) {
		const struct place *place = &p->place[i & p->mask];

		if (place->key == key && ip_equal(place->address, address))
			return &place->to;
		if (!place->key)
			break;
	}
	return NULL;
}

const struct published_to *published_find(struct dp *dp, struct ip_addr address, uint16_t port, uint8_t proto)
{
	const struct published *p = atomic_load_explicit(&dp->egress->published, memory_order_acquire);
	const struct published_to *to = find(p, address, key_of(port, proto));

	return to ? to : find(p, any_of(address), key_of(port, proto));
}

bool published_has(struct dp *dp, struct ip_addr address, uint16_t port, uint8_t proto)
{
	const struct routes *routes = atomic_load_explicit(&dp->egress->routes, memory_order_acquire);

	for (unsigned i = 0; proto == IPPROTO_UDP && routes && i < routes->n; i++)
		if (htons(routes->route[i].vxlan_port) == port)
			return true;
	return published_find(dp, address, port, proto) != NULL;
}

static void enter(struct published *p, const struct dp_published *one)
{
	uint32_t key = key_of(htons(one->port), (uint8_t)one->protocol);
	struct ip_addr address = ip_is_unspecified(one->address) ? any_of(one->to) : one->address;
	uint32_t at = slot_of(address, key);

	while (p->place[at & p->mask].key)
		at++;
	p->place[at & p->mask] =
		(struct place){address, key, {one->to, htons(one->to_port), one->net, one->vip}};
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

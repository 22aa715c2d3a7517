#include "dataplane/overlay/vxlan.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/rcu.h"
#include "dataplane/frame/parse.h"

enum { OUTER_IP = 14, OUTER_UDP = 34, OUTER_VXLAN = 42 };

/* Source ports carry the inner flow's entropy (RFC 7348, 5: the dynamic range). */
enum { SOURCE_PORT_FIRST = 49152, SOURCE_PORT_MASK = 16383 };

void vxlan_encap(struct frame *f, const struct vtep *vtep)
{
	uint32_t hash = flow_hash(f), sum;
	uint16_t ip_len = (uint16_t)(f->len + VXLAN_OUTER - OUTER_IP);
	uint8_t *outer;

	f->hdr_off -= VXLAN_OUTER;
	f->hdr_len += VXLAN_OUTER;
	f->len += VXLAN_OUTER;
	outer = frame_data(f);
	memcpy(outer, vtep->outer, VXLAN_OUTER);
	store16(outer + OUTER_IP + 2, ip_len);
	sum = vtep->ip_sum + ip_len;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	store16(outer + OUTER_IP + 10, (uint16_t)~sum);
	store16(outer + OUTER_UDP, (uint16_t)(SOURCE_PORT_FIRST + (hash & SOURCE_PORT_MASK)));
	store16(outer + OUTER_UDP + 4, (uint16_t)(ip_len - 20));
}

void vxlan_unencap(struct frame *f)
{
	f->hdr_off += VXLAN_OUTER;
	f->hdr_len -= VXLAN_OUTER;
	f->len -= VXLAN_OUTER;
}

void vxlan_prepare(struct vtep *vtep, const uint8_t dst_mac[6], const uint8_t src_mac[6], uint32_t address,
	uint16_t vxlan_port)
{
	uint8_t *o = vtep->outer, *ip = o + OUTER_IP;

	memset(o, 0, VXLAN_OUTER);
	memcpy(o, dst_mac, 6);
	memcpy(o + 6, src_mac, 6);
	store16(o + 12, ETHERTYPE_IP4);
	ip[0] = 0x45;
	store16(ip + 6, 0x4000); /* do not fragment: a vtep must not (RFC 7348, 4.3) */
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	store_ip4(ip + 12, address);
	store_ip4(ip + 16, vtep->remote);
	vtep->ip_sum = 0;
	for (unsigned i = 0; i < 20; i += 2)
		vtep->ip_sum += load16(ip + i);
	store16(o + OUTER_UDP + 2, vxlan_port);
	o[OUTER_VXLAN] = 0x08; /* the VNI is valid */
	o[OUTER_VXLAN + 4] = (uint8_t)(vtep->vni >> 16);
	store16(o + OUTER_VXLAN + 5, (uint16_t)vtep->vni);
	vtep->ready = true;
}

static uint32_t slot_of(uint64_t key)
{
	return (uint32_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32);
}

const struct vxlan_slot *vxlan_find(const struct vxlan_map *map, uint32_t vni, uint32_t remote)
{
	uint64_t key = (uint64_t)vni << 32 | remote;

	if (!map)
		return NULL;
	for (uint32_t i = slot_of(key);; i++) {
		const struct vxlan_slot *slot = &map->slot[i & map->mask];

		if (slot->key == key)
			return slot;
		if (slot->key == 0)
			return NULL;
	}
}

int vxlan_publish(struct dp *dp)
{
	uint32_t count = 0, size = 16;
	struct vxlan_map *map, *old;

	for (unsigned i = 0; i < MAX_VTEPS; i++)
		count += dp_get_vtep(dp, i) != NULL;
	while (size < count * 2)
		size *= 2;
	map = calloc(1, sizeof(*map) + size * sizeof(map->slot[0]));
	if (!map)
		return -ENOMEM;
	map->mask = size - 1;
	for (unsigned i = 0; i < MAX_VTEPS; i++) {
		const struct vtep *vtep = dp_get_vtep(dp, i);
		uint64_t key = vtep ? (uint64_t)vtep->vni << 32 | vtep->remote : 0;
		uint32_t at = slot_of(key);

		if (!vtep)
			continue;
		while (map->slot[at & map->mask].key)
			at++;
		map->slot[at & map->mask] = (struct vxlan_slot){key, vtep->net, vtep->id, vtep->uplink};
	}
	old = atomic_exchange(&dp->vxlan, map);
	if (old)
		rcu_defer(dp, free, old);
	return 0;
}

#include "dataplane/overlay/vxlan.h"

#include <errno.h>
#include <linux/virtio_net.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/open.h"
#include "dataplane/core/rcu.h"
#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"

enum { OUTER_IP = 14, OUTER_UDP = 34, OUTER_UDP6 = 54, UDP_LEN = 8, UDP_CSUM = 6, VXLAN_LEN = 8 };

/* Source ports carry the inner flow's entropy (RFC 7348, 5: the dynamic range). */
enum { SOURCE_PORT_FIRST = 49152, SOURCE_PORT_MASK = 16383, FLOW_LABEL_MASK = 0xfffff };

/* Puts the ready-made header of `len` bytes before the frame. */
static inline uint8_t *prepend(struct frame *f, const struct vtep *vtep, uint16_t len)
{
	uint8_t *outer;

	f->hdr_off -= len;
	f->hdr_len += len;
	f->len += len;
	outer = frame_data(f);
	memcpy(outer, vtep->outer, len);
	return outer;
}

static inline uint16_t source_port(uint32_t hash)
{
	return (uint16_t)(SOURCE_PORT_FIRST + (hash & SOURCE_PORT_MASK));
}

/* The checksum is left to whoever sends the frame: a device may make it. */
static __attribute__((noinline)) void encap6(struct frame *f, const struct vtep *vtep)
{
	uint32_t hash = flow_hash(f);
	uint16_t udp_len = (uint16_t)(f->len + UDP_LEN + VXLAN_LEN);
	uint8_t *outer = prepend(f, vtep, VXLAN_OUTER6);

	f->was_end = 0; /* nat_undo() has nothing left to read */
	store32(outer + OUTER_IP, UINT32_C(6) << 28 | (hash & FLOW_LABEL_MASK));
	store16(outer + OUTER_IP + 4, udp_len);
	store16(outer + OUTER_UDP6, source_port(hash));
	store16(outer + OUTER_UDP6 + 4, udp_len);
	if (vtep->no_csum)
		return;
	csum_store(
		outer + OUTER_UDP6 + UDP_CSUM, csum_fold((uint64_t)vtep->sum + __builtin_bswap16(udp_len)));
	f->off = (struct offload){
		.flags = VIRTIO_NET_HDR_F_NEEDS_CSUM, .csum_start = OUTER_UDP6, .csum_offset = UDP_CSUM};
}

void vxlan_encap(struct frame *f, const struct vtep *vtep)
{
	uint32_t hash, sum;
	uint16_t ip_len;
	uint8_t *outer;

	if (__builtin_expect(vtep->six, 0)) {
		encap6(f, vtep);
		return;
	}
	hash = flow_hash(f);
	ip_len = (uint16_t)(f->len + VXLAN_OUTER - OUTER_IP);
	outer = prepend(f, vtep, VXLAN_OUTER);
	store16(outer + OUTER_IP + 2, ip_len);
	sum = vtep->sum + ip_len;
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	store16(outer + OUTER_IP + 10, (uint16_t)~sum);
	store16(outer + OUTER_UDP, source_port(hash));
	store16(outer + OUTER_UDP + 4, (uint16_t)(ip_len - 20));
}

void vxlan_unencap(struct frame *f, const struct vtep *vtep)
{
	uint16_t outer = vxlan_outer(vtep);

	f->hdr_off += outer;
	f->hdr_len -= outer;
	f->len -= outer;
	f->off = (struct offload){0};
}

static void prepare4(struct vtep *vtep, uint8_t *ip, uint32_t address)
{
	ip[0] = 0x45;
	store16(ip + 6, 0x4000); /* do not fragment: a vtep must not (RFC 7348, 4.3) */
	ip[8] = 64;
	ip[9] = IPPROTO_UDP;
	store_ip4(ip + 12, address);
	store_ip4(ip + 16, ip_to4(vtep->remote));
	vtep->sum = 0;
	for (unsigned i = 0; i < 20; i += 2)
		vtep->sum += load16(ip + i);
}

static void prepare6(struct vtep *vtep, uint8_t *ip, struct ip_addr address)
{
	ip[0] = 0x60;
	ip[6] = IPPROTO_UDP;
	ip[7] = 64;
	memcpy(ip + 8, address.b, 16);
	memcpy(ip + 24, vtep->remote.b, 16);
	vtep->sum = csum_fold(csum_add(0, ip + 8, 32) + __builtin_bswap16(IPPROTO_UDP));
}

void vxlan_prepare(struct vtep *vtep, const uint8_t dst_mac[6], const uint8_t src_mac[6],
	struct ip_addr address, uint16_t vxlan_port)
{
	uint8_t *o = vtep->outer, *udp, *vxlan;

	vtep->six = !ip_is4(vtep->remote);
	memset(o, 0, sizeof(vtep->outer));
	memcpy(o, dst_mac, 6);
	memcpy(o + 6, src_mac, 6);
	store16(o + 12, vtep->six ? ETHERTYPE_IP6 : ETHERTYPE_IP4);
	if (vtep->six)
		prepare6(vtep, o + OUTER_IP, address);
	else
		prepare4(vtep, o + OUTER_IP, ip_to4(address));
	udp = o + (vtep->six ? OUTER_UDP6 : OUTER_UDP);
	vxlan = udp + UDP_LEN;
	store16(udp + 2, vxlan_port);
	vxlan[0] = 0x08; /* the VNI is valid */
	vxlan[4] = (uint8_t)(vtep->vni >> 16);
	store16(vxlan + 5, (uint16_t)vtep->vni);
	vtep->ready = true;
}

static uint64_t key6(uint32_t vni, struct ip_addr remote)
{
	uint64_t folded =
		(remote.q[0] * UINT64_C(0x9e3779b97f4a7c15) ^ remote.q[1]) * UINT64_C(0xd6e8feb86659fd93);

	return VXLAN_KEY6 | (uint64_t)vni << 32 | folded >> 32;
}

static uint64_t key_of(const struct vtep *vtep)
{
	return vtep->six ? key6(vtep->vni, vtep->remote) : (uint64_t)vtep->vni << 32 | ip_to4(vtep->remote);
}

const struct vxlan_slot *vxlan_find(const struct vxlan_map *map, uint32_t vni, uint32_t remote)
{
	uint64_t key = (uint64_t)vni << 32 | remote;

	if (!map || !key) /* 0 is a free place's */
		return NULL;
	for (uint32_t i = open_slot(key);; i++) {
		const struct vxlan_slot *slot = &map->slot[i & map->mask];

		if (slot->key == key)
			return slot;
		if (slot->key == 0)
			return NULL;
	}
}

/* Which of those of one key it is, the vtep itself says: none is reused before the grace period of its map. */
const struct vxlan_slot *vxlan_find6(struct dp *dp, uint32_t vni, struct ip_addr remote)
{
	const struct vxlan_map *map = atomic_load_explicit(&dp->vxlan, memory_order_acquire);
	uint64_t key = key6(vni, remote);

	if (!map)
		return NULL;
	for (uint32_t i = open_slot(key);; i++) {
		const struct vxlan_slot *slot = &map->slot[i & map->mask];
		const struct vtep *vtep = slot->key == key ? dp_get_vtep(dp, slot->vtep) : NULL;

		if (vtep && ip_equal(vtep->remote, remote))
			return slot;
		if (slot->key == 0)
			return NULL;
	}
}

int vxlan_publish(struct dp *dp)
{
	uint32_t count = 0, size;
	struct vxlan_map *map, *old;

	for (unsigned i = 0; i < MAX_VTEPS; i++)
		count += dp_get_vtep(dp, i) != NULL;
	size = open_size(count);
	map = calloc(1, sizeof(*map) + size * sizeof(map->slot[0]));
	if (!map)
		return -ENOMEM;
	map->mask = size - 1;
	for (unsigned i = 0; i < MAX_VTEPS; i++) {
		const struct vtep *vtep = dp_get_vtep(dp, i);
		uint64_t key = vtep ? key_of(vtep) : 0;
		uint32_t at = open_slot(key);

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

/*
 * nat_ip4.h: nat_rewrite() of nat.h, to be inlined where each packet of a burst is rewritten. Worker.
 */
#pragma once

#include <linux/virtio_net.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <string.h>

#include "dataplane/frame/csum.h"
#include "dataplane/frame/nat.h"
#include "dataplane/frame/sctp.h"

enum { NAT_IP_CSUM = 10, NAT_IP_SOURCE = 12, NAT_TCP_CSUM = 16, NAT_UDP_CSUM = 6 };

/** Of the end in the Ethernet header, where the destination comes first. */
static inline uint8_t *nat_mac_of(struct frame *f, enum nat_end end)
{
	return frame_data(f) + (end == NAT_SOURCE ? 6 : 0);
}

/** What an address and a port add to the sums of TCP and UDP. */
static inline void nat_update_l4(struct frame *f, uint8_t *l4, uint32_t address_change, uint32_t port_change)
{
	bool udp = f->ip_proto == IPPROTO_UDP;
	uint8_t *field = l4 + (udp ? NAT_UDP_CSUM : NAT_TCP_CSUM);

	if (f->off.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) {
		csum_store(field, csum_fold(csum_load(field) + (uint64_t)address_change));
		return;
	}
	if (udp && csum_load(field) == 0)
		return;
	csum_update(field, address_change + port_change);
	if (udp && csum_load(field) == 0)
		csum_store(field, 0xffff);
}

/** Address and port of one end, with the sums. */
static inline void nat_ip4_end(struct frame *f, enum nat_end end, uint32_t ip, uint16_t port)
{
	uint8_t *l3 = frame_data(f) + f->l3_off, *l4 = frame_data(f) + f->l4_off;
	uint8_t *address_field = l3 + NAT_IP_SOURCE + 4 * end, *port_field = l4 + 2 * end;
	uint16_t old_port = csum_load(port_field), address_change;
	uint32_t old_ip;

	memcpy(&old_ip, address_field, sizeof(old_ip));
	address_change = csum_fold((uint64_t)~old_ip + ip);
	memcpy(address_field, &ip, sizeof(ip));
	csum_store(port_field, port);
	csum_update(l3 + NAT_IP_CSUM, address_change);
	if (__builtin_expect(f->ip_proto == IPPROTO_SCTP, 0)) /* has no pseudo header */
		sctp_port_changed(f, 2 * end, old_port ^ port);
	else
		nat_update_l4(f, l4, address_change, csum_change16(old_port, port));
}

static inline void nat_ip4_rewrite(
	struct frame *f, enum nat_end end, const uint8_t mac[6], uint32_t ip, uint16_t port)
{
	uint8_t *place = nat_mac_of(f, end);

	memcpy(f->was_mac, place, 6);
	memcpy(&f->was_ip, frame_data(f) + f->l3_off + NAT_IP_SOURCE + 4 * end, 4);
	memcpy(&f->was_port, frame_data(f) + f->l4_off + 2 * end, 2);
	f->was_end = (uint8_t)(end + 1);
	memcpy(place, mac, 6);
	nat_ip4_end(f, end, ip, port);
}

#include "dataplane/frame/nat.h"

#include "dataplane/frame/nat_ip4.h"
#include "dataplane/frame/parse.h"

enum { IP6_SOURCE = 8, ICMP_CSUM = 2, ICMP_ID = 4 };

void nat_rewrite(struct frame *f, enum nat_end end, const uint8_t mac[6], uint32_t ip, uint16_t port)
{
	nat_ip4_rewrite(f, end, mac, ip, port);
}

static void rewrite6(struct frame *f, enum nat_end end, const struct ip_addr *ip, uint16_t port)
{
	uint8_t *l4 = frame_data(f) + f->l4_off, *port_field = l4 + 2 * end;
	uint8_t *field = frame_data(f) + f->l3_off + IP6_SOURCE + sizeof(*ip) * end;
	uint16_t old_port = csum_load(port_field);
	struct ip_addr old = ip_from6(field);
	uint32_t change = 0;

	for (unsigned i = 0; i < 4; i++)
		change += csum_change32(old.w[i], ip->w[i]);
	memcpy(field, ip->b, sizeof(*ip));
	csum_store(port_field, port);
	if (f->ip_proto == IPPROTO_SCTP) /* has no pseudo header */
		sctp_port_changed(f, 2 * end, old_port ^ port);
	else
		nat_update_l4(f, l4, change, csum_change16(old_port, port));
}

void nat_rewrite6(
	struct frame *f, enum nat_end end, const uint8_t mac[6], const struct ip_addr *ip, uint16_t port)
{
	uint8_t *place = nat_mac_of(f, end);

	memcpy(f->was_mac, place, 6);
	memcpy(f->was_ip6, frame_data(f) + f->l3_off + IP6_SOURCE + sizeof(*ip) * end, sizeof(*ip));
	memcpy(&f->was_port, frame_data(f) + f->l4_off + 2 * end, 2);
	f->was_end = (uint8_t)(end + 1);
	memcpy(place, mac, 6);
	rewrite6(f, end, ip, port);
}

void nat_rewrite_address(struct frame *f, enum nat_end end, const uint8_t mac[6], uint32_t ip)
{
	uint8_t *l3 = frame_data(f) + f->l3_off, *field = l3 + NAT_IP_SOURCE + 4 * end;
	uint32_t old;

	memcpy(nat_mac_of(f, end), mac, 6);
	memcpy(&old, field, sizeof(old));
	memcpy(field, &ip, sizeof(ip));
	csum_update(l3 + NAT_IP_CSUM, csum_change32(old, ip));
}

void nat_rewrite_echo(struct frame *f, enum nat_end end, const uint8_t mac[6], uint32_t ip, uint16_t id)
{
	uint8_t *icmp = frame_data(f) + f->l4_off;

	nat_rewrite_address(f, end, mac, ip);
	csum_update(icmp + ICMP_CSUM, csum_change16(csum_load(icmp + ICMP_ID), id));
	csum_store(icmp + ICMP_ID, id);
}

void nat_rewrite_address6(struct frame *f, enum nat_end end, const uint8_t mac[6], const struct ip_addr *ip)
{
	memcpy(nat_mac_of(f, end), mac, 6);
	memcpy(frame_data(f) + f->l3_off + IP6_SOURCE + sizeof(*ip) * end, ip->b, sizeof(*ip));
}

void nat_rewrite_echo6(
	struct frame *f, enum nat_end end, const uint8_t mac[6], const struct ip_addr *ip, uint16_t id)
{
	uint8_t *icmp = frame_data(f) + f->l4_off;
	struct ip_addr old = ip_from6(frame_data(f) + f->l3_off + IP6_SOURCE + sizeof(*ip) * end);
	uint32_t change = 0, id_change = csum_change16(csum_load(icmp + ICMP_ID), id);

	for (unsigned i = 0; i < 4; i++)
		change += csum_change32(old.w[i], ip->w[i]);
	nat_rewrite_address6(f, end, mac, ip);
	csum_store(icmp + ICMP_ID, id);
	if (f->off.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) /* as in nat_update_l4() */
		csum_store(icmp + ICMP_CSUM, csum_fold(csum_load(icmp + ICMP_CSUM) + (uint64_t)change));
	else
		csum_update(icmp + ICMP_CSUM, change + id_change);
}

void nat_undo(struct frame *f)
{
	enum nat_end end;

	if (!f->was_end)
		return;
	end = f->was_end - 1;
	memcpy(nat_mac_of(f, end), f->was_mac, 6);
	if (f->ethertype == ETHERTYPE_IP6) {
		const struct ip_addr was = ip_from6(f->was_ip6);

		rewrite6(f, end, &was, f->was_port);
	} else {
		nat_ip4_end(f, end, f->was_ip, f->was_port);
	}
	f->was_end = 0;
}

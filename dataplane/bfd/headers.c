/* headers.c: Ethernet, IP and UDP around what is sent to a peer (RFC 5881, 4 and 5). */
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/bfd/inside.h"
#include "dataplane/core/exchange.h"
#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/reply.h"

enum { UDP_LEN = 8, PAYLOAD = UDP_LEN + BFD_PACKET_LEN, TOS_CONTROL = 0xc0, IP6_LEN = 40 };

static void make_ip(uint8_t *ip, const struct bfd_want *want)
{
	if (ip_is4(want->remote)) {
		reply_write_ip4(ip, TOS_CONTROL, REPLY_IP4_LEN + PAYLOAD, IPPROTO_UDP, ip_to4(want->local),
			ip_to4(want->remote));
		ip[8] = BFD_HOPS;
		memset(ip + 10, 0, 2);
		csum_store(ip + 10, (uint16_t)~csum_fold(csum_add(0, ip, REPLY_IP4_LEN)));
	} else {
		reply_write_ip6(ip, PAYLOAD, IPPROTO_UDP, want->local.b, want->remote.b);
		ip[0] = 0x60 | TOS_CONTROL >> 4;
		ip[7] = BFD_HOPS;
	}
}

void bfd_headers_make(struct bfd_peer *peer, uint16_t number)
{
	const struct bfd_want *want = &peer->want;
	bool ip4 = ip_is4(want->remote);
	uint8_t *eth = peer->headers, *udp = eth + ETH_LEN + (ip4 ? REPLY_IP4_LEN : IP6_LEN);

	peer->head = 0;
	if (want->uplink == OUT_NONE || !want->resolved)
		return;
	memcpy(eth, want->to, 6);
	memcpy(eth + 6, want->from, 6);
	store16(eth + 12, ip4 ? ETHERTYPE_IP4 : ETHERTYPE_IP6);
	make_ip(eth + ETH_LEN, want);
	/* the same for all packets of a session, and of no other one */
	store16(udp, (uint16_t)(BFD_SOURCE_PORT + number));
	store16(udp + 2, want->routed ? BFD_PORT_ROUTED : BFD_PORT);
	store16(udp + 4, PAYLOAD);
	store16(udp + 6, 0);
	peer->head = (uint8_t)(udp + UDP_LEN - eth);
}

/* Over the addresses, which lie before the UDP header, and what of the pseudo header does not. */
static void checksum(uint8_t *udp, bool ip4)
{
	uint64_t sum = csum_add(0, udp - (ip4 ? 8 : 32), (ip4 ? 8 : 32) + PAYLOAD);
	uint8_t rest[4] = {0, IPPROTO_UDP, 0, PAYLOAD};

	csum_store(udp + 6, csum_field(csum_add(sum, rest, sizeof(rest))));
}

bool bfd_headers_send(struct dp *dp, const struct bfd_peer *peer, const struct bfd_packet *packet)
{
	struct exchange *out = dp->worker[0]->bfd_out;
	struct exchange_frame *slot = exchange_reserve(out);

	if (!slot)
		return false;
	slot->port = peer->want.uplink;
	slot->net = NET_NONE;
	slot->len = (uint16_t)(peer->head + BFD_PACKET_LEN);
	memcpy(slot->data, peer->headers, peer->head);
	bfd_packet_write(slot->data + peer->head, packet);
	checksum(slot->data + peer->head - UDP_LEN, ip_is4(peer->want.remote));
	exchange_push(out);
	return true;
}

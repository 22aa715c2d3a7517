#include "bench/traffic/arp.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <netinet/ip6.h>
#include <string.h>

#include "bench/traffic/sum.h"

enum { PADDED = 60, HOPS = 255 };

/* A solicitation or an advertisement, with one option: of whom the MAC is. */
struct neighbour {
	struct ether_header ether;
	struct ip6_hdr ip;
	struct nd_neighbor_advert message; /* a solicitation is laid out alike */
	struct nd_opt_hdr option;
	uint8_t mac[ETH_ALEN];
} __attribute__((packed));

static bool take_arp(struct front_ring *tx, const struct front_frame *frame, arp_host_fn *host)
{
	const struct ether_header *asked = (const void *)frame->data;
	const struct ether_arp *request = (const void *)(asked + 1);
	struct {
		struct ether_header ether;
		struct ether_arp arp;
	} __attribute__((packed)) answer = {0};
	uint32_t ip;
	uint8_t *to;

	if (frame->len < sizeof(answer) || asked->ether_type != htons(ETHERTYPE_ARP))
		return false;
	memcpy(&ip, request->arp_tpa, sizeof(ip));
	if (request->ea_hdr.ar_op != htons(ARPOP_REQUEST) || !host(ip, answer.arp.arp_sha) ||
		front_tx_room(tx, 1) == 0)
		return true;
	memcpy(answer.ether.ether_dhost, asked->ether_shost, ETH_ALEN);
	memcpy(answer.ether.ether_shost, answer.arp.arp_sha, ETH_ALEN);
	answer.ether.ether_type = htons(ETHERTYPE_ARP);
	answer.arp.ea_hdr = request->ea_hdr;
	answer.arp.ea_hdr.ar_op = htons(ARPOP_REPLY);
	memcpy(answer.arp.arp_spa, request->arp_tpa, sizeof(ip));
	memcpy(answer.arp.arp_tha, request->arp_sha, ETH_ALEN + sizeof(ip));
	to = front_tx_frame(tx, 0);
	memset(to, 0, PADDED);
	memcpy(to, &answer, sizeof(answer));
	front_tx_publish(tx, 1);
	return true;
}

/* What answers `asked` for the host with `mac`. */
static void advertise(struct neighbour *answer, const struct neighbour *asked, const uint8_t mac[6])
{
	struct neighbour a = {.ether.ether_type = htons(ETHERTYPE_IPV6), .mac = {0}};

	memcpy(a.ether.ether_dhost, asked->ether.ether_shost, ETH_ALEN);
	memcpy(a.ether.ether_shost, mac, ETH_ALEN);
	a.ip.ip6_flow = htonl(6U << 28);
	a.ip.ip6_plen = htons(sizeof(a) - offsetof(struct neighbour, message));
	a.ip.ip6_nxt = IPPROTO_ICMPV6;
	a.ip.ip6_hlim = HOPS;
	a.ip.ip6_src = asked->message.nd_na_target;
	a.ip.ip6_dst = asked->ip.ip6_src;
	a.message.nd_na_type = ND_NEIGHBOR_ADVERT;
	a.message.nd_na_flags_reserved = ND_NA_FLAG_SOLICITED | ND_NA_FLAG_OVERRIDE;
	a.message.nd_na_target = asked->message.nd_na_target;
	a.option = (struct nd_opt_hdr){.nd_opt_type = ND_OPT_TARGET_LINKADDR, .nd_opt_len = 1};
	memcpy(a.mac, mac, ETH_ALEN);
	a.message.nd_na_cksum = (uint16_t)~sum_packet(
		(const uint8_t *)&a + offsetof(struct neighbour, ip.ip6_src), 2 * sizeof(a.ip.ip6_src),
		IPPROTO_ICMPV6, (const uint8_t *)&a + offsetof(struct neighbour, message),
		sizeof(a) - offsetof(struct neighbour, message));
	*answer = a;
}

static bool take_neighbour(struct front_ring *tx, const struct front_frame *frame, arp_host_fn *host)
{
	struct neighbour asked;
	uint8_t mac[ETH_ALEN];
	uint32_t ip;

	if (frame->len < sizeof(asked) - sizeof(asked.option) - sizeof(asked.mac))
		return false;
	memcpy(&asked, frame->data, frame->len < sizeof(asked) ? frame->len : sizeof(asked));
	if (asked.ether.ether_type != htons(ETHERTYPE_IPV6) || asked.ip.ip6_nxt != IPPROTO_ICMPV6 ||
		asked.message.nd_na_type < ND_ROUTER_SOLICIT || asked.message.nd_na_type > ND_REDIRECT)
		return false;
	memcpy(&ip, &asked.message.nd_na_target.s6_addr[SUM_PREFIX_BYTES], sizeof(ip));
	if (asked.message.nd_na_type == ND_NEIGHBOR_SOLICIT &&
		memcmp(&asked.ip.ip6_src, &in6addr_any, sizeof(in6addr_any)) != 0 &&
		memcmp(&asked.message.nd_na_target, sum_prefix, SUM_PREFIX_BYTES) == 0 && host(ip, mac) &&
		front_tx_room(tx, 1) > 0) {
		advertise((struct neighbour *)front_tx_frame(tx, 0), &asked, mac);
		front_tx_publish(tx, 1);
	}
	return true;
}

bool arp_take(struct front_ring *tx, const struct front_frame *frame, arp_host_fn *host)
{
	return take_arp(tx, frame, host) || take_neighbour(tx, frame, host);
}

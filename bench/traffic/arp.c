#include "bench/traffic/arp.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/if_ether.h>
#include <string.h>

enum { PADDED = 60 };

bool arp_take(struct front_ring *tx, const struct front_frame *frame, arp_host_fn *host)
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

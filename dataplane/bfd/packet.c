#include "dataplane/bfd/packet.h"

#include <string.h>

#include "dataplane/frame/parse.h"

enum {
	VERSION = 1,
	POLL = 0x20,
	FINAL = 0x10,
	AUTHENTICATED = 0x04,
	DEMAND = 0x02,
	MULTIPOINT = 0x01,
};

bool bfd_packet_read(const uint8_t *data, size_t len, struct bfd_packet *packet)
{
	if (len < BFD_PACKET_LEN || data[0] >> 5 != VERSION || data[3] < BFD_PACKET_LEN || data[3] > len)
		return false;
	if (data[1] & (AUTHENTICATED | DEMAND | MULTIPOINT))
		return false;
	*packet = (struct bfd_packet){
		.diag = data[0] & 31,
		.state = data[1] >> 6,
		.poll = data[1] & POLL,
		.final = data[1] & FINAL,
		.multiplier = data[2],
		.mine = load32(data + 4),
		.yours = load32(data + 8),
		.min_tx_us = load32(data + 12),
		.min_rx_us = load32(data + 16),
	};
	/* only who has heard nothing yet, or no longer, may not know whom it speaks to */
	return packet->multiplier && packet->mine && (packet->yours || packet->state <= BFD_DOWN);
}

void bfd_packet_write(uint8_t data[BFD_PACKET_LEN], const struct bfd_packet *packet)
{
	memset(data, 0, BFD_PACKET_LEN);
	data[0] = (uint8_t)(VERSION << 5 | packet->diag);
	data[1] = (uint8_t)(packet->state << 6 | (packet->poll ? POLL : 0) | (packet->final ? FINAL : 0));
	data[2] = packet->multiplier;
	data[3] = BFD_PACKET_LEN;
	store32(data + 4, packet->mine);
	store32(data + 8, packet->yours);
	store32(data + 12, packet->min_tx_us);
	store32(data + 16, packet->min_rx_us);
}

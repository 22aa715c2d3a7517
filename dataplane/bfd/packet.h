/*
 * packet.h: a BFD Control packet (RFC 5880, 4.1) and what one may say. Pure, any thread.
 *
 * Of what is optional nothing is spoken: no authentication, no demand mode, no echo, no point to multipoint.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum bfd_state { BFD_ADMIN_DOWN, BFD_DOWN, BFD_INIT, BFD_UP };

/* Why a session is not up (RFC 5880, 4.1). */
enum bfd_diag {
	BFD_NO_DIAG = 0,
	BFD_TIME_EXPIRED = 1,	 /* nothing came for the detection time */
	BFD_NEIGHBOUR_DOWN = 3,	 /* the other side says that its session is down */
	BFD_FORWARDING_ENDS = 4, /* "forwarding plane reset": the daemon ends */
	BFD_ADMIN = 7,		 /* somebody has turned BFD off */
};

struct bfd_packet {
	uint8_t diag, state; /* of the sender */
	uint8_t multiplier;
	bool poll, final;
	uint32_t mine, yours; /* discriminators: the sender's, and the receiver's or 0 */
	uint32_t min_tx_us;   /* at least so long between two packets that the sender wishes to send */
	uint32_t min_rx_us;   /* and that it can receive; 0: it wants none but answers */
};

enum { BFD_PACKET_LEN = 24 };

/** Reads the `len` bytes that a datagram carries. False: a packet that RFC 5880, 6.8.6 has us drop, or one that wants
 * what is not spoken here. */
bool bfd_packet_read(const uint8_t *data, size_t len, struct bfd_packet *packet);

void bfd_packet_write(uint8_t data[BFD_PACKET_LEN], const struct bfd_packet *packet);

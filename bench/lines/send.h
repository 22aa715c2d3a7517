/* send.h: the frames of each way. Control's and guests' side of world.h. */
#pragma once

#include "bench/lines/world.h"

enum {
	SEND_OWN = (int)0xc0000201, /* of the uplink */
	SEND_OTHER = (int)0xc0000202,
	SEND_VIP = 0x0a00ff01,
	SEND_VXLAN = 4789,
	SEND_VNI = 77,
	SEND_SERVICE = 8000, /* and one more for each pair */
	SEND_BACKEND = 9000,
};

extern const uint8_t send_other_mac[6];

/** A broadcast, by which the switch knows where it is. */
void send_hello(struct world *world, struct world_guest *g);

/** A burst of that kind. `from`: its index; the uplink's is nguest. */
void send_kind(struct world *world, struct world_guest *g, unsigned from, unsigned ring, enum lines_way kind);

static inline bool send_is_vip(enum lines_way way)
{
	return way == LINES_REQUEST || way == LINES_ANSWER || way == LINES_VIP_BOTH || way == LINES_CONNECT;
}

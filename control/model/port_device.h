/* port_device.h: ports on an interface of the host, af_packet and af_xdp. Control thread. */
#pragma once

#include "control/model/port_type.h"

/* For the tables of ports and uplinks. */
/* clang-format off */
#define PORT_DEVICE_FIELDS \
	{"device", API_STRING, "af_packet, af_xdp: the host's interface", .min = 1, .max = 15}
/* clang-format on */

extern const struct port_type port_device;

/* port_tap.h: TAP ports: an interface in a container's namespace, which may not be there yet. Control thread. */
#pragma once

#include "control/model/port_type.h"

/* For the tables of ports and uplinks. */
/* clang-format off */
#define PORT_TAP_FIELDS \
	{"netns", API_STRING, "tap: namespace, by name or path (default: the host's)", .min = 1, .max = 4000}, \
	{"ifname", API_STRING, "tap: the interface's name (default eth0; in the host's namespace the port's name)", \
		.min = 1, .max = 15}
/* clang-format on */

struct tap_port;

/** What the port's interface is to be. Strings stay borrowed from `port`. */
void port_tap_interface(const struct model_port *port, struct tap_port *tap);

extern const struct port_type port_tap;

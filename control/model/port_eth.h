/* port_eth.h: ports that are DPDK's own: a device, a file of frames, and one that takes all and gives nothing. Control thread. */
#pragma once

#include "control/model/port_type.h"

/* For the tables of ports and uplinks. */
/* clang-format off */
#define PORT_ETH_FIELDS \
	{"devargs", API_STRING, "eth: DPDK device, as 0000:03:00.0 or net_memif0,role=client", \
		.min = 1, .max = 1000}
/* clang-format on */

extern const struct port_type port_eth, port_eth_null, port_eth_pcap;

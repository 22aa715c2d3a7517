#include "dataplane/port/types.h"

#include "dataplane/vhost/port.h"

/* The kinds of port there are. NULL: not in this build. */
static const struct port_ops *const types[DP_PORT_TYPES] = {
	[DP_VHOST_USER] = &port_vhost_ops,
	[DP_TAP] = &port_tap_ops,
	[DP_AF_PACKET] = &port_af_packet_ops,
	[DP_AF_XDP] = &port_af_xdp_ops,
	[DP_NULL] = &port_eth_ops,
	[DP_PCAP] = &port_eth_ops,
	[DP_ETH] = &port_eth_ops,
};

const struct port_ops *port_type_ops(enum dp_port_type type)
{
	return (unsigned)type < DP_PORT_TYPES ? types[type] : NULL;
}

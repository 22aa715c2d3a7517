/* types.h: the kinds of port there are. */
#pragma once

#include "dataplane/core/port.h"

/** The operations of a type; NULL: there is no such type. */
const struct port_ops *port_type_ops(enum dp_port_type type);

extern const struct port_ops port_tap_ops, port_af_packet_ops, port_af_xdp_ops, port_eth_ops;

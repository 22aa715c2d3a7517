/* network_spec.h: what the parameters of a network say. Pure. */
#pragma once

#include "control/api/api.h"
#include "control/host/forwarding.h"
#include "dataplane/dataplane.h"

/** Names of enum dp_mode and enum egress, NULL-terminated. */
extern const char *const network_modes[];
extern const char *const network_egresses[];

/**
 * Reads the parameters of network.add, defaults filled in, into `spec`. Returns 0, or -1 when they contradict
 * each other.
 */
int network_spec_read(const json_t *params, struct dp_network *spec, struct api_err *err);

/** Reads `ranges` of network.add: of each family the part of the subnet that ports get addresses from, none: all of it. -1:
 * one is no such part. */
int network_ranges_read(
	const json_t *params, const struct dp_network *spec, struct ip_prefix ranges[2], struct api_err *err);

/** The subnet and the gateway that the network has of IPv4, or of IPv6; their address is none where it has none. */
struct ip_prefix network_spec_subnet(const struct dp_network *spec, bool ip6);
struct ip_addr network_spec_gateway(const struct dp_network *spec, bool ip6);

/** Is `ip`, which `field` gives as `text`, a host address of the network's subnet of its family? Returns 0, or -1 with the
 * reason. `name` is the network's. */
int network_spec_check_ip(const struct dp_network *spec, const char *name, struct ip_addr ip,
	const char *field, const char *text, struct api_err *err);

/** Does the network, or a port of it with an address of IPv6, have too low an `mtu` for that? Returns 0 or -1. */
int network_spec_check_mtu(const struct dp_network *spec, unsigned mtu, struct api_err *err);

/** May ports of the host, or of its uplinks, lead to addresses of that family in such a network? Answers need a gateway to
 * leave by. */
bool network_spec_lets_in(const struct dp_network *spec, bool ip6);

/**
 * Reads `egress` of network.add and network.set into *egress, which stays when it is not given: at first EGRESS_HOST for
 * mode host, for others EGRESS_NONE. These masquerade by an uplink, in the dataplane. -1: not of this mode.
 */
int network_egress_read(
	const json_t *params, const struct dp_network *spec, enum egress *egress, struct api_err *err);

/*
 * port_rate.h: the limits of a port: the fields storm_pps, rate_in, ... of port.add and port.set. Control thread.
 */
#pragma once

#include "control/api/api.h"
#include "control/model/objects.h"

/* For the tables of port.add and port.set. */
/* clang-format off */
#define PORT_RATE_FIELDS \
	{"storm_pps", API_INT, "frames a second that it may send to broadcast, multicast and unknown addresses " \
		"(default 10000; 0: no limit)", .max = 1000000000}, \
	{"rate_in", API_QUANTITY, "bit/s that what is behind it may send, as 250M (default 0: no limit)"}, \
	{"rate_out", API_QUANTITY, "bit/s that are delivered to it, as 1G (default 0: no limit)"}, \
	{"burst_in", API_QUANTITY, "bytes that it may send at once (default 0: a quarter of a second's, 256K at least)"}, \
	{"burst_out", API_QUANTITY, "the same of what is delivered to it"}, \
	{"pps_in", API_INT, "packets a second that what is behind it may send (default 0: no limit)", .max = 1000000000}, \
	{"pps_out", API_INT, "packets a second that are delivered to it (default 0: no limit)", .max = 1000000000}, \
	{"packet_burst_in", API_INT, "packets that it may send at once (default 0: a quarter of a second's, 32 at least)", \
		.max = 1000000}, \
	{"packet_burst_out", API_INT, "the same of what is delivered to it", .max = 1000000}
/* clang-format on */

/** What a port has before it is given anything else. */
void port_rate_default(struct dp_port *spec);

/**
 * Checks that the fields fit each other; what is not given stays as it is in `spec`. Pure. Returns 0, or -1
 * with `spec` as it was.
 */
int port_rate_read(const json_t *params, struct dp_port *spec, struct api_err *err);

/** Adds the fields as they hold now to `object`: 0 for no limit. */
void port_rate_json(const struct dp_port *spec, json_t *object);

/*
 * port_macs.h: how many MACs a port may have: the fields mac_limit and mac_action of port.add and port.set. Control
 * thread.
 */
#pragma once

#include "control/api/api.h"
#include "control/model/objects.h"

extern const char *const port_macs_actions[];

/* For the tables of port.add and port.set. */
/* clang-format off */
#define PORT_MACS_FIELDS \
	{"mac_limit", API_INT, "MACs learned at it (default 4096; 0: no limit)", .max = 16777216}, \
	{"mac_action", API_ENUM, "with a frame of a new MAC over the limit: drop it (default); flood: let it go on, " \
		"unlearned; sticky: drop it, and keep the port's MACs from moving elsewhere", .choices = port_macs_actions}
/* clang-format on */

/** What a port has before it is given anything else. */
void port_macs_default(struct dp_port *spec);
/** What is not given stays as it is in `spec`. */
void port_macs_read(const json_t *params, struct dp_port *spec);
/** Adds the fields as they hold now, and what came of them, to `object`. */
void port_macs_json(const struct dp_port *spec, const struct dp_port_info *info, json_t *object);

/** dp_config.on_move: a line of the log for a MAC that moved, rate-limited by network, and for who watches (fdb.c). */
void port_macs_moved(void *model, const struct dp_move *move);

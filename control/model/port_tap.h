/* port_tap.h: TAP ports: an interface in a container's namespace, which may not be there yet. Control thread. */
#pragma once

#include "control/model/port_type.h"

/* For the tables of ports and uplinks. */
/* clang-format off */
#define PORT_TAP_FIELDS \
	{"netns", API_STRING, "tap: namespace, by name or path (default: the host's)", .min = 1, .max = 4000}, \
	{"ifname", API_STRING, "tap: the interface's name (default eth0; in the host's namespace the port's name)", \
		.min = 1, .max = 15}, \
	{"default_route", API_BOOL, "tap: configure it with a route by the gateway (default true)"}, \
	{"hold_netns", API_BOOL, "tap: make the interface in its namespace itself, which is quicker, but keeps the " \
		"namespace alive until the port or the namespace's name is gone (default false)"}
/* clang-format on */

enum { PORT_TAP_IFNAME = 16 };

struct tap_port;

/** What the port's interface is to be. Strings stay borrowed from `port`. */
void port_tap_interface(const struct model_port *port, struct tap_port *tap);

/**
 * From now on TAPs are made in the host's namespace, called `name`, for somebody who moves them into the port's `netns` and
 * configures them there. NULL: as ever. Such a port that loses its interface, or is made again at the next start, gets one
 * as any other. Borrowed.
 */
void port_tap_made_as(struct model *model, const char *name);
/** What it is called in the port's namespace, where it has come up: who moves it renames it first. 0, or -1: not yet. */
int port_tap_find(struct model_port *port, char ifname[PORT_TAP_IFNAME]);
/** A field of the port's is this for the next time that its interface is made. Takes over `value`. */
void port_tap_keep(struct model *model, struct model_port *port, const char *field, json_t *value);

extern const struct port_type port_tap;

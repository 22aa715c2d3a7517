/*
 * port_security.h: what a port may send from: its fields security, allow and trusted. Control thread.
 */
#pragma once

#include "control/api/api.h"
#include "control/model/objects.h"

extern const char *const port_security_names[]; /* by enum dp_security */

/* clang-format off */
#define PORT_SECURITY_FIELDS \
	{"security", API_ENUM, "what is checked of frames from it: nothing, that they come from its MACs, or from its " \
		"MACs and addresses (default: full for a port with addresses, off for one without)", \
		.choices = port_security_names}, \
	{"allow", API_LIST, "what it may send from besides: \"MAC\" with the port's own addresses, or \"MAC IP/len\"", \
		.item = API_SOURCE, .max = DP_ALLOW_MAX}, \
	{"trusted", API_BOOL, "it may answer DHCP and advertise itself as a router (default false)"}
/* clang-format on */

/** Refuses what port_security_read() does; pure. Returns 0 or -1. */
int port_security_check(const json_t *params, struct api_err *err);

/**
 * Reads the fields above, those that are given, into port->spec, which has its MAC and addresses already.
 * Returns 0 or -1.
 */
int port_security_read(struct model_port *port, const json_t *params, struct api_err *err);

/** Adds security, allow, trusted and spoofed to `object`. */
void port_security_describe(struct model *model, const struct model_port *port, json_t *object);

/*
 * port_services.h: the services that what is behind a port is an instance of, for as long as the port is there. The
 * registry has them with source "port". Control thread.
 */
#pragma once

#include "control/api/api.h"
#include "control/model/objects.h"

enum { PORT_SERVICES_MAX = 32 };

/* clang-format off */
#define PORT_SERVICES_FIELD \
	{"services", API_LIST, "services that it is an instance of while the port is there: NAME, or NAME:PORT where it " \
		"listens", .item = API_STRING, .max = PORT_SERVICES_MAX}
/* clang-format on */

/** Is each element of the list `services` (NULL: none) another name, with or without a port? Pure. 0 or -1. */
int port_services_check(const json_t *services, struct api_err *err);

/** Registers what port->params say at each of the port's addresses, but where it is. 0, or -1 with none registered. */
int port_services_put(struct model *model, const struct model_port *port, struct api_err *err);

/** Takes them out, at the addresses of `spec`. */
void port_services_drop(struct model *model, const struct model_port *port, const struct dp_port *spec);

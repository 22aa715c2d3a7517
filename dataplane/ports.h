/* ports.h: ports for what lies in dataplane/ itself, and for tests that bring a port type of their own. Control thread. */
#pragma once

#include "dataplane/core/port.h"

/** dp_port_add() with the operations given; spec->type is not looked at. */
int port_add(struct dp *dp, const struct dp_port *spec, const struct port_ops *ops, uint16_t *id,
	struct dp_err *err);

/** Closes all of them, once there are no workers any more; tables go on naming them. */
void ports_close(struct dp *dp);

/** On the control loop, tells control of links that changed since it was told last. */
void ports_report_links(struct dp *dp);

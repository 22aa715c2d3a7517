/* port.h: a vhost-user socket as a kind of port. */
#pragma once

#include "dataplane/core/port.h"

extern const struct port_ops port_vhost_ops;

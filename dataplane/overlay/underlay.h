/*
 * underlay.h: the stage for what arrives on an uplink. The switch is a host there: it answers ARP and ping, and takes
 * VXLAN apart. Worker.
 */
#pragma once

#include "dataplane/core/worker.h"

void underlay_stage(struct worker *w, struct burst *b);

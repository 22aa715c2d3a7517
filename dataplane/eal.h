/* eal.h: starts and ends DPDK, once a process. Control thread. */
#pragma once

#include "dataplane/dataplane.h"

/** One line in err on failure. */
int eal_start(const struct dp_config *config, struct dp_err *err);
void eal_stop(void);

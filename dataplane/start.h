/* start.h: the dataplane without its workers' threads. Control thread. */
#pragma once

#include "dataplane/dataplane.h"

/** dp_open() but for the workers' threads, for tests that are the worker themselves. */
int dp_prepare(const struct dp_config *config, struct dp **dp, struct dp_err *err);

/*
 * targets.h: ports in namespaces that take connections and close them, for checks to probe.
 */
#pragma once

#include <sys/types.h>

#include "bench/client/stream.h"

enum { TARGETS_PORT = 10000 };

/** A process in the end's namespace that listens on `count` ports from TARGETS_PORT on. Or -errno. */
pid_t targets_start(const struct stream_end *end, unsigned count);
void targets_stop(pid_t pid);

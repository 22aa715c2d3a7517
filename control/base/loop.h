/*
 * loop.h: lends libevent's loop to the dataplane, which knows no event library (struct dp_loop).
 */
#pragma once

#include "dataplane/dataplane.h"

struct event_base;

/** The dataplane's view of `base`. */
struct dp_loop loop_of(struct event_base *base);

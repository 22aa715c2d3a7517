/*
 * fdb_watch.h: `fdb watch`: a connection that is told of MACs that move, or are kept from it, from where to where.
 * Of a network FDB_WATCH_RATE a second are told; further ones are counted, and told with the next. Control thread.
 */
#pragma once

#include "control/api/api.h"

enum { FDB_WATCH_RATE = 10 };

/* Params: the network, or none for all. */
extern const struct api_watch fdb_watch_type;

/*
 * fdb_watch.h: `fdb watch`: a connection receives each move of a MAC, or attempt that was refused, with both
 * locations. Of a network FDB_WATCH_RATE a second are sent. Further ones are counted, and their number is
 * sent with the next. Control thread.
 */
#pragma once

#include "control/api/api.h"

enum { FDB_WATCH_RATE = 10 };

/* Params: the network, or none for all. */
extern const struct api_watch fdb_watch_type;

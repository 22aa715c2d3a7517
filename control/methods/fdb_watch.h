/*
 * fdb_watch.h: `fdb watch`: a connection that is told of MACs that move, or are kept from it, from where to where.
 * Of a network FDB_WATCH_RATE a second are told; further ones are counted, and told with the next. Control thread.
 */
#pragma once

#include "control/api/api.h"
#include "dataplane/dataplane.h"

#define FDB_WATCH_METHOD "fdb.watch"

enum { FDB_WATCH_RATE = 10 };

struct fdb_watch;

/**
 * Begins a watch of `network`, NULL: of all. fn gets a notification's method and its parameters (a new
 * reference). -1 with *err.
 */
int fdb_watch_open(struct model *model, const char *network,
	void (*fn)(void *arg, const char *method, json_t *params), void *arg, struct fdb_watch **out,
	struct api_err *err);
/** NULL is allowed. */
void fdb_watch_close(struct fdb_watch *watch);

/** Tells those who watch. */
void fdb_watch_tell(struct model *model, const struct dp_move *move);

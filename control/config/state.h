/*
 * state.h: what came by the API, kept across restarts and kill -9 in a journal (registry/store/journal.h) in the state
 * directory. Control thread.
 *
 * It holds the method calls that make the objects again. A change is in the file at most JOURNAL_DELAY_MS later, so
 * a crash may lose that much; whoever must not be forgotten waits.
 */
#pragma once

#include "control/api/api.h"

struct event_base;
struct state;

/**
 * Reads the file in `dir` (made when missing, mode 0700), makes its objects again and goes on to record the
 * changes of `model`. A call that is refused now is logged and kept in the file for the next start. -errno
 * with one line in `err` when the directory cannot be used, or the file is damaged or not ours to read; it is
 * left as it is then.
 */
int state_open(struct event_base *base, const char *dir, struct model *model, struct state **out,
	struct api_err *err);

/** Calls fn once, later, when what was changed until now is on disk (0) or could not be written (-errno). 0 or -1: no memory. */
int state_wait(struct state *state, void (*fn)(void *arg, int rc), void *arg);
/** No call with `arg` any more. */
void state_forget(struct state *state, void *arg);

/** Writes what is due. NULL is allowed. */
void state_close(struct state *state);

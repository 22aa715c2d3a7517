/*
 * state.h: what came by the API, kept across restarts and kill -9 in one file of the state directory. Control
 * thread.
 *
 * The file lists the method calls that make the objects again. It is written whole to a new file
 * that replaces the old one, at most STATE_DELAY_MS after a change, so a crash may lose that much but never
 * tears the file.
 */
#pragma once

#include <jansson.h>

#include "control/api.h"

enum { STATE_DELAY_MS = 100 };

struct event_base;
struct state;

/**
 * Reads the file in `dir` (made when missing, mode 0700), makes its objects again and goes on to record the
 * changes of `model`. A call that is refused now is logged and kept in the file for the next start. -errno
 * with one line in `err` when the directory cannot be used or the file is not ours to read; it is never
 * overwritten then.
 */
int state_open(struct event_base *base, const char *dir, struct model *model, struct state **out,
	struct api_err *err);

/** Writes what is due. NULL is allowed. */
void state_close(struct state *state);

/*
 * loop.h: what a worker's thread does: turn after turn, as long as there are frames, and sleep when there are none.
 */
#pragma once

#include "dataplane/core/worker.h"

/** Control thread. Makes a worker (memory, no thread yet) and frees it. -ENOMEM. */
int worker_new(struct dp *dp, unsigned index, int core, struct worker **out);
void worker_free(struct worker *w);

/** The worker's thread: runs until w->stop. `arg` is the struct worker. */
int worker_main(void *arg);

/** Worker. One turn: every queue that is due, what control injected, quiescent state. Returns the
 * frames moved. */
unsigned worker_turn(struct worker *w);

/** Worker. Takes one burst from a queue through the pipeline. Returns its frames. */
unsigned worker_serve(struct worker *w, struct port *port, uint16_t queue);

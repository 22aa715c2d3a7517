/* deliver.h: the last stage, and its memory. */
#pragma once

#include "dataplane/core/worker.h"

/** Worker. Copies the frames of `b` to their receivers, and counts. */
void deliver_stage(struct worker *w, struct burst *b);

/** Control thread. -ENOMEM. */
int outbox_new(struct worker *w);
void outbox_free(struct worker *w);

/* deliver.h: memory of the deliver stage. Control thread. */
#pragma once

#include "dataplane/core/worker.h"

/** -ENOMEM. */
int outbox_new(struct worker *w);
void outbox_free(struct worker *w);

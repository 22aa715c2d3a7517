/* inject.h: what control has the workers send (exchange.h), on its way out. Worker. */
#pragma once

#include "dataplane/core/worker.h"

/** Sends what control injected. Cheap when there is nothing. */
void inject_send(struct worker *w);

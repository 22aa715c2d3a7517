/* inject.h: what control and the bfd thread have the workers send (exchange.h), on its way out. Worker. */
#pragma once

#include "dataplane/core/worker.h"

/** Sends what they injected. Cheap when there is nothing. */
void inject_send(struct worker *w);

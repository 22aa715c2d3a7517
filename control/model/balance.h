/* balance.h: services with a vip go to the dataplane, and what it knows of them comes back. */
#pragma once

#include "registry/registry.h"

/** registry_sink.apply of a struct model: brings the dataplane to what the registry says of the service. What it refuses is
 * in model->apply_err. */
void balance_apply(void *ctx, const struct reg_service *service, const struct reg_backend *const *backends,
	size_t nbackend, bool gone, uint64_t generation);
/** registry_sink.applied: workers run on all of that when it returns. */
void balance_applied(void *ctx);

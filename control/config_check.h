/* config_check.h: what can be wrong with a configuration whose objects are each right. Pure. */
#pragma once

#include <jansson.h>

#include "control/api.h"

/** Duplicates, references to nothing, addresses outside their subnet. -1 with the first in *err. */
int config_check(const json_t *config, struct api_err *err);

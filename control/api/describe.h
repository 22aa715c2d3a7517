/* describe.h: describes methods in JSON, from the tables that also check them. */
#pragma once

#include "control/api/api.h"

/** A method with its fields, as api.describe answers. New reference. */
json_t *describe_method(const struct api_method *method);

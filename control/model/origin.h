/* origin.h: who made the object that a call is about. Control thread. */
#pragma once

#include <jansson.h>

struct model;

/**
 * The source ("config", "api", ...) of the object of `noun` that the validated `params` name by its key; NULL
 * when there is none.
 */
const char *origin_of(struct model *model, const char *noun, const json_t *params);

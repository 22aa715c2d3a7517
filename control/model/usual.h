/* usual.h: how long the backends of a service take to answer, where the dataplane measures it. */
#pragma once

#include <stdint.h>

struct model;
struct model_service;

/** Microseconds: the median of its backends, as it was USUAL_AGE_MS ago at most. 0: it is not measured of three of them, or
 * there are too many. */
uint32_t usual_latency_us(struct model *model, struct model_service *service);

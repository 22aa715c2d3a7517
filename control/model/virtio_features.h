/*
 * virtio_features.h: names of the virtio-net features that a vhost-user port may be told not to offer.
 */
#pragma once

#include <stdint.h>

/** NULL-terminated, for the schema. */
extern const char *const virtio_feature_names[];

/** The feature's bit as a mask, 0 for an unknown name. */
uint64_t virtio_feature_bit(const char *name);

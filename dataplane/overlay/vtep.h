/* vtep.h: the other hosts that control has named, and by which uplink each is reached. Control thread. */
#pragma once

#include <stdint.h>

struct dp;

/** Publishes vtep `id` as its record says. -ENOMEM: the old one stays. */
int vtep_publish(struct dp *dp, uint16_t id);

/** A port came or went: uplinks are chosen again. */
void vteps_rebind(struct dp *dp);

/** Frees all of them, once there are no workers any more. */
void vteps_close(struct dp *dp);

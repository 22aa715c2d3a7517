/* vtep.h: the other hosts that control has named, and by which uplink each is reached. Control thread. */
#pragma once

struct dp;

/** A port came or went: uplinks are chosen again. */
void vteps_rebind(struct dp *dp);

/** Frees all of them, once there are no workers any more. */
void vteps_close(struct dp *dp);

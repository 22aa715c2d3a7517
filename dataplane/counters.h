/* counters.h: what the workers did lately, for those who read counters. Control thread. */
#pragma once

struct dp;

/** -ENOMEM. */
int stats_open(struct dp *dp);
void stats_close(struct dp *dp);
/** Once a second. */
void stats_tick(struct dp *dp);

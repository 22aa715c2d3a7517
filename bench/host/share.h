/*
 * share.h: how much of a core a process's busiest thread was given. A polling worker wants all of it; where
 * it got less, something else ran on its core and the figures of that trial are disturbed.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

enum { SHARE_THREADS = 256 };

struct share {
	pid_t thread[SHARE_THREADS];
	uint64_t ran_ns[SHARE_THREADS], away_ms[SHARE_THREADS];
	unsigned n;
	uint64_t at_ns;
};

/** Notes what every thread of `pid` (not of this process) has run so far; more than SHARE_THREADS are left
 * out. */
void share_begin(struct share *s, pid_t pid);

/**
 * Percent of the time since then that the busiest thread ran; 0 when that is not known. *away_ms: in how many
 * milliseconds at most it waited for its core, as each wait may touch one more than it lasts.
 */
double share_end_pct(const struct share *s, pid_t pid, uint64_t *away_ms);

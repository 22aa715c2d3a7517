/*
 * budget.h: what one port may cost its worker in time, which is time that the other ports wait.
 *
 * Nothing is measured while turns are short. A worker starts to watch for some seconds
 *
 *   - after a long turn (BUDGET_LONG_US), if there were BUDGET_FAULTS page faults since the last one;
 *   - when long turns take more than one part in BUDGET_SHARE of the time, and BUDGET_LONG_MS at once.
 *
 * A machine that takes the core away now and then does not start it, for watching costs a sixth of the cycles
 * of short frames. On watch, each look at a queue and each delivery is timed. The time is compared with what
 * as many frames and bytes cost at most where nobody is hostile (budget_allowance()). What goes beyond is an
 * overrun, charged to the port that caused it:
 *
 *   source     its rx, the stages, flooding, giving back its buffers; page faults where its frames lie
 *   receiver   its tx: a kernel that takes long over a frame, page faults in its buffers
 *
 * A port may overrun for one part in BUDGET_SHARE of the time, BUDGET_SAVED_MS of it at once. One that had
 * more waits until time has made up for it. As a source its queues are passed over. As a receiver it gets
 * nothing, and frames for it are dropped as `budget`. So of 1,000 frames of its neighbours about eight meet
 * an overrun. A port does not wait when no other port of the worker has frames: that would help nobody.
 *
 * Time for which the scheduler had taken the core away is subtracted (/proc/thread-self/schedstat). An
 * overrun without a page fault counts for at most what a burst can cost, half a millisecond, or four at a
 * port of the kernel: a core that a hypervisor takes away, or a process that a signal stops, looks the same.
 * One thing cannot be bounded: the kernel decides how long a page fault or a system call takes, and the
 * worker waits for its end.
 *
 * All of it is the worker's own, except for the counter in port_stats. The scheme is the leaky bucket as a
 * virtual scheduling algorithm (GCRA, ITU-T I.371): one time for each port, at which all its overruns are
 * paid for.
 */
#pragma once

#include <stdint.h>

#include "dataplane/core/worker.h"
#include "dataplane/frame/burst.h"

enum {
	BUDGET_LONG_US = 100, /* a turn of this length is long */
	BUDGET_FAULTS = 16,   /* since the last long turn start the watch at once: some come with any start */
	BUDGET_LONG_MS = 4,   /* by which turns are longer than that, saved up, start the watch */
	BUDGET_WATCH_S = 3,   /* from the last time on that it was reached */
	BUDGET_SHARE = 128,
	BUDGET_SAVED_MS = 8,
	BUDGET_WAIT_MAX_S = 10, /* whatever an overrun cost */
	BUDGET_OTHERS_S = 1,	/* a port that had frames this recently is one that would wait */
};

/** Control thread. -ENOMEM. */
int budget_new(struct worker *w);
void budget_free(struct worker *w);

/** Worker, in its thread, before the first turn: from here on it knows when the scheduler took the core away. */
void budget_start(struct worker *w);

/**
 * Worker. A turn that ended at TSC `now` took so many cycles, which is long. Starts the watch when there were
 * enough of them.
 */
void budget_alarm(struct worker *w, uint64_t now, uint64_t cycles);

/** Worker on watch, at the start of a turn. Ends the watch when all has been well. */
void budget_turn(struct worker *w, uint64_t now);

/** Worker on watch. Has `serve` (worker_serve()) look at a queue, and times it, unless the port must wait. Returns its frames. */
unsigned budget_serve(struct worker *w, struct port *port, uint16_t queue,
	unsigned (*serve)(struct worker *w, struct port *port, uint16_t queue));

/**
 * Worker on watch, after rx has filled `b`. Copies the payload now, on the source's account, if the source
 * may lately have made others wait by faults in its memory. A fault during delivery is then the receiver's.
 */
void budget_taken(struct worker *w, struct burst *b);

/** Worker on watch. As transmit_frames(); n is also returned when the port must wait and they were dropped. */
uint16_t budget_transmit(struct worker *w, struct port *port, struct frame *const *frames, uint16_t n);

/** Worker on watch. Was a port passed over in this turn, which may have frames? */
bool budget_holds(const struct worker *w);

/** TSC cycles that `frames` and `bytes` of the port may cost at once. */
uint64_t budget_allowance(const struct port *port, unsigned frames, uint32_t bytes);

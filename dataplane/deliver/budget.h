/*
 * budget.h: what one port may cost its worker in time, which is the other ports' waiting time.
 *
 * As long as turns are short nothing is measured. A long one (BUDGET_LONG_US) after BUDGET_FAULTS page faults since the last puts the worker
 * on watch for some seconds, and so do others that take more than one part in BUDGET_SHARE of the time, and
 * BUDGET_LONG_MS at once; a machine that takes the core away now and then does not, for the watch costs a sixth of the
 * cycles of short frames. Each look at a queue
 * and each delivery is then timed, and compared with what as many frames and bytes cost at the most where nobody
 * means ill (budget_allowance()). What goes beyond is an overrun, charged to the port whose it is:
 *
 *   source     its rx, the stages, flooding, giving back its buffers; page faults where its frames lie
 *   receiver   its tx: a kernel that takes long over a frame, page faults in its buffers
 *
 * A port may overrun for one part in BUDGET_SHARE of the time, BUDGET_SAVED_MS of it at once. One that has had more
 * waits until time has made up for it: as a source its queues are passed over, as a receiver it gets nothing and
 * what was for it is dropped as `budget`. So of 1,000 frames of its neighbours about eight meet an overrun. It does
 * not wait when no other port of the worker has frames: nobody would be helped.
 *
 * An overrun during which the scheduler had taken the core away is shortened by that (/proc/thread-self/schedstat).
 * One without a page fault counts for what a burst can cost at the most, half a millisecond, of a kernel's port
 * four: a core that a hypervisor takes away, or a process that a signal stops, looks the same. What cannot be held:
 * how long a single page fault or system call takes is the kernel's to say, and the worker waits for its end.
 *
 * The worker's own, but for the counter of port_stats. The scheme is the leaky bucket as a virtual scheduling algorithm
 * (GCRA, ITU-T I.371): one time for each port at which all its overruns are paid for.
 */
#pragma once

#include <stdint.h>

#include "dataplane/core/worker.h"
#include "dataplane/frame/burst.h"

enum {
	BUDGET_LONG_US = 100, /* a turn of this length is long */
	BUDGET_FAULTS = 16,   /* since the last long turn make it watch at once: some come with any start */
	BUDGET_LONG_MS = 4,   /* of what turns are longer than that, saved up, makes the worker watch */
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

/** Worker. A turn that ended at TSC `now` was long, of so many cycles: watches from here on when there were many. */
void budget_alarm(struct worker *w, uint64_t now, uint64_t cycles);

/** Worker on watch, at the start of a turn. Ends the watch when all has been well. */
void budget_turn(struct worker *w, uint64_t now);

/** Worker on watch. Has `serve` (worker_serve()) look at a queue, and times it, unless the port must wait. Returns its frames. */
unsigned budget_serve(struct worker *w, struct port *port, uint16_t queue,
	unsigned (*serve)(struct worker *w, struct port *port, uint16_t queue));

/**
 * Worker on watch, when rx has filled `b`. Payload of a port that may lately have made others wait by faults in its
 * memory is copied now, on its own account, so that a fault during delivery is the receiver's.
 */
void budget_taken(struct worker *w, struct burst *b);

/** Worker on watch. As transmit_frames(); n is also returned when the port must wait and they were dropped. */
uint16_t budget_transmit(struct worker *w, struct port *port, struct frame *const *frames, uint16_t n);

/** Worker on watch. Was a port passed over in this turn, which may have frames? */
bool budget_holds(const struct worker *w);

/** TSC cycles that `frames` and `bytes` of the port may cost at once. */
uint64_t budget_allowance(const struct port *port, unsigned frames, uint32_t bytes);

/*
 * balance.h: which worker polls which queue. A new port's queues go to the workers that have least to do;
 * later, the work of each queue is measured, and when one worker has much more than another, one queue at a
 * time moves. A queue is a whole: its frames stay with one worker, so flows keep their order. A worker that some port
 * asks for (dp_port.pinned) is reserved: it polls those that do and no others, and such queues never move by
 * themselves. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct dp;
struct dp_err;
struct dp_port;
struct port;

enum { BALANCE_S = 10 }; /* seconds that are measured before a move, and between two */

/* A queue's work, in workers: 1 keeps one busy all the time. */
struct balance_queue {
	uint16_t port, queue;
	uint16_t worker;
	float load;
};

/**
 * The move that helps most, if one is worth it. The busiest worker has to be busy for half of its time, and
 * for a quarter of it more than the idlest. After the move the busier of the two must have clearly less to
 * do. Workers whose bit is set in `reserved` (not all) neither give nor take. True: q[*which] should go to
 * worker *to.
 */
bool balance_choose(const struct balance_queue *q, unsigned n, unsigned nworker, uint64_t reserved,
	unsigned *which, unsigned *to);

/** -ENOMEM. */
int balance_open(struct dp *dp);
void balance_close(struct dp *dp);

/**
 * May port `self` (UINT16_MAX: one that is to be) be pinned as `spec` says? -EINVAL: its core is no worker's. -EBUSY: no
 * worker would be left that is not reserved.
 */
int balance_admit(struct dp *dp, const struct dp_port *spec, uint16_t self, struct dp_err *err);

/**
 * Chooses a worker for each queue of a port that is about to be published. Others leave its worker when that becomes
 * reserved: -ENOMEM, nothing has changed.
 */
int balance_assign(struct dp *dp, const struct port *port);

/** Pins a published port, or no longer, as `spec` says, which was admitted. -ENOMEM: nothing has changed. */
int balance_pin(struct dp *dp, struct port *port, const struct dp_port *spec);

/** The worker of a queue. */
unsigned balance_worker(const struct dp *dp, uint16_t port, uint16_t queue);

/** The worker that it had until now, during a move. */
unsigned balance_worker_before(const struct dp *dp, uint16_t port, uint16_t queue);

/**
 * Moves a queue to another worker: the old one is through with its frames before the new one looks at it.
 * -ENOMEM, or what the system says: it stays where it was.
 */
int balance_move(struct dp *dp, struct port *port, uint16_t queue, unsigned to);

/** Once a second: measures, and every BALANCE_S moves a queue if that is worth it. */
void balance_tick(struct dp *dp);

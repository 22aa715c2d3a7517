/*
 * polling.h: which queues a worker polls, and how it sleeps when there is nothing to do.
 *
 * - Rings in memory (vhost-user, packet sockets, devices) are looked at in every turn while they have frames now and
 *   then. One without frames for a millisecond is cold. When there are many queues, each turn looks at only some of the
 *   cold ones, so that hundreds of idle ports cost the busy ones little. The first frame of a cold queue then waits for
 *   50 us at most while other queues are busy, and for next to nothing otherwise.
 * - Queues where a look costs a system call (TAP) are gathered in one epoll set. It is asked in every turn when the
 *   worker is otherwise idle, and every FDS_EVERY_US when its rings are busy.
 * - Sleep is one ppoll over that set, the fds of the rings and the wake fd.
 */
#pragma once

#include <stdint.h>

#include "dataplane/core/worker.h"

enum { FDS_EVERY_US = 10 };

/** Control thread. -ENOMEM or what the system says. */
int polling_new(struct worker *w);
void polling_free(struct worker *w);

/** Worker. One look at every queue that is due at TSC `now`. Returns the frames moved. */
unsigned polling_turn(struct worker *w, uint64_t now);

/** Worker. Sleeps until a queue has frames or somebody wakes it; returns at once when frames are waiting. */
void polling_sleep(struct worker *w);

/** Control thread. Gives each worker the published ports' queues that are its own (balance.h). -ENOMEM. */
int polling_assign(struct dp *dp);

/**
 * Control thread. Takes the queues whose worker changes (balance_worker_before()) from their old one, waits until those
 * are through with them, and gives them to the new ones. -ENOMEM: nothing changed.
 */
int polling_hand_over(struct dp *dp);

/** Control thread. Before a port is published: its fds to the workers' epoll sets. -errno. */
int polling_add_fds(struct dp *dp, struct port *port);

/*
 * polling.h: which queues a worker polls, and how it sleeps when there is nothing to do.
 *
 * Rings in memory (vhost-user, packet sockets, devices) are looked at every turn while they have frames now
 * and then. Those that had none for a millisecond are cold: when there are many queues, each turn looks at
 * some of the cold ones, so that hundreds of idle ports cost the busy ones little and a cold one's first
 * frame waits for 50 us at most while others are busy, and for next to nothing otherwise. Queues that cost a
 * system call a look (TAP) are gathered in one epoll set: every turn when the worker is otherwise idle, every
 * FDS_EVERY_US when its rings are busy. Sleep is one ppoll over that set, the rings' own fds and the wake fd.
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

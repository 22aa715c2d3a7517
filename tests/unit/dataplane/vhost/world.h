/*
 * world.h: two vhost-user ports of two queue pairs on real sockets, served by a loop and polled by the
 * test. There are no workers.
 */
#pragma once

#include "dataplane/core/dp.h"
#include "dataplane/vhost/dev.h"
#include "tests/unit/loop.h"

enum { WORLD_PORTS = 2 };

struct world {
	struct loop loop;
	struct dp dp;
	struct worker w;
	struct port port[WORLD_PORTS];
	char path[WORLD_PORTS][64]; /* of their sockets */
};

/* Of the test that runs. */
extern struct world *world;
/* Where its sockets are. */
extern char world_dir[];

/* cmocka fixtures, of the group and of each test. At a test's end nothing watches, waits or lies about. */
int world_make_dir(void **state);
int world_remove_dir(void **state);
int world_setup(void **state);
int world_teardown(void **state);

/** Opens port i, which must be closed, at its path. */
int world_open(unsigned i, bool client, unsigned queues, struct dp_err *err);

struct vhost_dev *world_dev(unsigned i);
bool world_up(unsigned i);

/** Lets the loop do what is due, n times. */
void world_turns(unsigned n);

/** Takes what the guest has sent by one queue and gives it back; the number of frames, in world->w.burst. */
uint16_t world_poll(unsigned i, uint16_t queue);

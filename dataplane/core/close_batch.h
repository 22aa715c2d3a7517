/*
 * close_batch.h: closes many files, each of which the kernel takes its time for, together. Control thread.
 *
 * A TAP's last descriptor deletes its interface, for which the kernel waits out a grace period of its own: 22 ms
 * each on a machine of two cores, one after the other. Waits of several threads share a grace period.
 */
#pragma once

#include <stddef.h>

struct close_batch {
	int *fd;
	size_t n, room;
};

/** Keeps `fd` for close_batch_run(); without memory it is closed here. */
void close_batch_add(struct close_batch *batch, int fd);

/** Closes them all and forgets them. */
void close_batch_run(struct close_batch *batch);

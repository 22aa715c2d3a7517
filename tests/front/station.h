/*
 * station.h: a guest on a vhost-user port that sleeps until it is notified, as a driver does. It takes frames
 * from all its rings, and watches that it is told of each: a frame that lies there for a second with no word of
 * it is a notification lost.
 */
#pragma once

#include "bench/front/front.h"
#include "tests/front/stamp.h"

struct station {
	struct front *front;
	struct front_options opt;
	uint8_t mac[6];
	bool connected;
	void (*receive)(void *arg, struct station *station, const struct stamp *stamp);
	void *arg;
	/* what went wrong */
	uint64_t wrong;	 /* frames that nobody sent like this */
	uint64_t silent; /* frames that we were not notified of */
};

/** Connects by station->opt. 0, or -errno with front_error(); no front where none could be made. */
int station_connect(struct station *s);

/** Hangs up, as one that died. */
void station_disconnect(struct station *s);

/** Takes all frames that there are; calls `receive` for each that is whole. Returns how many. */
unsigned station_poll(struct station *s);

/** Sends a frame on queue pair `pair`. False: its ring is full, or nobody is connected. */
bool station_send(struct station *s, unsigned pair, const uint8_t to[6], const struct stamp *stamp);

/** Waits until one of the stations is notified, `fd` is readable, or `ms` have passed. True: `fd` is. */
bool station_wait(struct station *const *stations, unsigned n, int fd, int ms);

/** Used entries that no back-end may write. */
uint64_t station_bad_used(const struct station *s);

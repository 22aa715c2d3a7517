/*
 * stream.h: TCP from one network namespace to another, as fast as it goes, by two threads that live in them. The
 * kernels of the two ends make and take the segments, with whatever their interfaces let them leave to the
 * switch. What arrives is compared with what was sent at one place in each read.
 */
#pragma once

#include <stdint.h>

/* Where a connection may begin or end: a namespace with an address. */
struct stream_end {
	char name[16];
	char netns[96]; /* its name under /run/netns */
	char address[48];
};

struct stream_result {
	double seconds;
	uint64_t bytes; /* received */
	uint64_t wrong; /* reads that were not what was sent */
};

/**
 * `count` connections at once from one end to the other for `warm_up` and then `seconds`, of which the latter is
 * measured. `core`: where both ends' threads run, -1: wherever the scheduler puts them. 0; or -errno, with a line
 * in `error`.
 */
int stream_run(const struct stream_end *from, const struct stream_end *to, unsigned count, int core,
	double warm_up, double seconds, struct stream_result *result, char error[256]);

/*
 * changes.h: changes of the switch's configuration in the making, by a thread, beside the traffic.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

struct session;
struct trial;

struct changes {
	struct session *s;
	const char *kind; /* peer.h; NULL: none */
	unsigned count;	  /* made at a time */
	/* changes.c's; the last four to be read when it has ended */
	pthread_t thread;
	bool begun;
	atomic_bool done;
	int made, rc;
	double seconds; /* that they took */
	char error[256];
};

/** Begins: at least `count`, and on until the trial is as long as it was asked to be. Nothing without a kind. */
void changes_begin(struct changes *c);

/** Are some being made? */
bool changes_going_on(const struct changes *c);

/** Waits for their end. */
void changes_end(struct changes *c);

/** How many there were and what each took, into `t`. 0, or why they failed, which has been said on stderr. */
int changes_report(const struct changes *c, struct trial *t);

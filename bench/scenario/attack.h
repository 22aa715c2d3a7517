/*
 * attack.h: what a guest may do to hurt the others of its worker, done at full speed beside their traffic. An
 * attack is one row in the table (attack.c). Most are a `step`, which the thread that drives the honest
 * traffic takes between two looks at its rings, and which is short: what is measured shall be the switch.
 * Those that wait for the switch's answers run in a thread of their own.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>

#include "bench/front/front.h"
#include "bench/report/scenario.h"
#include "bench/traffic/balance.h"
#include "bench/traffic/overlay.h"

/* The ports of the scenario, and what stands behind each. */
enum {
	ATTACK_HONEST, /* and the next: the pair whose frames are timed */
	ATTACK_SENDER = 2,
	ATTACK_RECEIVER, /* the backends of the vip are here too */
	ATTACK_UPLINK,
	ATTACK_CROWD, /* this and those that follow: in the sender's network, to be flooded to */
	ATTACK_PORTS = ATTACK_CROWD + 8,
};

struct attack_run {
	struct session *s;
	const struct attack *attack;
	struct front *sender, *receiver, *uplink;
	struct balance requests; /* to the vip */
	struct overlay overlay;
	uint64_t number;  /* of frames made: new addresses and connections come from it */
	uint8_t probe[6]; /* the MAC by which the switch asks for backends; zero before it has */
	/* of a thread */
	pthread_t thread;
	bool has_thread;
	atomic_bool stop;
	int rc; /* of the thread, or of a front that could not be set up */
};

struct attack {
	const char *name; /* NULL ends the table; a trial's variant */
	const char *help;
	/** Fills the rings of sender and receiver, which have just booted, or boots them otherwise. 0; -ENOTSUP: the machine lacks something; -errno. */
	int (*begin)(struct attack_run *run);
	/** Keeps it going: called all the time, in a microsecond or so. May be NULL. */
	void (*step)(struct attack_run *run);
	/** The same by messages to the switch, one round after the other, in a thread. May be NULL. */
	int (*round)(struct attack_run *run);
};

extern const struct attack attacks[];

/** Begins `attack` on the session's fronts. As attack->begin. attack_end() in any case. */
int attack_begin(struct attack_run *run, struct session *s, const struct attack *attack);

/** As generator_beside() wants it: `arg` is the run. */
void attack_step(void *arg);

/** Ends it and leaves ports that send nothing. 0, or why the attack failed (said on stderr). */
int attack_end(struct attack_run *run);

/*
 * noise.h: a front-end that means ill: handshakes that go astray, malformed messages, rings and frames of
 * noise that change while they are read, memory that shrinks, notifications that never end. All of it is drawn
 * from one seed, so a round that did harm can be had again.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct noise {
	uint64_t random; /* state; never 0 */
	const char *path;
	int socket, memfd;
	uint8_t *mem;
	int kick[2], call[2];
	uint64_t features;
	uint32_t num; /* entries of its rings */
	bool packed;
};

/** A number below `n`, which is not 0. */
uint32_t noise_below(struct noise *n, uint32_t limit);

/** Makes its memory and connects to the port at n->path. 0; -ETIMEDOUT: nobody accepts; or -errno. */
int noise_open(struct noise *n);
/** Closes everything. */
void noise_close(struct noise *n);

enum { NOISE_STEPS = 16 }; /* of a whole handshake */

/** The first `steps` steps of an orderly handshake, with features, ring kind and ring size drawn. */
void noise_boot(struct noise *n, unsigned steps);

/** One message that is likely to make some sense, or little. */
void noise_message(struct noise *n);
/** One of the messages that no front-end may send; `which` counts them, from 0 on, and wraps around. */
void noise_malformed(struct noise *n, unsigned which);
/** A part of a message, and then nothing. */
void noise_partial(struct noise *n);

/** Writes noise into rings and frames and kicks. */
void noise_rings(struct noise *n);
/** Writes on, while the switch reads. */
void noise_scribble(struct noise *n, unsigned words);
/** Cuts its memory off, whoever uses it. */
void noise_truncate(struct noise *n);
/** Makes the fds that it is called by blocking, and as full as can be. */
void noise_fill_calls(struct noise *n);

/** Reads what the switch said, if anything. True: it has hung up. */
bool noise_hung_up(struct noise *n);

/*
 * steady.h: two guests that send each other numbered frames the whole time, at most a window of them under way,
 * so that none may ever be missing. Whoever asks either of them is answered, and a third guest is poked, whether
 * it looks or not.
 */
#pragma once

#include "tests/front/station.h"

enum { STEADY_WINDOW = 32 };

struct steady {
	struct station side[2];
	uint8_t poked[6];
	uint32_t sent[2];     /* by each side */
	uint32_t received[2]; /* of what each side sent: the number that must come next */
	uint64_t lost, doubled;
	bool over; /* no more are sent */
};

/** Readies both sides, whose opt and mac are set. */
void steady_init(struct steady *s);

/** Takes what came, sends what may be sent, and sleeps a little. True: `fd` is readable. */
bool steady_turn(struct steady *s, int fd);

/** Frames of the stream that are under way. */
uint32_t steady_under_way(const struct steady *s);

/*
 * subject.h: a guest that things happen to. While it is connected it asks a steady one (steady.h) without end,
 * and asks again what was not answered: frames may be lost while its port is out of order, but none may come
 * twice or be anything but what was sent.
 */
#pragma once

#include "tests/front/station.h"

enum { SUBJECT_WINDOW = 16, SUBJECT_NUMBERS = 65536 };

struct subject {
	struct station station;
	uint8_t peer[6];
	bool paused; /* asks nothing */
	uint32_t run, next;
	struct {
		bool open;
		uint32_t number;
		int64_t asked_ms;
	} question[SUBJECT_WINDOW];
	uint8_t asked[SUBJECT_NUMBERS], answered[SUBJECT_NUMBERS]; /* times, by number */
	uint32_t mark; /* questions since the mark that were answered */
	uint32_t done;
	uint64_t doubled;
};

/** Readies it; its station's opt and mac are set. */
void subject_init(struct subject *s);

/** Takes what came, asks, and sleeps a little. True: `fd` is readable. */
bool subject_turn(struct subject *s, int fd);

/** Asks until `count` questions, all first asked from now on, were answered. False: they were not in `ms`. */
bool subject_check(struct subject *s, uint32_t count, int64_t ms);

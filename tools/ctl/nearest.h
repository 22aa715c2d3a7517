/* nearest.h: the word that somebody meant who mistyped one. Pure. */
#pragma once

#include <stddef.h>

enum { NEAREST_WORD = 96, NEAREST_CHANGES = 3 };

/* Begin with nearest_to(), offer words, and read `name`. */
struct nearest {
	const char *said;
	size_t distance;	 /* of `name` */
	char name[NEAREST_WORD]; /* "": nothing is near */
};

void nearest_to(struct nearest *nearest, const char *said);

/** Takes `name` where it is at most NEAREST_CHANGES letters from what was said, and nearer than those before. */
void nearest_try(struct nearest *nearest, const char *name);

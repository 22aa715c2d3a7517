/*
 * quantity.h: large numbers as people write them: 64K, 250M, 2.5G. K is 1,000, M a million, G 1,000 M. Pure, any
 * thread.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

enum { QUANTITY_TEXT = 24 };

/** Reads a string like 2.5G, or an integer, of at most 10^15. False: it is neither, or no whole number. */
bool quantity_read(const json_t *value, uint64_t *out);

/** As 2500M: with the largest unit that leaves a whole number. Returns `text`. */
const char *quantity_text(uint64_t value, char text[QUANTITY_TEXT]);

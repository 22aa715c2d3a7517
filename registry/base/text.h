/* text.h: strings that are kept in one block with what they belong to, and whether they are the same. Pure, any thread. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "registry/registry.h"

/** A copy of `text`, to be freed; NULL of NULL. False: no memory, and *out is NULL. */
bool text_copy(char **out, const char *text);

/** Bytes that a string takes, with its end; NULL takes none. */
size_t text_size(const char *text);

/** Copies `text` to *at, where there is room, and moves that behind it. The copy, or NULL of NULL. */
const char *text_put(char **at, const char *text);

/** Of two texts that may be NULL. */
bool text_same(const char *a, const char *b);
bool text_same_pairs(const struct reg_pair *a, size_t na, const struct reg_pair *b, size_t nb);

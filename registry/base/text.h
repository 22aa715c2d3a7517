/* text.h: strings that are kept in one block with what they belong to. Pure, any thread. */
#pragma once

#include <stddef.h>

/** Bytes that a string takes, with its end; NULL takes none. */
size_t text_size(const char *text);

/** Copies `text` to *at, where there is room, and moves that behind it. The copy, or NULL of NULL. */
const char *text_put(char **at, const char *text);

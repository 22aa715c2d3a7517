/*
 * utf8.h: text of others as what JSON takes. What is no UTF-8, or a control character that is no white space,
 * becomes a question mark.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/** Is all of it UTF-8? */
bool utf8_is(const char *text);
/** How many bytes of `text`, at most `max`, can be taken without cutting a character. */
size_t utf8_fits(const char *text, size_t max);
/** Copies so many bytes and ends them; `out` has len + 1. */
void utf8_copy(char *out, const char *text, size_t len);

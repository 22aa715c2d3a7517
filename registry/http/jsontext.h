/*
 * jsontext.h: JSON as text, for what the library cannot hold: its integers have a sign, and Consul's flags of 64 bits
 * have none. Pure.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/**
 * Reads JSON in which integers may be of more than 63 bits; what is read is asked for these by
 * jsontext_unsigned(). NULL: it is none, *err says why.
 */
json_t *jsontext_load(const char *text, size_t len, json_error_t *err);
/** The number of a value of such JSON. False: it is no integer from 0 to 2^64 - 1. */
bool jsontext_unsigned(const json_t *value, uint64_t *out);
/** Compact JSON with a line for each value, as json_dumps() indents it by 4. To be freed; NULL: no memory. */
char *jsontext_indent(const char *text);
/** The text as a string of JSON, with its quotes. To be freed; NULL: no memory, or it is not UTF-8. */
char *jsontext_quote(const char *text);

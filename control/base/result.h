/*
 * result.h: building result objects, a line a field, in the order in which they are shown.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/** `text` NULL: null. */
static inline void put_str(json_t *object, const char *field, const char *text)
{
	json_object_set_new(object, field, text ? json_string(text) : json_null());
}

static inline void put_int(json_t *object, const char *field, uint64_t value)
{
	json_object_set_new(object, field, json_integer((json_int_t)value));
}

/** Seconds since then; CLOCK_MONOTONIC. */
static inline void put_age(json_t *object, const char *field, const struct timespec *since)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	put_int(object, field, (uint64_t)(now.tv_sec - since->tv_sec));
}

static inline void put_real(json_t *object, const char *field, double value)
{
	json_object_set_new(object, field, json_real(value));
}

static inline void put_bool(json_t *object, const char *field, bool value)
{
	json_object_set_new(object, field, json_boolean(value));
}

/** Takes over `value`. */
static inline void put(json_t *object, const char *field, json_t *value)
{
	json_object_set_new(object, field, value);
}

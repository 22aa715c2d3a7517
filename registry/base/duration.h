/*
 * duration.h: durations as Go writes them: "10s", "1m30s", "1.5h", "120000ms". Pure.
 */
#pragma once

#include <stdint.h>

/**
 * The duration of `text` in microseconds. "0" needs no unit. Returns 0, or -EINVAL when it is none, -ERANGE
 * when it is longer than about 292 years, as in Go. (Grammar: time.ParseDuration of Go's library.)
 */
int duration_parse(const char *text, int64_t *us);

enum { DURATION_TEXT = 48 };
/** As Go prints it: "1m30s", "1.5s", "250ms", "0s". */
const char *duration_text(int64_t us, char text[DURATION_TEXT]);

/* log.h: the daemon's log: one line an event, to stderr, with the level that journald understands. Any
 * thread. */
#pragma once

#include <syslog.h>

/** Events above `level` (LOG_ERR..LOG_DEBUG) are not written. */
void log_set_level(int level);

/** "error", "warning", "notice", "info" or "debug" to a level; -1: none of them. */
int log_level_of(const char *name);

void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

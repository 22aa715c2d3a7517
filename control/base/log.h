/*
 * log.h: the daemon's log: one line an event, to stderr, with the level that journald understands. Each object may fill
 * so much of it and no more (log_limit.h): what is left out is counted, and reported within seconds. Control thread.
 */
#pragma once

#include <stdint.h>
#include <syslog.h>

struct event_base;

/** Events above `level` (LOG_ERR..LOG_DEBUG) are not written. */
void log_set_level(int level);

/** "error", "warning", "notice", "info" or "debug" to a level; -1: none of them. */
int log_level_of(const char *name);

/** What was left out is reported on this loop from now on; libevent's own messages come here, too. 0 or -ENOMEM. */
int log_open(struct event_base *base);
/** Tells what was left out. Without log_open() it does nothing. */
void log_close(void);

/** Lines left out since the start. */
uint64_t log_left_out(void);

/** About the daemon: one message, whatever it names, counts as one object. */
void log_line(int level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/** About one of many objects: "port c1". */
void log_subject(int level, const char *subject, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

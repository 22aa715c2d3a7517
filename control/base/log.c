#include "control/base/log.h"

#include <errno.h>
#include <event2/event.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "control/base/log_limit.h"

static int most = LOG_INFO;

static struct {
	struct log_limit limit;
	bool seeded;
	uint64_t left_out;
	struct event *tell; /* NULL: not yet, or not any more */
} log_state;

static const char *const names[] = {[LOG_ERR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug"};

enum { NAMES = sizeof(names) / sizeof(names[0]) };

void log_set_level(int level)
{
	most = level;
}

int log_level_of(const char *name)
{
	for (int i = LOG_ERR; i < NAMES; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

static int64_t now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return 1 + (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

static void write_line(int level, const char *text)
{
	char when[32] = "";
	time_t now = time(NULL);
	struct tm tm;

	if (getenv("JOURNAL_STREAM")) {
		fprintf(stderr, "<%d>%s\n", level, text);
		return;
	}
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	fprintf(stderr, "%s %s %s\n", when, level < NAMES && names[level] ? names[level] : "error", text);
}

static void report_one(int level, const char *subject, uint64_t left_out, const char *last)
{
	char text[LOG_LIMIT_TEXT + 64];

	if (subject[0])
		snprintf(text, sizeof(text), "lines left out: %" PRIu64 ", the last of them: %s", left_out,
			last);
	else
		snprintf(text, sizeof(text), "lines left out: %" PRIu64 ", about many things", left_out);
	write_line(level, text);
}

static void tell_later(void)
{
	static const struct timeval later = {.tv_sec = LOG_LIMIT_REPORT_MS / 1000};

	if (log_state.tell && !event_pending(log_state.tell, EV_TIMEOUT, NULL))
		event_add(log_state.tell, &later);
}

static void on_tell(evutil_socket_t fd, short what, void *arg)
{
	if (log_limit_report(&log_state.limit, now_ms(), false, report_one))
		tell_later();
}

static struct log_limit *limit_of(void)
{
	uint64_t seed = 0;

	if (!log_state.seeded) {
		getentropy(&seed, sizeof(seed));
		log_limit_init(&log_state.limit, seed);
		log_state.seeded = true;
	}
	return &log_state.limit;
}

static void write_limited(int level, const char *subject, const char *text)
{
	char more[1100];
	uint64_t left_out;

	if (!log_limit_take(limit_of(), now_ms(), subject, level, text, &left_out)) {
		log_state.left_out++;
		tell_later();
		return;
	}
	if (!left_out) {
		write_line(level, text);
		return;
	}
	snprintf(more, sizeof(more), "%s (lines left out before: %" PRIu64 ")", text, left_out);
	write_line(level, more);
}

/* What libevent says of itself, at LOG_WARNING and worse. */
static void on_event_log(int severity, const char *text)
{
	if (severity >= EVENT_LOG_WARN)
		log_subject(LOG_WARNING, "libevent", "libevent: %s", text);
}

int log_open(struct event_base *base)
{
	log_state.tell = event_new(base, -1, 0, on_tell, NULL);
	event_set_log_callback(on_event_log);
	return log_state.tell ? 0 : -ENOMEM;
}

void log_close(void)
{
	if (!log_state.tell)
		return;
	log_limit_report(limit_of(), now_ms(), true, report_one);
	event_free(log_state.tell);
	log_state.tell = NULL;
}

uint64_t log_left_out(void)
{
	return log_state.left_out;
}

static void write_args(int level, const char *subject, const char *fmt, va_list ap)
{
	char text[1024];

	if (level > most)
		return;
	vsnprintf(text, sizeof(text), fmt, ap);
	write_limited(level, subject, text);
}

void log_line(int level, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_args(level, fmt, fmt, ap);
	va_end(ap);
}

void log_subject(int level, const char *subject, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	write_args(level, subject, fmt, ap);
	va_end(ap);
}

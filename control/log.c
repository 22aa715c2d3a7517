#include "control/log.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static int limit = LOG_INFO;

static const char *const names[] = {[LOG_ERR] = "error",
	[LOG_WARNING] = "warning",
	[LOG_NOTICE] = "notice",
	[LOG_INFO] = "info",
	[LOG_DEBUG] = "debug"};

enum { NAMES = sizeof(names) / sizeof(names[0]) };

void log_set_level(int level)
{
	limit = level;
}

int log_level_of(const char *name)
{
	for (int i = LOG_ERR; i < NAMES; i++)
		if (strcmp(names[i], name) == 0)
			return i;
	return -1;
}

void log_line(int level, const char *fmt, ...)
{
	bool journal = getenv("JOURNAL_STREAM") != NULL;
	char text[1024], when[32] = "";
	time_t now = time(NULL);
	struct tm tm;
	va_list ap;

	if (level > limit)
		return;
	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (journal) {
		fprintf(stderr, "<%d>%s\n", level, text);
		return;
	}
	strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &tm));
	fprintf(stderr, "%s %s %s\n", when, level < NAMES && names[level] ? names[level] : "error", text);
}

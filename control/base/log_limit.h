/*
 * log_limit.h: how much of the log one object may fill. Each object ("port c1", "service web: backend
 * 10.1.0.12:80", or a kind of message) has a token bucket, and all of them together have another. A line that
 * finds no token is left out and counted. The count and the last line left out are reported later, so that
 * only repetition is lost. The table is fixed: the count of an object that is pushed out of it joins those of
 * all such objects. Pure; one thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
	LOG_LIMIT_BURST = 10,	     /* lines of one object in a row */
	LOG_LIMIT_EVERY_MS = 1000,   /* and one more each */
	LOG_LIMIT_ALL_BURST = 1000,  /* of all objects together */
	LOG_LIMIT_ALL_EVERY_MS = 10, /* and one more each */
	LOG_LIMIT_REPORT_MS = 5000,  /* until what was left out is reported */
	LOG_LIMIT_REPORTS = 50,	     /* objects in one go at most; the others are reported next time */
	LOG_LIMIT_SETS = 256,
	LOG_LIMIT_WAYS = 4,
	LOG_LIMIT_SUBJECT = 224, /* bytes of an object's name that tell it from another */
	LOG_LIMIT_TEXT = 256,	 /* bytes kept of the last line left out */
};

struct log_bucket {
	int64_t at_ms;	/* when `milli` was right; 0: never used */
	uint32_t milli; /* thousandths of a token */
};

struct log_object {
	struct log_bucket bucket;
	uint64_t left_out; /* lines, since they were last reported of */
	int64_t since_ms;  /* when the first of these was left out */
	int level;	   /* the most severe of them */
	char subject[LOG_LIMIT_SUBJECT];
	char last[LOG_LIMIT_TEXT];
};

struct log_limit {
	uint64_t seed;
	struct log_bucket all;
	uint64_t others;  /* lines left out of objects that are no longer in the table */
	uint64_t pending; /* objects with lines left out */
	struct log_object object[LOG_LIMIT_SETS][LOG_LIMIT_WAYS];
};

/** An object's name must not decide where in the table it is: `seed` is secret. */
void log_limit_init(struct log_limit *limit, uint64_t seed);

/**
 * May a line about this object be written now? Then *left_out is how many of its lines were left out since the last
 * one. False: it is counted, and kept as the last one. Times in ms of a clock that does not go back, above 0.
 */
bool log_limit_take(struct log_limit *limit, int64_t now_ms, const char *subject, int level, const char *text,
	uint64_t *left_out);

/**
 * Calls fn for objects of which lines were left out long enough ago, LOG_LIMIT_REPORTS of them at most, and forgets these
 * lines. `ending`: of all of them, the rest as one. `subject` "" stands for objects that are no longer known. True when
 * there are more.
 */
bool log_limit_report(struct log_limit *limit, int64_t now_ms, bool ending,
	void (*fn)(int level, const char *subject, uint64_t left_out, const char *last));

/*
 * not_kept.h: which files of the state directory lack changes that are in effect, because the disk refused
 * them. Control thread.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>
#include <time.h>

enum { NOT_KEPT_FILES = 2 };

/* Zeroed: everything is kept. */
struct not_kept {
	struct {
		char why[96];	       /* "": it is kept */
		struct timespec since; /* CLOCK_MONOTONIC */
		uint64_t times;	       /* that this began */
	} files[NOT_KEPT_FILES];       /* in the order of state_dir.h */
};

/** Why the file (STATE_DIR_...) takes nothing since now, NULL: all is in it again. */
void not_kept_set(struct not_kept *kept, const char *file, const char *why);

/** Why the file takes nothing, NULL: it does. */
const char *not_kept_why(const struct not_kept *kept, const char *file);

/** How often that began. */
uint64_t not_kept_times(const struct not_kept *kept, const char *file);

/** As `status` shows it: [{file, why, since_s}] of those that take nothing, a new reference. */
json_t *not_kept_json(const struct not_kept *kept);

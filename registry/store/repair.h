/*
 * repair.h: what can be saved of a damaged journal.
 */
#pragma once

#include <stddef.h>

#include "registry/registry.h"

struct journal_repair {
	size_t kept;	/* lines that are in the file now */
	size_t aside;	/* put aside: pieces between newlines that were not taken */
	size_t missing; /* numbers of which there is no line */
	char file[512]; /* where they were put, PATH.damaged-N; "": nothing was */
	bool sound;	/* the file was whole, or torn at its end as after a crash, and is as it was */
};

/**
 * Keeps every line that is sound by itself, in the order of the numbers, in a new file; writes all else aside.
 * The file must not be in use. -ENOENT: there is none. -EBADMSG: of another version. What the system says; then
 * the file is as it was.
 */
int journal_repair(const char *path, struct journal_repair *done, struct reg_err *err);

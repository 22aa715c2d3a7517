/*
 * file.h: the file behind a journal: changes, one a line (line.h), of which the last one of a key
 * counts. Only appended to, and now and then written anew without its history. One thread at a time, except for
 * journal_file_size().
 *
 * When something fails the file is brought back to where it was, and the call may be made again. After an error
 * of the device (EIO, or any of fsync) nothing is taken for written that the kernel may have forgotten: the next
 * call writes the file anew, beside the old one.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "registry/store/line.h"

struct journal_file {
	char *path;
	int fd;
	_Atomic(size_t) size; /* of the lines that are whole and on disk */
	uint64_t next;	      /* number of the next line */
	bool doubtful;	      /* it must be written anew */
};

struct journal_file_err {
	enum journal_found found; /* JOURNAL_TORN: the end was cut off. Two others: -EBADMSG */
	unsigned line;
	const char *why;
};

/**
 * Opens the file (made when missing, mode 0600) and calls `line` for each, in order. What a crash tore, at the
 * end, is cut off. -EBADMSG: `err` says what is wrong with it; nothing was altered, and what `line` was told
 * is worthless. -ENOMEM, or what opening, reading and cutting it gave.
 */
int journal_file_open(struct journal_file *file, const char *path,
	void (*line)(void *arg, const char *key, const char *value), void *arg, struct journal_file_err *err);
/** Nothing when it is not open (fd -1). */
void journal_file_close(struct journal_file *file);

/** Appends changes and syncs them. What the system says; -EBADMSG: it must be replaced, for it is damaged. */
int journal_file_append(struct journal_file *file, const char *changes, size_t len);

/** Puts a new file with these changes in its place. */
int journal_file_replace(struct journal_file *file, const char *changes, size_t len);

/** The same with what is left of its own when history is taken away. */
int journal_file_compact(struct journal_file *file);

/** The whole of a file, to be freed. -errno. */
int journal_file_read(int fd, char **text, size_t *len);

/** Writes all of it. -errno. */
int journal_file_write(int fd, const char *text, size_t len);

/** Any thread. Bytes. */
static inline size_t journal_file_size(const struct journal_file *file)
{
	return atomic_load_explicit(&file->size, memory_order_relaxed);
}

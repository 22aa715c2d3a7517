/*
 * journal_file.h: the file behind a journal: lines of ["key", "value" or null], of which the last one of a key
 * counts. Only appended to, and now and then written anew without its history. One thread at a time, except for
 * journal_file_size().
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

struct journal_file {
	char *path;
	int fd;
	_Atomic(size_t) size; /* of the lines that are whole and on disk */
};

/** A line; `value` NULL: the key is gone. To be freed; NULL: no memory. */
char *journal_line(const char *key, const char *value);

/**
 * Opens the file (made when missing, mode 0600) and calls `line` for each, in order. What a crash tore, at the
 * end, is cut off, and *torn says so. -ENOMEM, or what opening, reading and cutting it gave.
 */
int journal_file_open(struct journal_file *file, const char *path,
	void (*line)(void *arg, const char *key, const char *value), void *arg, bool *torn);
/** Nothing when it is not open (fd -1). */
void journal_file_close(struct journal_file *file);

/** Appends whole lines and syncs them; when that fails the file is as it was. What the system says. */
int journal_file_append(struct journal_file *file, const char *text, size_t len);

/** Puts a new file with these lines in its place. */
int journal_file_replace(struct journal_file *file, const char *text, size_t len);

/** The same with what is left of its own lines when history is taken away. */
int journal_file_compact(struct journal_file *file);

/** Any thread. Bytes. */
static inline size_t journal_file_size(const struct journal_file *file)
{
	return atomic_load_explicit(&file->size, memory_order_relaxed);
}

/*
 * writer.h: the thread that writes a journal's file, so that control never waits for a disk. One job at a
 * time; its end is told on the control loop.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "registry/store/file.h"

struct event_base;
struct journal_writer;

struct journal_job {
	char *text; /* lines; the job's own */
	size_t len;
	bool whole;   /* all that there is, rather than what follows */
	bool compact; /* take history away afterwards */
};

/** Control thread. `done` gets the job back, and 0 or why it is not on disk. -ENOMEM, or what making the thread gave. */
int journal_writer_new(struct event_base *base, struct journal_file *file,
	void (*done)(void *arg, struct journal_job *job, int rc), void *arg, struct journal_writer **out);

/** Control thread. Hands over a job; there must be none under way (until `done` was called). */
void journal_writer_give(struct journal_writer *writer, const struct journal_job *job);

/** Control thread. Waits for the job under way, whose end is told before this returns. NULL is allowed. */
void journal_writer_free(struct journal_writer *writer);

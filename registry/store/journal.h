/*
 * journal.h: a small store of texts by key, in one file that is only appended to. Control thread.
 *
 * A change is one line. What changes within JOURNAL_DELAY_MS is written and synced as one, so a crash may
 * lose that much, and a torn last line is dropped by the next start. Where somebody waits for it, it is written at once, with
 * what others have put: all that wait share one sync. When most of the file is history it is
 * written anew beside itself and takes its place. All of that is done by a thread (writer.h): control
 * waits for the disk at the end of the program only.
 *
 * A file that anything else happened to is refused (line.h says how that is found). When the disk takes
 * nothing, changes go on in memory; the registry's sink is told, and each second it is tried again.
 */
#pragma once

#include "registry/registry.h"

enum { JOURNAL_DELAY_MS = 100 };

struct event_base;
struct journal;

/**
 * Reads the file (made when missing, mode 0600). Errors: of opening, reading and writing it, -ENOMEM; -EBADMSG:
 * it is damaged or of another version, and was left as it is. `err` names the file, and the line.
 */
int journal_open(struct event_base *base, const char *path, struct registry *reg, struct journal **out,
	struct reg_err *err);
/**
 * Calls restore for each key, in the order in which they were first put, as one commit. It may put. Breaks off when
 * the process is to end; what was not restored stays in the file.
 */
void journal_restore(
	struct journal *journal, void (*restore)(void *arg, const char *key, const char *value), void *arg);
/**
 * Has what was put on disk before it returns, if that takes it, or else later. For the start of the program, when nobody is
 * kept waiting. NULL is allowed.
 */
void journal_flush(struct journal *journal);
/** Writes what is due. NULL is allowed. */
void journal_close(struct journal *journal);

/** The key has this value from now on; NULL takes it away. A NULL journal does nothing. */
void journal_put(struct journal *journal, const char *key, const char *value);

/** The value of the key, borrowed until the next call; NULL: there is none, or no journal. */
const char *journal_get(struct journal *journal, const char *key);

/** Why what was put last is not on disk although that was tried, NULL: that is not so. */
const char *journal_failing(const struct journal *journal);

/** Bytes of changes that are not known to be on disk. */
size_t journal_waiting(const struct journal *journal);

/**
 * Calls fn once, when all that has been put before is on disk (0), or could not be written (-errno; it is tried
 * again). Never before it returns. -ENOMEM.
 */
int journal_wait(struct journal *journal, void (*fn)(void *arg, int rc), void *arg);
/** No call with `arg` any more. */
void journal_forget(struct journal *journal, void *arg);

#include "registry/journal.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <syslog.h>

#include "registry/journal_writer.h"
#include "registry/table.h"

enum {
	COMPACT_MIN = 1 << 20, /* a smaller file is never written anew */
	COMPACT_TIMES = 3,     /* nor one that is less than this many times what it holds */
	RETRY_S = 1,
};

struct record {
	UT_hash_handle hh;
	char *value;
	char key[];
};

struct waiter {
	TAILQ_ENTRY(waiter) link;
	void (*fn)(void *arg);
	void *arg;
};
TAILQ_HEAD(waiters, waiter);

struct lines {
	char *text;
	size_t len, room;
};

struct journal {
	struct registry *reg;
	struct journal_file file; /* the writer's, while there is one */
	struct journal_writer *writer;
	struct record *records; /* in the order of their first put */
	struct record *next;	/* to be restored */
	size_t live;		/* bytes of them */
	struct lines due;	/* not given to the writer yet */
	bool whole;		/* a line found no memory: all that it holds must be written */
	bool writing;
	bool failing;		  /* which has been said */
	struct event *timer;	  /* of the next job */
	struct waiters waiters;	  /* for what is due, */
	struct waiters waiting;	  /* and for the job that is being written */
	struct journal_job again; /* one that failed, if it has text */
};

static int append(struct lines *lines, const char *line)
{
	size_t n = strlen(line);

	if (lines->len + n > lines->room) {
		size_t more = 2 * (lines->len + n) + 4096;
		char *grown = realloc(lines->text, more);

		if (!grown)
			return -ENOMEM;
		lines->text = grown;
		lines->room = more;
	}
	memcpy(lines->text + lines->len, line, n);
	lines->len += n;
	return 0;
}

static size_t weight_of(const struct record *record)
{
	return strlen(record->key) + strlen(record->value) + 8;
}

static void record_free(struct journal *journal, struct record *record)
{
	if (journal->next == record)
		journal->next = record->hh.next;
	HASH_DEL(journal->records, record);
	journal->live -= weight_of(record);
	free(record->value);
	free(record);
}

/* True when that changed something. */
static bool hold(struct journal *journal, const char *key, const char *value)
{
	struct record *record;
	char *copy;

	HASH_FIND_STR(journal->records, key, record);
	if (!value) {
		if (record)
			record_free(journal, record);
		return record != NULL;
	}
	if (record && strcmp(record->value, value) == 0)
		return false;
	copy = strdup(value);
	if (!copy)
		return false;
	if (record) {
		journal->live -= weight_of(record);
		free(record->value);
		record->value = copy;
		journal->live += weight_of(record);
		return true;
	}
	record = malloc(sizeof(*record) + strlen(key) + 1);
	if (record) {
		strcpy(record->key, key);
		record->value = copy;
		HASH_ADD_STR(journal->records, key, record);
	}
	if (!record || !record->hh.tbl) {
		free(record);
		free(copy);
		return false;
	}
	journal->live += weight_of(record);
	return true;
}

static void save_soon(struct journal *journal)
{
	static const struct timeval delay = {.tv_usec = JOURNAL_DELAY_MS * 1000};

	if (!journal->writing && !journal->again.text && !event_pending(journal->timer, EV_TIMEOUT, NULL))
		event_add(journal->timer, &delay);
}

/* All that it holds, as lines. */
static int all_lines(const struct journal *journal, struct lines *lines)
{
	int rc = 0;

	*lines = (struct lines){0};
	for (const struct record *r = journal->records; r && !rc; r = r->hh.next) {
		char *line = journal_line(r->key, r->value);

		rc = line ? append(lines, line) : -ENOMEM;
		free(line);
	}
	if (rc < 0)
		free(lines->text);
	return rc;
}

/* What is due, taken from the journal. Without text there is nothing. */
static struct journal_job take_job(struct journal *journal)
{
	size_t size = journal_file_size(&journal->file) + journal->due.len;
	struct journal_job job = journal->again;
	struct lines lines;

	journal->again = (struct journal_job){0};
	if (job.text)
		return job;
	if (journal->whole) {
		if (all_lines(journal, &lines) < 0)
			return job;
		journal->whole = false;
		free(journal->due.text);
		job = (struct journal_job){
			.text = lines.text ? lines.text : calloc(1, 1), .len = lines.len, .whole = true};
	} else {
		job = (struct journal_job){.text = journal->due.text,
			.len = journal->due.len,
			.compact = size > COMPACT_MIN && size > COMPACT_TIMES * journal->live};
	}
	journal->due = (struct lines){0};
	return job;
}

static void give(struct journal *journal)
{
	struct journal_job job = take_job(journal);

	TAILQ_CONCAT(&journal->waiting, &journal->waiters, link);
	if (!job.text && journal->whole) {
		save_soon(journal); /* there may be memory then */
		return;
	}
	if (!job.text) /* somebody waits for what is on disk already */
		job.text = calloc(1, 1);
	if (!job.text)
		return;
	journal->writing = true;
	journal_writer_give(journal->writer, &job);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	give(arg);
}

static void tell_waiters(struct waiters *waiters)
{
	struct waiter *waiter;

	while ((waiter = TAILQ_FIRST(waiters))) {
		struct waiter told = *waiter;

		TAILQ_REMOVE(waiters, waiter, link);
		assert(TAILQ_FIRST(waiters) != waiter);
		free(waiter);
		told.fn(told.arg);
	}
}

static void say(const struct journal *journal, int level, const char *text)
{
	const struct registry_sink *sink = &journal->reg->sink;
	char line[512];

	snprintf(line, sizeof(line), "state: %s: %s", journal->file.path, text);
	sink->log(sink->ctx, level, "state", line);
}

static void on_written(void *arg, struct journal_job *job, int rc)
{
	static const struct timeval again = {.tv_sec = RETRY_S};
	struct journal *journal = arg;

	journal->writing = false;
	if (rc < 0) { /* the file is as it was before */
		if (!journal->failing)
			say(journal, LOG_ERR, strerror(-rc));
		journal->failing = true;
		journal->again = *job;
		event_add(journal->timer, &again);
		return;
	}
	if (journal->failing)
		say(journal, LOG_NOTICE, "is written again");
	journal->failing = false;
	free(job->text);
	tell_waiters(&journal->waiting);
	if (journal->due.len || journal->whole || !TAILQ_EMPTY(&journal->waiters))
		save_soon(journal);
}

void journal_put(struct journal *journal, const char *key, const char *value)
{
	char *line;

	if (!journal || !hold(journal, key, value))
		return;
	line = journal_line(key, value);
	if (!line || append(&journal->due, line) < 0)
		journal->whole = true;
	free(line);
	save_soon(journal);
}

const char *journal_get(struct journal *journal, const char *key)
{
	struct record *record = NULL;

	if (journal)
		HASH_FIND_STR(journal->records, key, record);
	return record ? record->value : NULL;
}

int journal_wait(struct journal *journal, void (*fn)(void *arg), void *arg)
{
	struct waiter *waiter = malloc(sizeof(*waiter));

	if (!waiter)
		return -ENOMEM;
	waiter->fn = fn;
	waiter->arg = arg;
	TAILQ_INSERT_TAIL(&journal->waiters, waiter, link);
	save_soon(journal);
	return 0;
}

static void forget(struct waiters *waiters, const void *arg)
{
	struct waiter *waiter, *later;

	for (waiter = TAILQ_FIRST(waiters); waiter; waiter = later) {
		later = TAILQ_NEXT(waiter, link);
		if (arg && waiter->arg != arg)
			continue;
		TAILQ_REMOVE(waiters, waiter, link);
		free(waiter);
	}
}

void journal_forget(struct journal *journal, void *arg)
{
	if (!journal || !arg)
		return;
	forget(&journal->waiters, arg);
	forget(&journal->waiting, arg);
}

void journal_restore(
	struct journal *journal, void (*restore)(void *arg, const char *key, const char *value), void *arg)
{
	struct record *record;

	registry_batch_begin(journal->reg);
	for (record = journal->records; record; record = journal->next) {
		char *value = strdup(record->value), *key = strdup(record->key);

		journal->next = record->hh.next;
		if (value && key)
			restore(arg, key, value); /* which may put, and so free this record and others */
		free(value);
		free(key);
	}
	registry_batch_end(journal->reg);
}

static void take_line(void *arg, const char *key, const char *value)
{
	hold(arg, key, value);
}

int journal_open(struct event_base *base, const char *path, struct registry *reg, struct journal **out,
	struct reg_err *err)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	bool torn = false;
	int rc;

	reg_fail(err, 0, "out of memory");
	if (!journal)
		return -ENOMEM;
	journal->reg = reg;
	journal->file.fd = -1;
	TAILQ_INIT(&journal->waiters);
	TAILQ_INIT(&journal->waiting);
	journal->timer = event_new(base, -1, 0, on_timer, journal);
	rc = journal->timer ? journal_file_open(&journal->file, path, take_line, journal, &torn) : -ENOMEM;
	if (torn)
		say(journal, LOG_WARNING, "the end is torn, as after a crash, and was cut off");
	if (!rc)
		rc = journal_writer_new(base, &journal->file, on_written, journal, &journal->writer);
	if (rc < 0) {
		reg_fail(err, rc, "state: %s: %s", path, strerror(-rc));
		journal_close(journal);
		return rc;
	}
	*out = journal;
	return 0;
}

/* What the writer has not been given, by this thread. */
static void save_rest(struct journal *journal)
{
	bool due = journal->due.len || journal->whole || journal->again.text;

	while (due) {
		struct journal_job job = take_job(journal);
		int rc = !job.text   ? -ENOMEM
			 : job.whole ? journal_file_replace(&journal->file, job.text, job.len)
				     : journal_file_append(&journal->file, job.text, job.len);

		free(job.text);
		if (rc < 0)
			say(journal, LOG_ERR, strerror(-rc));
		due = rc == 0 && (journal->due.len || journal->whole);
	}
}

void journal_close(struct journal *journal)
{
	struct record *record, *later;

	if (!journal)
		return;
	if (journal->writer) {
		journal_writer_free(journal->writer);
		save_rest(journal);
	}
	record = journal->records;
	HASH_CLEAR(hh, journal->records);
	for (; record; record = later) {
		later = record->hh.next;
		free(record->value);
		free(record);
	}
	forget(&journal->waiters, NULL);
	forget(&journal->waiting, NULL);
	if (journal->timer)
		event_free(journal->timer);
	journal_file_close(&journal->file);
	free(journal->due.text);
	free(journal->again.text);
	free(journal);
}

#include "registry/store/journal.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <syslog.h>

#include "registry/base/utf8.h"
#include "registry/store/line.h"
#include "registry/store/writer.h"
#include "registry/table/table.h"

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
	void (*fn)(void *arg, int rc);
	void *arg;
};
TAILQ_HEAD(waiters, waiter);

struct journal {
	struct registry *reg;
	struct journal_file file; /* the writer's, while there is one */
	struct journal_writer *writer;
	struct record *records;	 /* in the order of their first put */
	struct record *next;	 /* to be restored */
	size_t live;		 /* bytes of them */
	struct journal_text due; /* changes that were not given to the writer yet */
	bool whole;		 /* not those, but all that it holds must be written */
	bool writing;
	int failing;		  /* what the last try gave, 0 or -errno */
	struct event *timer;	  /* of the next job */
	struct waiters waiters;	  /* for what is due, */
	struct waiters waiting;	  /* and for the job that is being written */
	struct journal_job again; /* one that failed, if it has text: it goes first */
};

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

/* Somebody waits: what others put, too, until the loop comes round to it goes along, and while that is written the next job
 * gathers. */
static void save_now(struct journal *journal)
{
	static const struct timeval at_once;

	if (!journal->writing && !journal->again.text)
		event_add(journal->timer, &at_once);
}

/* All that it holds, as lines. */
static int all_lines(const struct journal *journal, struct journal_text *lines)
{
	int rc = 0;

	*lines = (struct journal_text){0};
	for (const struct record *r = journal->records; r && !rc; r = r->hh.next) {
		char *line = journal_change(r->key, r->value);

		rc = line ? journal_text_add(lines, line, strlen(line)) : -ENOMEM;
		free(line);
	}
	if (rc < 0)
		free(lines->text);
	return rc;
}

/* What failed goes first, and what has come since goes with it. */
static struct journal_job take_again(struct journal *journal)
{
	struct journal_job job = journal->again;
	char *grown = realloc(job.text, job.len + journal->due.len + 1);

	journal->again = (struct journal_job){0};
	if (!grown) /* what is due waits on */
		return job;
	if (journal->due.len)
		memcpy(grown + job.len, journal->due.text, journal->due.len);
	job.text = grown;
	job.len += journal->due.len;
	free(journal->due.text);
	journal->due = (struct journal_text){0};
	return job;
}

/* What is due, taken from the journal. Without text there is nothing. */
static struct journal_job take_job(struct journal *journal)
{
	size_t size = journal_file_size(&journal->file) + journal->due.len;
	struct journal_job job = {0};
	struct journal_text lines;

	if (journal->again.text)
		return take_again(journal);
	if (journal->whole) {
		if (all_lines(journal, &lines) < 0)
			return job;
		journal->whole = false;
		job = (struct journal_job){
			.text = lines.text ? lines.text : calloc(1, 1), .len = lines.len, .whole = true};
	} else {
		job = (struct journal_job){.text = journal->due.text,
			.len = journal->due.len,
			.compact = size > COMPACT_MIN && size > COMPACT_TIMES * journal->live};
	}
	journal->due = (struct journal_text){0};
	return job;
}

static void give(struct journal *journal)
{
	struct journal_job job = take_job(journal);

	if (!journal->due.len) /* else some wait for what is not among the job's changes */
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

static void tell_waiters(struct waiters *waiters, int rc)
{
	struct waiter *waiter;

	while ((waiter = TAILQ_FIRST(waiters))) {
		struct waiter told = *waiter;

		TAILQ_REMOVE(waiters, waiter, link);
		assert(TAILQ_FIRST(waiters) != waiter);
		free(waiter);
		told.fn(told.arg, rc);
	}
}

/* Nothing that waits matters any more: the next job is all that there is. */
static void want_whole(struct journal *journal)
{
	journal->whole = true;
	free(journal->due.text);
	journal->due = (struct journal_text){0};
	free(journal->again.text);
	journal->again = (struct journal_job){0};
}

static void say(const struct journal *journal, int level, const char *text)
{
	const struct registry_sink *sink = &journal->reg->sink;
	char line[640];

	snprintf(line, sizeof(line), "state: %s: %s", journal->file.path, text);
	sink->log(sink->ctx, level, "state", line);
}

/* Says it once, until it is otherwise. */
static void set_failing(struct journal *journal, int rc)
{
	const struct registry_sink *sink = &journal->reg->sink;
	const char *slash = strrchr(journal->file.path, '/');
	char text[160];

	if (rc == journal->failing)
		return;
	if (rc)
		snprintf(text, sizeof(text),
			"%s: changes are in effect but not kept, and would be lost with the daemon",
			strerror(-rc));
	say(journal, rc ? LOG_ERR : LOG_NOTICE, rc ? text : "is written again, and holds everything");
	journal->failing = rc;
	if (sink->kept)
		sink->kept(sink->ctx, slash ? slash + 1 : journal->file.path, rc ? strerror(-rc) : NULL);
}

/* What has been put is nowhere but here, and waits for the next try. */
static void on_failure(struct journal *journal, struct journal_job *job, int rc)
{
	static const struct timeval again = {.tv_sec = RETRY_S};

	journal->again = *job;
	if (rc == -EBADMSG) {
		say(journal, LOG_ERR, "was damaged since it was written, and is written anew from memory");
		rc = -EIO;
		want_whole(journal);
	}
	if (journal->whole)
		want_whole(journal);
	set_failing(journal, rc);
	event_add(journal->timer, &again);
	tell_waiters(&journal->waiting, rc);
}

static void on_written(void *arg, struct journal_job *job, int rc)
{
	struct journal *journal = arg;

	journal->writing = false;
	if (rc < 0) {
		on_failure(journal, job, rc);
		return;
	}
	free(job->text);
	if (!journal->whole)
		set_failing(journal, 0);
	tell_waiters(&journal->waiting, 0);
	if (!TAILQ_EMPTY(&journal->waiters))
		save_now(journal);
	else if (journal->due.len || journal->whole)
		save_soon(journal);
}

/* While the disk takes nothing, what waits for it may not grow without end. */
static bool is_history(const struct journal *journal)
{
	return journal->failing && journal_waiting(journal) > COMPACT_MIN + 2 * journal->live;
}

void journal_put(struct journal *journal, const char *key, const char *value)
{
	char *line;

	if (!journal)
		return;
	if (!utf8_is(key) || (value && !utf8_is(value))) { /* it would keep all others out of the file */
		say(journal, LOG_ERR, "a change is not UTF-8 and cannot be kept");
		return;
	}
	if (!hold(journal, key, value))
		return;
	if (!journal->whole) { /* else it is among all */
		line = journal_change(key, value);
		if (!line || journal_text_add(&journal->due, line, strlen(line)) < 0 || is_history(journal))
			want_whole(journal);
		free(line);
	}
	save_soon(journal);
}

const char *journal_failing(const struct journal *journal)
{
	return journal && journal->failing ? strerror(-journal->failing) : NULL;
}

size_t journal_waiting(const struct journal *journal)
{
	return journal ? journal->due.len + journal->again.len : 0;
}

const char *journal_get(struct journal *journal, const char *key)
{
	struct record *record = NULL;

	if (journal)
		HASH_FIND_STR(journal->records, key, record);
	return record ? record->value : NULL;
}

int journal_wait(struct journal *journal, void (*fn)(void *arg, int rc), void *arg)
{
	struct waiter *waiter = malloc(sizeof(*waiter));

	if (!waiter)
		return -ENOMEM;
	waiter->fn = fn;
	waiter->arg = arg;
	TAILQ_INSERT_TAIL(&journal->waiters, waiter, link);
	save_now(journal);
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
	const struct registry_sink *sink = &journal->reg->sink;
	struct record *record;

	registry_batch_begin(journal->reg);
	for (record = journal->records; record && !(sink->ending && sink->ending(sink->ctx));
		record = journal->next) {
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

/* What the user is told of a file that cannot be used. */
static void open_failed(const char *path, int rc, const struct journal_file_err *why, struct reg_err *err)
{
	if (rc != -EBADMSG)
		reg_fail(err, rc, "%s: %s", path, strerror(-rc));
	else if (why->found == JOURNAL_OTHER)
		reg_fail(err, rc, "%s: %s: remove it", path, why->why);
	else
		reg_fail(err, rc, "%s:%u: damaged: %s; \"sluiced --repair\" keeps what is sound", path,
			why->line, why->why);
}

int journal_open(struct event_base *base, const char *path, struct registry *reg, struct journal **out,
	struct reg_err *err)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	struct journal_file_err why = {0};
	int rc;

	reg_fail(err, 0, "out of memory");
	if (!journal)
		return -ENOMEM;
	journal->reg = reg;
	journal->file.fd = -1;
	TAILQ_INIT(&journal->waiters);
	TAILQ_INIT(&journal->waiting);
	journal->timer = event_new(base, -1, 0, on_timer, journal);
	rc = journal->timer ? journal_file_open(&journal->file, path, take_line, journal, &why) : -ENOMEM;
	if (!rc && why.found == JOURNAL_TORN)
		say(journal, LOG_INFO, "the end is torn, as after a crash, and was cut off");
	if (!rc)
		rc = journal_writer_new(base, &journal->file, on_written, journal, &journal->writer);
	if (rc < 0) {
		open_failed(path, rc, &why, err);
		journal_close(journal);
		return rc;
	}
	*out = journal;
	return 0;
}

/* By this thread: the writer has no job. */
static int write_job(struct journal *journal, const struct journal_job *job)
{
	return !job->text   ? -ENOMEM
	       : job->whole ? journal_file_replace(&journal->file, job->text, job->len)
			    : journal_file_append(&journal->file, job->text, job->len);
}

void journal_flush(struct journal *journal)
{
	struct journal_job job;

	if (!journal || journal->writing || journal->again.text)
		return; /* the writer is at it, or the disk takes nothing */
	job = take_job(journal);
	if (!job.text)
		return;
	event_del(journal->timer); /* nothing is due any more */
	on_written(journal, &job, write_job(journal, &job));
}

/* What the writer has not been given, by this thread. */
static void save_rest(struct journal *journal)
{
	bool due = journal->due.len || journal->whole || journal->again.text;

	while (due) {
		struct journal_job job = take_job(journal);
		int rc = write_job(journal, &job);

		free(job.text);
		if (rc == -EBADMSG && !job.whole) { /* what it holds is still here */
			want_whole(journal);
			continue;
		}
		if (rc < 0)
			say(journal, LOG_ERR, "what was not kept is lost");
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

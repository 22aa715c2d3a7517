#include "registry/journal.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <syslog.h>
#include <unistd.h>

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

struct journal {
	struct registry *reg;
	char *path;
	int fd;
	struct record *records; /* in the order of their first put */
	size_t live, size;	/* bytes: of what it holds, of the file */
	char *due;		/* lines that are not on disk yet */
	size_t due_len, due_room;
	bool rewrite; /* the file must be written whole: a write failed, or a line found no memory */
	struct event *timer;
	TAILQ_HEAD(, waiter) waiters;
};

/* A line of the file: ["key", value or null]; to be freed. */
static char *line_of(const char *key, const char *value)
{
	json_t *pair = json_pack("[s, s?]", key, value);
	char *text = pair ? json_dumps(pair, JSON_COMPACT) : NULL, *line = NULL;

	json_decref(pair);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

static int append(char **text, size_t *len, size_t *room, const char *line)
{
	size_t n = strlen(line);

	if (*len + n > *room) {
		size_t more = 2 * (*len + n) + 4096;
		char *grown = realloc(*text, more);

		if (!grown)
			return -ENOMEM;
		*text = grown;
		*room = more;
	}
	memcpy(*text + *len, line, n);
	*len += n;
	return 0;
}

/* --- what it holds ----------------------------------------------------------------------------------------
 */

static size_t weight_of(const struct record *record)
{
	return strlen(record->key) + strlen(record->value) + 8;
}

static void record_free(struct journal *journal, struct record *record)
{
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

/* --- the file ---------------------------------------------------------------------------------------------
 */

static int write_all(int fd, const char *text, size_t len)
{
	while (len) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

static int sync_dir(const char *path)
{
	char *copy = strdup(path);
	int fd = copy ? open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1, rc = 0;

	if (fd < 0 || fsync(fd) < 0)
		rc = copy ? -errno : -ENOMEM;
	if (fd >= 0)
		close(fd);
	free(copy);
	return rc;
}

/* All that it holds, in a new file that takes the old one's place. */
static int write_whole(struct journal *journal)
{
	char *temp = NULL, *text = NULL, *line;
	size_t len = 0, room = 0;
	int fd = -1, rc = 0;

	for (struct record *r = journal->records; r && !rc; r = r->hh.next) {
		line = line_of(r->key, r->value);
		rc = line ? append(&text, &len, &room, line) : -ENOMEM;
		free(line);
	}
	if (!rc && asprintf(&temp, "%s.new", journal->path) < 0)
		rc = -ENOMEM;
	if (!rc) {
		fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
		rc = fd < 0 ? -errno : write_all(fd, text, len);
	}
	if (!rc && (fdatasync(fd) < 0 || rename(temp, journal->path) < 0))
		rc = -errno;
	if (!rc)
		rc = sync_dir(journal->path);
	if (!rc) {
		close(journal->fd);
		journal->fd = fd;
		journal->size = len;
	} else if (fd >= 0) {
		close(fd);
	}
	free(temp);
	free(text);
	return rc;
}

static int write_due(struct journal *journal)
{
	int rc;

	if (journal->rewrite || (journal->size + journal->due_len > COMPACT_MIN &&
					journal->size + journal->due_len > COMPACT_TIMES * journal->live))
		return write_whole(journal);
	rc = write_all(journal->fd, journal->due, journal->due_len);
	if (!rc && fdatasync(journal->fd) < 0)
		rc = -errno;
	if (!rc)
		journal->size += journal->due_len;
	return rc;
}

static void tell_waiters(struct journal *journal)
{
	struct waiter *waiter;

	while ((waiter = TAILQ_FIRST(&journal->waiters))) {
		struct waiter told = *waiter;

		TAILQ_REMOVE(&journal->waiters, waiter, link);
		assert(TAILQ_FIRST(&journal->waiters) != waiter);
		free(waiter);
		told.fn(told.arg);
	}
}

static void say(const struct journal *journal, int level, const char *text)
{
	const struct registry_sink *sink = &journal->reg->sink;
	char line[512];

	snprintf(line, sizeof(line), "state: %s: %s", journal->path, text);
	sink->log(sink->ctx, level, line);
}

static void save(struct journal *journal)
{
	static const struct timeval again = {.tv_sec = RETRY_S};
	int rc = write_due(journal);

	if (rc < 0) { /* half a line may be there: the next attempt writes the file anew */
		if (!journal->rewrite)
			say(journal, LOG_ERR, strerror(-rc));
		journal->rewrite = true;
		event_add(journal->timer, &again);
		return;
	}
	if (journal->rewrite)
		say(journal, LOG_NOTICE, "is written again");
	journal->rewrite = false;
	journal->due_len = 0;
	tell_waiters(journal);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	save(arg);
}

static void save_soon(struct journal *journal)
{
	static const struct timeval delay = {.tv_usec = JOURNAL_DELAY_MS * 1000};

	if (!event_pending(journal->timer, EV_TIMEOUT, NULL))
		event_add(journal->timer, &delay);
}

void journal_put(struct journal *journal, const char *key, const char *value)
{
	char *line;

	if (!journal || !hold(journal, key, value))
		return;
	line = line_of(key, value);
	if (!line || append(&journal->due, &journal->due_len, &journal->due_room, line) < 0)
		journal->rewrite = true;
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

void journal_forget(struct journal *journal, void *arg)
{
	struct waiter *waiter, *later;

	for (waiter = journal ? TAILQ_FIRST(&journal->waiters) : NULL; waiter; waiter = later) {
		later = TAILQ_NEXT(waiter, link);
		if (waiter->arg != arg)
			continue;
		TAILQ_REMOVE(&journal->waiters, waiter, link);
		free(waiter);
	}
}

/* --- opening it -------------------------------------------------------------------------------------------
 */

/* False: it is no line of ours. */
static bool read_line(struct journal *journal, const char *line, size_t len)
{
	json_t *pair = json_loadb(line, len, 0, NULL);
	const char *key = json_string_value(json_array_get(pair, 0));
	const json_t *value = json_array_get(pair, 1);
	bool good = key && (json_is_string(value) || json_is_null(value));

	if (good)
		hold(journal, key, json_string_value(value));
	json_decref(pair);
	return good;
}

/* The whole of the file, to be freed. */
static int read_file(struct journal *journal, char **text, size_t *len)
{
	off_t size = lseek(journal->fd, 0, SEEK_END);
	ssize_t n;

	*len = 0;
	*text = malloc(size > 0 ? (size_t)size : 1);
	if (!*text || size < 0)
		return *text ? -errno : -ENOMEM;
	while (*len < (size_t)size) {
		n = pread(journal->fd, *text + *len, (size_t)size - *len, (off_t)*len);
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		*len += (size_t)n;
	}
	return 0;
}

/* What a crash tore, at the end, is cut off. */
static int load(struct journal *journal)
{
	char *text = NULL, *end;
	size_t len, at = 0;
	int rc = read_file(journal, &text, &len);

	while (!rc && at < len) {
		end = memchr(text + at, '\n', len - at);
		if (!end || !read_line(journal, text + at, (size_t)(end - text) - at))
			break;
		at = (size_t)(end - text) + 1;
	}
	free(text);
	if (!rc && at < len) {
		say(journal, LOG_WARNING, "the end is torn, as after a crash, and was cut off");
		if (ftruncate(journal->fd, (off_t)at) < 0)
			rc = -errno;
	}
	journal->size = at;
	return rc;
}

void journal_restore(
	struct journal *journal, void (*restore)(void *arg, const char *key, const char *value), void *arg)
{
	struct record *record, *later;

	registry_batch_begin(journal->reg);
	HASH_ITER(hh, journal->records, record, later)
	{
		char *value = strdup(record->value), *key = strdup(record->key);

		if (value && key)
			restore(arg, key, value); /* which may put, and so free the record's own */
		free(value);
		free(key);
	}
	registry_batch_end(journal->reg);
}

int journal_open(struct event_base *base, const char *path, struct registry *reg, struct journal **out,
	struct reg_err *err)
{
	struct journal *journal = calloc(1, sizeof(*journal));
	int rc;

	reg_fail(err, 0, "out of memory");
	if (!journal)
		return -ENOMEM;
	*journal = (struct journal){.fd = -1, .reg = reg, .path = strdup(path)};
	TAILQ_INIT(&journal->waiters);
	journal->timer = event_new(base, -1, 0, on_timer, journal);
	rc = journal->path && journal->timer ? 0 : -ENOMEM;
	if (!rc) {
		journal->fd = open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
		rc = journal->fd < 0 ? -errno : load(journal);
		if (rc < 0)
			reg_fail(err, rc, "state: %s: %s", path, strerror(-rc));
	}
	if (rc < 0) {
		journal_close(journal);
		return rc;
	}
	*out = journal;
	return 0;
}

void journal_close(struct journal *journal)
{
	struct record *record, *later;
	struct waiter *waiter;

	if (!journal)
		return;
	if (journal->timer && (journal->due_len || journal->rewrite) && journal->fd >= 0)
		save(journal);
	record = journal->records;
	HASH_CLEAR(hh, journal->records);
	for (; record; record = later) {
		later = record->hh.next;
		free(record->value);
		free(record);
	}
	while ((waiter = TAILQ_FIRST(&journal->waiters))) {
		TAILQ_REMOVE(&journal->waiters, waiter, link);
		assert(TAILQ_FIRST(&journal->waiters) != waiter);
		free(waiter);
	}
	if (journal->timer)
		event_free(journal->timer);
	if (journal->fd >= 0)
		close(journal->fd);
	free(journal->due);
	free(journal->path);
	free(journal);
}

#include "registry/store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

/* The change that counts for a key. */
struct place {
	UT_hash_handle hh;
	struct journal_line line;
	char key[];
};

struct places {
	struct place *first; /* in the order of their first lines */
	bool no_memory;
};

int journal_file_write(int fd, const char *text, size_t len)
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

int journal_file_read(int fd, char **text, size_t *len)
{
	off_t size = lseek(fd, 0, SEEK_END);

	*len = 0;
	*text = malloc(size > 0 ? (size_t)size : 1);
	if (!*text || size < 0)
		return *text ? -errno : -ENOMEM;
	while (*len < (size_t)size) {
		ssize_t n = pread(fd, *text + *len, (size_t)size - *len, (off_t)*len);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		*len += (size_t)n;
	}
	return 0;
}

/* Is there just no room? Then the kernel lost nothing of what it had taken. */
static bool is_full(int rc)
{
	return rc == -ENOSPC || rc == -EDQUOT || rc == -EFBIG;
}

/* Lines after the end of those that are there. */
static int append_lines(struct journal_file *file, const char *lines, size_t len)
{
	size_t size = journal_file_size(file);
	int rc = journal_file_write(file->fd, lines, len), synced = 0;

	if (!rc && fdatasync(file->fd) < 0)
		synced = -errno;
	if (!rc && !synced) {
		atomic_store(&file->size, size + len);
		return 0;
	}
	if (ftruncate(file->fd, (off_t)size) < 0 || synced || !is_full(rc))
		file->doubtful = true;
	return rc ? rc : synced;
}

static void take_place(void *arg, const struct journal_line *line, const char *key, const char *value)
{
	struct places *places = arg;
	struct place *place;

	HASH_FIND_STR(places->first, key, place);
	if (!value) {
		if (place) {
			HASH_DEL(places->first, place);
			free(place);
		}
		return;
	}
	if (!place && (place = malloc(sizeof(*place) + strlen(key) + 1))) {
		strcpy(place->key, key);
		HASH_ADD_STR(places->first, key, place);
		if (!place->hh.tbl) {
			free(place);
			place = NULL;
		}
	}
	if (place)
		place->line = *line;
	else
		places->no_memory = true;
}

/* Changes that are not in the file yet. */
static int take_changes(struct places *places, const char *changes, size_t len)
{
	const char *at = changes, *end, *key, *value;
	json_t *json;

	for (; (end = memchr(at, '\n', len - (size_t)(at - changes))); at = end + 1) {
		struct journal_line line = {.body = at + 1, .len = (size_t)(end - at) - 1};

		if (!journal_change_read(at, (size_t)(end - at), &json, &key, &value))
			return -ENOMEM; /* they were made by journal_change() */
		take_place(places, &line, key, value);
		json_decref(json);
	}
	return 0;
}

static void free_places(struct places *places)
{
	struct place *place = places->first, *later;

	HASH_CLEAR(hh, places->first);
	for (; place; place = later) {
		later = place->hh.next;
		free(place);
	}
}

/* What counts of the file, as far as it is on disk, and of these changes after it. */
static int fold(struct journal_file *file, const char *changes, size_t len, struct journal_text *out)
{
	struct places places = {0};
	struct journal_scan scan;
	char *text = NULL;
	size_t size;
	int rc = journal_file_read(file->fd, &text, &size);

	if (!rc && size < journal_file_size(file))
		rc = -EBADMSG;
	if (!rc && journal_scan(text, journal_file_size(file), take_place, &places, &scan) != JOURNAL_SOUND)
		rc = -EBADMSG;
	if (!rc)
		rc = take_changes(&places, changes, len);
	if (!rc && places.no_memory)
		rc = -ENOMEM;
	for (const struct place *place = places.first; place && !rc; place = place->hh.next)
		rc = journal_line_change(out, &place->line);
	free_places(&places);
	free(text);
	return rc;
}

static int write_anew(struct journal_file *file, const char *changes, size_t len)
{
	struct journal_text folded = {0};
	int rc = fold(file, changes, len, &folded);

	if (!rc)
		rc = journal_file_replace(file, folded.text, folded.len);
	else if (rc == -EBADMSG)
		file->doubtful = true; /* also when history was to be taken away only */
	free(folded.text);
	return rc;
}

int journal_file_append(struct journal_file *file, const char *changes, size_t len)
{
	struct journal_text lines = {0};
	uint64_t next = file->next;
	int rc;

	if (file->doubtful)
		return write_anew(file, changes, len);
	rc = journal_line_add(&lines, &next, changes, len);
	if (!rc)
		rc = append_lines(file, lines.text, lines.len);
	if (!rc)
		file->next = next;
	free(lines.text);
	return rc;
}

int journal_file_compact(struct journal_file *file)
{
	return write_anew(file, "", 0);
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

static size_t count_lines(const char *text, size_t len)
{
	const char *at = text, *end;
	size_t n = 0;

	for (; (end = memchr(at, '\n', len - (size_t)(at - text))); at = end + 1)
		n++;
	return n;
}

/* Nothing is left of a file that could not be written whole: it would take the room that is wanting. */
static int write_new(const char *path, const char *text, size_t len, int *fd)
{
	int rc;

	*fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	if (*fd < 0)
		return -errno;
	rc = journal_file_write(*fd, text, len);
	if (!rc && fsync(*fd) < 0)
		rc = -errno;
	if (rc) {
		close(*fd);
		unlink(path);
	}
	return rc;
}

/* Writes these lines beside the file and puts them in its place. */
static int swap(struct journal_file *file, const struct journal_text *lines)
{
	char *temp = NULL;
	int fd, rc;

	if (asprintf(&temp, "%s.new", file->path) < 0)
		return -ENOMEM;
	rc = write_new(temp, lines->text, lines->len, &fd);
	if (!rc && rename(temp, file->path) < 0) {
		rc = -errno;
		close(fd);
		unlink(temp);
	}
	free(temp);
	if (rc)
		return rc;
	if (file->fd >= 0)
		close(file->fd);
	file->fd = fd;
	atomic_store(&file->size, lines->len);
	rc = sync_dir(file->path);
	file->doubtful = rc != 0; /* the old one may be back after a crash */
	return rc;
}

int journal_file_replace(struct journal_file *file, const char *changes, size_t len)
{
	struct journal_text lines = {0};
	uint64_t next = file->next;
	int rc = journal_line_head(&lines, &next, changes ? count_lines(changes, len) : 0);

	if (!rc && changes)
		rc = journal_line_add(&lines, &next, changes, len);
	if (!rc) {
		file->next = next; /* also if that fails: a number is never used for two lines */
		rc = swap(file, &lines);
	}
	free(lines.text);
	return rc;
}

struct teller {
	void (*line)(void *arg, const char *key, const char *value);
	void *arg;
};

static void tell(void *arg, const struct journal_line *line, const char *key, const char *value)
{
	const struct teller *teller = arg;

	teller->line(teller->arg, key, value);
}

static int read_lines(struct journal_file *file, struct teller *teller, struct journal_file_err *err)
{
	struct journal_scan scan = {0};
	char *text = NULL;
	size_t len;
	int rc = journal_file_read(file->fd, &text, &len);

	if (!rc) {
		err->found = journal_scan(text, len, tell, teller, &scan);
		err->line = scan.line;
		err->why = scan.why;
		if (err->found == JOURNAL_DAMAGED || err->found == JOURNAL_OTHER)
			rc = -EBADMSG;
	}
	atomic_store(&file->size, scan.good);
	file->next = scan.next;
	if (!rc && err->found == JOURNAL_TORN &&
		(ftruncate(file->fd, (off_t)scan.good) < 0 || fdatasync(file->fd) < 0))
		rc = -errno;
	free(text);
	return rc;
}

int journal_file_open(struct journal_file *file, const char *path,
	void (*line)(void *arg, const char *key, const char *value), void *arg, struct journal_file_err *err)
{
	struct teller teller = {line, arg};

	*err = (struct journal_file_err){0};
	file->doubtful = false;
	file->path = strdup(path);
	file->fd = file->path ? open(path, O_RDWR | O_APPEND | O_CLOEXEC) : -1;
	if (file->fd >= 0)
		return read_lines(file, &teller, err);
	if (!file->path)
		return -ENOMEM;
	if (errno != ENOENT)
		return -errno;
	file->next = 1;
	return journal_file_replace(file, NULL, 0); /* with its head, so an empty file is a damaged one */
}

void journal_file_close(struct journal_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	free(file->path);
	file->path = NULL;
}

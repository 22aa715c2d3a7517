#include "registry/journal_file.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <uthash.h>

/* Where the line that counts for a key lies. */
struct place {
	UT_hash_handle hh;
	const char *line;
	size_t len;
	char key[];
};

char *journal_line(const char *key, const char *value)
{
	json_t *pair = json_pack("[s, s?]", key, value);
	char *text = pair ? json_dumps(pair, JSON_COMPACT) : NULL, *line = NULL;

	json_decref(pair);
	if (text && asprintf(&line, "%s\n", text) < 0)
		line = NULL;
	free(text);
	return line;
}

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

int journal_file_append(struct journal_file *file, const char *text, size_t len)
{
	size_t size = journal_file_size(file);
	int rc = write_all(file->fd, text, len);

	if (!rc && fdatasync(file->fd) < 0)
		rc = -errno;
	if (!rc)
		atomic_store(&file->size, size + len);
	else if (ftruncate(file->fd, (off_t)size) < 0)
		return -errno;
	return rc;
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

int journal_file_replace(struct journal_file *file, const char *text, size_t len)
{
	char *temp = NULL;
	int fd, rc;

	if (asprintf(&temp, "%s.new", file->path) < 0)
		return -ENOMEM;
	fd = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_APPEND | O_CLOEXEC, 0600);
	rc = fd < 0 ? -errno : write_all(fd, text, len);
	if (!rc && (fdatasync(fd) < 0 || rename(temp, file->path) < 0))
		rc = -errno;
	if (!rc) {
		close(file->fd);
		file->fd = fd;
		atomic_store(&file->size, len);
		rc = sync_dir(file->path);
	} else if (fd >= 0) {
		close(fd);
	}
	free(temp);
	return rc;
}

/* The whole of the file, to be freed. */
static int read_file(const struct journal_file *file, char **text, size_t *len)
{
	off_t size = lseek(file->fd, 0, SEEK_END);

	*len = 0;
	*text = malloc(size > 0 ? (size_t)size : 1);
	if (!*text || size < 0)
		return *text ? -errno : -ENOMEM;
	while (*len < (size_t)size) {
		ssize_t n = pread(file->fd, *text + *len, (size_t)size - *len, (off_t)*len);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		*len += (size_t)n;
	}
	return 0;
}

/* Its two values, which live as long as *pair. False: no line of ours. */
static bool read_line(const char *line, size_t len, json_t **pair, const char **key, const char **value)
{
	const json_t *second;

	*pair = json_loadb(line, len, 0, NULL);
	*key = json_string_value(json_array_get(*pair, 0));
	second = json_array_get(*pair, 1);
	*value = json_string_value(second);
	if (*key && (*value || json_is_null(second)))
		return true;
	json_decref(*pair);
	return false;
}

/* Calls `line` for each line of ours in text; returns the bytes of those before the first that is none. */
static size_t each_line(const char *text, size_t len,
	void (*line)(void *arg, const char *at, size_t len, const char *key, const char *value), void *arg)
{
	const char *key, *value, *end;
	json_t *pair;
	size_t at = 0;

	while (at < len && (end = memchr(text + at, '\n', len - at))) {
		size_t n = (size_t)(end - text) - at;

		if (!read_line(text + at, n, &pair, &key, &value))
			break;
		line(arg, text + at, n + 1, key, value);
		json_decref(pair);
		at += n + 1;
	}
	return at;
}

struct teller {
	void (*line)(void *arg, const char *key, const char *value);
	void *arg;
};

static void tell(void *arg, const char *at, size_t len, const char *key, const char *value)
{
	const struct teller *teller = arg;

	teller->line(teller->arg, key, value);
}

int journal_file_open(struct journal_file *file, const char *path,
	void (*line)(void *arg, const char *key, const char *value), void *arg, bool *torn)
{
	struct teller teller = {line, arg};
	char *text = NULL;
	size_t len, whole;
	int rc;

	*torn = false;
	file->path = strdup(path);
	file->fd = file->path ? open(path, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600) : -1;
	if (file->fd < 0)
		return file->path ? -errno : -ENOMEM;
	rc = read_file(file, &text, &len);
	if (!rc) {
		whole = each_line(text, len, tell, &teller);
		*torn = whole < len;
		atomic_store(&file->size, whole);
		if (*torn && ftruncate(file->fd, (off_t)whole) < 0)
			rc = -errno;
	}
	free(text);
	return rc;
}

void journal_file_close(struct journal_file *file)
{
	if (file->fd >= 0)
		close(file->fd);
	file->fd = -1;
	free(file->path);
	file->path = NULL;
}

struct places {
	struct place *first; /* in the order of their first lines */
	bool no_memory;
};

static void take_place(void *arg, const char *at, size_t len, const char *key, const char *value)
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
	if (!place) {
		places->no_memory = true;
		return;
	}
	place->line = at;
	place->len = len;
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

int journal_file_compact(struct journal_file *file)
{
	struct places places = {0};
	char *text = NULL, *kept = NULL;
	size_t len, kept_len = 0;
	int rc = read_file(file, &text, &len);

	if (!rc) {
		each_line(text, len, take_place, &places);
		kept = malloc(len ? len : 1);
		rc = kept && !places.no_memory ? 0 : -ENOMEM;
	}
	if (!rc) {
		for (const struct place *place = places.first; place; place = place->hh.next) {
			memcpy(kept + kept_len, place->line, place->len);
			kept_len += place->len;
		}
		rc = journal_file_replace(file, kept, kept_len);
	}
	free_places(&places);
	free(kept);
	free(text);
	return rc;
}

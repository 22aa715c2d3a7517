#include "registry/store/repair.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "registry/store/file.h"
#include "registry/table/table.h"

enum { ASIDE_MAX = 1000 };

struct piece {
	struct journal_line line;
	const char *text;
	size_t len;
};

struct pieces {
	struct piece *sound;
	size_t n, room;
	struct journal_line head; /* body NULL: it is not among the sound */
	size_t head_lines;
	struct journal_text aside;
	size_t naside;
};

static int put_aside(struct pieces *pieces, const char *text, size_t len)
{
	pieces->naside++;
	if (journal_text_add(&pieces->aside, text, len) < 0)
		return -ENOMEM;
	return journal_text_add(&pieces->aside, "\n", 1);
}

/* A line whose checksum is right and which is a change. */
static bool is_change(const char *text, size_t len)
{
	json_t *json = json_loadb(text, len, 0, NULL), *value = json_array_get(json, 3);
	bool is = json_array_size(json) == 4 && json_is_string(json_array_get(json, 2)) &&
		  (json_is_string(value) || json_is_null(value));

	json_decref(json);
	return is;
}

/* Takes it when it is sound. 1, 0 when it is not, -ENOMEM. */
static int take(struct pieces *pieces, const char *text, size_t len)
{
	struct piece piece = {.text = text, .len = len};
	unsigned version;
	size_t lines;

	if (!journal_line_sound(text, len, &piece.line))
		return 0;
	if (journal_line_is_head(&piece.line, &version, &lines)) {
		if (pieces->head.body && piece.line.number < pieces->head.number)
			return 1;
		pieces->head = piece.line;
		pieces->head_lines = lines;
		return 1;
	}
	if (!is_change(text, len))
		return 0;
	if (pieces->n == pieces->room) {
		size_t room = 2 * pieces->room + 256;
		struct piece *grown = realloc(pieces->sound, room * sizeof(*grown));

		if (!grown)
			return -ENOMEM;
		pieces->sound = grown;
		pieces->room = room;
	}
	pieces->sound[pieces->n++] = piece;
	return 1;
}

/* Where the next line begins in a piece whose newline was altered into something else: `]?["`. */
static const char *joint_in(const char *text, size_t len)
{
	for (size_t i = 2; i + 1 < len; i++)
		if (text[i] == '[' && text[i + 1] == '"' && text[i - 2] == ']')
			return text + i;
	return NULL;
}

/* What lies between two newlines: a line, or several without what divided them. */
static int take_piece(struct pieces *pieces, const char *text, size_t len)
{
	const char *end = text + len, *joint = text;
	int rc = 0;

	while (text < end && !rc) {
		size_t n = (size_t)(end - text);

		rc = take(pieces, text, n);
		if (!rc && n > 1)
			rc = take(pieces, text, n - 1); /* the last line, its newline altered */
		if (rc)
			return rc < 0 ? rc : 0;
		joint = joint_in(joint, (size_t)(end - joint));
		if (!joint)
			return put_aside(pieces, text, n);
		rc = take(pieces, text, (size_t)(joint - text) - 1);
		if (rc > 0)
			text = joint;
		rc = rc < 0 ? rc : 0;
	}
	return rc;
}

static int take_all(struct pieces *pieces, const char *text, size_t len)
{
	size_t at = 0;
	int rc = 0;

	while (at < len && !rc) {
		const char *end = memchr(text + at, '\n', len - at);
		size_t n = end ? (size_t)(end - text) - at : len - at;

		rc = n ? take_piece(pieces, text + at, n) : 0;
		at += n + 1;
	}
	return rc;
}

static int by_number(const void *a, const void *b)
{
	const struct piece *x = a, *y = b;

	if (x->line.number != y->line.number)
		return x->line.number < y->line.number ? -1 : 1;
	return x->text < y->text ? -1 : x->text > y->text;
}

/* The changes that stay, by number; those of an older file and those that are there twice go aside. */
static int choose(
	struct pieces *pieces, struct journal_text *kept, uint64_t *last, struct journal_repair *done)
{
	uint64_t first = pieces->head.body ? pieces->head.number + 1 : 0, end = first + pieces->head_lines;
	int rc = 0;

	*last = first ? first - 1 : 0;
	for (size_t i = 0; i < pieces->n && !rc; i++) {
		const struct piece *piece = &pieces->sound[i];

		if (!first)
			first = piece->line.number;
		if (piece->line.number < first || (done->kept && piece->line.number == *last)) {
			rc = put_aside(pieces, piece->text, piece->len);
			continue;
		}
		rc = journal_line_change(kept, &piece->line);
		*last = piece->line.number;
		done->kept++;
	}
	if (end <= *last)
		end = *last + 1;
	done->missing = (size_t)(end - first) - done->kept;
	done->aside = pieces->naside;
	return rc;
}

static int write_aside(const char *path, const struct journal_text *aside, struct journal_repair *done)
{
	int fd = -1, rc;

	for (unsigned n = 1; fd < 0 && n <= ASIDE_MAX; n++) {
		if ((size_t)snprintf(done->file, sizeof(done->file), "%s.damaged-%u", path, n) >=
			sizeof(done->file))
			return -ENAMETOOLONG;
		fd = open(done->file, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
		if (fd < 0 && errno != EEXIST)
			return -errno;
	}
	if (fd < 0)
		return -EEXIST;
	rc = journal_file_write(fd, aside->text, aside->len);
	if (!rc && fsync(fd) < 0)
		rc = -errno;
	close(fd);
	if (rc)
		unlink(done->file);
	return rc;
}

static int rewrite(const char *path, const char *text, size_t len, struct journal_repair *done)
{
	struct journal_file file = {.path = (char *)path, .fd = -1};
	struct pieces pieces = {0};
	struct journal_text kept = {0};
	uint64_t last;
	int rc = take_all(&pieces, text, len);

	if (pieces.n)
		qsort(pieces.sound, pieces.n, sizeof(*pieces.sound), by_number);
	if (!rc)
		rc = choose(&pieces, &kept, &last, done);
	if (!rc && pieces.naside)
		rc = write_aside(path, &pieces.aside, done);
	if (!rc) {
		file.next = last + 1;
		rc = journal_file_replace(&file, kept.text, kept.len);
	}
	if (file.fd >= 0)
		close(file.fd);
	free(pieces.sound);
	free(pieces.aside.text);
	free(kept.text);
	return rc;
}

static void count(void *arg, const struct journal_line *line, const char *key, const char *value)
{
	(*(size_t *)arg)++;
}

int journal_repair(const char *path, struct journal_repair *done, struct reg_err *err)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC), rc;
	struct journal_scan scan = {0};
	enum journal_found found;
	char *text = NULL;
	size_t len;

	*done = (struct journal_repair){0};
	if (fd < 0)
		return reg_fail(err, -errno, "%s: %s", path, strerror(errno));
	rc = journal_file_read(fd, &text, &len);
	close(fd);
	if (!rc) {
		found = journal_scan(text, len, count, &done->kept, &scan);
		done->sound = found == JOURNAL_SOUND || found == JOURNAL_TORN;
		if (found == JOURNAL_OTHER)
			rc = -EBADMSG;
	}
	if (!rc && !done->sound) {
		done->kept = 0;
		rc = rewrite(path, text, len, done);
	}
	free(text);
	return rc < 0 ? reg_fail(err, rc, "%s: %s", path, rc == -EBADMSG ? scan.why : strerror(-rc)) : 0;
}

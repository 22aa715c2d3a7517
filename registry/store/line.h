/*
 * line.h: the lines of a journal's file. Pure.
 *
 *     ["4f0c2a91d36be870",17,"service/web1","{\"Name\":\"web\"}"]
 *
 * A line is JSON: a checksum of all that follows it (XXH3, 64 bits, in hex), the line's number, and the change:
 * key and value, or null when the key is gone. Numbers grow by one with each line, also from a file to the one
 * that takes its place. So a line that is missing, moved, repeated or of an older file is found like one that was
 * altered. The first line is the head: {"journal":2,"lines":N}. N lines were written with it and synced before the
 * file had its name, so only what follows them can be torn by a crash.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { JOURNAL_VERSION = 2 };

/* A growing text. Zeroed: empty. */
struct journal_text {
	char *text;
	size_t len, room;
};

/** -ENOMEM, and then nothing was added. */
int journal_text_add(struct journal_text *out, const char *bytes, size_t len);

/** A change as it is handed to the file, ["key","value"] and a newline. To be freed; NULL: no memory. */
char *journal_change(const char *key, const char *value);

/**
 * A change read back: key and value (NULL: gone) live as long as *json, a new reference. False: it is none. `len`
 * is without the newline.
 */
bool journal_change_read(const char *text, size_t len, json_t **json, const char **key, const char **value);

/** Adds the head of a file with `lines` lines. Takes the next number. -ENOMEM. */
int journal_line_head(struct journal_text *out, uint64_t *number, size_t lines);
/** Adds a line for each of these changes; numbers go on from *number. -ENOMEM. */
int journal_line_add(struct journal_text *out, uint64_t *number, const char *changes, size_t len);

/* A line that is sound by itself. */
struct journal_line {
	uint64_t number;
	const char *body; /* what follows the number: "key","value"] */
	size_t len;
};

/** Has the line (without its newline) the checksum that it says? */
bool journal_line_sound(const char *text, size_t len, struct journal_line *line);
/** Is it the head of a file? Then of which version, and of how many lines. */
bool journal_line_is_head(const struct journal_line *line, unsigned *version, size_t *lines);

/** Adds the line's change as journal_change() makes it. -ENOMEM. */
int journal_line_change(struct journal_text *out, const struct journal_line *line);

enum journal_found {
	JOURNAL_SOUND,
	JOURNAL_TORN,	 /* its end is no whole line, as after a crash */
	JOURNAL_DAMAGED, /* something that no crash does */
	JOURNAL_OTHER,	 /* of another version of the daemon */
};

struct journal_scan {
	size_t good;   /* bytes of sound lines */
	uint64_t next; /* number of the line after them */
	unsigned line; /* the one that is not, from 1 */
	const char *why;
};

/** Reads a whole file. `line` is called with each sound one after the head until there is one that is not. */
enum journal_found journal_scan(const char *text, size_t len,
	void (*line)(void *arg, const struct journal_line *line, const char *key, const char *value),
	void *arg, struct journal_scan *scan);

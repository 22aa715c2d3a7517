#include "registry/http/part.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/http/server.h"

enum { BYTES_MAX = 16 << 20, JSON_BYTES = 8 /* about so many times the text */ };

struct key {
	const void *of, *way;
};

struct part {
	struct key key;
	uint64_t revision;
	const void *made; /* json's address, which no other has while it is referred to: a key, too */
	json_t *json;	  /* NULL: only the text is kept */
	char *text;
	size_t len;
	bool used; /* since it was last looked at for room */
	TAILQ_ENTRY(part) link;
	LIST_ENTRY(part) with_json;
	UT_hash_handle hh, by_json;
};

struct http_parts {
	struct part *by_key, *by_json;
	TAILQ_HEAD(, part) ring; /* the first is the next to be looked at when room is needed */
	LIST_HEAD(, part) with_json;
	size_t bytes;
};

static size_t size_of(const struct part *part)
{
	return sizeof(*part) + part->len + (part->json ? JSON_BYTES * part->len : 0);
}

static void forget_json(struct http_parts *parts, struct part *part)
{
	if (!part->json)
		return;
	HASH_DELETE(by_json, parts->by_json, part);
	LIST_REMOVE(part, with_json);
	parts->bytes -= size_of(part);
	json_decref(part->json);
	part->json = NULL;
	parts->bytes += size_of(part);
}

static void drop(struct http_parts *parts, struct part *part)
{
	forget_json(parts, part);
	HASH_DEL(parts->by_key, part);
	TAILQ_REMOVE(&parts->ring, part, link);
	parts->bytes -= size_of(part);
	free(part->text);
	free(part);
}

static struct part *find(struct http_parts *parts, const struct http_subject *subject)
{
	struct key key = {subject->of, subject->way};
	struct part *part = NULL;

	if (parts)
		/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): two pointers, without a gap */
		HASH_FIND(hh, parts->by_key, &key, sizeof(key), part);
	if (!part || part->revision != subject->revision)
		return NULL;
	part->used = true;
	return part;
}

const char *http_part_text(struct http *http, const struct http_subject *subject, size_t *len)
{
	const struct part *part = find(http->parts, subject);

	if (!part)
		return NULL;
	*len = part->len;
	return part->text;
}

json_t *http_part_json(struct http *http, const struct http_subject *subject)
{
	const struct part *part = find(http->parts, subject);

	return part ? json_incref(part->json) : NULL;
}

const char *http_part_text_of(struct http *http, const json_t *json, size_t *len)
{
	const void *made = json;
	struct part *part = NULL;

	HASH_FIND(by_json, http->parts->by_json, &made, sizeof(made), part);
	if (!part)
		return NULL;
	*len = part->len;
	return part->text;
}

static void make_room(struct http_parts *parts, size_t size)
{
	struct part *part;

	while (parts->bytes + size > BYTES_MAX && (part = TAILQ_FIRST(&parts->ring))) {
		if (!part->used) {
			drop(parts, part);
			continue;
		}
		part->used = false;
		TAILQ_REMOVE(&parts->ring, part, link);
		TAILQ_INSERT_TAIL(&parts->ring, part, link);
	}
}

static bool wants_json(const struct http_request *rq)
{
	return rq->woken && !TAILQ_EMPTY(&rq->http->woken);
}

static void keep_json(struct http_parts *parts, struct part *part, json_t *json)
{
	part->made = json;
	HASH_ADD(by_json, parts->by_json, made, sizeof(part->made), part);
	if (!part->by_json.tbl)
		return;
	LIST_INSERT_HEAD(&parts->with_json, part, with_json);
	parts->bytes -= size_of(part);
	part->json = json_incref(json);
	parts->bytes += size_of(part);
}

static struct part *add(struct http_parts *parts, const struct http_subject *subject, const json_t *json)
{
	struct part *part = calloc(1, sizeof(*part));

	if (!part)
		return NULL;
	part->key = (struct key){subject->of, subject->way};
	part->revision = subject->revision;
	part->text = json_dumps(json, JSON_COMPACT);
	part->len = part->text ? strlen(part->text) : 0;
	make_room(parts, (1 + JSON_BYTES) * part->len + sizeof(*part));
	if (part->text)
		HASH_ADD(hh, parts->by_key, key, sizeof(part->key), part);
	if (!part->hh.tbl) {
		free(part->text);
		free(part);
		return NULL;
	}
	TAILQ_INSERT_TAIL(&parts->ring, part, link);
	parts->bytes += size_of(part);
	return part;
}

void http_part_put(const struct http_request *rq, const struct http_subject *subject, json_t *json)
{
	struct http_parts *parts = rq->http->parts;
	struct key key = {subject->of, subject->way};
	struct part *part = NULL;

	if (!json)
		return;
	/* NOLINTNEXTLINE(clang-analyzer-core.UndefinedBinaryOperatorResult): two pointers, without a gap */
	HASH_FIND(hh, parts->by_key, &key, sizeof(key), part);
	if (part && part->revision != subject->revision) {
		drop(parts, part);
		part = NULL;
	}
	if (!part)
		part = add(parts, subject, json);
	if (part && !part->json && wants_json(rq))
		keep_json(parts, part, json);
}

void http_parts_settle(struct http *http)
{
	struct http_parts *parts = http->parts;

	while (!LIST_EMPTY(&parts->with_json))
		forget_json(parts, LIST_FIRST(&parts->with_json));
}

int http_parts_open(struct http *http)
{
	http->parts = calloc(1, sizeof(*http->parts));
	if (!http->parts)
		return -ENOMEM;
	TAILQ_INIT(&http->parts->ring);
	LIST_INIT(&http->parts->with_json);
	return 0;
}

void http_parts_close(struct http *http)
{
	if (!http->parts)
		return;
	while (!TAILQ_EMPTY(&http->parts->ring))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is in the list no more */
		drop(http->parts, TAILQ_FIRST(&http->parts->ring));
	free(http->parts);
	http->parts = NULL;
}

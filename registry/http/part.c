#include "registry/http/part.h"

#include <stdlib.h>
#include <string.h>

#include "registry/http/server.h"

enum { BYTES_MAX = 16 << 20 }; /* kept at once */

struct part {
	const void *of,
		*made; /* keys; the latter is json's address, which no other has while it is referred to */
	json_t *json;
	char *text;
	size_t len;
	UT_hash_handle by_of, by_json;
};

struct http_parts {
	struct part *of, *made; /* the same ones, by either */
	uint64_t generation;
	size_t bytes;
};

static void part_free(struct part *part)
{
	json_decref(part->json);
	free(part->text);
	free(part);
}

json_t *http_part_find(const struct http_request *rq, const void *of)
{
	const struct http_parts *parts = rq->woken ? rq->http->parts : NULL;
	struct part *part = NULL;

	if (parts && parts->generation == registry_generation(rq->http->reg))
		HASH_FIND(by_of, parts->of, &of, sizeof(of), part);
	return part ? json_incref(part->json) : NULL;
}

static struct http_parts *parts_at(struct http_parts **parts, uint64_t generation)
{
	if (*parts && ((*parts)->generation != generation || (*parts)->bytes > BYTES_MAX))
		http_parts_clear(parts);
	if (!*parts)
		*parts = calloc(1, sizeof(**parts));
	if (*parts)
		(*parts)->generation = generation;
	return *parts;
}

/* In both tables or in none. */
static bool link(struct http_parts *parts, struct part *part)
{
	HASH_ADD(by_of, parts->of, of, sizeof(part->of), part);
	if (!part->by_of.tbl)
		return false;
	HASH_ADD(by_json, parts->made, made, sizeof(part->made), part);
	if (part->by_json.tbl)
		return true;
	HASH_DELETE(by_of, parts->of, part);
	return false;
}

void http_part_put(const struct http_request *rq, const void *of, json_t *json)
{
	struct http *http = rq->http;
	struct http_parts *parts = NULL;
	struct part *part;

	if (rq->woken && !TAILQ_EMPTY(&http->woken))
		parts = parts_at(&http->parts, registry_generation(http->reg));
	part = parts && json ? calloc(1, sizeof(*part)) : NULL;
	if (!part)
		return;
	part->of = of;
	part->made = json;
	part->json = json_incref(json);
	part->text = json_dumps(json, JSON_COMPACT);
	part->len = part->text ? strlen(part->text) : 0;
	if (part->text && link(parts, part))
		parts->bytes += sizeof(*part) + 2 * part->len; /* about as much again for the json */
	else
		part_free(part);
}

static const struct part *find_by_json(const struct http_parts *parts, const void *json)
{
	struct part *part;

	HASH_FIND(by_json, parts->made, &json, sizeof(json), part);
	return part;
}

const char *http_part_text(const struct http_request *rq, const json_t *json, size_t *len)
{
	const struct http_parts *parts = rq->woken ? rq->http->parts : NULL;
	const struct part *part = parts ? find_by_json(parts, json) : NULL;

	if (!part)
		return NULL;
	*len = part->len;
	return part->text;
}

void http_parts_clear(struct http_parts **out)
{
	struct http_parts *parts = *out;
	struct part *part, *later;

	*out = NULL;
	if (!parts)
		return;
	part = parts->of;
	HASH_CLEAR(by_json, parts->made);
	HASH_CLEAR(by_of, parts->of);
	for (; part; part = later) {
		later = part->by_of.next;
		part_free(part);
	}
	free(parts);
}

#include "registry/http/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/http/server.h"
#include "registry/http/text.h"

enum {
	BYTES_MAX = HTTP_CACHE_MB << 20,
	ENTRY_MAX = BYTES_MAX / 4, /* one answer that is larger is not worth all the others */
	PASSING_MAX = 16 << 20,	   /* bytes in passing, beside the one put last */
	ENTRIES_MAX = 4096,
	USES_MAX = 15, /* rounds that it then outlives without being asked for */
};

struct kept {
	struct http_text *text;
	uint64_t revision, index;
	size_t size;
	unsigned uses;
	bool passing;
	TAILQ_ENTRY(kept) link; /* cache->ring or cache->passing */
	UT_hash_handle hh;
	char question[];
};

TAILQ_HEAD(ring, kept);

struct http_cache {
	struct kept *by_question;
	struct ring ring; /* the first is the next to be looked at when room is needed */
	struct ring passing;
	size_t bytes, passing_bytes;
	unsigned count;
	uint64_t hits, misses;
};

/* Of one "name=value": is the answer the same with it as without? */
static bool says_nothing(const char *pair, size_t len)
{
	static const char *const names[] = {"index", "wait", "token", "stale", "consistent", "cached"};
	size_t name = 0;

	while (name < len && pair[name] != '=')
		name++;
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == name && memcmp(names[i], pair, name) == 0)
			return true;
	return false;
}

/* The part of the URI that decides the answer, to be freed; as it was spelled, so that no two are taken for
 * the same that are not. NULL: no memory. */
static char *make_question(const struct http_request *rq)
{
	const char *uri = evhttp_request_get_uri(rq->raw), *at = strchrnul(uri, '?');
	char *question = malloc(strlen(uri) + 2);
	size_t used = (size_t)(at - uri);

	if (!question)
		return NULL;
	memcpy(question, uri, used);
	while (*at) { /* at a ? or & */
		size_t len = strcspn(at + 1, "&");

		if (!says_nothing(at + 1, len)) {
			question[used++] = '&';
			memcpy(question + used, at + 1, len);
			used += len;
		}
		at += 1 + len;
	}
	question[used] = '\0';
	return question;
}

static const char *question_of(struct http_request *rq)
{
	if (!rq->question)
		rq->question = make_question(rq);
	return rq->question;
}

bool http_cache_same(struct http_request *a, struct http_request *b)
{
	const char *of_a = question_of(a), *of_b = question_of(b);

	return of_a && of_b && strcmp(of_a, of_b) == 0;
}

uint64_t http_cache_revision(struct http_request *rq)
{
	return rq->view->revision ? rq->view->revision(rq) : registry_generation(rq->http->reg);
}

static void drop(struct http_cache *cache, struct kept *kept)
{
	HASH_DEL(cache->by_question, kept);
	if (kept->passing) {
		TAILQ_REMOVE(&cache->passing, kept, link);
		cache->passing_bytes -= kept->size;
	} else {
		TAILQ_REMOVE(&cache->ring, kept, link);
		cache->bytes -= kept->size;
		cache->count--;
	}
	http_text_release(kept->text);
	free(kept);
}

/* Each time that it is come to, one that was asked for has one time less before it goes. */
static void make_room(struct http_cache *cache, size_t size)
{
	struct kept *kept;

	while ((kept = TAILQ_FIRST(&cache->ring)) &&
		(cache->bytes + size > BYTES_MAX || cache->count >= ENTRIES_MAX)) {
		if (!kept->uses) {
			drop(cache, kept);
			continue;
		}
		kept->uses--;
		TAILQ_REMOVE(&cache->ring, kept, link);
		TAILQ_INSERT_TAIL(&cache->ring, kept, link);
	}
}

/* May it be told to `rq`? Then with which index? */
static bool fits(const struct kept *kept, struct http_request *rq)
{
	if (!rq->view->revision)
		return rq->woken && kept->revision == http_cache_revision(rq) && kept->index == rq->index;
	if (kept->revision == http_cache_revision(rq))
		return true;
	if (!kept->passing || kept->revision < rq->asked)
		return false;
	rq->index = kept->index; /* of its beginning: what has changed since may not be in it */
	return true;
}

struct http_text *http_cache_find(struct http_request *rq)
{
	struct http_cache *cache = rq->http->cache;
	const char *question = cache->by_question ? question_of(rq) : NULL;
	struct kept *kept = NULL;

	if (question)
		HASH_FIND_STR(cache->by_question, question, kept);
	if (!kept || !fits(kept, rq))
		return NULL;
	cache->hits += rq->view->revision != NULL;
	if (kept->uses < USES_MAX)
		kept->uses++;
	return kept->text;
}

void http_cache_missed(const struct http_request *rq)
{
	rq->http->cache->misses += rq->view->revision != NULL;
}

static struct kept *make(struct http_request *rq, struct http_text *text, uint64_t revision)
{
	size_t len = question_of(rq) ? strlen(rq->question) + 1 : 0;
	struct kept *kept = len ? calloc(1, sizeof(*kept) + len) : NULL;

	if (!kept)
		return NULL;
	memcpy(kept->question, rq->question, len);
	kept->text = text;
	kept->revision = revision;
	kept->index = rq->index;
	kept->size = sizeof(*kept) + len + http_text_size(text);
	return kept;
}

static void insert(struct http_cache *cache, struct kept *kept)
{
	HASH_ADD_STR(cache->by_question, question, kept);
	if (!kept->hh.tbl) {
		free(kept);
		return;
	}
	http_text_hold(kept->text);
	if (kept->passing) {
		TAILQ_INSERT_TAIL(&cache->passing, kept, link);
		cache->passing_bytes += kept->size;
	} else {
		TAILQ_INSERT_TAIL(&cache->ring, kept, link);
		cache->bytes += kept->size;
		cache->count++;
	}
}

void http_cache_settle(struct http *http)
{
	struct kept *kept;

	while ((kept = TAILQ_FIRST(&http->cache->passing)))
		drop(http->cache, kept);
}

void http_cache_put(struct http_request *rq, struct http_text *text, uint64_t revision, bool wanted)
{
	struct http_cache *cache = rq->http->cache;
	struct kept *kept, *old = NULL;

	kept = wanted || rq->view->revision ? make(rq, text, revision) : NULL;
	if (!kept)
		return;
	kept->passing = !rq->view->revision || kept->size > ENTRY_MAX || revision != http_cache_revision(rq);
	if (kept->passing && !wanted) {
		free(kept);
		return;
	}
	HASH_FIND_STR(cache->by_question, kept->question, old);
	if (old) {
		kept->uses = old->uses;
		drop(cache, old);
	}
	if (!kept->passing)
		make_room(cache, kept->size);
	else if (cache->passing_bytes > PASSING_MAX)
		http_cache_settle(rq->http);
	insert(cache, kept);
}

int http_cache_open(struct http *http)
{
	struct http_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	TAILQ_INIT(&cache->ring);
	TAILQ_INIT(&cache->passing);
	http->cache = cache;
	return 0;
}

void http_cache_close(struct http *http)
{
	struct http_cache *cache = http->cache;

	if (!cache)
		return;
	http_cache_settle(http);
	while (!TAILQ_EMPTY(&cache->ring))
		drop(cache, TAILQ_FIRST(&cache->ring));
	free(cache);
	http->cache = NULL;
}

void http_cache_info(const struct http *http, struct http_info *info)
{
	const struct http_cache *cache = http->cache;

	info->kept = cache->count;
	info->kept_bytes = cache->bytes + cache->passing_bytes;
	info->hits = cache->hits;
	info->misses = cache->misses;
}

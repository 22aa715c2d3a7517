#include "registry/http/cache.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/http/gzip.h"
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
	struct http_text *small; /* the same compressed; NULL: not yet, or not asked for */
	struct http_gzip *gzip;	 /* it is being compressed */
	uint64_t revision, index;
	size_t size;
	unsigned uses;
	bool passing;
	TAILQ_ENTRY(kept) link; /* cache->ring or cache->passing */
	TAILQ_ENTRY(kept) gzip_link;
	UT_hash_handle hh;
	char question[];
};

TAILQ_HEAD(ring, kept);

struct http_cache {
	struct kept *by_question;
	struct ring ring; /* the first is the next to be looked at when room is needed */
	struct ring passing;
	struct ring gzips; /* those that are being compressed, by turns */
	struct event *step;
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
	return rq->view->scope->revision ? rq->view->scope->revision(rq) : registry_generation(rq->http->reg);
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
	if (kept->gzip)
		TAILQ_REMOVE(&cache->gzips, kept, gzip_link);
	http_gzip_free(kept->gzip);
	http_text_release(kept->text);
	http_text_release(kept->small);
	free(kept);
}

/* Each time that it is come to, one that was asked for has one time less before it goes. */
static void make_room(struct http_cache *cache, size_t size)
{
	struct kept *kept;

	while ((kept = TAILQ_FIRST(&cache->ring)) &&
		(cache->bytes + size > BYTES_MAX || cache->count >= ENTRIES_MAX)) {
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is in the list no more */
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
	if (!rq->view->scope->revision)
		return rq->woken && kept->revision == http_cache_revision(rq) && kept->index == rq->index;
	if (kept->revision == http_cache_revision(rq))
		return true;
	if (!kept->passing || kept->revision < rq->asked)
		return false;
	rq->index = kept->index; /* of its beginning: what has changed since may not be in it */
	return true;
}

/* Room for what it takes more; it is none of those that go for it. */
static void enlarge(struct http_cache *cache, struct kept *kept, size_t more)
{
	TAILQ_REMOVE(&cache->ring, kept, link);
	make_room(cache, more);
	TAILQ_INSERT_TAIL(&cache->ring, kept, link);
	kept->size += more;
	cache->bytes += more;
}

/* True: there is no more to do. */
static bool step(struct http_cache *cache, struct kept *kept)
{
	int rc = http_gzip_step(kept->gzip);

	if (rc == 0)
		return false;
	if (rc > 0) {
		kept->small = http_gzip_end(kept->gzip);
		enlarge(cache, kept, http_text_size(kept->small));
	} else {
		http_gzip_free(kept->gzip);
	}
	kept->gzip = NULL;
	return true;
}

/* One step in a turn of the loop, for all of them together. */
static void on_step(evutil_socket_t fd, short what, void *arg)
{
	static const struct timeval at_once;
	struct http_cache *cache = arg;
	struct kept *kept = TAILQ_FIRST(&cache->gzips);

	if (!kept)
		return;
	TAILQ_REMOVE(&cache->gzips, kept, gzip_link);
	if (!step(cache, kept))
		TAILQ_INSERT_TAIL(&cache->gzips, kept, gzip_link);
	if (!TAILQ_EMPTY(&cache->gzips))
		event_add(cache->step, &at_once);
}

/* What one step does is there at once; until then longer ones are told as they are. */
static void compress(struct http_cache *cache, struct kept *kept)
{
	static const struct timeval at_once;

	kept->gzip = http_gzip_begin(kept->text);
	if (!kept->gzip || step(cache, kept))
		return;
	TAILQ_INSERT_TAIL(&cache->gzips, kept, gzip_link);
	if (!event_pending(cache->step, EV_TIMEOUT, NULL))
		event_add(cache->step, &at_once);
}

static struct http_text *as_accepted(struct http_cache *cache, struct kept *kept, struct http_request *rq)
{
	rq->gzipped = false;
	if (!rq->takes_gzip || kept->passing || http_text_len(kept->text) < HTTP_GZIP_LEAST)
		return kept->text;
	if (!kept->small && !kept->gzip)
		compress(cache, kept);
	rq->gzipped = kept->small != NULL;
	return kept->small ? kept->small : kept->text;
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
	cache->hits += rq->view->scope->revision != NULL;
	if (kept->uses < USES_MAX)
		kept->uses++;
	return as_accepted(cache, kept, rq);
}

void http_cache_missed(const struct http_request *rq)
{
	rq->http->cache->misses += rq->view->scope->revision != NULL;
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

static bool insert(struct http_cache *cache, struct kept *kept)
{
	HASH_ADD_STR(cache->by_question, question, kept);
	if (!kept->hh.tbl) {
		free(kept);
		return false;
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
	return true;
}

void http_cache_settle(struct http *http)
{
	struct kept *kept;

	while ((kept = TAILQ_FIRST(&http->cache->passing)))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is in the list no more */
		drop(http->cache, kept);
}

struct http_text *http_cache_put(
	struct http_request *rq, struct http_text *text, uint64_t revision, bool wanted)
{
	struct http_cache *cache = rq->http->cache;
	struct kept *kept, *old = NULL;

	kept = wanted || rq->view->scope->revision ? make(rq, text, revision) : NULL;
	if (!kept)
		return text;
	kept->passing =
		!rq->view->scope->revision || kept->size > ENTRY_MAX || revision != http_cache_revision(rq);
	if (kept->passing && !wanted) {
		free(kept);
		return text;
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
	return insert(cache, kept) ? as_accepted(cache, kept, rq) : text;
}

int http_cache_open(struct http *http)
{
	struct http_cache *cache = calloc(1, sizeof(*cache));

	if (!cache)
		return -ENOMEM;
	TAILQ_INIT(&cache->ring);
	TAILQ_INIT(&cache->passing);
	TAILQ_INIT(&cache->gzips);
	http->cache = cache;
	cache->step = event_new(http->base, -1, 0, on_step, cache);
	return cache->step ? 0 : -ENOMEM;
}

void http_cache_close(struct http *http)
{
	struct http_cache *cache = http->cache;

	if (!cache)
		return;
	http_cache_settle(http);
	while (!TAILQ_EMPTY(&cache->ring))
		/* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): what was dropped is in the list no more */
		drop(cache, TAILQ_FIRST(&cache->ring));
	if (cache->step)
		event_free(cache->step);
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

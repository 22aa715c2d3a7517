#include "registry/http/share.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/http/server.h"
#include "registry/http/text.h"

enum { BYTES_MAX = 16 << 20 }; /* remembered at once */

struct shared {
	struct http_text *text;
	uint64_t index;
	UT_hash_handle hh;
	char question[];
};

struct http_share {
	struct shared *by_question;
	uint64_t generation;
	size_t bytes;
};

/* Of one "name=value": is the answer the same with it as without? */
static bool says_nothing(const char *pair, size_t len)
{
	static const char *const names[] = {"index", "wait", "token", "stale", "consistent"};
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
static char *question_of(const struct http_request *rq)
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

struct http_text *http_share_find(const struct http_share *share, const struct http_request *rq)
{
	struct shared *shared = NULL;
	char *question;

	if (!share || share->generation != registry_generation(rq->http->reg))
		return NULL;
	question = question_of(rq);
	if (question)
		HASH_FIND_STR(share->by_question, question, shared);
	free(question);
	return shared && shared->index == rq->index ? shared->text : NULL;
}

static struct http_share *share_at(struct http_share **share, uint64_t generation)
{
	if (*share && ((*share)->generation != generation || (*share)->bytes > BYTES_MAX))
		http_share_clear(share);
	if (!*share)
		*share = calloc(1, sizeof(**share));
	if (*share)
		(*share)->generation = generation;
	return *share;
}

/* What was told when the index was another. */
static void forget(struct http_share *share, const char *question)
{
	struct shared *old;

	HASH_FIND_STR(share->by_question, question, old);
	if (!old)
		return;
	HASH_DEL(share->by_question, old);
	http_text_release(old->text);
	free(old);
}

void http_share_put(struct http_share **out, const struct http_request *rq, struct http_text *text)
{
	struct http_share *share = share_at(out, registry_generation(rq->http->reg));
	char *question = share ? question_of(rq) : NULL;
	size_t size = question ? strlen(question) + 1 : 0;
	struct shared *shared = question ? malloc(sizeof(*shared) + size) : NULL;

	if (shared) {
		shared->text = text;
		shared->index = rq->index;
		memcpy(shared->question, question, size);
		forget(share, question);
		HASH_ADD_STR(share->by_question, question, shared);
		if (shared->hh.tbl) {
			http_text_hold(text);
			share->bytes += sizeof(*shared) + size + http_text_len(text);
		} else {
			free(shared);
		}
	}
	free(question);
}

void http_share_clear(struct http_share **out)
{
	struct http_share *share = *out;
	struct shared *shared, *later;

	*out = NULL;
	if (!share)
		return;
	shared = share->by_question;
	HASH_CLEAR(hh, share->by_question);
	for (; shared; shared = later) {
		later = shared->hh.next;
		http_text_release(shared->text);
		free(shared);
	}
	free(share);
}

bool http_share_same(const struct http_request *a, const struct http_request *b)
{
	char *of_a = question_of(a), *of_b = question_of(b);
	bool same = of_a && of_b && strcmp(of_a, of_b) == 0;

	free(of_a);
	free(of_b);
	return same;
}

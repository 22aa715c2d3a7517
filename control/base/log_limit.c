#include "control/base/log_limit.h"

#include <stdio.h>
#include <string.h>
#include <syslog.h>

enum { TOKEN = 1000 };

void log_limit_init(struct log_limit *limit, uint64_t seed)
{
	memset(limit, 0, sizeof(*limit));
	limit->seed = seed;
}

/* FNV-1a, begun at a secret. */
static uint64_t hash_of(uint64_t seed, const char *subject)
{
	uint64_t hash = 0xcbf29ce484222325u ^ seed;

	for (; *subject; subject++)
		hash = (hash ^ (uint8_t)*subject) * 0x100000001b3u;
	return hash ^ hash >> 32;
}

/* With what has come in since. */
static void fill(struct log_bucket *bucket, int64_t now_ms, uint32_t burst, uint32_t every_ms)
{
	uint64_t passed = (uint64_t)(now_ms - bucket->at_ms), full = (uint64_t)burst * TOKEN;
	uint64_t milli = bucket->milli + passed * TOKEN / every_ms;

	bucket->milli = (uint32_t)(!bucket->at_ms || passed > full * every_ms || milli > full ? full : milli);
	bucket->at_ms = now_ms;
}

static struct log_object *find(struct log_object set[LOG_LIMIT_WAYS], const char *subject)
{
	for (unsigned i = 0; i < LOG_LIMIT_WAYS; i++)
		if (set[i].bucket.at_ms && strncmp(set[i].subject, subject, LOG_LIMIT_SUBJECT - 1) == 0)
			return &set[i];
	return NULL;
}

/* The one that was seen the longest ago, rather one of which nothing was left out. */
static struct log_object *oldest(struct log_object set[LOG_LIMIT_WAYS])
{
	struct log_object *found = &set[0];

	for (unsigned i = 1; i < LOG_LIMIT_WAYS; i++) {
		bool pends = set[i].left_out, pended = found->left_out;

		if (pends != pended ? pended : set[i].bucket.at_ms < found->bucket.at_ms)
			found = &set[i];
	}
	return found;
}

static struct log_object *object_of(struct log_limit *limit, const char *subject)
{
	struct log_object *set = limit->object[hash_of(limit->seed, subject) % LOG_LIMIT_SETS];
	struct log_object *object = find(set, subject);

	if (object)
		return object;
	object = oldest(set);
	limit->others += object->left_out;
	limit->pending -= object->left_out > 0;
	*object = (struct log_object){0};
	snprintf(object->subject, sizeof(object->subject), "%s", subject);
	return object;
}

static void leave_out(
	struct log_limit *limit, struct log_object *object, int64_t now_ms, int level, const char *text)
{
	if (!object->left_out) {
		object->since_ms = now_ms;
		object->level = level;
		limit->pending++;
	}
	if (level < object->level)
		object->level = level;
	object->left_out++;
	snprintf(object->last, sizeof(object->last), "%s", text);
}

bool log_limit_take(struct log_limit *limit, int64_t now_ms, const char *subject, int level, const char *text,
	uint64_t *left_out)
{
	struct log_object *object = object_of(limit, subject);

	fill(&object->bucket, now_ms, LOG_LIMIT_BURST, LOG_LIMIT_EVERY_MS);
	fill(&limit->all, now_ms, LOG_LIMIT_ALL_BURST, LOG_LIMIT_ALL_EVERY_MS);
	if (object->bucket.milli < TOKEN || limit->all.milli < TOKEN) {
		leave_out(limit, object, now_ms, level, text);
		return false;
	}
	object->bucket.milli -= TOKEN;
	limit->all.milli -= TOKEN;
	*left_out = object->left_out;
	limit->pending -= object->left_out > 0;
	object->left_out = 0;
	return true;
}

bool log_limit_report(struct log_limit *limit, int64_t now_ms, bool ending,
	void (*fn)(int level, const char *subject, uint64_t left_out, const char *last))
{
	unsigned reported = 0;

	for (unsigned i = 0; limit->pending && i < LOG_LIMIT_SETS * LOG_LIMIT_WAYS; i++) {
		struct log_object *object = &limit->object[i / LOG_LIMIT_WAYS][i % LOG_LIMIT_WAYS];

		if (!object->left_out || (!ending && now_ms - object->since_ms < LOG_LIMIT_REPORT_MS))
			continue;
		if (reported++ < LOG_LIMIT_REPORTS)
			fn(object->level, object->subject, object->left_out, object->last);
		else if (ending)
			limit->others += object->left_out;
		else
			break;
		object->left_out = 0;
		limit->pending--;
	}
	if (limit->others)
		fn(LOG_WARNING, "", limit->others, "");
	limit->others = 0;
	return limit->pending;
}

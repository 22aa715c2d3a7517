/*
 * watch.c: who waits for a service. Watches hang on the name, not on the service, which need not exist; a
 * change costs the watchers of that name and those of any name, nobody else.
 */
#include <stdlib.h>
#include <string.h>

#include "registry/table/table.h"

struct registry_watch {
	struct registry *reg;
	struct topic *topic;
	void (*fn)(void *arg, const char *service, uint64_t generation);
	void *arg;
	TAILQ_ENTRY(registry_watch) link;
};

struct topic {
	char name[REG_SERVICE_MAX + 1];
	TAILQ_HEAD(, registry_watch) watches;
	struct registry_watch *next; /* to be called, while notifying */
	bool notifying;
	UT_hash_handle hh;
};

static struct topic *topic_find(struct registry *reg, const char *name)
{
	struct topic *topic;

	HASH_FIND_STR(reg->topics, name, topic);
	return topic;
}

static struct topic *topic_make(struct registry *reg, const char *name)
{
	struct topic *topic;

	if (strlen(name) > REG_SERVICE_MAX)
		return NULL;
	topic = calloc(1, sizeof(*topic));
	if (!topic)
		return NULL;
	memcpy(topic->name, name, strlen(name));
	TAILQ_INIT(&topic->watches);
	HASH_ADD_STR(reg->topics, name, topic);
	if (!topic->hh.tbl) {
		free(topic);
		return NULL;
	}
	return topic;
}

static void topic_release(struct registry *reg, struct topic *topic)
{
	if (!TAILQ_EMPTY(&topic->watches) || topic->notifying)
		return;
	HASH_DEL(reg->topics, topic);
	free(topic);
}

struct registry_watch *registry_watch(struct registry *reg, const char *service,
	void (*fn)(void *arg, const char *service, uint64_t generation), void *arg)
{
	struct topic *topic = topic_find(reg, service);
	struct registry_watch *watch = calloc(1, sizeof(*watch));

	if (watch && !topic)
		topic = topic_make(reg, service);
	if (!watch || !topic) {
		free(watch);
		return NULL;
	}
	*watch = (struct registry_watch){.reg = reg, .topic = topic, .fn = fn, .arg = arg};
	/* at the head: one that is made by a callback hears of the next commit, not of the one being told */
	TAILQ_INSERT_HEAD(&topic->watches, watch, link);
	return watch;
}

void registry_unwatch(struct registry_watch *watch)
{
	struct topic *topic;

	if (!watch)
		return;
	topic = watch->topic;
	if (topic->next == watch)
		topic->next = TAILQ_NEXT(watch, link);
	TAILQ_REMOVE(&topic->watches, watch, link);
	topic_release(watch->reg, topic);
	free(watch);
}

static void topic_notify(struct registry *reg, const char *name, const char *service, uint64_t generation)
{
	struct topic *topic = topic_find(reg, name);
	struct registry_watch *watch;

	if (!topic)
		return;
	topic->notifying = true;
	for (watch = TAILQ_FIRST(&topic->watches); watch; watch = topic->next) {
		topic->next = TAILQ_NEXT(watch, link);
		watch->fn(watch->arg, service, generation);
	}
	topic->next = NULL;
	topic->notifying = false;
	topic_release(reg, topic);
}

void watch_notify(struct registry *reg, const char *service, uint64_t generation)
{
	topic_notify(reg, service, service, generation);
	topic_notify(reg, "", service, generation);
}

void watch_notify_topic(struct registry *reg, const char *topic, uint64_t generation)
{
	topic_notify(reg, topic, topic, generation);
}

void watch_close(struct registry *reg)
{
	struct topic *topic = reg->topics, *later;
	struct registry_watch *watch, *next;

	HASH_CLEAR(hh, reg->topics);
	for (; topic; topic = later) {
		later = topic->hh.next;
		for (watch = TAILQ_FIRST(&topic->watches); watch; watch = next) {
			next = TAILQ_NEXT(watch, link);
			free(watch);
		}
		free(topic);
	}
}

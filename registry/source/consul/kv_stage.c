/*
 * kv_stage.c: changes of keys that are prepared beside the store, and then made all at once or not at all. What reads in
 * between sees them as if they were made.
 */
#include <errno.h>
#include <string.h>

#include "registry/source/consul/inside.h"
#include "registry/source/consul/kv.h"

void kv_stage_begin(struct kv_stage *stage, struct consul *consul)
{
	*stage = (struct kv_stage){.consul = consul,
		.generation = consul->shared ? KV_REVISION : registry_generation(consul->reg) + 1};
}

void kv_stage_drop(struct kv_stage *stage)
{
	for (size_t i = 0; i < stage->entries.count; i++)
		kv_entry_free(stage->entries.item[i]);
	sorted_clear(&stage->entries);
}

const struct kv_entry *kv_stage_find(const struct kv_stage *stage, const char *key)
{
	const struct kv_entry *staged = sorted_find(&stage->entries, kv_by_key, key);

	if (staged)
		return staged->gone ? NULL : staged;
	return kv_find(stage->consul, key);
}

static const struct kv_entry *item_at(const struct sorted *list, const char *key, bool behind)
{
	size_t at = behind ? sorted_after(list, kv_by_key, key) : sorted_from(list, kv_by_key, key);

	return at < list->count ? list->item[at] : NULL;
}

const struct kv_entry *kv_stage_next(const struct kv_stage *stage, const char *key, bool behind)
{
	for (;; behind = true) {
		const struct kv_entry *staged = item_at(&stage->entries, key, behind);
		const struct kv_entry *stored = item_at(&stage->consul->kv.entries, key, behind);

		if (!staged || (stored && strcmp(stored->key, staged->key) < 0))
			return stored;
		if (!staged->gone)
			return staged;
		key = staged->key;
	}
}

static bool same(const struct kv_entry *a, const struct kv_entry *b)
{
	return a->len == b->len && a->flags == b->flags && a->lock_index == b->lock_index &&
	       strcmp(a->session, b->session) == 0 &&
	       (a->len == 0 || memcmp(a->value, b->value, a->len) == 0);
}

static int stage_set(struct kv_stage *stage, struct kv_entry *entry)
{
	size_t at = sorted_from(&stage->entries, kv_by_key, entry->key);
	struct kv_entry *old = at < stage->entries.count ? stage->entries.item[at] : NULL;

	if (old && strcmp(old->key, entry->key) == 0) {
		kv_entry_free(old);
		stage->entries.item[at] = entry;
		return 0;
	}
	if (sorted_insert(&stage->entries, kv_by_key, entry->key, entry) < 0) {
		kv_entry_free(entry);
		return -ENOMEM;
	}
	return 0;
}

int kv_stage_put(struct kv_stage *stage, struct kv_entry *entry)
{
	const struct kv_entry *now = kv_stage_find(stage, entry->key);

	if (now && same(now, entry)) { /* as Consul: nobody is woken for what is there already */
		kv_entry_free(entry);
		return 0;
	}
	entry->created = now ? now->created : stage->generation;
	entry->modified = stage->generation;
	return stage_set(stage, entry);
}

int kv_stage_del(struct kv_stage *stage, const char *key)
{
	struct kv_entry *entry;

	if (!kv_stage_find(stage, key))
		return 0;
	entry = kv_entry_new(key);
	if (!entry)
		return -ENOMEM;
	entry->gone = true;
	return stage_set(stage, entry);
}

/* Is there room for all of it, in the place of what is there now? What makes that smaller is always taken. */
bool kv_stage_has_room(const struct kv_stage *stage)
{
	const struct consul *consul = stage->consul;
	size_t now = 0, then = 0;

	for (size_t i = 0; i < stage->entries.count; i++) {
		const struct kv_entry *entry = stage->entries.item[i];
		const struct kv_entry *stored = kv_find(stage->consul, entry->key);

		now += stored ? kv_size(stored->key, stored->len) : 0;
		then += entry->gone ? 0 : kv_size(entry->key, entry->len);
	}
	return then <= now || consul->kv.bytes - now + then <= consul->kv_bytes_max;
}

/* Nothing can fail any more. */
static void publish(struct kv_stage *stage)
{
	struct consul *consul = stage->consul;
	struct kv_gone gone = {.n = 0};

	for (size_t i = 0; i < stage->entries.count; i++) {
		struct kv_entry *entry = stage->entries.item[i];
		struct kv_entry *stored = entry->gone ? kv_find(consul, entry->key) : NULL;

		if (!entry->gone)
			kv_set(consul, entry);
		else
			kv_entry_free(entry);
		if (!stored) /* or made and deleted in between */
			continue;
		kv_unset(consul, stored);
		kv_gone_add(&gone, stored);
	}
	kv_gone_sweep(consul, &gone);
	sorted_clear(&stage->entries);
	kv_commit(consul, true, false);
}

int kv_stage_commit(struct kv_stage *stage)
{
	struct sorted *staged = &stage->entries;
	int rc = 0;

	if (staged->count == 0)
		return 0;
	if (!kv_stage_has_room(stage))
		rc = -ENOSPC;
	else if (sorted_reserve(&stage->consul->kv.entries, staged->count) < 0 ||
		 kv_keep_all(stage->consul, (struct kv_entry *const *)staged->item, staged->count) < 0)
		rc = -ENOMEM;
	if (rc == 0)
		publish(stage);
	else
		kv_stage_drop(stage);
	return rc;
}

/* kv.c: the key-value store: what it holds. */
#include "registry/source/consul/kv.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/inside.h"

int kv_by_key(const void *item, const void *key)
{
	return strcmp(((const struct kv_entry *)item)->key, key);
}

struct kv_entry *kv_entry_new(const char *key)
{
	struct kv_entry *entry = calloc(1, sizeof(*entry) + strlen(key) + 1);

	if (entry)
		strcpy(entry->key, key);
	return entry;
}

void kv_entry_free(struct kv_entry *entry)
{
	if (!entry)
		return;
	free(entry->value);
	free(entry);
}

struct kv_entry *kv_find(struct consul *consul, const char *key)
{
	return sorted_find(&consul->kv.entries, kv_by_key, key);
}

size_t kv_from(struct consul *consul, const char *key)
{
	return sorted_from(&consul->kv.entries, kv_by_key, key);
}

bool kv_begins(const char *key, const char *prefix)
{
	return strncmp(key, prefix, strlen(prefix)) == 0;
}

bool kv_is_key(const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)key[i]))
			return false;
	return len > 0 && len <= KV_KEY_MAX;
}

size_t kv_size(const char *key, size_t len)
{
	return sizeof(struct kv_entry) + strlen(key) + 1 + sizeof(void *) + len;
}

bool kv_hold(struct consul *consul, struct kv_entry *entry)
{
	struct kv_held *held = entry->session[0] ? session_held(consul, entry->session) : NULL;

	if (held && !entry->held.le_prev) {
		LIST_INSERT_HEAD(&held->entries, entry, held);
		held->n++;
	}
	return held != NULL;
}

static void unhold(struct consul *consul, struct kv_entry *entry)
{
	if (!entry->held.le_prev)
		return;
	LIST_REMOVE(entry, held);
	entry->held.le_prev = NULL;
	session_held(consul, entry->session)->n--;
}

void kv_set(struct consul *consul, struct kv_entry *entry)
{
	struct sorted *entries = &consul->kv.entries;
	size_t at = kv_from(consul, entry->key);
	struct kv_entry *old = at < entries->count ? entries->item[at] : NULL;

	if (old && strcmp(old->key, entry->key) == 0) {
		unhold(consul, old);
		consul->kv.bytes -= kv_size(old->key, old->len);
		kv_entry_free(old);
		entries->item[at] = entry;
	} else {
		sorted_insert(entries, kv_by_key, entry->key, entry);
	}
	kv_hold(consul, entry);
	consul->kv.bytes += kv_size(entry->key, entry->len);
}

/* One pass: moving what is behind each of many would be quadratic. */
static void sweep_all(struct sorted *entries)
{
	size_t left = 0;

	for (size_t i = 0; i < entries->count; i++) {
		struct kv_entry *entry = entries->item[i];

		if (entry->gone)
			kv_entry_free(entry);
		else
			entries->item[left++] = entry;
	}
	sorted_cut(entries, left, entries->count - left);
}

void kv_gone_add(struct kv_gone *gone, struct kv_entry *entry)
{
	entry->gone = true;
	if (gone->n < KV_FEW)
		gone->few[gone->n] = entry;
	gone->n++;
}

void kv_gone_sweep(struct consul *consul, const struct kv_gone *gone)
{
	if (gone->n > KV_FEW) {
		sweep_all(&consul->kv.entries);
		return;
	}
	for (size_t i = 0; i < gone->n; i++) {
		sorted_remove(&consul->kv.entries, kv_by_key, gone->few[i]->key);
		kv_entry_free(gone->few[i]);
	}
}

void kv_unset(struct consul *consul, struct kv_entry *entry)
{
	unhold(consul, entry);
	consul->kv.bytes -= kv_size(entry->key, entry->len);
	consul->kv.deleted = registry_generation(consul->reg) + 1;
}

static bool is_below(const struct sorted *entries, size_t at, const char *prefix)
{
	return at < entries->count && kv_begins(((const struct kv_entry *)entries->item[at])->key, prefix);
}

bool kv_del_tree(struct consul *consul, const char *prefix, size_t max)
{
	struct sorted *entries = &consul->kv.entries;
	size_t first = kv_from(consul, prefix), end = first;
	bool more;

	for (; end - first < max && is_below(entries, end, prefix); end++) {
		struct kv_entry *entry = entries->item[end];

		kv_unset(consul, entry);
		kv_keep_drop(consul, entry->key);
		kv_entry_free(entry);
	}
	more = is_below(entries, end, prefix);
	if (first == end)
		return false;
	sorted_cut(entries, first, end - first);
	kv_commit(consul, true, false);
	return more;
}

void kv_release(struct consul *consul, struct kv_held *held, bool forget, int64_t delay_ms)
{
	struct kv_gone gone = {.n = 0};
	struct kv_entry *entry;

	while ((entry = LIST_FIRST(&held->entries))) {
		unhold(consul, entry);
		entry->session[0] = '\0';
		kv_delay(consul, entry->key, delay_ms);
		if (forget) {
			kv_unset(consul, entry);
			kv_keep_drop(consul, entry->key);
			kv_gone_add(&gone, entry);
		} else {
			entry->modified = registry_generation(consul->reg) + 1;
			kv_keep(consul, entry);
		}
	}
	kv_gone_sweep(consul, &gone);
}

void kv_commit(struct consul *consul, bool keys, bool sessions)
{
	struct registry *reg = consul->reg;

	if (sessions)
		consul->sessions_changed = registry_generation(reg) + 1;
	commit_topic(reg, keys ? KV_TOPIC : SESSION_TOPIC);
	if (keys && sessions)
		watch_notify_topic(reg, SESSION_TOPIC, registry_generation(reg));
	consul_index_shown(
		consul, registry_generation(reg)); /* what a transaction is answered with has it, too */
}

void kv_close(struct consul *consul)
{
	for (size_t i = 0; i < consul->kv.entries.count; i++)
		kv_entry_free(consul->kv.entries.item[i]);
	sorted_clear(&consul->kv.entries);
	kv_delay_close(consul);
}

/* kv.c: the key-value store: what it holds. */
#include "registry/source/consul/kv.h"

#include <ctype.h>
#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "registry/source/consul/inside.h"
#include "registry/store/journal.h"

#define KEY_KV "kv/"

static int by_key(const void *item, const void *key)
{
	return strcmp(((const struct kv_entry *)item)->key, key);
}

int64_t kv_now_ms(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

struct kv_entry *kv_find(struct consul *consul, const char *key)
{
	return sorted_find(&consul->kv.entries, by_key, key);
}

size_t kv_from(struct consul *consul, const char *key)
{
	return sorted_from(&consul->kv.entries, by_key, key);
}

static void journal_name(const char *key, char name[KV_KEY_MAX + sizeof(KEY_KV)])
{
	snprintf(name, KV_KEY_MAX + sizeof(KEY_KV), KEY_KV "%s", key);
}

char *kv_base64(const void *bytes, size_t len)
{
	char *text = malloc((len + 2) / 3 * 4 + 1);

	if (text)
		EVP_EncodeBlock((unsigned char *)text, bytes, (int)len);
	return text;
}

static void keep(struct consul *consul, const struct kv_entry *entry)
{
	char name[KV_KEY_MAX + sizeof(KEY_KV)], *value = kv_base64(entry->value, entry->len), *text = NULL;
	json_t *json = value ? json_pack("[s, I]", value, (json_int_t)entry->flags) : NULL;

	if (json)
		text = json_dumps(json, JSON_COMPACT);
	journal_name(entry->key, name);
	if (text)
		journal_put(consul->journal, name, text);
	json_decref(json);
	free(value);
	free(text);
}

/* What an entry counts for. */
static size_t size_of(const char *key, size_t len)
{
	return sizeof(struct kv_entry) + strlen(key) + 1 + sizeof(void *) + len;
}

static void entry_free(struct kv_entry *entry)
{
	free(entry->value);
	free(entry);
}

/* It is still in the list. */
static void entry_forget(struct consul *consul, struct kv_entry *entry)
{
	char name[KV_KEY_MAX + sizeof(KEY_KV)];

	journal_name(entry->key, name);
	journal_put(consul->journal, name, NULL);
	consul->kv.bytes -= size_of(entry->key, entry->len);
	entry_free(entry);
}

/* Without a generation of its own. */
static void entry_del(struct consul *consul, struct kv_entry *entry)
{
	sorted_remove(&consul->kv.entries, by_key, entry->key);
	entry_forget(consul, entry);
}

static struct kv_entry *entry_make(struct consul *consul, const char *key)
{
	struct kv_entry *entry = calloc(1, sizeof(*entry) + strlen(key) + 1);

	if (!entry)
		return NULL;
	strcpy(entry->key, key);
	if (sorted_insert(&consul->kv.entries, by_key, key, entry) < 0) {
		free(entry);
		return NULL;
	}
	return entry;
}

static bool is_key(const char *key)
{
	size_t len = strlen(key);

	for (size_t i = 0; i < len; i++)
		if (iscntrl((unsigned char)key[i]))
			return false;
	return len > 0 && len <= KV_KEY_MAX;
}

/* Generations: the next one is that of what is being changed. */
static void commit_kv(struct consul *consul)
{
	commit_topic(consul->reg, KV_TOPIC);
}

/* Is there room for this value, in the place of what the key has now? What makes it smaller is always taken. */
static bool has_room(const struct consul *consul, const struct kv_entry *entry, const char *key, size_t len)
{
	size_t now = entry ? size_of(key, entry->len) : 0, then = size_of(key, len);

	return then <= now || consul->kv.bytes - now + then <= consul->kv_bytes_max;
}

static int put(struct consul *consul, const char *key, const char *value, size_t len, uint64_t flags,
	const char *session)
{
	struct kv_entry *entry = kv_find(consul, key);
	uint64_t generation = registry_generation(consul->reg) + 1;
	size_t before = entry ? size_of(key, entry->len) : 0;
	char *copy;

	copy = malloc(len + 1);
	if (copy && !entry) {
		entry = entry_make(consul, key);
		if (entry)
			entry->created = generation;
	}
	if (!copy || !entry) {
		free(copy);
		return -ENOMEM;
	}
	if (len)
		memcpy(copy, value, len);
	consul->kv.bytes += size_of(key, len) - before;
	free(entry->value);
	entry->value = copy;
	entry->len = len;
	entry->flags = flags;
	entry->modified = generation;
	if (session[0] && strcmp(session, entry->session) != 0)
		entry->lock_index++;
	memmove(entry->session, session, strlen(session) + 1);
	keep(consul, entry);
	commit_kv(consul);
	return 0;
}

int kv_put(struct consul *consul, const char *key, const char *value, size_t len, uint64_t flags,
	const char *session)
{
	if (!is_key(key))
		return -EINVAL;
	if (len > KV_VALUE_MAX)
		return -EFBIG;
	if (!has_room(consul, kv_find(consul, key), key, len))
		return -ENOSPC;
	return put(consul, key, value, len, flags, session);
}

static bool begins(const char *text, const char *with)
{
	return strncmp(text, with, strlen(with)) == 0;
}

static bool is_named(const struct kv_entry *entry, const char *key, bool recurse)
{
	return recurse ? begins(entry->key, key) : strcmp(entry->key, key) == 0;
}

bool kv_del(struct consul *consul, const char *key, bool recurse, size_t max)
{
	struct sorted *entries = &consul->kv.entries;
	size_t first = kv_from(consul, key), end = first;
	bool more;

	while (end < entries->count && is_named(entries->item[end], key, recurse) && end - first < max)
		entry_forget(consul, entries->item[end++]);
	more = end < entries->count && is_named(entries->item[end], key, recurse);
	if (first == end)
		return false;
	sorted_cut(entries, first, end - first);
	consul->kv.deleted = registry_generation(consul->reg) + 1;
	commit_kv(consul);
	return more;
}

void kv_release(struct consul *consul, const char *session, bool forget, int64_t delay_ms)
{
	struct sorted *entries = &consul->kv.entries;
	uint64_t generation = registry_generation(consul->reg) + 1;

	for (size_t i = entries->count; i-- > 0;) {
		struct kv_entry *entry = entries->item[i];

		if (strcmp(entry->session, session) != 0)
			continue;
		if (forget) {
			entry_del(consul, entry);
			consul->kv.deleted = generation;
			continue;
		}
		entry->session[0] = '\0';
		entry->modified = generation;
		entry->locked_until_ms = kv_now_ms() + delay_ms;
	}
	commit_kv(consul); /* also when it held nothing: who watches sessions sees one less */
}

void kv_restore(struct consul *consul, const char *key, const char *value)
{
	json_t *json = json_loads(value, 0, NULL);
	const char *text = json_string_value(json_array_get(json, 0));
	size_t len = text ? strlen(text) : 0;
	unsigned char *raw = malloc(len / 4 * 3 + 1);
	int n = raw && text ? EVP_DecodeBlock(raw, (const unsigned char *)text, (int)len) : -1;

	for (size_t i = len; n > 0 && i > 0 && text[i - 1] == '='; i--)
		n--; /* what padding stands for is decoded as zeros */
	/* also beyond a limit that has become smaller: what is kept is kept */
	if (n >= 0 && is_key(key))
		put(consul, key, (char *)raw, (size_t)n,
			(uint64_t)json_integer_value(json_array_get(json, 1)), "");
	free(raw);
	json_decref(json);
}

void kv_close(struct consul *consul)
{
	for (size_t i = 0; i < consul->kv.entries.count; i++)
		entry_free(consul->kv.entries.item[i]);
	sorted_clear(&consul->kv.entries);
}

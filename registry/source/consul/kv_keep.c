/*
 * kv_keep.c: what the journal holds of keys: a record for each, with its indexes, so that what a client knows of a key
 * is as true after a restart. Changes of several keys that belong together are written down as one record first: the
 * next start completes what a crash leaves half written.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/base64.h"
#include "registry/http/jsontext.h"
#include "registry/source/consul/inside.h"
#include "registry/store/journal.h"

#define KEY_KV "kv/"
#define KEY_REDO "redo"

enum { NAME = KV_KEY_MAX + sizeof(KEY_KV) };

/* Of a record: [value, flags, created, modified, lock index, session]. Earlier ones end behind the flags. */
enum { AT_VALUE, AT_FLAGS, AT_CREATED, AT_MODIFIED, AT_LOCK_INDEX, AT_SESSION };

static const char *name_of(const char *key, char name[NAME])
{
	snprintf(name, NAME, KEY_KV "%s", key);
	return name;
}

char *kv_keep_text(const struct kv_entry *entry)
{
	char *value = base64_text(entry->value, entry->len), *text = NULL;

	if (value &&
		asprintf(&text, "[\"%s\",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",%" PRIu64 ",\"%s\"]", value,
			entry->flags, entry->created, entry->modified, entry->lock_index, entry->session) < 0)
		text = NULL;
	free(value);
	return text;
}

void kv_keep_drop(struct consul *consul, const char *key)
{
	char name[NAME];

	journal_put(consul->journal, name_of(key, name), NULL);
}

/* [[name, text or null], ...]; NULL: no memory. */
static json_t *redo_of(struct kv_entry *const *entry, size_t n)
{
	json_t *redo = json_array();
	char name[NAME];

	for (size_t i = 0; redo && i < n; i++) {
		char *text = entry[i]->gone ? NULL : kv_keep_text(entry[i]);

		name_of(entry[i]->key, name);
		if ((!text && !entry[i]->gone) ||
			json_array_append_new(redo, json_pack("[s, s?]", name, text)) < 0) {
			json_decref(redo);
			redo = NULL;
		}
		free(text);
	}
	return redo;
}

/* Each of a redo's changes. */
static void put_all(struct journal *journal, const json_t *redo)
{
	const json_t *change;
	const char *name;
	size_t i;

	json_array_foreach (redo, i, change) {
		name = json_string_value(json_array_get(change, 0));
		if (name)
			journal_put(journal, name, json_string_value(json_array_get(change, 1)));
	}
	journal_put(journal, KEY_REDO, NULL);
}

static int keep_one(struct consul *consul, const struct kv_entry *entry)
{
	char name[NAME], *text = entry->gone ? NULL : kv_keep_text(entry);

	if (!text && !entry->gone)
		return -ENOMEM;
	journal_put(consul->journal, name_of(entry->key, name), text);
	free(text);
	return 0;
}

void kv_keep(struct consul *consul, const struct kv_entry *entry)
{
	if (consul->journal)
		keep_one(consul, entry);
}

int kv_keep_all(struct consul *consul, struct kv_entry *const *entry, size_t n)
{
	json_t *redo;
	char *text;
	int rc;

	if (!consul->journal)
		return 0;
	if (n == 1)
		return keep_one(consul, entry[0]);
	redo = redo_of(entry, n);
	text = redo ? json_dumps(redo, JSON_COMPACT) : NULL;
	rc = text ? 0 : -ENOMEM;
	if (text) {
		journal_put(consul->journal, KEY_REDO, text);
		put_all(consul->journal, redo);
	}
	json_decref(redo);
	free(text);
	return rc;
}

void kv_keep_redo(struct consul *consul)
{
	const char *text = journal_get(consul->journal, KEY_REDO);
	json_t *redo = text ? json_loads(text, 0, NULL) : NULL;

	if (redo)
		put_all(consul->journal, redo);
	json_decref(redo);
}

static uint64_t number_at(const json_t *record, size_t at)
{
	const json_t *value = json_array_get(record, at);
	uint64_t number = 0;

	if (json_is_integer(value)) /* earlier records have flags above 2^63 as negative ones */
		return (uint64_t)json_integer_value(value);
	jsontext_unsigned(value, &number);
	return number;
}

static struct kv_entry *entry_of(const char *key, const json_t *record)
{
	const char *value = json_string_value(json_array_get(record, AT_VALUE));
	const char *session = json_string_value(json_array_get(record, AT_SESSION));
	struct kv_entry *entry = value && kv_is_key(key) ? kv_entry_new(key) : NULL;

	if (!entry || base64_bytes(value, &entry->value, &entry->len) < 0) {
		free(entry);
		return NULL;
	}
	entry->flags = number_at(record, AT_FLAGS);
	entry->created = number_at(record, AT_CREATED);
	entry->modified = number_at(record, AT_MODIFIED);
	entry->lock_index = number_at(record, AT_LOCK_INDEX);
	if (session && strlen(session) < sizeof(entry->session))
		strcpy(entry->session, session);
	return entry;
}

struct kv_entry *kv_keep_read(const char *key, const char *text, size_t len)
{
	json_error_t why;
	json_t *record = jsontext_load(text, len, &why);
	struct kv_entry *entry = entry_of(key, record);

	json_decref(record);
	return entry;
}

void kv_keep_restore(struct consul *consul, const char *key, const char *value)
{
	struct kv_entry *entry = kv_keep_read(key, value, strlen(value));

	/* also beyond a limit that has become smaller: what is kept is kept */
	if (entry && sorted_reserve(&consul->kv.entries, 1) == 0) {
		registry_generation_above(consul->reg, entry->modified);
		kv_set(consul, entry);
	} else {
		kv_entry_free(entry);
	}
}

/* It has no index yet, or its session was lost in a crash: it changes with this start. */
static void begin_entry(struct consul *consul, struct kv_entry *entry)
{
	uint64_t first = registry_first_generation(consul->reg);
	bool held = kv_hold(consul, entry);

	if (entry->modified && (held || !entry->session[0]))
		return;
	entry->session[0] = '\0';
	if (!entry->modified)
		entry->created = first;
	entry->modified = first;
	kv_keep(consul, entry);
}

void kv_keep_begin(struct consul *consul)
{
	for (size_t i = 0; i < consul->kv.entries.count; i++)
		begin_entry(consul, consul->kv.entries.item[i]);
}

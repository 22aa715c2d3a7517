/*
 * store.c: what came by Consul's API is kept in the journal as it came, with the checks that it has by
 * now, and taken again as it came when the daemon begins.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/source/consul/inside.h"
#include "registry/store/journal.h"
#include "registry/table/table.h"

/* Keys of the journal: what a value is, and of whom. */
#define KEY_SERVICE "service/"
#define KEY_CATALOG "catalog/"
#define KEY_NODE "node/"
#define KEY_CHECK "check/"
#define KEY_WORD "word/"
#define KEY_GENERATION "generation"
#define KEY_KV "kv/"
#define KEY_SESSION "session/"
#define KEY_MAINTENANCE "maintenance/"
#define KEY_NODE_MAINTENANCE "maintenance"

/* Indexes are reserved on disk so many at a time, long before they are told. */
enum { RESERVE = 1 << 20 };

enum { KEY = sizeof(KEY_MAINTENANCE) + REG_NODE_MAX + 3 * REG_SERVICE_MAX + REG_CHECK_ID_MAX + 4 };

/* The name without a slash, so that what follows one is told from it. */
static const char *plain_of(const char *service, char text[3 * REG_SERVICE_MAX + 1])
{
	size_t n = 0;

	for (; *service; service++)
		n += (size_t)sprintf(
			text + n, *service == '/' || *service == '%' ? "%%%02X" : "%c", *service);
	text[n] = '\0';
	return text;
}

/* Under what the registration of an instance is kept. */
static const char *key_of(const char *service, const struct reg_backend *backend, char key[KEY])
{
	char plain[3 * REG_SERVICE_MAX + 1];

	if (reg_backend_node(backend)[0])
		snprintf(key, KEY, KEY_CATALOG "%s/%s", plain_of(service, plain), backend->id);
	else
		snprintf(key, KEY, KEY_SERVICE "%s", backend->id);
	return key;
}

/* NULL: not any more. What is there already is not written again. */
static void keep_text(struct consul *consul, const char *key, const char *text)
{
	const char *now = journal_get(consul->journal, key);

	if (text ? !now || strcmp(text, now) != 0 : !!now)
		journal_put(consul->journal, key, text);
}

static void put(struct consul *consul, const char *key, const json_t *body)
{
	char *text = body ? json_dumps(body, JSON_COMPACT) : NULL;

	if (text || !body)
		keep_text(consul, key, text);
	free(text);
}

static const char *id_of(const json_t *check)
{
	const char *id = json_string_value(consul_field(check, "CheckID"));

	return id ? id : "";
}

/* The definitions of the list: as given, or as they were kept until now. */
static json_t *definitions(const struct consul_checks *list, const json_t *kept)
{
	const json_t *had = consul_field(kept, "Checks"), *check;
	json_t *array = json_array(), *copy;
	size_t at;

	for (unsigned i = 0; i < list->n; i++) {
		if (list->body[i]) {
			copy = json_copy((json_t *)list->body[i]);
			json_object_set_new(copy, "CheckID", json_string(list->spec[i].id));
			json_array_append_new(array, copy);
			continue;
		}
		json_array_foreach (had, at, check)
			if (strcmp(id_of(check), list->spec[i].id) == 0)
				json_array_append(array, (json_t *)check);
	}
	return array;
}

static void set_checks(json_t *body, json_t *checks)
{
	consul_del_field(body, "Check");
	consul_del_field(body, "Checks");
	if (json_array_size(checks))
		json_object_set(body, "Checks", checks);
}

/* A registration as it is kept, a new reference; NULL: none is. */
static json_t *kept_of(struct consul *consul, const char *service, const struct reg_backend *backend)
{
	char key[KEY];
	const char *text = journal_get(consul->journal, key_of(service, backend, key));

	return text ? json_loads(text, 0, NULL) : NULL;
}

void consul_keep(struct consul *consul, const char *service, const struct reg_backend *backend,
	const json_t *body, const struct consul_checks *list)
{
	json_t *kept = kept_of(consul, service, backend), *checks = definitions(list, kept);
	json_t *copy = json_copy((json_t *)(body ? body : kept));
	char key[KEY];

	if (copy) {
		set_checks(copy, checks);
		put(consul, key_of(service, backend, key), copy);
	}
	json_decref(checks);
	json_decref(kept);
	json_decref(copy);
}

void consul_drop(struct consul *consul, const char *service, const struct reg_backend *backend)
{
	char key[KEY];

	put(consul, key_of(service, backend, key), NULL);
	if (!reg_backend_node(backend)[0])
		consul_keep_maintenance(consul, backend->id, NULL);
}

void consul_keep_node(struct consul *consul, const char *name, const json_t *body)
{
	char key[KEY];

	snprintf(key, sizeof(key), KEY_NODE "%s", name);
	put(consul, key, body);
}

json_t *consul_kept_node(struct consul *consul, const char *name)
{
	const char *text;
	char key[KEY];

	snprintf(key, sizeof(key), KEY_NODE "%s", name);
	text = journal_get(consul->journal, key);
	return text ? json_loads(text, 0, NULL) : NULL;
}

void consul_keep_node_check(struct consul *consul, const char *id, const json_t *check)
{
	char key[KEY];

	snprintf(key, sizeof(key), KEY_CHECK "%s", id);
	put(consul, key, check);
}

void consul_keep_maintenance(struct consul *consul, const char *id, const char *reason)
{
	char key[KEY] = KEY_NODE_MAINTENANCE;

	if (id)
		snprintf(key, sizeof(key), KEY_MAINTENANCE "%s", id);
	keep_text(consul, key, reason);
}

void consul_keep_word(struct consul *consul, const char *id, const char *status)
{
	char key[KEY];

	snprintf(key, sizeof(key), KEY_WORD "%s", id);
	keep_text(consul, key, status);
}

/* It holds for one interval more. */
static void restore_word(struct consul *consul, const char *id, const char *status)
{
	static const char output[] = "as it was before Sluice began anew";
	enum reg_health health = REG_PASSING;
	struct consul_instance *instance;

	if (!consul_check_find(consul, id, &instance))
		return;
	while (health != REG_CRITICAL && strcmp(consul_status(health), status) != 0)
		health++;
	if (instance)
		registry_backend_beat(consul->reg, instance->service, instance->id, id, health, output, NULL);
	else
		registry_node_beat(consul->reg, "", id, health, output, NULL);
}

void consul_index_shown(struct consul *consul, uint64_t index)
{
	char text[24];

	if (index + RESERVE / 2 < consul->reserved)
		return;
	consul->reserved = index + RESERVE;
	snprintf(text, sizeof(text), "%" PRIu64, consul->reserved);
	journal_put(consul->journal, KEY_GENERATION, text);
}

static void say(struct consul *consul, const char *key, const char *why)
{
	const struct registry_sink *sink = &consul->reg->sink;
	char line[512];

	snprintf(line, sizeof(line), "state: %s was refused: %s", key, why);
	sink->log(sink->ctx, LOG_WARNING, key, line);
}

/* What follows `prefix` in the key, NULL: it does not begin so. */
static const char *after(const char *key, const char *prefix)
{
	size_t len = strlen(prefix);

	return strncmp(key, prefix, len) == 0 ? key + len : NULL;
}

/* What is not kept as an object. False: it is one. */
static bool restore_text(struct consul *consul, const char *key, const char *value)
{
	if (strcmp(key, KEY_GENERATION) == 0)
		registry_generation_above(consul->reg, strtoull(value, NULL, 10));
	else if (strcmp(key, KEY_NODE_MAINTENANCE) == 0)
		consul_restore_node_maintenance(consul, value);
	else if (after(key, KEY_MAINTENANCE))
		consul_restore_maintenance(consul, after(key, KEY_MAINTENANCE), value);
	else if (after(key, KEY_WORD))
		restore_word(consul, after(key, KEY_WORD), value);
	else if (after(key, KEY_KV))
		kv_keep_restore(consul, after(key, KEY_KV), value);
	else
		return false;
	return true;
}

void consul_restore(void *arg, const char *key, const char *value)
{
	struct consul *consul = arg;
	struct reg_err err = {"not readable"};
	int rc = -EINVAL;
	json_t *body;

	if (restore_text(consul, key, value))
		return;
	body = json_loads(value, 0, NULL);
	if (json_is_object(body) && after(key, KEY_SERVICE))
		rc = consul_take(consul, body, true, &err);
	else if (json_is_object(body) && after(key, KEY_NODE))
		rc = consul_take_catalog(consul, body, &err);
	else if (json_is_object(body) && after(key, KEY_CATALOG))
		rc = consul_restore_catalog(consul, body, &err);
	else if (json_is_object(body) && after(key, KEY_CHECK))
		rc = consul_take_check(consul, body, &err);
	else if (json_is_object(body) && after(key, KEY_SESSION))
		rc = session_restore(consul, after(key, KEY_SESSION), body, &err);
	json_decref(body);
	if (rc < 0)
		say(consul, key, err.text);
}

/* consul.c: which instances came by Consul's API, and how they survive a restart. */
#include "registry/consul.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/journal.h"

/* Keys of the journal: what a value is, and of whom. */
#define KEY_SERVICE "service/"
#define KEY_CATALOG "catalog/"
#define KEY_GENERATION "generation"
#define KEY_KV "kv/"
#define KEY_MAINTENANCE "maintenance/"

/* Indexes are reserved on disk so many at a time, long before they are told. */
enum { RESERVE = 1 << 16 };

enum { KEY = sizeof(KEY_MAINTENANCE) + REG_NODE_MAX + REG_NAME_MAX + REG_ID_MAX + 4 };

int consul_code(int rc)
{
	switch (-rc) {
	case EINVAL:
		return 400;
	case ENOENT:
		return 404;
	case EEXIST:
		return 409;
	case ENOTSUP:
		return 400;
	default:
		return 500;
	}
}

struct consul_instance *consul_instance_of(struct consul *consul, const char *id)
{
	struct consul_instance *instance;

	HASH_FIND_STR(consul->instances, id, instance);
	return instance;
}

static int instance_add(struct consul *consul, const char *id, const char *service)
{
	struct consul_instance *instance = consul_instance_of(consul, id);

	if (!instance) {
		instance = calloc(1, sizeof(*instance) + strlen(id) + 1);
		if (!instance)
			return -ENOMEM;
		strcpy(instance->id, id);
		HASH_ADD_STR(consul->instances, id, instance);
		if (!instance->hh.tbl) {
			free(instance);
			return -ENOMEM;
		}
	}
	snprintf(instance->service, sizeof(instance->service), "%s", service);
	return 0;
}

static void instance_free(struct consul_instance *instance)
{
	free(instance->check);
	free(instance->name);
	free(instance->notes);
	free(instance->reason);
	free(instance);
}

/* A copy in *to of `text`, which may be NULL. */
static int set_text(char **to, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		return -ENOMEM;
	free(*to);
	*to = copy;
	return 0;
}

int consul_name_check(struct consul_instance *instance, const struct consul_registration *read)
{
	int rc = set_text(&instance->check, read->check);

	if (!rc)
		rc = set_text(&instance->name, read->check_name);
	return rc ? rc : set_text(&instance->notes, read->notes);
}

static void instance_del(struct consul *consul, const char *id, const char *service)
{
	struct consul_instance *instance = consul_instance_of(consul, id);

	if (!instance || strcmp(instance->service, service) != 0)
		return;
	HASH_DEL(consul->instances, instance);
	instance_free(instance);
}

const char *consul_service_of(struct consul *consul, const char *id)
{
	const struct consul_instance *instance = consul_instance_of(consul, id);

	return instance ? instance->service : NULL;
}

const struct reg_backend *consul_backend_of(struct consul *consul, const char *id, const char **service)
{
	*service = consul_service_of(consul, id);
	return *service ? registry_backend_find(consul->reg, *service, id) : NULL;
}

/* Under what the registration of an instance is kept. */
static const char *key_of(const char *service, const struct reg_backend *backend, char key[KEY])
{
	if (reg_backend_node(backend)[0])
		snprintf(key, KEY, KEY_CATALOG "%s/%s", service, backend->id);
	else
		snprintf(key, KEY, KEY_SERVICE "%s", backend->id);
	return key;
}

void consul_keep_maintenance(struct consul *consul, const char *id, const char *reason)
{
	char key[KEY];

	snprintf(key, sizeof(key), KEY_MAINTENANCE "%s", id);
	journal_put(consul->http->journal, key, reason);
}

/* It was deregistered, by whomever. */
static void on_gone(void *arg, const char *service, const struct reg_backend *backend)
{
	struct consul *consul = arg;
	char key[KEY];

	if (strcmp(backend->source, CONSUL_SOURCE) != 0)
		return;
	journal_put(consul->http->journal, key_of(service, backend, key), NULL);
	if (reg_backend_node(backend)[0])
		return;
	consul_keep_maintenance(consul, backend->id, NULL);
	instance_del(consul, backend->id, service);
}

static void journal_keep(
	struct consul *consul, const char *service, const struct reg_backend *backend, const json_t *body)
{
	char key[KEY], *text = json_dumps(body, JSON_COMPACT);

	if (text)
		journal_put(consul->http->journal, key_of(service, backend, key), text);
	free(text);
}

int consul_keep_check(struct consul *consul, const struct consul_instance *instance, const json_t *check)
{
	struct reg_backend key = {0};
	char name[KEY];
	const char *text;
	json_t *body;

	memcpy(key.id, instance->id, strlen(instance->id));
	text = journal_get(consul->http->journal, key_of(instance->service, &key, name));
	body = text ? json_loads(text, 0, NULL) : NULL;
	if (!body)
		return text ? -ENOMEM : 0; /* nothing is kept */
	json_object_del(body, "Check");
	json_object_del(body, "check");
	json_object_del(body, "Checks");
	json_object_del(body, "checks");
	if (check)
		json_object_set(body, "Check", (json_t *)check);
	journal_keep(consul, instance->service, &key, body);
	json_decref(body);
	return 0;
}

/* The agent knows one instance of an id: with another name it leaves its old service. */
static void leave_old_service(struct consul *consul, const char *id, const char *service)
{
	const char *old = consul_service_of(consul, id);
	char name[REG_NAME_MAX + 1];

	if (!old || strcmp(old, service) == 0)
		return;
	snprintf(name, sizeof(name), "%s", old);
	registry_backend_del(consul->reg, name, id, NULL);
}

/* In the table and among the instances, with its check as it begins. */
static int settle(struct consul *consul, const struct consul_registration *read, struct reg_err *err)
{
	const char *id = read->backend.id;
	const struct reg_backend *now = registry_backend_find(consul->reg, read->name, id);
	bool fresh = !now || !now->has_check;
	int rc = registry_backend_put(consul->reg, read->name, &read->backend, err);

	if (rc < 0)
		return rc;
	leave_old_service(consul, id, read->name);
	rc = instance_add(consul, id, read->name);
	if (!rc)
		rc = consul_name_check(consul_instance_of(consul, id), read);
	if (rc < 0) {
		registry_backend_del(consul->reg, read->name, id, NULL);
		return reg_fail(err, rc, "out of memory");
	}
	if (fresh && read->backend.check.type == REG_CHECK_TTL && read->initial != REG_CRITICAL)
		registry_backend_beat(consul->reg, read->name, id, read->initial, "", NULL);
	return 0;
}

int consul_take(struct consul *consul, const json_t *body, struct reg_err *err)
{
	struct consul_registration read;
	const struct reg_backend *now;
	int rc = consul_read_service(body, "Name", NULL, &read, err);

	if (!rc)
		rc = consul_read_checks(body, &read, err);
	if (rc < 0)
		return rc;
	now = registry_backend_find(consul->reg, read.name, read.backend.id);
	read.backend.drained = now && now->drained;
	registry_batch_begin(consul->reg);
	rc = settle(consul, &read, err);
	registry_batch_end(consul->reg);
	if (rc == 0)
		journal_keep(consul, read.name, &read.backend, body);
	return rc;
}

static int read_node(const json_t *body, struct reg_node *node, struct reg_pair meta[CONSUL_LIST],
	struct reg_place places[CONSUL_LIST], struct reg_err *err)
{
	const char *name, *address, *id;
	int rc = consul_text(body, "Node", &name, err);

	if (!rc)
		rc = consul_text(body, "Address", &address, err);
	if (!rc)
		rc = consul_text(body, "ID", &id, err);
	if (!rc)
		rc = consul_pairs(body, "NodeMeta", meta, &node->nmeta, err);
	if (!rc)
		rc = consul_places(body, "TaggedAddresses", places, &node->nplace, err);
	if (rc)
		return rc;
	if (!name || !address || strlen(name) > REG_NODE_MAX || strlen(address) > REG_HOST_MAX)
		return reg_fail(err, -EINVAL, "Must provide node and address");
	snprintf(node->name, sizeof(node->name), "%s", name);
	snprintf(node->address, sizeof(node->address), "%s", address);
	snprintf(node->id, sizeof(node->id), "%s", id ? id : "");
	snprintf(node->source, sizeof(node->source), CONSUL_SOURCE);
	node->meta = meta;
	node->places = places;
	return 0;
}

static int take_on_node(
	struct consul *consul, const json_t *body, const struct reg_node *node, struct reg_err *err)
{
	const json_t *service = consul_field(body, "Service");
	struct consul_registration read;
	int rc;

	rc = registry_node_put(consul->reg, node, err);
	if (rc || !service)
		return rc;
	rc = consul_read_service(service, "Service", node->name, &read, err);
	if (!rc)
		rc = registry_backend_put(consul->reg, read.name, &read.backend, err);
	if (!rc)
		journal_keep(consul, read.name, &read.backend, body);
	return rc;
}

/* An entry of the catalog for this daemon's own node is a registration with its agent. */
static int take_here(struct consul *consul, const json_t *service, struct reg_err *err)
{
	json_t *copy;
	int rc;

	if (!service)
		return 0;
	copy = json_copy((json_t *)service);
	if (!copy)
		return reg_fail(err, -ENOMEM, "out of memory");
	json_object_set(copy, "Name", (json_t *)consul_field(service, "Service"));
	rc = consul_take(consul, copy, err);
	json_decref(copy);
	return rc;
}

int consul_take_catalog(struct consul *consul, const json_t *body, struct reg_err *err)
{
	struct reg_place places[CONSUL_LIST];
	struct reg_pair meta[CONSUL_LIST];
	struct reg_node node = {0};
	const struct reg_node *known;
	int rc = read_node(body, &node, meta, places, err);

	if (rc < 0)
		return rc;
	known = registry_node_find(consul->reg, node.name);
	if (known && known->local)
		return take_here(consul, consul_field(body, "Service"), err);
	registry_batch_begin(consul->reg);
	rc = take_on_node(consul, body, &node, err);
	registry_batch_end(consul->reg);
	return rc;
}

static void say(struct consul *consul, const char *key, const char *why)
{
	const struct registry_sink *sink = &consul->reg->sink;
	char line[512];

	snprintf(line, sizeof(line), "state: %s was refused: %s", key, why);
	sink->log(sink->ctx, LOG_WARNING, line);
}

void consul_told(struct consul *consul, uint64_t index)
{
	char text[24];

	if (index + RESERVE / 2 < consul->reserved)
		return;
	consul->reserved = index + RESERVE;
	snprintf(text, sizeof(text), "%" PRIu64, consul->reserved);
	journal_put(consul->http->journal, KEY_GENERATION, text);
}

static void restore_maintenance(struct consul *consul, const char *id, const char *reason)
{
	struct consul_instance *instance = consul_instance_of(consul, id);
	const struct reg_backend *backend =
		instance ? registry_backend_find(consul->reg, instance->service, id) : NULL;
	struct reg_backend drained;

	if (!backend)
		return;
	drained = *backend;
	drained.drained = true;
	registry_backend_set(consul->reg, instance->service, &drained, NULL);
	set_text(&instance->reason, reason[0] ? reason : NULL);
}

void consul_restore(void *arg, const char *key, const char *value)
{
	struct consul *consul = arg;
	json_t *body;
	struct reg_err err = {"not readable"};
	int rc = -EINVAL;

	if (strcmp(key, KEY_GENERATION) == 0) {
		registry_generation_above(consul->reg, strtoull(value, NULL, 10));
		return;
	}
	if (strncmp(key, KEY_MAINTENANCE, strlen(KEY_MAINTENANCE)) == 0) {
		restore_maintenance(consul, key + strlen(KEY_MAINTENANCE), value);
		return;
	}
	if (strncmp(key, KEY_KV, strlen(KEY_KV)) == 0) {
		kv_restore(consul, key + strlen(KEY_KV), value);
		return;
	}
	body = json_loads(value, 0, NULL);
	if (json_is_object(body) && strncmp(key, KEY_SERVICE, strlen(KEY_SERVICE)) == 0)
		rc = consul_take(consul, body, &err);
	else if (json_is_object(body) && strncmp(key, KEY_CATALOG, strlen(KEY_CATALOG)) == 0)
		rc = consul_take_catalog(consul, body, &err);
	json_decref(body);
	if (rc < 0)
		say(consul, key, err.text);
}

int consul_open(struct http *http, struct consul **out)
{
	struct consul *consul = calloc(1, sizeof(*consul));

	if (!consul)
		return -ENOMEM;
	consul->http = http;
	consul->reg = http->reg;
	consul->absent = consul_absent();
	if (!consul->absent) {
		free(consul);
		return -ENOMEM;
	}
	http->reg->on_gone = on_gone;
	http->reg->on_gone_arg = consul;
	*out = consul;
	return 0;
}

void consul_close(struct consul *consul)
{
	struct consul_instance *instance, *later;

	if (!consul)
		return;
	consul->reg->on_gone = NULL;
	consul_events_close(consul);
	json_decref(consul->absent);
	session_close(consul);
	kv_close(consul);
	instance = consul->instances;
	HASH_CLEAR(hh, consul->instances);
	for (; instance; instance = later) {
		later = instance->hh.next;
		instance_free(instance);
	}
	free(consul);
}

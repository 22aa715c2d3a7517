/* instance.c: the instances that clients registered with this daemon's node. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/inside.h"

struct consul_instance *consul_instance_of(struct consul *consul, const char *id)
{
	struct consul_instance *instance;

	HASH_FIND_STR(consul->instances, id, instance);
	return instance;
}

static struct consul_instance *instance_add(struct consul *consul, const char *id, const char *service)
{
	struct consul_instance *instance = consul_instance_of(consul, id);
	char *name = strdup(service);

	if (!name)
		return NULL;
	if (!instance) {
		instance = calloc(1, sizeof(*instance) + strlen(id) + 1);
		if (!instance) {
			free(name);
			return NULL;
		}
		strcpy(instance->id, id);
		HASH_ADD_STR(consul->instances, id, instance);
		if (!instance->hh.tbl) {
			free(instance);
			free(name);
			return NULL;
		}
	}
	free(instance->service);
	instance->service = name;
	return instance;
}

static void instance_free(struct consul_instance *instance)
{
	free(instance->service);
	free(instance->reason);
	free(instance);
}

void consul_instance_gone(struct consul *consul, const char *service, const struct reg_backend *backend)
{
	struct consul_instance *instance;

	if (reg_backend_node(backend)[0]) {
		consul_drop(consul, service, backend);
		return;
	}
	instance = consul_instance_of(consul, backend->id);
	if (instance && strcmp(instance->service, service) != 0) /* it is in another service by now */
		return;
	consul_drop(consul, service, backend);
	if (!instance)
		return;
	consul_check_forget(consul, backend->checks, backend->ncheck);
	HASH_DEL(consul->instances, instance);
	instance_free(instance);
}

/* The agent knows one instance of an id: with another name it leaves its old service. */
static int move(struct consul *consul, const char *id, const char *service)
{
	const char *old = consul_service_of(consul, id);
	char name[REG_SERVICE_MAX + 1];

	if (!old || strcmp(old, service) == 0)
		return instance_add(consul, id, service) ? 0 : -ENOMEM;
	snprintf(name, sizeof(name), "%s", old);
	instance_add(consul, id, service);
	registry_backend_del(consul->reg, name, id, NULL);
	return 0;
}

/* Who registers a ttl check anew is alive: what it said last holds for another interval. */
static void renew(
	struct consul *consul, const char *service, const char *id, const struct consul_checks *list)
{
	const struct reg_backend *backend = registry_backend_find(consul->reg, service, id);
	struct reg_result result;
	char output[REG_OUTPUT_MAX + 1];

	for (unsigned i = 0; backend && registry_backend_result(backend, i, &result); i++) {
		bool given = false;

		for (unsigned n = 0; n < list->n; n++)
			given |= list->body[n] && strcmp(list->spec[n].id, result.check->id) == 0;
		if (!given || result.check->type != REG_CHECK_TTL)
			continue;
		snprintf(output, sizeof(output), "%s", result.output);
		registry_backend_beat(
			consul->reg, service, id, result.check->id, result.health, output, NULL);
	}
}

/* In the table and among the instances, with its checks. */
static int settle(struct consul *consul, const struct consul_registration *read,
	const struct consul_checks *list, struct reg_err *err)
{
	const char *id = read->backend.id;
	int rc = registry_backend_put(consul->reg, read->name, &read->backend, err);

	if (rc < 0)
		return rc;
	if (move(consul, id, read->name) < 0 ||
		consul_check_claim(consul, consul_instance_of(consul, id), list, err) < 0) {
		registry_backend_del(consul->reg, read->name, id, NULL);
		return reg_fail(err, -ENOMEM, "out of memory");
	}
	renew(consul, read->name, id, list);
	return 0;
}

static void set_specs(struct reg_backend *backend, const struct consul_checks *list)
{
	backend->own_checks = list->n > 0;
	backend->ncheck = (uint16_t)list->n;
	backend->checks = list->spec;
}

int consul_take(struct consul *consul, const json_t *body, bool replace, struct reg_err *err)
{
	struct consul_checks list = {0};
	struct consul_registration read;
	const struct reg_backend *now;
	const char *service;
	int rc = consul_read_service(body, "Name", NULL, &read, err);

	if (!rc)
		rc = consul_read_checks(body, &read.backend, &list, err);
	if (rc < 0)
		return rc;
	now = consul_backend_of(consul, read.backend.id, &service);
	if (now && !replace)
		rc = consul_checks_merge(&list, now->checks, now->ncheck, err);
	if (rc < 0)
		return rc;
	read.backend.drained = now && now->drained;
	set_specs(&read.backend, &list);
	registry_batch_begin(consul->reg);
	rc = settle(consul, &read, &list, err);
	registry_batch_end(consul->reg);
	if (rc == 0)
		consul_keep(consul, read.name, &read.backend, body, &list);
	return rc;
}

void consul_register(struct http_request *rq, const json_t *body)
{
	struct reg_err err;
	int rc = consul_read_plain(body, &err);

	if (!rc)
		rc = consul_take(consul_of(rq), body, http_flag(rq, "replace-existing-checks"), &err);
	consul_reply(rq, rc, &err);
}

void consul_deregister(struct http_request *rq)
{
	const char *id = rq->arg[0], *service = consul_service_of(consul_of(rq), id);
	char name[REG_SERVICE_MAX + 1];

	if (!service) {
		http_reply_text(rq, 404,
			"Unknown service ID \"%s\". Ensure that the service ID is passed, not the service "
			"name.",
			id);
		return;
	}
	strcpy(name, service);
	registry_backend_del(rq->http->reg, name, id, NULL);
	http_reply_text(rq, 200, "%s", "");
}

int consul_set_checks(struct consul *consul, struct consul_instance *instance,
	const struct consul_checks *list, struct reg_err *err)
{
	const struct reg_backend *backend =
		registry_backend_find(consul->reg, instance->service, instance->id);
	struct reg_backend now;
	int rc;

	if (!backend)
		return reg_fail(err, -ENOENT, "ServiceID \"%s\" does not exist", instance->id);
	now = *backend;
	set_specs(&now, list);
	registry_batch_begin(consul->reg);
	rc = registry_backend_put(consul->reg, instance->service, &now, err);
	if (rc == 0)
		rc = consul_check_claim(consul, instance, list, err);
	if (rc == 0)
		renew(consul, instance->service, instance->id, list);
	registry_batch_end(consul->reg);
	backend = registry_backend_find(consul->reg, instance->service, instance->id);
	if (rc == 0 && backend)
		consul_keep(consul, instance->service, backend, NULL, list);
	return rc;
}

void consul_instances_close(struct consul *consul)
{
	struct consul_instance *instance = consul->instances, *later;

	HASH_CLEAR(hh, consul->instances);
	for (; instance; instance = later) {
		later = instance->hh.next;
		instance_free(instance);
	}
}

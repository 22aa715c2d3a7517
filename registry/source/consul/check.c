/*
 * check.c: which check is whose. Clients name a check by its id alone, which is one agent's; the registry
 * knows it by its instance. The usual id, service:ID, tells the instance itself; only others are written down.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/inside.h"

static struct consul_check *entry_of(struct consul *consul, const char *id)
{
	struct consul_check *check;

	HASH_FIND_STR(consul->checks, id, check);
	return check;
}

/* The instance that the id names, NULL: it is not of that form. */
static struct consul_instance *named(struct consul *consul, const char *id)
{
	size_t len = strlen(CONSUL_OWN_CHECK);

	return strncmp(id, CONSUL_OWN_CHECK, len) == 0 ? consul_instance_of(consul, id + len) : NULL;
}

static bool has(struct consul *consul, const struct consul_instance *instance, const char *id)
{
	const struct reg_backend *backend =
		registry_backend_find(consul->reg, instance->service, instance->id);

	for (unsigned i = 0; backend && i < backend->ncheck; i++)
		if (strcmp(backend->checks[i].id, id) == 0)
			return true;
	return false;
}

bool consul_check_find(struct consul *consul, const char *id, struct consul_instance **instance)
{
	const struct consul_check *entry = entry_of(consul, id);

	*instance = entry ? entry->instance : named(consul, id);
	return entry || (*instance && has(consul, *instance, id));
}

static int enter(struct consul *consul, struct consul_instance *instance, const char *id)
{
	struct consul_check *check = entry_of(consul, id);

	if (!check) {
		check = calloc(1, sizeof(*check) + strlen(id) + 1);
		if (!check)
			return -ENOMEM;
		strcpy(check->id, id);
		HASH_ADD_STR(consul->checks, id, check);
		if (!check->hh.tbl) {
			free(check);
			return -ENOMEM;
		}
	}
	check->instance = instance;
	return 0;
}

int consul_check_claim(struct consul *consul, struct consul_instance *instance,
	const struct consul_checks *list, struct reg_err *err)
{
	for (unsigned i = 0; i < list->n; i++) {
		const char *id = list->spec[i].id;
		struct consul_instance *other;

		if (!list->body[i])
			continue;
		if (consul_check_find(consul, id, &other) && other != instance)
			consul_check_remove(consul, id, err);
		if ((!instance || named(consul, id) != instance) && enter(consul, instance, id) < 0)
			return reg_fail(err, -ENOMEM, "out of memory");
	}
	return 0;
}

static void forget(struct consul *consul, const char *id)
{
	struct consul_check *check = entry_of(consul, id);

	consul_keep_word(consul, id, NULL);
	if (!check)
		return;
	HASH_DEL(consul->checks, check);
	free(check);
}

void consul_check_forget(struct consul *consul, const struct reg_check *checks, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		forget(consul, checks[i].id);
}

void consul_checks_close(struct consul *consul)
{
	struct consul_check *check = consul->checks, *later;

	HASH_CLEAR(hh, consul->checks);
	for (; check; check = later) {
		later = check->hh.next;
		free(check);
	}
}

static bool names(const struct consul_checks *list, const char *id)
{
	for (unsigned i = 0; i < list->n; i++)
		if (strcmp(list->spec[i].id, id) == 0)
			return true;
	return false;
}

/* A check that stays as it is; its id is the list's own, since the rest goes with the change. */
static void keep(struct consul_checks *list, const struct reg_check *check)
{
	char *id = list->id[list->n];

	snprintf(id, sizeof(list->id[0]), "%s", check->id);
	list->spec[list->n] = *check;
	list->spec[list->n].id = id;
	list->body[list->n++] = NULL;
}

int consul_checks_merge(
	struct consul_checks *list, const struct reg_check *had, unsigned n, struct reg_err *err)
{
	for (unsigned i = 0; i < n; i++) {
		if (names(list, had[i].id))
			continue;
		if (list->n == REG_CHECKS_MAX)
			return reg_fail(err, -EINVAL, "Checks: more than %d", REG_CHECKS_MAX);
		keep(list, &had[i]);
	}
	return 0;
}

void consul_backend_checks(const struct reg_backend *backend, const char *without, struct consul_checks *list)
{
	for (unsigned i = 0; i < backend->ncheck && list->n < REG_CHECKS_MAX; i++)
		if (strcmp(backend->checks[i].id, without) != 0)
			keep(list, &backend->checks[i]);
}

void consul_node_checks(
	struct consul *consul, const char *node, const char *without, struct consul_checks *list)
{
	const struct reg_node *found = registry_node_find(consul->reg, node);
	struct reg_result result;

	for (unsigned i = 0; found && registry_node_result(found, i, &result) && list->n < REG_CHECKS_MAX;
		i++)
		if (strcmp(result.check->id, without) != 0)
			keep(list, result.check);
}

bool consul_check_remove(struct consul *consul, const char *id, struct reg_err *err)
{
	struct consul_checks list = {0};
	struct consul_instance *instance;
	const struct reg_backend *backend;

	if (!consul_check_find(consul, id, &instance))
		return false;
	if (instance) {
		backend = registry_backend_find(consul->reg, instance->service, instance->id);
		consul_backend_checks(backend, id, &list);
		consul_set_checks(consul, instance, &list, err);
	} else {
		consul_node_checks(consul, "", id, &list);
		registry_node_checks(consul->reg, "", list.spec, (uint16_t)list.n, err);
		consul_keep_node_check(consul, id, NULL);
	}
	forget(consul, id);
	return true;
}

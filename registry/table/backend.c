/*
 * backend.c: the instances of a service, and the check that each has.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/table/table.h"

static int by_address(const void *item, const void *key)
{
	const struct reg_backend *a = item, *b = key;
	int order = ip_compare(a->address, b->address);

	return order ? order : (int)a->port - (int)b->port;
}

/* The place in the list: several may have one address. */
static int by_place(const void *item, const void *key)
{
	int order = by_address(item, key);

	return order ? order
		     : strcmp(((const struct reg_backend *)item)->id, ((const struct reg_backend *)key)->id);
}

struct backend *backend_find(struct service *service, const char *id)
{
	struct backend *backend;

	HASH_FIND(hh, service->by_id, id, strlen(id), backend);
	return backend;
}

static void backend_free(struct backend *backend)
{
	if (!backend)
		return;
	free(backend->cause);
	free((void *)backend->pub.checks);
	free((void *)backend->pub.metadata);
	free(backend);
}

/* A backend as `new` describes it, in no table yet. */
static struct backend *backend_make(struct service *service, const struct reg_backend *new, const char *id)
{
	struct backend *backend = calloc(1, sizeof(*backend));
	struct reg_check *checks = NULL;
	int rc;

	if (!backend)
		return NULL;
	backend->service = service;
	backend->pub = (struct reg_backend){
		.address = new->address,
		.port = new->port,
		.weight = new->weight,
		.warning_weight = new->warning_weight,
		.has_warning_weight = new->has_warning_weight,
		.metadata = metadata_copy(new->metadata, &rc),
		.own_checks = new->own_checks,
		.drained = new->drained,
		.has_drain_ms = new->has_drain_ms,
		.drain_ms = new->drain_ms,
		.output = "",
	};
	snprintf(backend->pub.id, sizeof(backend->pub.id), "%s", id);
	snprintf(backend->pub.source, sizeof(backend->pub.source), "%s", new->source);
	if (rc < 0 || (new->own_checks &&specs_copy(new->checks, new->ncheck, &checks) < 0)) {
		backend_free(backend);
		return NULL;
	}
	backend->pub.checks = checks;
	backend->pub.ncheck = new->own_checks ? new->ncheck : 0;
	return backend;
}

static int backend_link(struct backend *backend)
{
	struct service *service = backend->service;
	int rc = backend_prepare_checks(backend, backend_specs(backend, service->spec), false);

	if (rc < 0)
		return rc;
	HASH_ADD(hh, service->by_id, pub.id, strlen(backend->pub.id), backend);
	if (!backend->hh.tbl)
		goto no_hash;
	if (sorted_insert(&service->backends, by_place, &backend->pub, backend) < 0)
		goto no_place;
	if (port_attach(backend) < 0)
		goto no_host;
	return 0;
no_host:
	sorted_remove(&service->backends, by_place, &backend->pub);
no_place:
	HASH_DEL(service->by_id, backend);
no_hash:
	check_set_clear(&backend->next);
	return -ENOMEM;
}

/* Then its coming and going changes what services are listed, or with which tags. */
static bool is_listed(const struct backend *backend)
{
	return backend->service->backends.count == 1 ||
	       (backend->pub.metadata && backend->pub.metadata->ntag);
}

void backend_remove(struct backend *backend)
{
	struct service *service = backend->service;
	struct registry *reg = service->reg;

	if (!backend->replaced)
		source_gone(backend);
	if (!backend->replaced)
		change_note(reg, REG_WHY_DEREGISTERED, service, backend, backend->pub.health, NULL);
	reg->names_changed |= is_listed(backend);
	port_detach(backend);
	sorted_remove(&service->backends, by_place, &backend->pub);
	HASH_DEL(service->by_id, backend);
	if (backend->dirty)
		TAILQ_REMOVE(&reg->dirty, backend, dirty_link);
	if (backend->overdue)
		TAILQ_REMOVE(&reg->overdue, backend, overdue_link);
	check_set_clear(&backend->checks);
	backend_free(backend);
}

static struct backend *backend_lookup(struct service *service, const char *id)
{
	struct backend *backend = backend_find(service, id);
	struct reg_backend key = {0};
	const char *colon = strrchr(id, ':');
	char canonical[IP_PORT_TEXT];

	if (backend || !colon || !ip_parse_host(id, (size_t)(colon - id), &key.address))
		return backend;
	key.port = (uint16_t)strtoul(colon + 1, NULL, 10);
	ip_port_text(key.address, key.port, canonical);
	return strcmp(canonical, id) == 0 ? sorted_find(&service->backends, by_address, &key) : NULL;
}

struct backend *backend_need(struct registry *reg, const char *name, const char *id, struct reg_err *err)
{
	struct service *service = service_find(reg, name);
	struct backend *backend = service ? backend_lookup(service, id) : NULL;

	if (!service)
		reg_fail(err, -ENOENT, "service: there is no service %s", name);
	else if (!backend)
		reg_fail(err, -ENOENT, "address: service %s has no backend %s", name, id);
	return backend;
}

/* The id of `new`, or the one that follows from its address. */
static const char *id_of(const struct reg_backend *new, char text[IP_PORT_TEXT])
{
	if (new->id[0])
		return new->id;
	return ip_port_text(new->address, new->port, text);
}

/* Makes the backend, and the service's generation at the next commit. NULL: no memory. */
static struct backend *backend_insert(struct service *service, const struct reg_backend *new, const char *id)
{
	struct backend *backend = backend_make(service, new, id);

	if (!backend || backend_link(backend) < 0) {
		backend_free(backend);
		return NULL;
	}
	backend_swap_checks(backend, backend_specs(backend, service->spec), false);
	backend_derive(backend);
	backend->touched = true;
	service->reg->names_changed |= is_listed(backend);
	commit_service(service);
	return backend;
}

int registry_backend_add(
	struct registry *reg, const char *name, const struct reg_backend *new, struct reg_err *err)
{
	struct service *service = service_find(reg, name);
	struct backend *backend;
	char address[IP_PORT_TEXT];
	const char *id;
	int rc = backend_valid(new, err);

	if (!service)
		return reg_fail(err, -ENOENT, "service: there is no service %s", name);
	if (rc < 0)
		return rc;
	if (!new->port)
		return reg_fail(err, -EINVAL, "port: 0 is out of range 1..65535");
	id = id_of(new, address);
	backend = backend_find(service, id);
	if (backend)
		return reg_fail(err, -EEXIST, "id: service %s has a backend %s already (source %s)", name, id,
			backend->pub.source);
	backend = sorted_find(&service->backends, by_address, new);
	if (backend && !ip_is_none(new->address))
		return reg_fail(err, -EEXIST, "address: it is backend %s of service %s already (source %s)",
			backend->pub.id, name, backend->pub.source);
	backend = backend_insert(service, new, id);
	if (!backend)
		return reg_fail(err, -ENOMEM, "out of memory");
	change_note(reg, REG_WHY_REGISTERED, service, backend, backend->pub.health, NULL);
	commit(reg);
	return 0;
}

/* Gives the backend the checks of `new`. */
static int change_checks(struct backend *backend, const struct reg_backend *new)
{
	struct reg_backend *pub = &backend->pub;
	const struct reg_check *old = pub->checks;
	const struct reg_check *service = backend->service->spec;
	struct check_specs specs = {service, !!service};
	struct reg_check *own = NULL;

	if (new->own_checks && specs_copy(new->checks, new->ncheck, &own) < 0)
		return -ENOMEM;
	if (new->own_checks)
		specs = (struct check_specs){own, new->ncheck};
	if (backend_prepare_checks(backend, specs, true) < 0) {
		free(own);
		return -ENOMEM;
	}
	backend_swap_checks(backend, specs, true);
	pub->own_checks = new->own_checks;
	pub->ncheck = new->own_checks ? new->ncheck : 0;
	pub->checks = own;
	free((void *)old);
	return 0;
}

static bool checks_same(const struct reg_backend *a, const struct reg_backend *b)
{
	return a->own_checks == b->own_checks &&
	       (!a->own_checks || specs_same(a->checks, a->ncheck, b->checks, b->ncheck));
}

static bool drain_same(const struct reg_backend *a, const struct reg_backend *b)
{
	return a->drained == b->drained && a->has_drain_ms == b->has_drain_ms && a->drain_ms == b->drain_ms;
}

static bool backend_same(const struct reg_backend *a, const struct reg_backend *b)
{
	return a->weight == b->weight && a->has_warning_weight == b->has_warning_weight &&
	       (!a->has_warning_weight || a->warning_weight == b->warning_weight) &&
	       metadata_same(a->metadata, b->metadata) && drain_same(a, b) && checks_same(a, b);
}

/* Makes all but its address as `new` has it. */
static int backend_change(struct backend *backend, const struct reg_backend *new)
{
	const struct reg_metadata *old = backend->pub.metadata;
	struct reg_metadata *metadata;
	int rc;

	if (backend_same(&backend->pub, new))
		return 0;
	metadata = metadata_copy(new->metadata, &rc);
	if (rc < 0 || (!checks_same(&backend->pub, new) && change_checks(backend, new) < 0)) {
		free(metadata);
		return -ENOMEM;
	}
	backend->service->reg->names_changed |= !metadata_same(metadata, old);
	backend->pub.metadata = metadata;
	free((void *)old);
	backend->pub.weight = new->weight;
	backend->pub.warning_weight = new->warning_weight;
	backend->pub.has_warning_weight = new->has_warning_weight;
	backend->why = backend->pub.drained != new->drained ? REG_WHY_MAINTENANCE : REG_WHY_CHANGED;
	backend->pub.drained = new->drained;
	backend->pub.has_drain_ms = new->has_drain_ms;
	backend->pub.drain_ms = new->drain_ms;
	backend->touched = true;
	commit_backend(backend);
	commit_service(backend->service);
	return 0;
}

int registry_backend_set(
	struct registry *reg, const char *name, const struct reg_backend *new, struct reg_err *err)
{
	char address[IP_PORT_TEXT];
	struct backend *backend = backend_need(reg, name, id_of(new, address), err);
	int rc = backend ? backend_valid(new, err) : -ENOENT;

	if (rc < 0)
		return rc;
	if (by_address(&backend->pub, new) != 0)
		return reg_fail(err, -EINVAL, "address: that of backend %s cannot change", backend->pub.id);
	if (backend_change(backend, new) < 0)
		return reg_fail(err, -ENOMEM, "out of memory");
	commit(reg);
	return 0;
}

/* Its word is its own, wherever it is; what was probed elsewhere says nothing of the new place. */
static bool is_told(const struct check *check)
{
	return check->spec->type == REG_CHECK_TTL;
}

/* As `new` has it, which may be elsewhere than before. */
static int backend_replace(struct service *service, const struct reg_backend *new, const char *id)
{
	struct backend *old = backend_find(service, id), *backend;
	bool *names = &service->reg->names_changed, changes = *names;

	if (old && by_address(&old->pub, new) == 0)
		return backend_change(old, new);
	if (old)
		changes |= !metadata_same(old->pub.metadata, new->metadata);
	backend = backend_insert(service, new, id); /* two of this id for a moment */
	if (!backend)
		return -ENOMEM;
	if (!old) {
		change_note(service->reg, REG_WHY_REGISTERED, service, backend, backend->pub.health, NULL);
		return 0;
	}
	check_set_inherit(&backend->checks, &old->checks, is_told);
	backend->pub.created = old->pub.created;
	backend->why = REG_WHY_MOVED;
	commit_backend(backend);
	old->replaced = true;
	backend_remove(old);
	*names = changes; /* it has moved, not gone */
	return 0;
}

/* The service called `name`, which is made when nobody has defined it. */
static struct service *service_provide(
	struct registry *reg, const char *name, const char *source, struct reg_err *err)
{
	struct reg_service def = {.discovered = true};

	if (service_find(reg, name))
		return service_find(reg, name);
	if (strlen(name) > REG_SERVICE_MAX) {
		reg_fail(err, -EINVAL, "name: longer than %d bytes", REG_SERVICE_MAX);
		return NULL;
	}
	memcpy(def.name, name, strlen(name));
	snprintf(def.source, sizeof(def.source), "%s", source);
	return registry_service_add(reg, &def, err) < 0 ? NULL : service_find(reg, name);
}

static int node_known(struct registry *reg, const struct reg_backend *backend, struct reg_err *err)
{
	const char *node = reg_backend_node(backend);
	size_t len = strlen(node);

	if (!node_find(reg, node) || (node[0] && node_find(reg, node) == reg->local))
		return reg_fail(err, -ENOENT, "node: there is no other node %s", node);
	if (node[0] && (strncmp(backend->id, node, len) != 0 || backend->id[len] != '/'))
		return reg_fail(err, -EINVAL, "id: does not begin with its node");
	return 0;
}

static int put(struct registry *reg, const char *name, const struct reg_backend *new, struct reg_err *err)
{
	struct service *service = service_provide(reg, name, new->source, err);
	struct backend *old;
	char address[IP_PORT_TEXT];

	if (!service)
		return -EINVAL;
	old = backend_find(service, id_of(new, address));
	if (old && strcmp(old->pub.source, new->source) != 0)
		return reg_fail(err, -EEXIST, "id: service %s has a backend %s already (source %s)", name,
			old->pub.id, old->pub.source);
	if (old && strcmp(reg_backend_node(&old->pub), reg_backend_node(new)) != 0)
		return reg_fail(err, -EEXIST, "id: service %.60s has a backend %.60s of another node already",
			name, old->pub.id);
	if (backend_replace(service, new, id_of(new, address)) < 0)
		return reg_fail(err, -ENOMEM, "out of memory");
	return 0;
}

int registry_backend_put(
	struct registry *reg, const char *name, const struct reg_backend *new, struct reg_err *err)
{
	int rc = backend_valid(new, err);

	if (!rc)
		rc = node_known(reg, new, err);
	if (rc < 0)
		return rc;
	registry_batch_begin(reg);
	rc = put(reg, name, new, err);
	registry_batch_end(reg);
	return rc;
}

int registry_backend_del(struct registry *reg, const char *name, const char *id, struct reg_err *err)
{
	struct backend *backend = backend_need(reg, name, id, err);
	struct service *service = backend ? backend->service : NULL;

	if (!backend)
		return -ENOENT;
	backend_remove(backend);
	commit_service(service);
	commit(reg);
	return 0;
}

const struct reg_backend *registry_backend_find(struct registry *reg, const char *name, const char *id)
{
	struct backend *backend = backend_need(reg, name, id, NULL);

	return backend ? backend_show(backend) : NULL;
}

const struct reg_backend *registry_backend_at(
	struct registry *reg, const char *name, struct ip_addr address, uint16_t port)
{
	struct service *service = service_find(reg, name);

	for (size_t i = 0; service && i < service->backends.count; i++) {
		const struct reg_backend *backend = backend_show(service->backends.item[i]);

		if (ip_equal(backend->address, address) && backend->port == port)
			return backend;
	}
	return NULL;
}

void registry_backend_walk(struct registry *reg, const char *name,
	bool (*fn)(void *arg, const struct reg_backend *backend), void *arg)
{
	struct service *service = service_find(reg, name);

	for (size_t i = 0; service && i < service->backends.count; i++)
		if (!fn(arg, backend_show(service->backends.item[i])))
			return;
}

/*
 * backend.c: the instances of a service, and the check that each has.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/table.h"

static int by_address(const void *item, const void *key)
{
	const struct reg_backend *a = item, *b = key;
	uint32_t ip_a = ntohl(a->address), ip_b = ntohl(b->address);

	if (ip_a != ip_b)
		return ip_a < ip_b ? -1 : 1;
	return (int)a->port - (int)b->port;
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

const struct reg_check *backend_spec(const struct backend *backend, const struct reg_service *def)
{
	return backend->pub.has_check ? &backend->pub.check : &def->check;
}

/* FNV-1a over the service's and the backend's name: the same place in the interval after every restart. */
static uint64_t seed_of(const struct backend *backend)
{
	uint64_t hash = 0xcbf29ce484222325u;

	for (const char *c = backend->service->def.name; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
	for (const char *c = backend->pub.id; *c; c++)
		hash = (hash ^ (uint8_t)*c) * 0x100000001b3u;
	return hash;
}

static bool is_loopback(uint32_t address)
{
	return ntohl(address) >> 24 == IN_LOOPBACKNET;
}

static void on_check(void *arg)
{
	struct backend *backend = arg;

	if (check_overdue(backend->check) && !backend->overdue) {
		backend->overdue = true;
		TAILQ_INSERT_TAIL(&backend->service->reg->overdue, backend, overdue_link);
	}
	commit_backend(backend);
	commit_soon(backend->service->reg);
}

int backend_prepare_check(struct backend *backend, const struct reg_check *spec)
{
	struct check_target target = {
		.service = backend->service->def.name,
		.network = is_loopback(spec->address) ? "" : backend->service->def.network,
		.address = spec->address ? spec->address : backend->pub.address,
		.port = spec->port ? spec->port : backend->pub.port,
	};

	if (spec->type == REG_CHECK_NONE)
		return 0;
	backend->next =
		check_new(&backend->service->reg->checks, spec, &target, seed_of(backend), on_check, backend);
	return backend->next ? 0 : -ENOMEM;
}

void backend_swap_check(struct backend *backend, bool keep)
{
	struct check *old = backend->check, *check = backend->next;

	backend->check = check;
	backend->next = NULL;
	if (check && old && keep && check->type == old->type)
		check_inherit(check, old);
	if (check)
		check_start(check, backend->port);
	check_free(old);
}

static void backend_free(struct backend *backend)
{
	if (!backend)
		return;
	spec_clear(&backend->pub.check);
	free((void *)backend->pub.about);
	free(backend);
}

/* A backend as `new` describes it, in no table yet. */
static struct backend *backend_make(struct service *service, const struct reg_backend *new, const char *id)
{
	struct backend *backend = calloc(1, sizeof(*backend));
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
		.about = about_copy(new->about, &rc),
		.has_check = new->has_check,
		.drained = new->drained,
	};
	snprintf(backend->pub.id, sizeof(backend->pub.id), "%s", id);
	snprintf(backend->pub.source, sizeof(backend->pub.source), "%s", new->source);
	if (rc < 0 || (new->has_check &&spec_copy(&backend->pub.check, &new->check) < 0)) {
		backend_free(backend);
		return NULL;
	}
	return backend;
}

static int backend_link(struct backend *backend)
{
	struct service *service = backend->service;
	int rc = backend_prepare_check(backend, backend_spec(backend, &service->def));

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
	check_free(backend->next);
	return -ENOMEM;
}

/* Then its coming and going changes what services are listed, or with which tags. */
static bool is_listed(const struct backend *backend)
{
	return backend->service->backends.count == 1 || (backend->pub.about && backend->pub.about->ntag);
}

void backend_remove(struct backend *backend)
{
	struct service *service = backend->service;
	struct registry *reg = service->reg;

	if (reg->on_gone)
		reg->on_gone(reg->on_gone_arg, service->def.name, &backend->pub);
	reg->names_changed |= is_listed(backend);
	port_detach(backend);
	sorted_remove(&service->backends, by_place, &backend->pub);
	HASH_DEL(service->by_id, backend);
	if (backend->dirty)
		TAILQ_REMOVE(&reg->dirty, backend, dirty_link);
	if (backend->overdue)
		TAILQ_REMOVE(&reg->overdue, backend, overdue_link);
	check_free(backend->check);
	backend_free(backend);
}

/* By its id, or else by its address and port. */
static struct backend *backend_lookup(struct service *service, const char *id)
{
	struct backend *backend = backend_find(service, id);
	struct reg_backend key = {0};
	const char *colon = strrchr(id, ':');
	char ip[INET_ADDRSTRLEN], canonical[REG_ADDRESS];

	if (backend || !colon || (size_t)(colon - id) >= sizeof(ip))
		return backend;
	memcpy(ip, id, (size_t)(colon - id));
	ip[colon - id] = '\0';
	if (inet_pton(AF_INET, ip, &key.address) != 1)
		return NULL;
	key.port = (uint16_t)strtoul(colon + 1, NULL, 10);
	reg_address(canonical, key.address, key.port);
	return strcmp(canonical, id) == 0 ? sorted_find(&service->backends, by_address, &key) : NULL;
}

static int no_service(struct reg_err *err, const char *name)
{
	return reg_fail(err, -ENOENT, "service: there is no service %s", name);
}

static int no_backend(struct reg_err *err, const char *service, const char *id)
{
	return reg_fail(err, -ENOENT, "address: service %s has no backend %s", service, id);
}

/* The id of `new`, or the one that follows from its address. */
static const char *id_of(const struct reg_backend *new, char text[REG_ADDRESS])
{
	if (new->id[0])
		return new->id;
	reg_address(text, new->address, new->port);
	return text;
}

/* Makes the backend, and the service's generation at the next commit. */
static int backend_insert(struct service *service, const struct reg_backend *new, const char *id)
{
	struct backend *backend = backend_make(service, new, id);

	if (!backend || backend_link(backend) < 0) {
		backend_free(backend);
		return -ENOMEM;
	}
	backend_swap_check(backend, false);
	backend_derive(backend);
	backend->touched = true;
	service->reg->names_changed |= is_listed(backend);
	commit_service(service);
	return 0;
}

int registry_backend_add(
	struct registry *reg, const char *name, const struct reg_backend *new, struct reg_err *err)
{
	struct service *service = service_find(reg, name);
	struct backend *backend;
	char address[REG_ADDRESS];
	const char *id;
	int rc = backend_valid(new, err);

	if (!service)
		return no_service(err, name);
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
	if (backend && new->address)
		return reg_fail(err, -EEXIST, "address: it is backend %s of service %s already (source %s)",
			backend->pub.id, name, backend->pub.source);
	if (backend_insert(service, new, id) < 0)
		return reg_fail(err, -ENOMEM, "out of memory");
	commit(reg);
	return 0;
}

/* Gives the backend its own check by `new`, or takes that away. The memory of `own` is the backend's on
 * success. */
static int change_check(struct backend *backend, const struct reg_backend *new, struct reg_check own)
{
	struct reg_backend *pub = &backend->pub;
	const struct reg_check *before = backend_spec(backend, &backend->service->def);
	const struct reg_check *after = new->has_check ? &own : &backend->service->def.check;
	struct reg_check old = pub->check;

	if (!spec_same(before, after)) {
		if (backend_prepare_check(backend, after) < 0)
			return -ENOMEM;
		backend_swap_check(backend, true);
	} else if (backend->check) {
		check_borrow(backend->check, after);
	}
	pub->check = own;
	pub->has_check = new->has_check;
	spec_clear(&old);
	return 0;
}

static bool backend_same(const struct reg_backend *a, const struct reg_backend *b)
{
	return a->weight == b->weight && a->has_warning_weight == b->has_warning_weight &&
	       (!a->has_warning_weight || a->warning_weight == b->warning_weight) &&
	       about_same(a->about, b->about) && a->drained == b->drained && a->has_check == b->has_check &&
	       (!a->has_check || spec_same(&a->check, &b->check));
}

/* Makes all but its address as `new` has it. */
static int backend_change(struct backend *backend, const struct reg_backend *new)
{
	const struct reg_about *old = backend->pub.about;
	struct reg_check own = {0};
	struct reg_about *about;
	int rc;

	if (backend_same(&backend->pub, new))
		return 0;
	about = about_copy(new->about, &rc);
	if (rc < 0 || (new->has_check &&spec_copy(&own, &new->check) < 0) ||
		change_check(backend, new, own) < 0) {
		free(about);
		spec_clear(&own);
		return -ENOMEM;
	}
	backend->service->reg->names_changed |= !about_same(about, old);
	backend->pub.about = about;
	free((void *)old);
	backend->pub.weight = new->weight;
	backend->pub.warning_weight = new->warning_weight;
	backend->pub.has_warning_weight = new->has_warning_weight;
	backend->pub.drained = new->drained;
	backend->touched = true;
	commit_backend(backend);
	commit_service(backend->service);
	return 0;
}

int registry_backend_set(
	struct registry *reg, const char *name, const struct reg_backend *new, struct reg_err *err)
{
	struct service *service = service_find(reg, name);
	struct backend *backend;
	char address[REG_ADDRESS];
	int rc = backend_valid(new, err);

	if (!service)
		return no_service(err, name);
	if (rc < 0)
		return rc;
	backend = backend_lookup(service, id_of(new, address));
	if (!backend)
		return no_backend(err, name, id_of(new, address));
	if (by_address(&backend->pub, new) != 0)
		return reg_fail(err, -EINVAL, "address: that of backend %s cannot change", backend->pub.id);
	if (backend_change(backend, new) < 0)
		return reg_fail(err, -ENOMEM, "out of memory");
	commit(reg);
	return 0;
}

/* As `new` has it, which may be elsewhere than before. */
static int backend_replace(struct service *service, const struct reg_backend *new, const char *id)
{
	struct backend *old = backend_find(service, id);
	bool *names = &service->reg->names_changed, changes = *names;
	uint64_t created;
	int rc;

	if (!old)
		return backend_insert(service, new, id);
	if (by_address(&old->pub, new) == 0)
		return backend_change(old, new);
	created = old->pub.created;
	changes |= !about_same(old->pub.about, new->about);
	rc = backend_insert(service, new, id); /* two of this id for a moment */
	if (rc < 0)
		return rc;
	backend_remove(old);
	*names = changes; /* it has moved, not gone */
	backend_find(service, id)->pub.created = created;
	return 0;
}

/* The service called `name`, which is made when nobody has defined it. */
static struct service *service_provide(
	struct registry *reg, const char *name, const char *source, struct reg_err *err)
{
	struct reg_service def = {.discovered = true};

	if (service_find(reg, name))
		return service_find(reg, name);
	if (strlen(name) > REG_NAME_MAX) {
		reg_fail(err, -EINVAL, "name: longer than %d bytes", REG_NAME_MAX);
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
	char address[REG_ADDRESS];

	if (!service)
		return -EINVAL;
	old = backend_find(service, id_of(new, address));
	if (old && strcmp(old->pub.source, new->source) != 0)
		return reg_fail(err, -EEXIST, "id: service %s has a backend %s already (source %s)", name,
			old->pub.id, old->pub.source);
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
	struct service *service = service_find(reg, name);
	struct backend *backend = service ? backend_lookup(service, id) : NULL;

	if (!service)
		return no_service(err, name);
	if (!backend)
		return no_backend(err, name, id);
	backend_remove(backend);
	commit_service(service);
	commit(reg);
	return 0;
}

int registry_backend_beat(struct registry *reg, const char *name, const char *id, enum reg_health health,
	const char *output, struct reg_err *err)
{
	struct service *service = service_find(reg, name);
	struct backend *backend = service ? backend_lookup(service, id) : NULL;

	if (!service)
		return no_service(err, name);
	if (!backend)
		return no_backend(err, name, id);
	if (!backend->check || backend->check->spec.type != REG_CHECK_TTL)
		return reg_fail(err, -ENOTSUP, "check: that of backend %s is no ttl check", id);
	check_beat(backend->check, health, output);
	commit(reg);
	return 0;
}

void backends_reap(struct registry *reg)
{
	struct backend *backend;
	char line[384];

	while ((backend = TAILQ_FIRST(&reg->overdue))) {
		struct service *service = backend->service;

		TAILQ_REMOVE(&reg->overdue, backend, overdue_link);
		backend->overdue = false;
		assert(TAILQ_FIRST(&reg->overdue) != backend);
		snprintf(line, sizeof(line),
			"service %s: backend %s was critical for %u s and is deregistered", service->def.name,
			backend->pub.id, backend->check->spec.reap_ms / 1000);
		reg->sink.log(reg->sink.ctx, LOG_WARNING, line);
		backend_remove(backend);
		commit_service(service);
	}
}

/* What the check says now: it changes between commits. */
static const struct reg_backend *show(struct backend *backend)
{
	snprintf(backend->pub.output, sizeof(backend->pub.output), "%s",
		backend->check ? backend->check->output : "");
	backend->pub.checked = backend->check ? backend->check->health : REG_PASSING;
	return &backend->pub;
}

const struct reg_backend *registry_backend_find(struct registry *reg, const char *name, const char *id)
{
	struct service *service = service_find(reg, name);
	struct backend *backend = service ? backend_lookup(service, id) : NULL;

	return backend ? show(backend) : NULL;
}

void registry_backend_walk(struct registry *reg, const char *name,
	bool (*fn)(void *arg, const struct reg_backend *backend), void *arg)
{
	struct service *service = service_find(reg, name);

	for (size_t i = 0; service && i < service->backends.count; i++)
		if (!fn(arg, show(service->backends.item[i])))
			return;
}

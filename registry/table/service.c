/*
 * service.c: definitions of services. Everything that can fail comes first; then the change is made.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/table/table.h"

static int by_name(const void *item, const void *key)
{
	return strcmp(((const struct service *)item)->def.name, key);
}

struct service *service_find(struct registry *reg, const char *name)
{
	struct service *service;

	HASH_FIND_STR(reg->by_name, name, service);
	return service;
}

/* That of its port number `i`: 0 is the first, others are of `ports`; then the same of its second vip. */
static struct vip_key vip_key(const struct reg_service *def, unsigned i)
{
	bool second = i > def->nport;
	struct vip_key key;

	if (second)
		i -= def->nport + 1u;

	memset(&key, 0, sizeof(key));
	memcpy(key.network, def->network, strlen(def->network));
	key.vip = second ? def->vip6 : def->vip;
	key.port = i ? def->ports[i - 1].port : def->port;
	key.protocol = i ? def->ports[i - 1].protocol : def->protocol;
	return key;
}

/* Ports that follow that of vip_key(). */
static uint32_t vip_more(const struct reg_service *def, unsigned i)
{
	const struct reg_port *port;

	i %= def->nport + 1u;
	if (!i)
		return reg_more_ports(def->port, def->end);
	port = &def->ports[i - 1];
	return reg_more_ports(port->port, port->end);
}

static bool key_overlaps(const struct vip *vip, const struct vip_key *key, uint32_t more)
{
	return key->port <= vip->key.port + vip->more && vip->key.port <= key->port + more &&
	       key->protocol == vip->key.protocol && ip_equal(key->vip, vip->key.vip) &&
	       strcmp(key->network, vip->key.network) == 0;
}

/* Another service's vip that has a port of these. All are looked at only where there are ranges. */
static const struct vip *vip_taken(
	struct registry *reg, const struct vip_key *key, uint32_t more, const struct service *self)
{
	struct vip *vip, *next;

	HASH_FIND(hh, reg->vips, key, sizeof(*key), vip);
	if (vip && vip->service != self)
		return vip;
	if (!more && !reg->nrange)
		return NULL;
	HASH_ITER(hh, reg->vips, vip, next)
	if (vip->service != self && key_overlaps(vip, key, more))
		return vip;
	return NULL;
}

static unsigned vip_count(const struct reg_service *def)
{
	unsigned vips = !ip_is_none(def->vip) + !ip_is_none(def->vip6);

	return vips * (1u + def->nport);
}

/* Is a vip of `def` taken by another service than `self` (which may be NULL)? */
static int vip_free_for(
	struct registry *reg, const struct reg_service *def, const struct service *self, struct reg_err *err)
{
	char text[IP_PORT_TEXT];

	for (unsigned i = 0; i < vip_count(def); i++) {
		struct vip_key key = vip_key(def, i);
		const struct vip *vip = vip_taken(reg, &key, vip_more(def, i), self);
		uint32_t port;

		if (!vip)
			continue;
		port = vip->key.port > key.port ? vip->key.port : key.port; /* the first of both */
		return reg_fail(err, -EEXIST, "vip: %s is the vip of service %s",
			ip_port_text(key.vip, (uint16_t)port, text), vip->service->def.name);
	}
	return 0;
}

static struct vip *vip_new(struct service *service, const struct vip_key *key)
{
	struct vip *vip = calloc(1, sizeof(*vip));

	if (!vip)
		return NULL;
	vip->key = *key;
	vip->service = service;
	HASH_ADD(hh, service->reg->vips, key, sizeof(*key), vip);
	if (vip->hh.tbl)
		return vip;
	free(vip);
	return NULL;
}

static void vip_release(struct registry *reg, struct vip *vip)
{
	for (struct vip *next; vip; vip = next) {
		next = vip->next;
		reg->nrange -= vip->more > 0;
		HASH_DEL(reg->vips, vip); /* NOLINT: the analyzer takes each for the last one of the table */
		free(vip);
	}
}

/* Takes those vips of `def` that the service does not have: *fresh is a list of them. */
static int vip_take(struct service *service, const struct reg_service *def, struct vip **fresh)
{
	*fresh = NULL;
	for (unsigned i = 0; i < vip_count(def); i++) {
		struct vip_key key = vip_key(def, i);
		struct vip *vip;

		HASH_FIND(hh, service->reg->vips, &key, sizeof(key), vip);
		if (vip)
			continue;
		vip = vip_new(service, &key);
		if (!vip) {
			vip_release(service->reg, *fresh);
			return -ENOMEM;
		}
		vip->next = *fresh;
		*fresh = vip;
	}
	return 0;
}

static bool vip_is_of(const struct vip *vip, const struct reg_service *def, uint32_t *more)
{
	for (unsigned i = 0; i < vip_count(def); i++) {
		struct vip_key key = vip_key(def, i);

		*more = vip_more(def, i);
		if (memcmp(&vip->key, &key, sizeof(key)) == 0)
			return true;
	}
	return false;
}

/* Returns whether it has ports now that it had not. */
static bool vip_extend(struct registry *reg, struct vip *vip, uint32_t more)
{
	bool longer = more > vip->more;

	reg->nrange += (more > 0) - (vip->more > 0);
	vip->more = more;
	return longer;
}

/* The service has the vips of `def` and no others: `fresh`, and what it had of them. Returns whether it has more than it
 * had. */
static bool vip_settle(struct service *service, const struct reg_service *def, struct vip *fresh)
{
	bool took = fresh != NULL;
	uint32_t more;

	for (struct vip *vip = service->vip, *next; vip; vip = next) {
		next = vip->next;
		vip->next = NULL;
		if (!vip_is_of(vip, def, &more)) {
			vip_release(service->reg, vip);
		} else {
			vip->next = fresh;
			fresh = vip;
		}
	}
	service->vip = fresh;
	for (struct vip *vip = fresh; vip; vip = vip->next)
		took |= vip_is_of(vip, def, &more) && vip_extend(service->reg, vip, more);
	return took;
}

/* The check's texts are in *spec. */
static int def_copy(struct reg_service *to, struct reg_check **spec, const struct reg_service *from)
{
	*to = *from;
	if (!to->policy[0])
		snprintf(to->policy, sizeof(to->policy), "maglev");
	if (specs_copy(&from->check, from->check.type != REG_CHECK_NONE, spec) < 0)
		return -ENOMEM;
	to->check = *spec ? **spec : (struct reg_check){0};
	return 0;
}

void service_free(struct service *service)
{
	free(service->spec);
	free(service);
}

static bool has_capital(const char *name)
{
	return name[strcspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0';
}

static int service_make(struct registry *reg, const struct reg_service *def)
{
	struct service *service = calloc(1, sizeof(*service));

	if (!service)
		return -ENOMEM;
	service->reg = reg;
	if (def_copy(&service->def, &service->spec, def) < 0 || vip_take(service, def, &service->vip) < 0)
		goto out;
	vip_settle(service, def, NULL);
	HASH_ADD_STR(reg->by_name, def.name, service);
	if (!service->hh.tbl)
		goto out;
	if (sorted_insert(&reg->services, by_name, service->def.name, service) < 0) {
		HASH_DEL(reg->by_name, service);
		goto out;
	}
	reg->ncapital += has_capital(def->name);
	reg->nmeasured += def->measured;
	reg->names_changed = true;
	if (!def->discovered)
		change_note(reg, REG_WHY_SERVICE, service, NULL, REG_PASSING, NULL);
	commit_service(service);
	return 0;
out:
	vip_release(reg, service->vip);
	service_free(service);
	return -ENOMEM;
}

void service_remove(struct service *service)
{
	struct registry *reg = service->reg;

	while (service->backends.count)
		backend_remove(service->backends.item[service->backends.count - 1]);
	vip_release(reg, service->vip);
	service->vip = NULL;
	reg->names_changed = true;
	reg->ncapital -= has_capital(service->def.name);
	reg->nmeasured -= service->def.measured;
	HASH_DEL(reg->by_name, service);
	sorted_remove(&reg->services, by_name, service->def.name);
	if (service->changed)
		TAILQ_REMOVE(&reg->changed, service, link);
	if (service->generation)
		TAILQ_INSERT_TAIL(&reg->gone, service, link);
	else /* nobody ever heard of it */
		service_free(service);
}

static struct backend *backend_at(const struct service *service, size_t i)
{
	return service->backends.item[i];
}

/* Readies the checks that follow from `def` and its `spec` beside those at work. */
static int prepare_checks(
	struct service *service, const struct reg_service *def, const struct reg_check *spec)
{
	bool moved = strcmp(service->def.network, def->network) != 0;
	int rc = 0;

	for (size_t i = 0; rc == 0 && i < service->backends.count; i++) {
		struct backend *backend = backend_at(service, i);

		rc = backend_prepare_checks(backend, backend_specs(backend, spec), !moved);
	}
	return rc;
}

static void discard_checks(struct service *service)
{
	for (size_t i = 0; i < service->backends.count; i++)
		check_set_clear(&backend_at(service, i)->next);
}

/* After the definition has changed, and with it maybe the network. */
static void refresh_backends(struct service *service, bool moved)
{
	for (size_t i = 0; i < service->backends.count; i++) {
		struct backend *backend = backend_at(service, i);

		if (moved)
			port_refresh(backend);
		backend_swap_checks(backend, backend_specs(backend, service->spec), !moved);
		backend_revise(backend); /* it may be checked otherwise */
		commit_backend(backend);
	}
}

static bool ports_same(const struct reg_service *a, const struct reg_service *b)
{
	bool same = a->nport == b->nport;

	for (unsigned i = 0; same && i < a->nport; i++)
		same = strcmp(a->ports[i].name, b->ports[i].name) == 0 &&
		       a->ports[i].port == b->ports[i].port && a->ports[i].end == b->ports[i].end &&
		       a->ports[i].target == b->ports[i].target &&
		       a->ports[i].protocol == b->ports[i].protocol;
	return same;
}

static bool def_same(const struct reg_service *a, const struct reg_service *b)
{
	return strcmp(a->network, b->network) == 0 && ip_equal(a->vip, b->vip) &&
	       ip_equal(a->vip6, b->vip6) && a->port == b->port && a->end == b->end &&
	       a->protocol == b->protocol && strcmp(a->policy, b->policy) == 0 && a->drops == b->drops &&
	       ports_same(a, b) && a->affinity_s == b->affinity_s && a->drain_ms == b->drain_ms &&
	       a->slow_start_ms == b->slow_start_ms && a->measured == b->measured && a->near == b->near &&
	       a->drain_reset == b->drain_reset && a->critical_ends == b->critical_ends &&
	       spec_same(&a->check, &b->check) && a->discovered == b->discovered &&
	       strcmp(a->source, b->source) == 0;
}

/* In a batch, whoever took a vip is told after the one who gave it up. */
static void tell_last(struct service *service)
{
	TAILQ_REMOVE(&service->reg->changed, service, link);
	TAILQ_INSERT_TAIL(&service->reg->changed, service, link);
}

static int service_replace(struct service *service, const struct reg_service *new)
{
	bool moved = strcmp(service->def.network, new->network) != 0, took;
	struct reg_check *spec, *old = service->spec;
	struct reg_service def;
	struct vip *vip = NULL;

	if (def_copy(&def, &spec, new) < 0)
		return -ENOMEM;
	if (def_same(&def, &service->def)) {
		free(spec);
		return 0;
	}
	if (prepare_checks(service, &def, spec) < 0 || vip_take(service, &def, &vip) < 0) {
		discard_checks(service);
		free(spec);
		return -ENOMEM;
	}
	took = vip_settle(service, &def, vip);
	service->reg->nmeasured += def.measured - service->def.measured;
	service->def = def;
	service->spec = spec;
	refresh_backends(service, moved);
	change_note(service->reg, REG_WHY_SERVICE, service, NULL, REG_PASSING, NULL);
	free(old);
	commit_service(service);
	if (took)
		tell_last(service);
	return 0;
}

static int finish(struct registry *reg, int rc, struct reg_err *err)
{
	if (rc < 0)
		return reg_fail(err, rc, "out of memory");
	commit(reg);
	return 0;
}

int registry_service_add(struct registry *reg, const struct reg_service *def, struct reg_err *err)
{
	struct service *service;
	int rc = service_valid(def, err);

	if (rc < 0)
		return rc;
	service = service_find(reg, def->name);
	if (service && (!service->def.discovered || def->discovered))
		return reg_fail(err, -EEXIST, "name: service %s exists already (source %s)", def->name,
			service->def.source);
	rc = vip_free_for(reg, def, service, err);
	if (rc < 0)
		return rc;
	return finish(reg, service ? service_replace(service, def) : service_make(reg, def), err);
}

int registry_service_set(struct registry *reg, const struct reg_service *new, struct reg_err *err)
{
	struct reg_service def = *new;
	struct service *service;
	int rc = service_valid(new, err);

	if (rc < 0)
		return rc;
	service = service_find(reg, new->name);
	if (!service)
		return reg_fail(err, -ENOENT, "name: there is no service %s", new->name);
	rc = vip_free_for(reg, new, service, err);
	if (rc < 0)
		return rc;
	snprintf(def.source, sizeof(def.source), "%s", service->def.source);
	def.discovered = service->def.discovered;
	return finish(reg, service_replace(service, &def), err);
}

int registry_service_del(struct registry *reg, const char *name, struct reg_err *err)
{
	struct service *service = service_find(reg, name);

	if (!service)
		return reg_fail(err, -ENOENT, "name: there is no service %s", name);
	change_note(reg, REG_WHY_DELETED, service, NULL, REG_PASSING, NULL);
	service_remove(service);
	commit(reg);
	return 0;
}

int registry_service_undefine(struct registry *reg, const char *name, struct reg_err *err)
{
	struct service *service = service_find(reg, name);
	struct reg_service def = {.discovered = true};

	if (!service || !service->backends.count)
		return registry_service_del(reg, name, err);
	memcpy(def.name, service->def.name, sizeof(def.name));
	snprintf(def.source, sizeof(def.source), "%s", backend_at(service, 0)->pub.source);
	return finish(reg, service_replace(service, &def), err);
}

const struct reg_service *registry_service_find(struct registry *reg, const char *name)
{
	const struct service *service = service_find(reg, name);

	return service ? &service->def : NULL;
}

void registry_service_walk(
	struct registry *reg, bool (*fn)(void *arg, const struct reg_service *service), void *arg)
{
	for (size_t i = 0; i < reg->services.count; i++)
		if (!fn(arg, &((const struct service *)reg->services.item[i])->def))
			return;
}

uint64_t registry_service_generation(struct registry *reg, const char *name)
{
	const struct service *service = service_find(reg, name);

	return service ? service->generation : 0;
}

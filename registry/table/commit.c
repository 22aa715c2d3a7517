/*
 * commit.c: many small changes become one generation. Definitions, ports and checks only note here what they
 * touched; the commit derives the health of those backends, tells the sink once for each service that is now
 * different, and then those who watch. Nothing in it can fail.
 *
 * API calls and port changes commit before they return. What checks find is committed once for a turn of the
 * event loop, so that a thousand time-outs in one turn are one table, not a thousand.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/table/table.h"

void commit_service(struct service *service)
{
	assert(!service->reg->committing); /* the sink and watches may not change the registry */
	if (service->changed)
		return;
	service->changed = true;
	TAILQ_INSERT_TAIL(&service->reg->changed, service, link);
}

void commit_backend(struct backend *backend)
{
	if (backend->dirty)
		return;
	backend->dirty = true;
	TAILQ_INSERT_TAIL(&backend->service->reg->dirty, backend, dirty_link);
}

void commit_rechecked(struct backend *backend)
{
	backend->rechecked = true;
	commit_backend(backend);
}

static enum reg_health health_of(const struct backend *backend)
{
	const struct check *worst = check_set_worst(&backend->checks);
	const struct node *node = node_find(backend->service->reg, reg_backend_node(&backend->pub));
	enum reg_health best = node ? node_health(node) : REG_PASSING;

	if (backend->pub.drained || best == REG_DRAINING)
		return REG_DRAINING;
	if (backend->port == 0)
		return REG_CRITICAL;
	return worst && worst->health > best ? worst->health : best;
}

static bool is_balanced(const struct backend *backend)
{
	const struct reg_service *def = &backend->service->def;
	const struct registry_sink *sink = &backend->service->reg->sink;

	return !ip_is_none(backend->pub.address) && backend->pub.port &&
	       backend->pub.port + reg_more_ports(def->port, def->end) <= UINT16_MAX &&
	       !ip_is_none(reg_service_vip(def, !ip_is4(backend->pub.address))) &&
	       sink->reaches(sink->ctx, def->network, backend->pub.address);
}

bool backend_derive(struct backend *backend)
{
	struct reg_backend *pub = &backend->pub;
	enum reg_health health = health_of(backend);
	bool port_down = backend->port == 0, balanced = is_balanced(backend);

	if (pub->health == health && pub->port_down == port_down && pub->balanced == balanced &&
		!backend->rechecked)
		return false;
	backend->rechecked = false;
	pub->health = health;
	pub->port_down = port_down;
	pub->balanced = balanced;
	backend->touched = true;
	return true;
}

/* One line when a backend begins or ceases to take new connections, or loses the ones it has. */
static void log_health(struct backend *backend)
{
	const struct registry_sink *sink = &backend->service->reg->sink;
	const struct reg_backend *pub = backend_show(backend);
	const char *why = "";
	char line[REG_SERVICE_MAX + REG_ID_MAX + 384], subject[REG_SERVICE_MAX + REG_ID_MAX + 24];

	if (pub->health == REG_CRITICAL && pub->port_down)
		why = "the port is down";
	else if (pub->health != REG_DRAINING)
		why = pub->output;
	snprintf(subject, sizeof(subject), "service %s: backend %s", backend->service->def.name, pub->id);
	snprintf(line, sizeof(line), "%s is %s%s%.*s", subject, reg_health_name(pub->health),
		why[0] ? ": " : "", (int)strcspn(why, "\r\n"), why);
	sink->log(sink->ctx, pub->health == REG_CRITICAL ? LOG_WARNING : LOG_NOTICE, subject, line);
}

static enum reg_why why_of(const struct backend *backend, enum reg_health before, bool was_down)
{
	bool drained = before == REG_DRAINING || backend->pub.health == REG_DRAINING;

	if (backend->why)
		return backend->why;
	if (backend->pub.port_down != was_down)
		return REG_WHY_PORT;
	if (backend->pub.health != before && drained)
		return REG_WHY_MAINTENANCE;
	if (backend->cause)
		return REG_WHY_CHECK;
	return backend->by_node ? REG_WHY_NODE : REG_WHY_SERVICE;
}

/* What of it changed, and why. */
static void note(struct backend *backend, enum reg_health before, bool was_down)
{
	struct service *service = backend->service;
	enum reg_why why = why_of(backend, before, was_down);

	change_note(
		service->reg, why, service, backend, before, why == REG_WHY_CHECK ? backend->cause : NULL);
}

static void forget_why(struct backend *backend)
{
	backend->why = REG_WHY_NONE;
	backend->by_node = false;
	free(backend->cause);
	backend->cause = NULL;
}

void commit_derive(struct registry *reg)
{
	struct backend *backend;

	while ((backend = TAILQ_FIRST(&reg->dirty))) {
		enum reg_health before = backend->pub.health;
		bool was_down = backend->pub.port_down, changed;

		TAILQ_REMOVE(&reg->dirty, backend, dirty_link);
		backend->dirty = false;
		changed = backend_derive(backend);
		if (changed || backend->why)
			note(backend, before, was_down);
		forget_why(backend);
		if (!changed)
			continue;
		commit_service(backend->service);
		if (backend->pub.health != before)
			log_health(backend);
	}
}

/* A service that nobody defined is there as long as somebody provides it. */
static void drop_unprovided(struct registry *reg)
{
	struct service *service, *later;

	for (service = TAILQ_FIRST(&reg->changed); service; service = later) {
		later = TAILQ_NEXT(service, link);
		if (service->def.discovered && service->backends.count == 0)
			service_remove(service);
	}
}

static void apply(const struct registry *reg, const struct service *service, bool gone)
{
	reg->sink.apply(reg->sink.ctx, &service->def,
		(const struct reg_backend *const *)service->backends.item, service->backends.count, gone,
		reg->generation);
}

/* Those of its backends that changed carry the new generation. */
static void stamp(struct service *service)
{
	uint64_t generation = service->reg->generation;

	service->generation = generation;
	service->revision = service->reg->revision;
	for (size_t i = 0; i < service->backends.count; i++) {
		struct backend *backend = service->backends.item[i];

		if (!backend->touched)
			continue;
		backend->touched = false;
		backend->revision = service->reg->revision;
		backend->pub.modified = generation;
		if (!backend->pub.created)
			backend->pub.created = generation;
	}
}

static void tell_sink(struct registry *reg)
{
	struct service *service;

	/* the gone first: the same name or vip may be there anew */
	TAILQ_FOREACH (service, &reg->gone, link) {
		reg->gone_generation = reg->generation;
		reg->gone_revision = reg->revision;
		apply(reg, service, true);
	}
	TAILQ_FOREACH (service, &reg->changed, link) {
		stamp(service);
		apply(reg, service, false);
	}
	if (reg->sink.applied)
		reg->sink.applied(reg->sink.ctx);
}

static void tell_watchers(struct registry *reg)
{
	bool nodes = reg->nodes_changed, names = reg->names_changed;
	struct service *service;

	while ((service = TAILQ_FIRST(&reg->gone))) {
		TAILQ_REMOVE(&reg->gone, service, link);
		if (!service_find(reg, service->def.name))
			watch_notify(reg, service->def.name, reg->generation);
		service_free(service);
	}
	while ((service = TAILQ_FIRST(&reg->changed))) {
		TAILQ_REMOVE(&reg->changed, service, link);
		service->changed = false;
		watch_notify(reg, service->def.name, reg->generation);
	}
	reg->nodes_changed = reg->names_changed = false;
	if (nodes)
		watch_notify_topic(reg, REG_WATCH_NODES, reg->generation);
	if (names)
		watch_notify_topic(reg, REG_WATCH_NAMES, reg->generation);
	watch_notify_topic(reg, REG_WATCH_ANY, reg->generation);
}

void commit(struct registry *reg)
{
	if (reg->batch)
		return;
	if (reg->committing) { /* a port changed while the sink was at work */
		commit_soon(reg);
		return;
	}
	commit_derive(reg);
	drop_unprovided(reg);
	aliases_follow(reg);
	if (TAILQ_EMPTY(&reg->changed) && TAILQ_EMPTY(&reg->gone) && !reg->nodes_changed)
		return;
	reg->generation++;
	reg->revision++;
	change_stamp(reg);
	nodes_stamp(reg);
	if (reg->names_changed) {
		reg->names_generation = reg->generation;
		reg->names_revision = reg->revision;
	}
	reg->committing = true;
	tell_sink(reg);
	tell_watchers(reg);
	reg->committing = false;
}

void commit_topic(struct registry *reg, const char *topic)
{
	reg->generation++;
	watch_notify_topic(reg, topic, reg->generation);
}

void commit_soon(struct registry *reg)
{
	event_active(&reg->settle, 0, 0);
}

void registry_batch_begin(struct registry *reg)
{
	reg->batch++;
}

void registry_batch_end(struct registry *reg)
{
	assert(reg->batch);
	if (--reg->batch == 0)
		commit(reg);
}

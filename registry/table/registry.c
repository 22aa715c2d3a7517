#include "registry/registry.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "registry/table/table.h"

const char *reg_health_name(enum reg_health health)
{
	static const char *const names[] = {"passing", "warning", "critical", "draining"};

	return names[health];
}

uint16_t reg_backend_weight(const struct reg_backend *backend)
{
	if (backend->health == REG_WARNING && backend->has_warning_weight)
		return backend->warning_weight;
	return backend->health == REG_PASSING || backend->health == REG_WARNING ? backend->weight : 0;
}

/* Is it critical for what its traffic looks like (`passive`), or for anything else? */
static bool is_ill(const struct backend *backend, bool passive)
{
	for (unsigned i = 0; i < backend->checks.count; i++) {
		const struct check *check = backend->checks.item[i];

		if (check->health == REG_CRITICAL && (check->spec->type == REG_CHECK_PASSIVE) == passive)
			return true;
	}
	return false;
}

/* Could it be given connections, whatever its traffic looks like? */
static bool is_able(const struct backend *backend)
{
	return !backend->pub.drained && backend->port != 0 && backend->pub.weight != 0 &&
	       !is_ill(backend, false);
}

/* As checks.count_out: how much of a service is out for what its traffic looks like. */
static void count_out(struct checks *all, const char *name, unsigned *able, unsigned *out)
{
	struct registry *reg = (struct registry *)((char *)all - offsetof(struct registry, checks));
	struct service *service = service_find(reg, name);

	*able = *out = 0;
	for (size_t i = 0; service && i < service->backends.count; i++) {
		const struct backend *backend = service->backends.item[i];

		*able += is_able(backend);
		*out += is_able(backend) && is_ill(backend, true);
	}
}

static void on_settle(evutil_socket_t fd, short what, void *arg)
{
	backends_reap(arg);
	commit(arg);
}

int registry_new(struct event_base *base, const struct registry_sink *sink, struct registry **out)
{
	struct registry *reg = calloc(1, sizeof(*reg));
	int rc;

	if (!reg)
		return -ENOMEM;
	rc = change_init(reg);
	if (!rc)
		rc = nodes_init(reg);
	if (rc < 0)
		goto out_reg;
	reg->base = base;
	reg->sink = *sink;
	TAILQ_INIT(&reg->sources);
	TAILQ_INIT(&reg->changed);
	TAILQ_INIT(&reg->gone);
	TAILQ_INIT(&reg->dirty);
	TAILQ_INIT(&reg->overdue);
	event_assign(&reg->settle, base, -1, 0, on_settle, reg);
	reg->checks.count_out = count_out;
	rc = checks_init(&reg->checks, base, &reg->sink);
	if (rc < 0)
		goto out_nodes;
	*out = reg;
	return 0;
out_nodes:
	nodes_close(reg);
out_reg:
	change_close(reg);
	free(reg);
	return rc;
}

void registry_free(struct registry *reg)
{
	struct service *service;

	if (!reg)
		return;
	while (reg->services.count)
		service_remove(reg->services.item[reg->services.count - 1]);
	while ((service = TAILQ_FIRST(&reg->gone))) {
		TAILQ_REMOVE(&reg->gone, service, link);
		service_free(service);
	}
	event_del(&reg->settle);
	nodes_close(reg);
	checks_close(&reg->checks);
	watch_close(reg);
	change_close(reg);
	free(reg);
}

uint64_t registry_generation(const struct registry *reg)
{
	return reg->generation;
}

void registry_generation_above(struct registry *reg, uint64_t floor)
{
	if (reg->generation < floor)
		reg->generation = floor;
}

void registry_begin(struct registry *reg)
{
	reg->first_generation = ++reg->generation;
	nodes_begin(reg);
	change_begin(reg);
	reg->nodes_revision = ++reg->revision;
}

uint64_t registry_first_generation(const struct registry *reg)
{
	return reg->first_generation;
}

struct reg_checks_info registry_checks_info(const struct registry *reg)
{
	struct reg_checks_info info = {.running = reg->checks.running + reg->checks.light};

	info.delay_us = reg->checks.delay_us;
	memcpy(info.delays, reg->checks.delays, sizeof(info.delays));
	memcpy(info.results, reg->checks.results, sizeof(info.results));
	return info;
}

uint64_t registry_gone_generation(const struct registry *reg)
{
	return reg->gone_generation;
}

uint64_t registry_nodes_generation(const struct registry *reg)
{
	return reg->nodes_generation;
}

uint64_t registry_names_generation(const struct registry *reg)
{
	return reg->names_generation;
}

int registry_check_targets(struct registry *reg, const struct ip_prefix *targets, size_t n, bool bodies)
{
	struct ip_prefix *copy = n ? calloc(n, sizeof(*copy)) : NULL;

	if (n && !copy)
		return -ENOMEM;
	if (n)
		memcpy(copy, targets, n * sizeof(*copy));
	free(reg->checks.targets);
	reg->checks.targets = copy;
	reg->checks.ntarget = n;
	reg->checks.bodies = bodies;
	return 0;
}

/*
 * Revisions: for who keeps what was made of the table: is it still what a walk would show? One clock, reg->revision,
 * stamps whatever changes, so that the greatest stamp of several things is another one when any of them changed.
 */

static uint64_t latest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t registry_revision(struct registry *reg)
{
	told_revise(reg);
	return reg->revision;
}

uint64_t registry_nodes_revision(const struct registry *reg)
{
	return reg->nodes_revision;
}

uint64_t registry_names_revision(const struct registry *reg)
{
	return reg->names_revision;
}

uint64_t registry_service_revision(struct registry *reg, const char *name)
{
	const struct service *service = service_find(reg, name);

	told_revise(reg);
	return latest(service ? service->revision : reg->gone_revision, reg->nodes_revision);
}

uint64_t registry_backend_revision(struct registry *reg, const struct reg_backend *backend)
{
	return latest(((const struct backend *)backend)->revision, reg->nodes_revision);
}

void registry_backend_revise(struct registry *reg, const char *name, const char *id)
{
	struct backend *backend = backend_need(reg, name, id, NULL);

	if (backend)
		backend_revise(backend);
}

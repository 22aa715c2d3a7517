/*
 * backend_check.c: the checks of a backend: which hold for it, and what follows from what they find.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "registry/table/table.h"

struct check_specs backend_specs(const struct backend *backend, const struct reg_check *spec)
{
	if (backend->pub.own_checks)
		return (struct check_specs){backend->pub.checks, backend->pub.ncheck};
	return (struct check_specs){spec, !!spec};
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

static void on_check(void *arg, const struct check *check)
{
	struct backend *backend = arg;
	struct registry *reg = backend->service->reg;

	if (check_overdue(check) && !backend->overdue) {
		backend->overdue = true;
		TAILQ_INSERT_TAIL(&reg->overdue, backend, overdue_link);
	}
	free(backend->cause);
	backend->cause = strdup(check->spec->id ? check->spec->id : "");
	if (backend->pub.own_checks)
		source_ttl(reg, backend->pub.source, check);
	commit_rechecked(backend);
	commit_soon(reg);
}

void backend_revise(struct backend *backend)
{
	backend->revision = backend->service->revision = ++backend->service->reg->revision;
}

static void on_said(void *arg)
{
	backend_revise(arg);
}

int backend_prepare_checks(struct backend *backend, struct check_specs specs, bool keep)
{
	struct check_owner owner = {
		.target = {.service = backend->service->def.name,
			.network = backend->service->def.network,
			.address = backend->pub.address,
			.port = backend->pub.port},
		.seed = seed_of(backend),
		.changed = on_check,
		.said = on_said,
		.arg = backend,
	};

	return check_set_prepare(
		&backend->next, &backend->checks, specs, &owner, &backend->service->reg->checks, keep);
}

void backend_swap_checks(struct backend *backend, struct check_specs specs, bool keep)
{
	check_set_swap(&backend->checks, &backend->next, specs, backend->port, keep);
}

const struct reg_backend *backend_show(struct backend *backend)
{
	const struct check *worst = check_set_worst(&backend->checks);
	const struct node *node = node_find(backend->service->reg, reg_backend_node(&backend->pub));
	const char *word = node ? node_word(node, worst ? worst->health : REG_PASSING) : NULL;

	backend->pub.output = word ? word : worst ? check_output(worst) : "";
	return &backend->pub;
}

bool registry_backend_result(const struct reg_backend *backend, unsigned i, struct reg_result *result)
{
	return check_set_result(&((const struct backend *)backend)->checks, i, result);
}

int registry_backend_beat(struct registry *reg, const char *name, const char *id, const char *check,
	enum reg_health health, const char *output, struct reg_err *err)
{
	struct backend *backend = backend_need(reg, name, id, err);
	int rc;

	if (!backend)
		return -ENOENT;
	rc = check_set_beat(&backend->checks, check, health, output);
	if (rc == -ENOENT)
		return reg_fail(err, rc, "check: backend %s has no check %s", id, check);
	if (rc < 0)
		return reg_fail(err, rc, "check: that of backend %s is no ttl check", id);
	commit(reg);
	return 0;
}

void backends_reap(struct registry *reg)
{
	struct backend *backend;
	char line[REG_SERVICE_MAX + REG_ID_MAX + 96];

	while ((backend = TAILQ_FIRST(&reg->overdue))) {
		struct service *service = backend->service;
		const struct check *check = check_set_overdue(&backend->checks);

		TAILQ_REMOVE(&reg->overdue, backend, overdue_link);
		backend->overdue = false;
		if (!check) /* it got another check, or better, since */
			continue;
		snprintf(line, sizeof(line),
			"service %s: backend %s was critical for %u s and is deregistered", service->def.name,
			backend->pub.id, check->spec->reap_ms / 1000);
		reg->sink.log(reg->sink.ctx, LOG_WARNING, line, line);
		backend_remove(backend);
		commit_service(service);
	}
}

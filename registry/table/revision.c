/*
 * revision.c: for who keeps what was made of the table: is it still what a walk would show? One clock, reg->revision,
 * stamps whatever changes, so that the greatest stamp of several things is another one when any of them changed.
 */
#include "registry/table/table.h"

static uint64_t latest(uint64_t a, uint64_t b)
{
	return a > b ? a : b;
}

uint64_t registry_revision(const struct registry *reg)
{
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

	return latest(service ? service->revision : reg->gone_revision, reg->nodes_revision);
}

uint64_t registry_backend_revision(struct registry *reg, const struct reg_backend *backend)
{
	return latest(((const struct backend *)backend)->revision, reg->nodes_revision);
}

void registry_backend_revise(struct registry *reg, const char *name, const char *id)
{
	struct service *service = service_find(reg, name);
	struct backend *backend = service ? backend_find(service, id) : NULL;

	if (backend)
		backend_revise(backend);
}

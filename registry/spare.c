/*
 * spare.c: how much of a service is out for what its traffic looks like.
 */
#include "registry/table.h"

static bool looks_ill(const struct backend *backend)
{
	return backend->check && backend->check->health == REG_CRITICAL;
}

/* Could it be given connections, whatever its traffic looks like? */
static bool is_able(const struct backend *backend)
{
	if (backend->pub.drained || backend->port == 0 || backend->pub.weight == 0)
		return false;
	return !looks_ill(backend) || backend->check->spec.type == REG_CHECK_PASSIVE;
}

void spare_count(struct checks *all, const char *name, unsigned *able, unsigned *out)
{
	struct registry *reg = (struct registry *)((char *)all - offsetof(struct registry, checks));
	struct service *service = service_find(reg, name);

	*able = *out = 0;
	for (size_t i = 0; service && i < service->backends.count; i++) {
		const struct backend *backend = service->backends.item[i];

		*able += is_able(backend);
		*out += is_able(backend) && looks_ill(backend);
	}
}

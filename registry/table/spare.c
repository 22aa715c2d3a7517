/*
 * spare.c: how much of a service is out for what its traffic looks like.
 */
#include "registry/table/table.h"

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

void spare_count(struct checks *all, const char *name, unsigned *able, unsigned *out)
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

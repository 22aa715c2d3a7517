/* cursor.c: walks that may stop anywhere and go on later, whatever has come, gone or moved meanwhile. */
#include <string.h>

#include "registry/table/table.h"

static int service_behind(const void *item, const void *key)
{
	return strcmp(((const struct service *)item)->def.name, key);
}

static int node_behind(const void *item, const void *key)
{
	return strcmp(((const struct node *)item)->pub.name, key);
}

/* The order of a service's backends, as backend.c keeps them. */
static int backend_behind(const void *item, const void *key)
{
	const struct reg_backend *backend = item;
	const struct reg_cursor *at = key;
	int order = ip_compare(backend->address, at->address);

	if (order)
		return order;
	if (backend->port != at->port)
		return (int)backend->port - (int)at->port;
	return strcmp(backend->id, at->id);
}

static bool walk_service(struct service *service, struct reg_cursor *at,
	bool (*fn)(void *arg, const char *service, const struct reg_backend *backend), void *arg)
{
	const struct sorted *list = &service->backends;
	size_t i = 0;

	if (at->begun)
		i = sorted_after(list, backend_behind, at);
	for (; i < list->count; i++) {
		const struct reg_backend *backend = backend_show(list->item[i]);

		if (fn(arg, service->def.name, backend))
			continue;
		at->begun = true;
		at->address = backend->address;
		at->port = backend->port;
		strcpy(at->id, backend->id);
		return false;
	}
	return true;
}

bool registry_instances_in(struct registry *reg, const char *name, struct reg_cursor *at,
	bool (*fn)(void *arg, const char *service, const struct reg_backend *backend), void *arg)
{
	struct service *service = service_find(reg, name);

	return !service || walk_service(service, at, fn, arg);
}

bool registry_instances(struct registry *reg, struct reg_cursor *at,
	bool (*fn)(void *arg, const char *service, const struct reg_backend *backend), void *arg)
{
	struct service *service = at->name[0] ? service_find(reg, at->name) : NULL;
	size_t i;

	if (service && !walk_service(service, at, fn, arg))
		return false;
	for (i = sorted_after(&reg->services, service_behind, at->name); i < reg->services.count; i++) {
		service = reg->services.item[i];
		memcpy(at->name, service->def.name, sizeof(at->name));
		at->begun = false;
		if (!walk_service(service, at, fn, arg))
			return false;
	}
	return true;
}

bool registry_services(struct registry *reg, struct reg_cursor *at,
	bool (*fn)(void *arg, const struct reg_service *service), void *arg)
{
	for (size_t i = sorted_after(&reg->services, service_behind, at->name); i < reg->services.count;
		i++) {
		const struct reg_service *service = &((const struct service *)reg->services.item[i])->def;

		memcpy(at->name, service->name, sizeof(at->name));
		if (!fn(arg, service))
			return false;
	}
	return true;
}

size_t registry_service_size(struct registry *reg, const char *name)
{
	const struct service *service = service_find(reg, name);

	return service ? service->backends.count : 0;
}

void registry_service_healths(struct registry *reg, const char *name, unsigned of[REG_DRAINING + 1])
{
	const struct service *service = service_find(reg, name);

	memset(of, 0, (REG_DRAINING + 1) * sizeof(*of));
	for (size_t i = 0; service && i < service->backends.count; i++)
		of[((const struct backend *)service->backends.item[i])->pub.health]++;
}

bool registry_nodes(struct registry *reg, struct reg_cursor *at,
	bool (*fn)(void *arg, const struct reg_node *node), void *arg)
{
	for (size_t i = sorted_after(&reg->nodes, node_behind, at->name); i < reg->nodes.count; i++) {
		const struct reg_node *node = &((const struct node *)reg->nodes.item[i])->pub;

		memcpy(at->name, node->name, sizeof(at->name));
		if (!fn(arg, node))
			return false;
	}
	return true;
}

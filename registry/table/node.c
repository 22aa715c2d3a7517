/*
 * node.c: the machines that backends run on. This daemon's own is always there; others are made by whoever
 * registers for them.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "registry/base/text.h"
#include "registry/table/table.h"

static int by_name(const void *item, const void *key)
{
	return strcmp(((const struct node *)item)->pub.name, key);
}

struct node *node_find(struct registry *reg, const char *name)
{
	struct node *node;

	if (!name[0])
		return reg->local;
	HASH_FIND_STR(reg->node_by_name, name, node);
	return node;
}

/* Its lists share one block, which a struct reg_metadata describes. */
static int copy(struct reg_node *to, const struct reg_node *from)
{
	struct reg_metadata lists = {
		.meta = from->meta, .nmeta = from->nmeta, .tagged = from->tagged, .ntagged = from->ntagged};
	struct reg_metadata *own;
	int rc;

	own = metadata_copy(&lists, &rc);
	if (!own)
		return rc;
	*to = *from;
	to->drained = false;
	to->reason = NULL;
	to->meta = own->meta;
	to->tagged = own->tagged;
	return 0;
}

static void clear(struct reg_node *node)
{
	if (node->meta) /* the block begins with the struct reg_metadata before it */
		free((struct reg_metadata *)node->meta - 1);
}

static void node_free(struct node *node)
{
	if (!node)
		return;
	node_checks_free(node);
	clear(&node->pub);
	free((char *)node->pub.reason);
	free(node);
}

static int node_link(struct registry *reg, struct node *node)
{
	HASH_ADD_STR(reg->node_by_name, pub.name, node);
	if (!node->hh.tbl)
		return -ENOMEM;
	if (sorted_insert(&reg->nodes, by_name, node->pub.name, node) < 0) {
		HASH_DEL(reg->node_by_name, node);
		return -ENOMEM;
	}
	return 0;
}

static void node_unlink(struct registry *reg, struct node *node)
{
	sorted_remove(&reg->nodes, by_name, node->pub.name);
	HASH_DEL(reg->node_by_name, node);
}

void node_touch(struct registry *reg, struct node *node)
{
	node->touched = true;
	reg->nodes_changed = true;
}

/* A node as `def` describes it, in the table. */
static struct node *node_make(struct registry *reg, const struct reg_node *def)
{
	struct node *node = calloc(1, sizeof(*node));

	if (!node)
		return NULL;
	if (copy(&node->pub, def) < 0 || node_link(reg, node) < 0) {
		node_free(node);
		return NULL;
	}
	node->reg = reg;
	node->pub.local = false;
	node->pub.created = node->pub.modified = 0;
	node_touch(reg, node);
	return node;
}

static bool node_same(const struct reg_node *a, const struct reg_node *b)
{
	return strcmp(a->id, b->id) == 0 && strcmp(a->address, b->address) == 0 &&
	       text_same_pairs(a->meta, a->nmeta, b->meta, b->nmeta) &&
	       metadata_same_tagged(a->tagged, a->ntagged, b->tagged, b->ntagged);
}

void node_backends(struct registry *reg, const struct node *node, void (*fn)(struct backend *backend))
{
	const char *name = node->pub.local ? "" : node->pub.name;

	for (size_t s = 0; s < reg->services.count; s++) {
		struct service *service = reg->services.item[s];

		for (size_t i = 0; i < service->backends.count; i++) {
			struct backend *backend = service->backends.item[i];

			if (strcmp(reg_backend_node(&backend->pub), name) == 0)
				fn(backend);
		}
	}
}

/* Whoever runs on it may be told with its address: all of them have changed. */
static void touch_backend(struct backend *backend)
{
	backend->touched = true;
	change_note(
		backend->service->reg, REG_WHY_NODE, backend->service, backend, backend->pub.health, NULL);
	commit_service(backend->service);
}

static int node_change(struct registry *reg, struct node *node, const struct reg_node *def)
{
	struct reg_node old = node->pub, new;

	if (node_same(&old, def))
		return 0;
	if (copy(&new, def) < 0)
		return -ENOMEM;
	memcpy(new.name, old.name, sizeof(new.name));
	new.local = old.local;
	new.drained = old.drained;
	new.reason = old.reason;
	new.created = old.created;
	new.modified = old.modified;
	node->pub = new;
	clear(&old);
	node_touch(reg, node);
	node_backends(reg, node, touch_backend);
	return 0;
}

int registry_node_put(struct registry *reg, const struct reg_node *def, struct reg_err *err)
{
	int rc = node_valid(def, err);
	struct node *node;

	if (rc < 0)
		return rc;
	node = node_find(reg, def->name);
	if (node ? node_change(reg, node, def) < 0 : !node_make(reg, def))
		return reg_fail(err, -ENOMEM, "out of memory");
	commit(reg);
	return 0;
}

int registry_node_put_local(struct registry *reg, const struct reg_node *def, struct reg_err *err)
{
	struct node *old = reg->local, *node;
	int rc = node_valid(def, err);

	if (rc < 0)
		return rc;
	if (!node_name_fits(def->name)) /* the zone's own records name it */
		return reg_fail(err, -EINVAL, "node: must match [A-Za-z0-9][A-Za-z0-9._-]{0,62}");
	if (strcmp(old->pub.name, def->name) == 0)
		return registry_node_put(reg, def, err);
	if (node_find(reg, def->name))
		return reg_fail(err, -EEXIST, "node: there is a node %s already", def->name);
	node = node_make(reg, def);
	if (!node)
		return reg_fail(err, -ENOMEM, "out of memory");
	node->pub.local = true;
	reg->local = node;
	node_unlink(reg, old);
	node_free(old);
	node_backends(reg, node, touch_backend);
	commit(reg);
	return 0;
}

/* Takes the backends of the node out of the service. */
static void empty(struct service *service, const char *node)
{
	for (size_t i = service->backends.count; i-- > 0;) {
		struct backend *backend = service->backends.item[i];

		if (strcmp(reg_backend_node(&backend->pub), node) != 0)
			continue;
		backend_remove(backend);
		commit_service(service);
	}
}

int registry_node_del(struct registry *reg, const char *name, struct reg_err *err)
{
	struct node *node = node_find(reg, name);

	if (!node)
		return reg_fail(err, -ENOENT, "node: there is no node %s", name);
	if (node == reg->local)
		return reg_fail(err, -EBUSY, "node: %s is this daemon's own", node->pub.name);
	for (size_t i = 0; i < reg->services.count; i++)
		empty(reg->services.item[i], node->pub.name);
	node_unlink(reg, node);
	node_free(node);
	reg->nodes_changed = true;
	commit(reg);
	return 0;
}

const struct reg_node *registry_node_find(struct registry *reg, const char *name)
{
	const struct node *node = node_find(reg, name);

	return node ? &node->pub : NULL;
}

/* The host's name up to the first dot, as far as it can be a node's. */
static void host_name(char name[REG_NODE_MAX + 1])
{
	char host[256] = "";

	gethostname(host, sizeof(host) - 1);
	host[strspn(host, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")] = '\0';
	snprintf(
		name, REG_NODE_MAX + 1, "%.*s", REG_NAME_MAX, host[0] && host[0] != '-' ? host : "localhost");
}

int nodes_init(struct registry *reg)
{
	struct reg_node def = {.address = "127.0.0.1", .source = "host"};

	host_name(def.name);
	reg->local = node_make(reg, &def);
	if (!reg->local)
		return -ENOMEM;
	reg->local->pub.local = true;
	reg->nodes_changed = false; /* it is there from the first generation on */
	return 0;
}

void nodes_begin(struct registry *reg)
{
	for (size_t i = 0; i < reg->nodes.count; i++) {
		struct node *node = reg->nodes.item[i];

		if (!node->pub.created)
			node->pub.created = node->pub.modified = reg->first_generation;
	}
}

void nodes_stamp(struct registry *reg)
{
	if (reg->nodes_changed)
		reg->nodes_generation = reg->generation;
	if (reg->nodes_changed)
		reg->nodes_revision = reg->revision;
	for (size_t i = 0; reg->nodes_changed && i < reg->nodes.count; i++) {
		struct node *node = reg->nodes.item[i];

		if (!node->touched)
			continue;
		node->touched = false;
		node->pub.modified = reg->generation;
		if (!node->pub.created)
			node->pub.created = reg->generation;
	}
}

void nodes_close(struct registry *reg)
{
	while (reg->nodes.count) {
		struct node *node = reg->nodes.item[0];

		node_unlink(reg, node);
		node_free(node);
	}
}

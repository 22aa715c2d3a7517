/*
 * index.c: what the registry does not find by itself: nodes by their address, and nodes and services that have a capital in
 * their name by that name in lower case, as DNS asks for it. A made-up question must not cost a walk through all of them.
 */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "addr/ip_text.h"
#include "registry/dns/inside.h"

static bool has_capital(const char *name)
{
	return name[strcspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ")] != '\0';
}

static int by_service(const void *a, const void *b)
{
	return strcasecmp((*(struct service *const *)a)->def.name, (*(struct service *const *)b)->def.name);
}

static int by_node(const void *a, const void *b)
{
	return strcasecmp(
		(*(const struct reg_node *const *)a)->name, (*(const struct reg_node *const *)b)->name);
}

static int by_address(const void *a, const void *b)
{
	const struct dns_node_address *x = a, *y = b;
	int order = ip_compare(x->address, y->address);

	return order || !x->node || !y->node ? order : strcmp(x->node->name, y->node->name);
}

static void forget_services(struct dns_index *index)
{
	free(index->service);
	index->service = NULL;
	index->nservice = 0;
	index->names = 0;
}

static void forget_nodes(struct dns_index *index)
{
	free(index->node);
	free(index->address);
	index->node = NULL;
	index->address = NULL;
	index->nnode = index->naddress = 0;
	index->nodes = 0;
}

void dns_index_close(struct dns_index *index)
{
	forget_services(index);
	forget_nodes(index);
}

/* A change that is not committed has no generation yet: then it is made for this once. */
static void index_services(struct dns *dns)
{
	struct dns_index *index = &dns->index;
	struct registry *reg = dns->reg;
	uint64_t names = registry_names_generation(reg) + 1;

	if (index->names == names && !reg->names_changed)
		return;
	forget_services(index);
	index->service = calloc(reg->ncapital + 1, sizeof(struct service *));
	for (size_t i = 0; index->service && i < reg->services.count && index->nservice < reg->ncapital;
		i++) {
		struct service *service = reg->services.item[i];

		if (has_capital(service->def.name))
			index->service[index->nservice++] = service;
	}
	if (!index->service)
		return;
	qsort(index->service, index->nservice, sizeof(struct service *), by_service);
	index->names = reg->names_changed ? 0 : names;
}

static void index_nodes(struct dns *dns)
{
	struct dns_index *index = &dns->index;
	struct registry *reg = dns->reg;
	uint64_t nodes = registry_nodes_generation(reg) + 1;

	if (index->nodes == nodes && !reg->nodes_changed)
		return;
	forget_nodes(index);
	index->node = calloc(reg->nodes.count + 1, sizeof(struct reg_node *));
	index->address = calloc(reg->nodes.count + 1, sizeof(*index->address));
	for (size_t i = 0; index->node && index->address && i < reg->nodes.count; i++) {
		const struct reg_node *node = &((const struct node *)reg->nodes.item[i])->pub;

		if (has_capital(node->name))
			index->node[index->nnode++] = node;
		if (ip_parse(node->address, &index->address[index->naddress].address))
			index->address[index->naddress++].node = node;
	}
	if (!index->node || !index->address) {
		forget_nodes(index);
		return;
	}
	qsort(index->node, index->nnode, sizeof(struct reg_node *), by_node);
	qsort(index->address, index->naddress, sizeof(*index->address), by_address);
	index->nodes = reg->nodes_changed ? 0 : nodes;
}

static int node_named(const void *name, const void *item)
{
	return strcasecmp(name, (*(const struct reg_node *const *)item)->name);
}

static int service_named(const void *name, const void *item)
{
	return strcasecmp(name, (*(struct service *const *)item)->def.name);
}

const struct reg_node *dns_index_node(struct dns *dns, const char *name)
{
	struct dns_index *index = &dns->index;
	const struct reg_node **found;

	index_nodes(dns);
	found = index->nnode ? bsearch(name, index->node, index->nnode, sizeof(struct reg_node *), node_named)
			     : NULL;
	return found ? *found : NULL;
}

struct service *dns_index_service(struct dns *dns, const char *name)
{
	struct dns_index *index = &dns->index;
	struct service **found;

	index_services(dns);
	found = index->nservice ? bsearch(name, index->service, index->nservice, sizeof(struct service *),
					  service_named)
				: NULL;
	return found ? *found : NULL;
}

const struct dns_node_address *dns_index_at(struct dns *dns, struct ip_addr address, size_t *n)
{
	struct dns_index *index = &dns->index;
	size_t from = 0, to;

	index_nodes(dns);
	for (to = index->naddress; from < to;) { /* the first that is not before it */
		size_t middle = (from + to) / 2;

		if (ip_compare(index->address[middle].address, address) < 0)
			from = middle + 1;
		else
			to = middle;
	}
	for (*n = 0; from + *n < index->naddress && ip_equal(index->address[from + *n].address, address);)
		++*n;
	return index->address + from;
}

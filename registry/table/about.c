/*
 * about.c: what instances say about themselves. A description is copied into one block of memory, its strings
 * behind its lists, so that a hundred thousand of them cost a hundred thousand allocations and no more.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/base/text.h"
#include "registry/table/table.h"

/* Of all strings, with their ends. */
static size_t texts_size(const struct reg_about *about)
{
	size_t size = text_size(about->host) + text_size(about->node);

	for (size_t i = 0; i < about->ntag; i++)
		size += text_size(about->tags[i]);
	for (size_t i = 0; i < about->nmeta; i++)
		size += text_size(about->meta[i].key) + text_size(about->meta[i].value);
	for (size_t i = 0; i < about->nplace; i++)
		size += text_size(about->places[i].label) + text_size(about->places[i].address);
	return size;
}

struct reg_about *about_copy(const struct reg_about *from, int *rc)
{
	struct reg_about *to;
	struct reg_pair *meta;
	struct reg_place *places;
	const char **tags;
	char *text;

	*rc = 0;
	if (!from)
		return NULL;
	to = malloc(sizeof(*to) + from->nmeta * sizeof(*meta) + from->nplace * sizeof(*places) +
		    from->ntag * sizeof(*tags) + texts_size(from));
	if (!to) {
		*rc = -ENOMEM;
		return NULL;
	}
	*to = *from;
	meta = (struct reg_pair *)(to + 1);
	places = (struct reg_place *)(meta + from->nmeta);
	tags = (const char **)(places + from->nplace);
	text = (char *)(tags + from->ntag);
	to->meta = meta;
	to->places = places;
	to->tags = tags;
	to->host = text_put(&text, from->host);
	to->node = text_put(&text, from->node);
	for (size_t i = 0; i < from->nmeta; i++)
		meta[i] = (struct reg_pair){
			text_put(&text, from->meta[i].key), text_put(&text, from->meta[i].value)};
	for (size_t i = 0; i < from->nplace; i++)
		places[i] = (struct reg_place){text_put(&text, from->places[i].label),
			text_put(&text, from->places[i].address), from->places[i].port};
	for (size_t i = 0; i < from->ntag; i++)
		tags[i] = text_put(&text, from->tags[i]);
	return to;
}

bool about_same_places(const struct reg_place *a, size_t na, const struct reg_place *b, size_t nb)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (strcmp(a[i].label, b[i].label) != 0 || strcmp(a[i].address, b[i].address) != 0 ||
			a[i].port != b[i].port)
			return false;
	return true;
}

bool about_same(const struct reg_about *a, const struct reg_about *b)
{
	if (a == b)
		return true;
	if (!a || !b || !text_same(a->host, b->host) || !text_same(a->node, b->node) || a->ntag != b->ntag ||
		a->enable_tag_override != b->enable_tag_override)
		return false;
	for (size_t i = 0; i < a->ntag; i++)
		if (strcmp(a->tags[i], b->tags[i]) != 0)
			return false;
	return text_same_pairs(a->meta, a->nmeta, b->meta, b->nmeta) &&
	       about_same_places(a->places, a->nplace, b->places, b->nplace);
}

const char *reg_backend_node(const struct reg_backend *backend)
{
	return backend->about && backend->about->node ? backend->about->node : "";
}

const char *reg_backend_own_id(const struct reg_backend *backend)
{
	const char *node = reg_backend_node(backend);

	return node[0] ? backend->id + strlen(node) + 1 : backend->id;
}

bool reg_backend_has_tag(const struct reg_backend *backend, const char *tag)
{
	for (size_t i = 0; backend->about && i < backend->about->ntag; i++)
		if (strcmp(backend->about->tags[i], tag) == 0)
			return true;
	return false;
}

const char *reg_backend_meta(const struct reg_backend *backend, const char *key)
{
	for (size_t i = 0; backend->about && i < backend->about->nmeta; i++)
		if (strcmp(backend->about->meta[i].key, key) == 0)
			return backend->about->meta[i].value;
	return NULL;
}

const char *registry_backend_host(
	struct registry *reg, const struct reg_backend *backend, char host[REG_HOST_MAX + 1])
{
	const char *text = backend->about ? backend->about->host : NULL;
	const struct node *node;

	if (text && !text[0]) {
		node = node_find(reg, reg_backend_node(backend));
		text = node ? node->pub.address : "";
	}
	if (text)
		snprintf(host, REG_HOST_MAX + 1, "%s", text);
	else
		inet_ntop(AF_INET, &backend->address, host, REG_HOST_MAX + 1);
	return host;
}

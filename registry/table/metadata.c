/*
 * metadata.c: what instances say about themselves. A description is copied into one block of memory, its strings
 * behind its lists, so that a hundred thousand of them cost a hundred thousand allocations and no more.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/base/text.h"
#include "registry/table/table.h"

/* Of all strings, with their ends. */
static size_t texts_size(const struct reg_metadata *metadata)
{
	size_t size = text_size(metadata->host) + text_size(metadata->node);

	for (size_t i = 0; i < metadata->ntag; i++)
		size += text_size(metadata->tags[i]);
	for (size_t i = 0; i < metadata->nmeta; i++)
		size += text_size(metadata->meta[i].key) + text_size(metadata->meta[i].value);
	for (size_t i = 0; i < metadata->ntagged; i++)
		size += text_size(metadata->tagged[i].label) + text_size(metadata->tagged[i].address);
	return size;
}

struct reg_metadata *metadata_copy(const struct reg_metadata *from, int *rc)
{
	struct reg_metadata *to;
	struct reg_pair *meta;
	struct reg_tagged *tagged;
	const char **tags;
	char *text;

	*rc = 0;
	if (!from)
		return NULL;
	to = malloc(sizeof(*to) + from->nmeta * sizeof(*meta) + from->ntagged * sizeof(*tagged) +
		    from->ntag * sizeof(*tags) + texts_size(from));
	if (!to) {
		*rc = -ENOMEM;
		return NULL;
	}
	*to = *from;
	meta = (struct reg_pair *)(to + 1);
	tagged = (struct reg_tagged *)(meta + from->nmeta);
	tags = (const char **)(tagged + from->ntagged);
	text = (char *)(tags + from->ntag);
	to->meta = meta;
	to->tagged = tagged;
	to->tags = tags;
	to->host = text_put(&text, from->host);
	to->node = text_put(&text, from->node);
	for (size_t i = 0; i < from->nmeta; i++)
		meta[i] = (struct reg_pair){
			text_put(&text, from->meta[i].key), text_put(&text, from->meta[i].value)};
	for (size_t i = 0; i < from->ntagged; i++)
		tagged[i] = (struct reg_tagged){text_put(&text, from->tagged[i].label),
			text_put(&text, from->tagged[i].address), from->tagged[i].port};
	for (size_t i = 0; i < from->ntag; i++)
		tags[i] = text_put(&text, from->tags[i]);
	return to;
}

bool metadata_same_tagged(const struct reg_tagged *a, size_t na, const struct reg_tagged *b, size_t nb)
{
	if (na != nb)
		return false;
	for (size_t i = 0; i < na; i++)
		if (strcmp(a[i].label, b[i].label) != 0 || strcmp(a[i].address, b[i].address) != 0 ||
			a[i].port != b[i].port)
			return false;
	return true;
}

bool metadata_same(const struct reg_metadata *a, const struct reg_metadata *b)
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
	       metadata_same_tagged(a->tagged, a->ntagged, b->tagged, b->ntagged);
}

const char *reg_backend_node(const struct reg_backend *backend)
{
	return backend->metadata && backend->metadata->node ? backend->metadata->node : "";
}

const char *reg_backend_own_id(const struct reg_backend *backend)
{
	const char *node = reg_backend_node(backend);

	return node[0] ? backend->id + strlen(node) + 1 : backend->id;
}

bool reg_backend_has_tag(const struct reg_backend *backend, const char *tag)
{
	for (size_t i = 0; backend->metadata && i < backend->metadata->ntag; i++)
		if (strcmp(backend->metadata->tags[i], tag) == 0)
			return true;
	return false;
}

const char *registry_backend_host(
	struct registry *reg, const struct reg_backend *backend, char host[REG_HOST_MAX + 1])
{
	const char *text = backend->metadata ? backend->metadata->host : NULL;
	const struct node *node;

	if (text && !text[0]) {
		node = node_find(reg, reg_backend_node(backend));
		text = node ? node->pub.address : "";
	}
	if (text)
		snprintf(host, REG_HOST_MAX + 1, "%s", text);
	else
		ip_text(backend->address, host);
	return host;
}

/* json.c: nodes and services as Consul shows them. */
#include <stdio.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/source/consul/inside.h"

const char *consul_id(const char *service, const struct reg_backend *backend, char id[CONSUL_ID])
{
	if (strcmp(backend->source, CONSUL_SOURCE) == 0 || strcmp(backend->source, REG_CLUSTER) == 0)
		snprintf(id, CONSUL_ID, "%s", reg_backend_own_id(backend));
	else
		snprintf(id, CONSUL_ID, "%s:%s", service, backend->id);
	return id;
}

const char *consul_address(const struct reg_backend *backend, char host[REG_HOST_MAX + 1])
{
	if (backend->metadata && backend->metadata->host)
		snprintf(host, REG_HOST_MAX + 1, "%s", backend->metadata->host);
	else
		ip_text(backend->address, host);
	return host;
}

json_t *consul_meta_json(const struct reg_pair *meta, size_t n)
{
	json_t *object = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(object, meta[i].key, json_string(meta[i].value));
	return object;
}

json_t *consul_tags_json(const struct reg_backend *backend)
{
	json_t *list = json_array();

	for (size_t i = 0; backend->metadata && i < backend->metadata->ntag; i++)
		json_array_append_new(list, json_string(backend->metadata->tags[i]));
	return list;
}

/* A number that is never 0: clients take 0 for no index. */
static json_t *generation_json(uint64_t generation)
{
	return json_integer((json_int_t)(generation ? generation : 1));
}

/* Of a node: {"lan": "192.0.2.1"}; without any, its address is both. */
static json_t *node_tagged_json(const struct reg_node *node)
{
	json_t *object = json_object();

	for (size_t i = 0; i < node->ntagged; i++)
		json_object_set_new(object, node->tagged[i].label, json_string(node->tagged[i].address));
	if (!node->ntagged) {
		json_object_set_new(object, "lan", json_string(node->address));
		json_object_set_new(object, "wan", json_string(node->address));
	}
	return object;
}

json_t *consul_node_json(struct consul *consul, const struct reg_node *node)
{
	return json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:o, s:o}", "ID", node->id, "Node", node->name,
		"Address", node->address, "Datacenter", consul->datacenter, "TaggedAddresses",
		node_tagged_json(node), "Meta", consul_meta_json(node->meta, node->nmeta), "CreateIndex",
		generation_json(node->created), "ModifyIndex", generation_json(node->modified));
}

static json_t *tagged_json(const struct reg_backend *backend)
{
	json_t *object = json_object();

	for (size_t i = 0; backend->metadata && i < backend->metadata->ntagged; i++) {
		const struct reg_tagged *from = &backend->metadata->tagged[i];

		json_object_set_new(object, from->label,
			json_pack("{s:s, s:i}", "Address", from->address, "Port", from->port));
	}
	return object;
}

static uint16_t weight_of(const struct reg_backend *backend, bool warning)
{
	return warning && backend->has_warning_weight ? backend->warning_weight : backend->weight;
}

static json_t *weights_json(struct registry *reg, const char *service, const struct reg_backend *backend)
{
	return json_pack("{s:i, s:i}", "Passing",
		registry_told_weight(reg, service, backend, weight_of(backend, false)), "Warning",
		registry_told_weight(reg, service, backend, weight_of(backend, true)));
}

static json_t *own_meta_json(const struct reg_backend *backend)
{
	return consul_meta_json(backend->metadata ? backend->metadata->meta : NULL,
		backend->metadata ? backend->metadata->nmeta : 0);
}

static bool overrides_tags(const struct reg_backend *backend)
{
	return backend->metadata && backend->metadata->enable_tag_override;
}

json_t *consul_service_json(struct consul *consul, const char *service, const struct reg_backend *backend)
{
	char id[CONSUL_ID], host[REG_HOST_MAX + 1];

	return json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:i, s:o, s:b, s:o, s:o}", "ID",
		consul_id(service, backend, id), "Service", service, "Tags", consul_tags_json(backend),
		"Address", consul_address(backend, host), "TaggedAddresses", tagged_json(backend), "Meta",
		own_meta_json(backend), "Port", backend->port, "Weights",
		weights_json(consul->reg, service, backend), "EnableTagOverride", overrides_tags(backend),
		"CreateIndex", generation_json(backend->created), "ModifyIndex",
		generation_json(backend->modified));
}

json_t *consul_agent_service_json(
	struct consul *consul, const char *service, const struct reg_backend *backend)
{
	json_t *object = consul_service_json(consul, service, backend);

	/* as it was registered: who did compares */
	json_object_set_new(object, "Weights",
		json_pack("{s:i, s:i}", "Passing", weight_of(backend, false), "Warning",
			weight_of(backend, true)));
	json_object_del(object, "CreateIndex");
	json_object_del(object, "ModifyIndex");
	json_object_set_new(object, "Datacenter", json_string(consul->datacenter));
	return object;
}

json_t *consul_catalog_service_json(
	struct consul *consul, const char *service, const struct reg_backend *backend)
{
	const struct reg_node *node = registry_node_find(consul->reg, reg_backend_node(backend));
	char id[CONSUL_ID], host[REG_HOST_MAX + 1];
	json_t *object = json_pack("{s:s, s:s, s:s, s:s, s:o, s:o, s:s}", "ID", node->id, "Node", node->name,
		"Address", node->address, "Datacenter", consul->datacenter, "TaggedAddresses",
		node_tagged_json(node), "NodeMeta", consul_meta_json(node->meta, node->nmeta), "ServiceKind",
		"");

	json_object_update_new(object,
		json_pack("{s:s, s:s, s:o, s:s, s:o, s:o, s:o, s:i, s:b, s:o, s:o}", "ServiceID",
			consul_id(service, backend, id), "ServiceName", service, "ServiceTags",
			consul_tags_json(backend), "ServiceAddress", consul_address(backend, host),
			"ServiceTaggedAddresses", tagged_json(backend), "ServiceWeights",
			weights_json(consul->reg, service, backend), "ServiceMeta", own_meta_json(backend),
			"ServicePort", backend->port, "ServiceEnableTagOverride", overrides_tags(backend),
			"CreateIndex", generation_json(backend->created), "ModifyIndex",
			generation_json(backend->modified)));
	return object;
}

/* write.c: this daemon's node and its instances as texts for the others. What is usual is left out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "addr/ip_text.h"
#include "registry/base/utf8.h"
#include "registry/source/hosts/inside.h"

static void set_text(json_t *object, const char *field, const char *text)
{
	if (text)
		json_object_set_new(object, field, json_string(text));
}

static void set_flag(json_t *object, const char *field, bool flag)
{
	if (flag)
		json_object_set_new(object, field, json_true());
}

static void set_number(json_t *object, const char *field, uint64_t number)
{
	json_object_set_new(object, field, json_integer((json_int_t)number));
}

/* Takes the list over. */
static void set_list(json_t *object, const char *field, json_t *list)
{
	if (json_object_size(list) || json_array_size(list))
		json_object_set(object, field, list);
	json_decref(list);
}

static json_t *meta_json(const struct reg_pair *meta, size_t n)
{
	json_t *object = json_object();

	for (size_t i = 0; i < n; i++)
		json_object_set_new(object, meta[i].key, json_string(meta[i].value));
	return object;
}

static json_t *tagged_json(const struct reg_tagged *tagged, size_t n)
{
	json_t *list = json_array();

	for (size_t i = 0; i < n; i++)
		json_array_append_new(list, json_pack("{s:s, s:s, s:i}", "label", tagged[i].label, "address",
						    tagged[i].address, "port", tagged[i].port));
	return list;
}

/* `id`: of a check that has none of its own. */
static json_t *check_json(const struct reg_result *result, const char *id, bool said)
{
	const struct reg_check *check = result->check;
	json_t *object = json_object();
	char output[HOSTS_OUTPUT + 1];

	set_text(object, "id", check->id ? check->id : id);
	set_text(object, "name", check->name);
	set_text(object, "notes", check->notes);
	set_text(object, "status", reg_health_name(result->health));
	set_text(object, "type", check->kind ? check->kind : reg_check_type_name(check->type));
	set_text(object, "definition", check->definition);
	if (said && result->output[0]) {
		utf8_copy(output, result->output, utf8_fits(result->output, HOSTS_OUTPUT));
		set_text(object, "output", output);
	}
	return object;
}

static json_t *node_checks(const struct reg_node *node, bool said)
{
	json_t *list = json_array();
	struct reg_result result;

	for (unsigned i = 0; registry_node_result(node, i, &result); i++)
		json_array_append_new(list, check_json(&result, "", said));
	return list;
}

/* `id`: what the others know the instance by. */
static json_t *instance_checks(const struct reg_backend *backend, const char *id, bool said)
{
	json_t *list = json_array();
	struct reg_result result;
	char own[REG_CHECK_ID_MAX + 1];

	snprintf(own, sizeof(own), "service:%.240s", id); /* as Consul's API calls it */
	for (unsigned i = 0; registry_backend_result(backend, i, &result); i++)
		json_array_append_new(list, check_json(&result, own, said));
	return list;
}

json_t *hosts_write_node(struct registry *reg, bool said)
{
	const struct reg_node *node = registry_node_find(reg, "");
	json_t *object = json_pack(
		"{s:i, s:s, s:s}", "v", HOSTS_VERSION, "name", node->name, "address", node->address);

	if (!object)
		return NULL;
	if (node->id[0])
		set_text(object, "id", node->id);
	set_list(object, "meta", meta_json(node->meta, node->nmeta));
	set_list(object, "tagged", tagged_json(node->tagged, node->ntagged));
	set_flag(object, "drained", node->drained);
	set_text(object, "reason", node->reason);
	set_list(object, "checks", node_checks(node, said));
	return object;
}

/* As Consul's API calls it here: others shall know it by the same id. */
static json_t *id_json(const char *service, const struct reg_backend *backend)
{
	bool own = strcmp(backend->source, REG_CONSUL) == 0;

	return own ? json_string(backend->id) : json_sprintf("%s:%s", service, backend->id);
}

static void set_metadata(json_t *object, const struct reg_metadata *metadata)
{
	json_t *tags = json_array();

	for (size_t i = 0; i < metadata->ntag; i++)
		json_array_append_new(tags, json_string(metadata->tags[i]));
	set_list(object, "tags", tags);
	set_text(object, "host", metadata->host);
	set_list(object, "meta", meta_json(metadata->meta, metadata->nmeta));
	set_list(object, "tagged", tagged_json(metadata->tagged, metadata->ntagged));
	set_flag(object, "tag_override", metadata->enable_tag_override);
}

json_t *hosts_write_instance(const char *service, const struct reg_backend *backend, bool said)
{
	json_t *object = json_pack("{s:s, s:o}", "service", service, "id", id_json(service, backend));
	char address[IP_TEXT];

	if (!object)
		return NULL;
	if (!ip_is_none(backend->address))
		set_text(object, "address", ip_text(backend->address, address));
	set_number(object, "port", backend->port);
	set_number(object, "weight", backend->weight);
	if (backend->has_warning_weight)
		set_number(object, "warning_weight", backend->warning_weight);
	if (backend->has_drain_ms)
		set_number(object, "drain_ms", backend->drain_ms);
	set_flag(object, "drained", backend->drained);
	set_flag(object, "port_down", backend->port_down);
	if (backend->metadata)
		set_metadata(object, backend->metadata);
	set_list(object, "checks",
		instance_checks(backend, json_string_value(json_object_get(object, "id")), said));
	return object;
}

uint64_t hosts_sum(const json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	uint64_t sum = text ? XXH3_64bits(text, strlen(text)) : 0;

	free(text);
	return sum;
}

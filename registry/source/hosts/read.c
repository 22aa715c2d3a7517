/* read.c: texts of other hosts. Types and limits are checked here, what the fields may say by the registry. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/base/error.h"
#include "registry/source/hosts/inside.h"

/* An object that is read field by field; the first that is wrong is what it is refused with. */
struct reading {
	const json_t *json;
	struct reg_err *err;
	int rc;
};

static void refuse(struct reading *in, const char *field, const char *what)
{
	if (!in->rc)
		in->rc = reg_fail(in->err, -EINVAL, "%s: %s", field, what);
}

json_t *hosts_read_text(const char *text, size_t len, struct reg_err *err)
{
	json_t *json = len <= HOSTS_TEXT ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	int64_t version = json_integer_value(json_object_get(json, "v"));

	if (json_is_object(json) && version >= 1 && version <= HOSTS_VERSION)
		return json;
	reg_fail(err, -EINVAL, "%s",
		len > HOSTS_TEXT	? "longer than 64 KB"
		: !json_is_object(json) ? "no JSON object"
		: version < 1		? "v: missing"
					: "v: of a later version");
	json_decref(json);
	return NULL;
}

/* NULL when absent. */
static const char *text_of(struct reading *in, const char *field)
{
	const json_t *value = json_object_get(in->json, field);

	if (value && !json_is_string(value))
		refuse(in, field, "must be a text");
	return json_string_value(value);
}

/* The same, of at least one byte, and as many as have room. */
static void copy(struct reading *in, const char *field, bool needed, char *out, size_t size)
{
	const char *text = text_of(in, field);

	if (needed && (!text || !text[0]))
		refuse(in, field, "missing");
	else if (text && strlen(text) >= size)
		refuse(in, field, "too long");
	else
		snprintf(out, size, "%s", text ? text : "");
}

static bool flag_of(struct reading *in, const char *field)
{
	const json_t *value = json_object_get(in->json, field);

	if (value && !json_is_boolean(value))
		refuse(in, field, "must be true or false");
	return json_is_true(value);
}

static uint32_t number_of(struct reading *in, const char *field, uint32_t max)
{
	const json_t *value = json_object_get(in->json, field);
	json_int_t number = json_integer_value(value);

	if (value && (!json_is_integer(value) || number < 0 || number > max))
		refuse(in, field, "must be a number within its range");
	return (uint32_t)number;
}

/* Its size; 0 when absent. */
static size_t list_of(struct reading *in, const char *field, size_t max, const json_t **list)
{
	*list = json_object_get(in->json, field);
	if (*list && !json_is_array(*list))
		refuse(in, field, "must be a list");
	if (json_array_size(*list) > max)
		refuse(in, field, "too many");
	return in->rc ? 0 : json_array_size(*list);
}

static uint16_t read_meta(struct reading *in, struct reg_pair meta[HOSTS_LIST])
{
	json_t *object = json_object_get(in->json, "meta"), *value;
	const char *key;
	uint16_t n = 0;

	if (object && (!json_is_object(object) || json_object_size(object) > HOSTS_LIST))
		refuse(in, "meta", "must be an object of at most 64 texts");
	if (in->rc)
		return 0;
	json_object_foreach (object, key, value) {
		if (!json_is_string(value))
			refuse(in, "meta", "must be texts");
		meta[n++] = (struct reg_pair){key, json_string_value(value)};
	}
	return in->rc ? 0 : n;
}

static uint16_t read_tagged(struct reading *in, struct reg_tagged tagged[HOSTS_LIST])
{
	const json_t *list;
	size_t n = list_of(in, "tagged", HOSTS_LIST, &list);

	for (size_t i = 0; i < n; i++) {
		struct reading one = {json_array_get(list, i), in->err, in->rc};

		tagged[i] = (struct reg_tagged){text_of(&one, "label"), text_of(&one, "address"),
			(uint16_t)number_of(&one, "port", UINT16_MAX)};
		if (!tagged[i].label || !tagged[i].address)
			refuse(&one, "tagged", "has no label or address");
		in->rc = one.rc;
	}
	return in->rc ? 0 : (uint16_t)n;
}

static enum reg_health read_status(struct reading *in)
{
	const char *text = text_of(in, "status");

	for (enum reg_health health = REG_PASSING; health <= REG_CRITICAL; health++)
		if (text && strcmp(text, reg_health_name(health)) == 0)
			return health;
	refuse(in, "status", "must be passing, warning or critical");
	return REG_CRITICAL;
}

struct reg_check *hosts_check_add(struct hosts_checks *checks, const char *id, const char *name,
	enum reg_health health, const char *output)
{
	unsigned n = checks->n++;

	checks->spec[n] = (struct reg_check){.type = REG_CHECK_TTL,
		.timeout_ms = 1,
		.rise = 1,
		.fall = 1,
		.output_max = HOSTS_OUTPUT,
		.has_initial = true,
		.id = id,
		.name = name};
	checks->health[n] = health;
	checks->output[n] = output;
	return &checks->spec[n];
}

static void read_checks(struct reading *in, struct hosts_checks *out)
{
	const json_t *list;
	unsigned n = (unsigned)list_of(in, "checks", REG_CHECKS_MAX - 1, &list);

	out->n = 0;
	for (unsigned i = 0; i < n; i++) {
		struct reading one = {json_array_get(list, i), in->err, in->rc};
		const char *id = text_of(&one, "id"), *name = text_of(&one, "name");
		struct reg_check *spec = hosts_check_add(out, id, name, REG_CRITICAL, NULL);

		spec->notes = text_of(&one, "notes");
		spec->definition = text_of(&one, "definition");
		spec->kind = text_of(&one, "type");
		out->health[i] = read_status(&one);
		out->output[i] = text_of(&one, "output");
		in->rc = one.rc;
	}
}

/* A check that is not among those of its host, which says why an instance is ill all the same. */
static void add_check(struct hosts_checks *out, const char *id, const char *name, const char *output)
{
	hosts_check_add(out, id, name, REG_CRITICAL, output)->kind = "port";
}

int hosts_read_node(const json_t *json, struct hosts_node *out, struct reg_err *err)
{
	struct reading in = {json, err, 0};
	struct reg_node *node = &out->node;

	*node = (struct reg_node){.source = REG_CLUSTER, .meta = out->meta, .tagged = out->tagged};
	copy(&in, "name", true, node->name, sizeof(node->name));
	copy(&in, "address", true, node->address, sizeof(node->address));
	copy(&in, "id", false, node->id, sizeof(node->id));
	node->nmeta = read_meta(&in, out->meta);
	node->ntagged = read_tagged(&in, out->tagged);
	out->drained = flag_of(&in, "drained");
	out->reason = text_of(&in, "reason");
	read_checks(&in, &out->checks);
	for (unsigned i = 0; i < out->checks.n && !in.rc; i++)
		if (!out->checks.spec[i].id)
			refuse(&in, "checks", "one has no id");
	return in.rc;
}

static void read_metadata(struct reading *in, const char *node, struct hosts_instance *out)
{
	const json_t *list;
	size_t n = list_of(in, "tags", HOSTS_LIST, &list);

	for (size_t i = 0; i < n; i++) {
		out->tags[i] = json_string_value(json_array_get(list, i));
		if (!out->tags[i])
			refuse(in, "tags", "must be texts");
	}
	out->metadata = (struct reg_metadata){.host = text_of(in, "host"),
		.node = node,
		.tags = out->tags,
		.meta = out->meta,
		.tagged = out->tagged,
		.ntag = (uint16_t)n,
		.nmeta = read_meta(in, out->meta),
		.ntagged = read_tagged(in, out->tagged),
		.enable_tag_override = flag_of(in, "tag_override")};
}

static void read_address(struct reading *in, struct reg_backend *backend)
{
	const char *text = text_of(in, "address");

	if (text && !ip_parse(text, &backend->address))
		refuse(in, "address", "is none");
}

int hosts_read_instance(const json_t *json, const char *node, struct hosts_instance *out, struct reg_err *err)
{
	struct reading in = {json, err, 0};
	struct reg_backend *backend = &out->backend;
	const char *id = text_of(&in, "id");

	*backend = (struct reg_backend){.source = REG_CLUSTER, .own_checks = true};
	out->service = text_of(&in, "service");
	if (!out->service || !out->service[0] || !id || !id[0])
		refuse(&in, out->service && out->service[0] ? "id" : "service", "missing");
	else if (snprintf(backend->id, sizeof(backend->id), "%s/%s", node, id) >= (int)sizeof(backend->id))
		refuse(&in, "id", "too long with the name of its node");
	read_address(&in, backend);
	backend->port = (uint16_t)number_of(&in, "port", UINT16_MAX);
	backend->weight = (uint16_t)number_of(&in, "weight", UINT16_MAX);
	backend->has_warning_weight = json_object_get(json, "warning_weight");
	backend->warning_weight = (uint16_t)number_of(&in, "warning_weight", UINT16_MAX);
	backend->has_drain_ms = json_object_get(json, "drain_ms");
	backend->drain_ms = number_of(&in, "drain_ms", REG_DRAIN_MAX_MS);
	backend->drained = flag_of(&in, "drained");
	read_metadata(&in, node, out);
	backend->metadata = &out->metadata;
	read_checks(&in, &out->checks);
	if (flag_of(&in, "port_down") && !in.rc)
		add_check(&out->checks, "_switch_port", "Switch port", "the port is down");
	backend->ncheck = (uint16_t)out->checks.n;
	backend->checks = out->checks.spec;
	return in.rc;
}

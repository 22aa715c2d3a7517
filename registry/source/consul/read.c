/*
 * read.c: bodies of registrations. Consul reads field names without regard to case, and takes
 * service_id for ServiceID; so does this. The user's own keys (Meta) are left as they are.
 */
#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/source/consul/inside.h"

static bool same_field(const char *given, const char *name)
{
	for (;; given++, name++) {
		while (*given == '_')
			given++;
		if (tolower((unsigned char)*given) != tolower((unsigned char)*name))
			return false;
		if (!*name)
			return true;
	}
}

const json_t *consul_field(const json_t *object, const char *name)
{
	const json_t *value = json_object_get(object, name), *other;
	const char *key;

	if (value)
		return json_is_null(value) ? NULL : value;
	json_object_foreach ((json_t *)object, key, other)
		if (same_field(key, name))
			return json_is_null(other) ? NULL : other;
	return NULL;
}

void consul_del_field(json_t *object, const char *name)
{
	json_t *value;
	const char *key;
	void *next;

	json_object_foreach_safe(object, next, key, value)
	{
		if (same_field(key, name))
			json_object_del(object, key);
	}
}

int consul_bad(struct consul_body *in, int rc, const char *fmt, ...)
{
	va_list ap;

	if (in->rc)
		return in->rc;
	va_start(ap, fmt);
	vsnprintf(in->err->text, sizeof(in->err->text), fmt, ap);
	va_end(ap);
	return in->rc = rc;
}

const char *consul_text(struct consul_body *in, const char *name)
{
	const json_t *value = consul_field(in->json, name);
	const char *text = json_string_value(value);

	if (value && !text)
		consul_bad(in, -EINVAL, "%s: must be a string", name);
	return text && *text ? text : NULL; /* Go's library spells out what is not set */
}

bool consul_flag(struct consul_body *in, const char *name)
{
	const json_t *value = consul_field(in->json, name);

	if (value && !json_is_boolean(value))
		consul_bad(in, -EINVAL, "%s: must be true or false", name);
	return json_is_true(value);
}

int64_t consul_number(struct consul_body *in, const char *name, int64_t min, int64_t max, int64_t absent)
{
	const json_t *value = consul_field(in->json, name);
	int64_t number = value ? json_integer_value(value) : absent;

	if (value && (!json_is_integer(value) || number < min || number > max))
		consul_bad(in, -EINVAL, "%s: must be a number in %lld..%lld", name, (long long)min,
			(long long)max);
	return number;
}

uint16_t consul_pairs(struct consul_body *in, const char *name, struct reg_pair pairs[CONSUL_LIST])
{
	const json_t *map = consul_field(in->json, name), *value;
	const char *key;
	uint16_t n = 0;

	if (map && !json_is_object(map))
		consul_bad(in, -EINVAL, "%s: must be an object of strings", name);
	if (json_object_size(map) > CONSUL_LIST) {
		consul_bad(in, -EINVAL, "%s: cannot have more than %d keys", name, CONSUL_LIST);
		return 0;
	}
	json_object_foreach ((json_t *)map, key, value) {
		if (!json_is_string(value))
			consul_bad(in, -EINVAL, "%s: must be an object of strings", name);
		pairs[n++] = (struct reg_pair){key, json_string_value(value)};
	}
	return n;
}

/* {"lan": {"address": "192.0.2.1", "port": 80}}; of nodes {"lan": "192.0.2.1"} */
uint16_t consul_read_tagged(struct consul_body *in, const char *name, struct reg_tagged tagged[CONSUL_LIST])
{
	const json_t *map = consul_field(in->json, name), *value;
	struct reg_err why;
	const char *key;
	uint16_t n = 0;

	if (json_object_size(map) > CONSUL_LIST || (map && !json_is_object(map))) {
		consul_bad(in, -EINVAL, "%s: must be an object of at most %d addresses", name, CONSUL_LIST);
		return 0;
	}
	json_object_foreach ((json_t *)map, key, value) {
		struct consul_body one = {value, &why, 0};
		const char *address =
			json_is_string(value) ? json_string_value(value) : consul_text(&one, "Address");
		int64_t port = consul_number(&one, "Port", 0, 65535, 0);

		if (one.rc || !address)
			consul_bad(in, -EINVAL, "%s: must have an address each", name);
		tagged[n++] = (struct reg_tagged){key, address, (uint16_t)port};
	}
	return n;
}

static void read_tags(struct consul_body *in, struct consul_registration *read)
{
	const json_t *tags = consul_field(in->json, "Tags"), *tag;
	size_t i;

	if (tags && (!json_is_array(tags) || json_array_size(tags) > CONSUL_LIST)) {
		consul_bad(in, -EINVAL, "Tags: must be a list of at most %d strings", CONSUL_LIST);
		return;
	}
	json_array_foreach ((json_t *)tags, i, tag) {
		if (!json_is_string(tag))
			consul_bad(in, -EINVAL, "Tags: must be a list of strings");
		read->tags[read->metadata.ntag++] = json_string_value(tag);
	}
}

static void read_weights(struct consul_body *in, struct reg_backend *backend)
{
	struct consul_body weights = *in;

	weights.json = consul_field(in->json, "Weights");
	if (weights.json && !json_is_object(weights.json))
		consul_bad(&weights, -EINVAL, "Weights: must be an object");
	backend->weight = (uint16_t)consul_number(&weights, "Passing", 0, 65535, 1);
	backend->warning_weight = (uint16_t)consul_number(&weights, "Warning", 0, 65535, 1);
	backend->has_warning_weight = true;
	in->rc = weights.rc;
}

/* Whatever it is, it is shown as it was given: clients that compare register anew what they do not find. */
static void read_place(struct consul_body *in, struct consul_registration *read)
{
	const char *address = consul_text(in, "Address");
	char text[IP_TEXT];

	read->backend.port = (uint16_t)consul_number(in, "Port", 0, 65535, 0);
	if (!ip_parse(address, &read->backend.address))
		read->metadata.host = address ? address : "";
	else if (!ip_is_none(read->backend.address) &&
		 strcmp(ip_text(read->backend.address, text), address) != 0)
		read->metadata.host = address;
}

static void read_names(
	struct consul_body *in, const char *name_field, const char *node, struct consul_registration *read)
{
	const char *name = consul_text(in, name_field), *id = consul_text(in, "ID");
	int n = snprintf(read->backend.id, sizeof(read->backend.id), "%s%s%s", node ? node : "",
		node ? "/" : "",
		id     ? id
		: name ? name
		       : "");

	if (!name)
		consul_bad(in, -EINVAL, "Missing service name");
	if (n < 0 || (size_t)n >= sizeof(read->backend.id))
		consul_bad(in, -EINVAL, "ID: longer than %d bytes", REG_ID_MAX);
	read->name = name;
	read->metadata.node = node;
}

/* What clients send for a field that they do not use. */
bool consul_is_empty(const json_t *value)
{
	const json_t *inner;
	const char *key;

	if (json_is_string(value))
		return json_string_length(value) == 0;
	if (json_is_number(value))
		return json_number_value(value) == 0;
	if (json_is_array(value))
		return json_array_size(value) == 0;
	json_object_foreach ((json_t *)value, key, inner)
		if (!consul_is_empty(inner))
			return false;
	return !json_is_true(value);
}

/* Taken and left out, they would change what the instance is without a word. */
int consul_read_plain(const json_t *service, struct reg_err *err)
{
	static const struct {
		const char *field, *why;
	} refused[] = {
		{"Kind", "there is no service mesh, and so there are no proxies and gateways"},
		{"Connect", "there is no service mesh, and so there are no side cars"},
		{"Proxy", "there is no service mesh, and so there are no proxies"},
		{"SocketPath", "an instance is at an address, not at a Unix socket"},
		{"PeerName", "there is no peering of clusters"},
	};
	static const char *const tenancy[] = {"Namespace", "Partition"};
	const json_t *connect = consul_field(service, "Connect");

	/* also when it is empty: that is one with all its defaults */
	if (json_is_object(connect) && consul_field(connect, "SidecarService"))
		return reg_fail(err, -ENOTSUP, "Connect: %s", refused[1].why);
	for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++)
		if (!consul_is_empty(consul_field(service, refused[i].field)))
			return reg_fail(err, -ENOTSUP, "%s: %s", refused[i].field, refused[i].why);
	for (size_t i = 0; i < sizeof(tenancy) / sizeof(tenancy[0]); i++) {
		const json_t *value = consul_field(service, tenancy[i]);

		if (!consul_is_empty(value) &&
			strcmp(json_is_string(value) ? json_string_value(value) : "", "default") != 0)
			return reg_fail(err, -ENOTSUP, "%s: there is but \"default\"", tenancy[i]);
	}
	return 0;
}

int consul_read_service(const json_t *body, const char *name_field, const char *node,
	struct consul_registration *read, struct reg_err *err)
{
	struct consul_body in = {body, err, 0};

	memset(read, 0, sizeof(*read));
	read->metadata.tags = read->tags;
	read->metadata.meta = read->meta;
	read->metadata.tagged = read->tagged;
	read->backend.metadata = &read->metadata;
	snprintf(read->backend.source, sizeof(read->backend.source), CONSUL_SOURCE);
	read_names(&in, name_field, node, read);
	read_tags(&in, read);
	read->metadata.nmeta = consul_pairs(&in, "Meta", read->meta);
	read->metadata.ntagged = consul_read_tagged(&in, "TaggedAddresses", read->tagged);
	read_place(&in, read);
	read_weights(&in, &read->backend);
	read->metadata.enable_tag_override = consul_flag(&in, "EnableTagOverride");
	return in.rc;
}

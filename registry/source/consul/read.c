/*
 * read.c: bodies of registrations. Consul reads field names without regard to case, and takes
 * service_id for ServiceID; so does this. The user's own keys (Meta) are left as they are.
 */
#include <ctype.h>
#include <errno.h>
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

int consul_text(const json_t *object, const char *name, const char **out, struct reg_err *err)
{
	const json_t *value = consul_field(object, name);

	*out = json_string_value(value);
	if (value && !*out)
		return reg_fail(err, -EINVAL, "%s: must be a string", name);
	if (*out && !**out) /* Go's library spells out what is not set */
		*out = NULL;
	return 0;
}

int consul_flag(const json_t *object, const char *name, bool *out, struct reg_err *err)
{
	const json_t *value = consul_field(object, name);

	if (value && !json_is_boolean(value))
		return reg_fail(err, -EINVAL, "%s: must be true or false", name);
	if (value)
		*out = json_is_true(value);
	return 0;
}

int consul_number(
	const json_t *object, const char *name, int64_t min, int64_t max, int64_t *out, struct reg_err *err)
{
	const json_t *value = consul_field(object, name);

	if (!value)
		return 0;
	if (!json_is_integer(value) || json_integer_value(value) < min || json_integer_value(value) > max)
		return reg_fail(err, -EINVAL, "%s: must be a number in %lld..%lld", name, (long long)min,
			(long long)max);
	*out = json_integer_value(value);
	return 0;
}

int consul_pairs(const json_t *object, const char *name, struct reg_pair pairs[CONSUL_LIST], uint16_t *n,
	struct reg_err *err)
{
	const json_t *map = consul_field(object, name), *value;
	const char *key;

	*n = 0;
	if (map && !json_is_object(map))
		return reg_fail(err, -EINVAL, "%s: must be an object of strings", name);
	if (json_object_size(map) > CONSUL_LIST)
		return reg_fail(err, -EINVAL, "%s: cannot have more than %d keys", name, CONSUL_LIST);
	json_object_foreach ((json_t *)map, key, value) {
		if (!json_is_string(value))
			return reg_fail(err, -EINVAL, "%s: must be an object of strings", name);
		pairs[(*n)++] = (struct reg_pair){key, json_string_value(value)};
	}
	return 0;
}

/* {"lan": {"address": "192.0.2.1", "port": 80}}; of nodes {"lan": "192.0.2.1"} */
int consul_read_tagged(const json_t *object, const char *name, struct reg_tagged tagged[CONSUL_LIST],
	uint16_t *n, struct reg_err *err)
{
	const json_t *map = consul_field(object, name), *value;
	const char *key, *address;
	int64_t port;
	int rc = 0;

	*n = 0;
	if (json_object_size(map) > CONSUL_LIST || (map && !json_is_object(map)))
		return reg_fail(
			err, -EINVAL, "%s: must be an object of at most %d addresses", name, CONSUL_LIST);
	json_object_foreach ((json_t *)map, key, value) {
		port = 0;
		address = json_string_value(value);
		if (!address)
			rc = consul_text(value, "Address", &address, err);
		if (!rc && json_is_object(value))
			rc = consul_number(value, "Port", 0, 65535, &port, err);
		if (rc || !address)
			return reg_fail(err, -EINVAL, "%s: must have an address each", name);
		tagged[(*n)++] = (struct reg_tagged){key, address, (uint16_t)port};
	}
	return 0;
}

static int read_tags(const json_t *body, struct consul_registration *read, struct reg_err *err)
{
	const json_t *tags = consul_field(body, "Tags"), *tag;
	size_t i;

	if (tags && (!json_is_array(tags) || json_array_size(tags) > CONSUL_LIST))
		return reg_fail(err, -EINVAL, "Tags: must be a list of at most %d strings", CONSUL_LIST);
	json_array_foreach ((json_t *)tags, i, tag) {
		if (!json_is_string(tag))
			return reg_fail(err, -EINVAL, "Tags: must be a list of strings");
		read->tags[read->metadata.ntag++] = json_string_value(tag);
	}
	return 0;
}

static int read_weights(const json_t *body, struct reg_backend *backend, struct reg_err *err)
{
	const json_t *weights = consul_field(body, "Weights");
	int64_t passing = 1, warning = 1;
	int rc;

	if (weights && !json_is_object(weights))
		return reg_fail(err, -EINVAL, "Weights: must be an object");
	rc = consul_number(weights, "Passing", 0, 65535, &passing, err);
	if (!rc)
		rc = consul_number(weights, "Warning", 0, 65535, &warning, err);
	backend->weight = (uint16_t)passing;
	backend->warning_weight = (uint16_t)warning;
	backend->has_warning_weight = true;
	return rc;
}

/* Whatever it is, it is shown as it was given: clients that compare register anew what they do not find. */
static int read_place(const json_t *body, struct consul_registration *read, struct reg_err *err)
{
	const char *address;
	char text[IP_TEXT];
	int64_t port = 0;
	int rc = consul_text(body, "Address", &address, err);

	if (!rc)
		rc = consul_number(body, "Port", 0, 65535, &port, err);
	if (rc)
		return rc;
	if (!ip_parse(address, &read->backend.address))
		read->metadata.host = address ? address : "";
	else if (!ip_is_none(read->backend.address) &&
		 strcmp(ip_text(read->backend.address, text), address) != 0)
		read->metadata.host = address;
	read->backend.port = (uint16_t)port;
	return 0;
}

static int read_names(const json_t *body, const char *name_field, const char *node,
	struct consul_registration *read, struct reg_err *err)
{
	const char *id;
	int rc = consul_text(body, name_field, &read->name, err), n;

	if (!rc)
		rc = consul_text(body, "ID", &id, err);
	if (rc)
		return rc;
	if (!read->name || !read->name[0])
		return reg_fail(err, -EINVAL, "Missing service name");
	if (!id || !id[0])
		id = read->name;
	n = snprintf(
		read->backend.id, sizeof(read->backend.id), "%s%s%s", node ? node : "", node ? "/" : "", id);
	if (n < 0 || (size_t)n >= sizeof(read->backend.id))
		return reg_fail(err, -EINVAL, "ID: longer than %d bytes", REG_ID_MAX);
	read->metadata.node = node;
	return 0;
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
	int rc;

	memset(read, 0, sizeof(*read));
	read->metadata.tags = read->tags;
	read->metadata.meta = read->meta;
	read->metadata.tagged = read->tagged;
	read->backend.metadata = &read->metadata;
	snprintf(read->backend.source, sizeof(read->backend.source), CONSUL_SOURCE);
	rc = read_names(body, name_field, node, read, err);
	if (!rc)
		rc = read_tags(body, read, err);
	if (!rc)
		rc = consul_pairs(body, "Meta", read->meta, &read->metadata.nmeta, err);
	if (!rc)
		rc = consul_read_tagged(body, "TaggedAddresses", read->tagged, &read->metadata.ntagged, err);
	if (!rc)
		rc = read_place(body, read, err);
	if (!rc)
		rc = read_weights(body, &read->backend, err);
	if (!rc)
		rc = consul_flag(body, "EnableTagOverride", &read->metadata.enable_tag_override, err);
	return rc;
}

#include "control/api/schema.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/quantity.h"
#include "control/host/addr.h"

enum { PATH_MAX_TEXT = 128, STRING_MAX = 4096, LIST_MAX = 1024 };

/* One value against one field; `path` is the whole name of the field for the error. */
#define CHECK(name)                                                                                          \
	int name(const struct api_field *field, const json_t *value, const char *path, struct api_err *err)
typedef CHECK((*check_fn));

static int mistyped(const char *path, const char *want, struct api_err *err)
{
	return api_fail(err, API_INVALID, path, "must be %s", want);
}

bool schema_range(const struct api_field *field, int64_t *min, int64_t *max)
{
	static const int64_t most[] = {
		[API_STRING] = STRING_MAX,
		[API_INT] = INT32_MAX,
		[API_PATH] = STRING_MAX,
		[API_LIST] = LIST_MAX,
		[API_MAP] = LIST_MAX,
	};
	bool ranged = field->type == API_STRING || field->type == API_INT || field->type == API_PATH ||
		      field->type == API_LIST || field->type == API_MAP;

	if (!ranged)
		return false;
	*min = field->min;
	*max = field->max;
	if (!field->min && !field->max)
		*max = most[field->type];
	return true;
}

static int check_range(
	const struct api_field *field, int64_t value, const char *path, const char *unit, struct api_err *err)
{
	int64_t min, max;

	if (schema_range(field, &min, &max) && (value < min || value > max))
		return api_fail(err, API_INVALID, path, "out of range %lld..%lld%s", (long long)min,
			(long long)max, unit);
	return 0;
}

static CHECK(check_string)
{
	const char *text = json_string_value(value);

	if (!text)
		return mistyped(path, "a string", err);
	for (const unsigned char *p = (const unsigned char *)text; *p; p++)
		if (*p < 0x20 || *p == 0x7f)
			return api_fail(err, API_INVALID, path, "has a control character");
	if (strlen(text) != json_string_length(value))
		return api_fail(err, API_INVALID, path, "has a zero byte");
	return check_range(field, (int64_t)strlen(text), path, " bytes", err);
}

#define DIGITS "0123456789"
#define LOWER "abcdefghijklmnopqrstuvwxyz"
#define UPPER "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

static CHECK(check_name)
{
	enum { NAME_MAX_LEN = 63 };
	const char *text = json_string_value(value);
	size_t len = text ? json_string_length(value) : 0;

	if (!text)
		return mistyped(path, "a string", err);
	if (!len || len > NAME_MAX_LEN || strchr("._-", text[0]) || strspn(text, "._-" DIGITS LOWER) != len)
		return api_fail(err, API_INVALID, path, "must match [a-z0-9][a-z0-9._-]{0,62}");
	return 0;
}

static CHECK(check_service)
{
	enum { SERVICE_MAX_LEN = 255 };
	size_t len = json_string_length(value);

	if (json_is_string(value) && (len < 1 || len > SERVICE_MAX_LEN))
		return api_fail(err, API_INVALID, path, "out of range 1..%d bytes", SERVICE_MAX_LEN);
	return check_string(field, value, path, err);
}

static CHECK(check_int)
{
	if (!json_is_integer(value))
		return mistyped(path, "an integer", err);
	return check_range(field, json_integer_value(value), path, "", err);
}

static CHECK(check_quantity)
{
	uint64_t number;

	return quantity_read(value, &number) ? 0
					     : mistyped(path, "a whole number like 64K, 250M or 2.5G", err);
}

static CHECK(check_bool)
{
	return json_is_boolean(value) ? 0 : mistyped(path, "true or false", err);
}

static CHECK(check_enum)
{
	const char *text = json_string_value(value);
	char want[200];

	for (const char *const *c = field->choices; text && *c; c++)
		if (strcmp(*c, text) == 0)
			return 0;
	schema_describe(field, want, sizeof(want));
	return mistyped(path, want, err);
}

static CHECK(check_ip4)
{
	uint32_t ip;

	return addr_ip4(json_string_value(value), &ip) ? 0 : mistyped(path, "an IPv4 address", err);
}

static CHECK(check_ip)
{
	struct ip_addr ip;

	return ip_parse(json_string_value(value), &ip) ? 0 : mistyped(path, "an IP address", err);
}

static CHECK(check_cidr)
{
	struct ip_prefix prefix;

	if (!addr_ip_prefix(json_string_value(value), &prefix))
		return mistyped(path, "a prefix like 10.1.0.0/24 or fd00::/64", err);
	if (addr_prefix_has_host_bits(&prefix))
		return api_fail(err, API_INVALID, path, "has bits set beyond its prefix length");
	return 0;
}

static CHECK(check_cidr4)
{
	struct addr_prefix p;
	uint32_t mask;

	if (!addr_prefix(json_string_value(value), &p))
		return mistyped(path, "an IPv4 prefix like 10.1.0.0/24", err);
	mask = p.len ? __builtin_bswap32(~0u << (32 - p.len)) : 0;
	if (p.address & ~mask)
		return api_fail(err, API_INVALID, path, "has bits set beyond its prefix length");
	return 0;
}

static CHECK(check_addr)
{
	struct ip_prefix p;

	return addr_ip_prefix(json_string_value(value), &p)
		       ? 0
		       : mistyped(path, "an IP address with its prefix length", err);
}

static CHECK(check_mac)
{
	static const uint8_t zero[6];
	uint8_t mac[6];

	if (!addr_mac(json_string_value(value), mac))
		return mistyped(path, "a MAC address like 02:00:00:00:00:11", err);
	if ((mac[0] & 1) || memcmp(mac, zero, 6) == 0)
		return api_fail(err, API_INVALID, path, "must be a unicast MAC address other than zero");
	return 0;
}

static CHECK(check_source)
{
	static const uint8_t zero[6];
	struct addr_source source;

	if (!addr_source(json_string_value(value), &source))
		return mistyped(path, "MAC or \"MAC IP/len\", as in \"02:00:00:00:00:11 10.1.0.9/32\"", err);
	if ((source.mac[0] & 1) || memcmp(source.mac, zero, 6) == 0)
		return api_fail(
			err, API_INVALID, path, "must begin with a unicast MAC address other than zero");
	if (source.has_prefix && addr_prefix_has_host_bits(&source.prefix))
		return api_fail(err, API_INVALID, path, "has bits set beyond its prefix length");
	return 0;
}

static CHECK(check_path)
{
	if (check_string(field, value, path, err) < 0)
		return -1;
	return json_string_value(value)[0] == '/' ? 0 : mistyped(path, "an absolute path", err);
}

static CHECK(check_hostport)
{
	const char *text = json_string_value(value), *colon = text ? strrchr(text, ':') : NULL;
	struct ip_addr ip;
	long port;

	if (!colon || strspn(colon + 1, "0123456789") != strlen(colon + 1))
		return mistyped(path, "ADDRESS:PORT", err);
	port = strtol(colon + 1, NULL, 10);
	if (!ip_parse_host(text, (size_t)(colon - text), &ip) || port < 1 || port > 65535)
		return mistyped(path,
			"ADDRESS:PORT with an IP address, IPv6 in brackets, and a port of 1..65535", err);
	return 0;
}

static CHECK(check_value);

static bool is_same(enum api_type type, const json_t *a, const json_t *b)
{
	struct ip_addr ip_a, ip_b;

	if (type == API_IP)
		return ip_parse(json_string_value(a), &ip_a) && ip_parse(json_string_value(b), &ip_b) &&
		       ip_equal(ip_a, ip_b);
	return json_equal(a, b);
}

static CHECK(check_list)
{
	struct api_field item = {.name = field->name, .type = field->item, .choices = field->choices};
	char name[PATH_MAX_TEXT];

	if (!json_is_array(value))
		return mistyped(path, "a list", err);
	if (check_range(field, (int64_t)json_array_size(value), path, " elements", err) < 0)
		return -1;
	for (size_t i = 0; i < json_array_size(value); i++) {
		snprintf(name, sizeof(name), "%s[%zu]", path, i);
		if (check_value(&item, json_array_get(value, i), name, err) < 0)
			return -1;
		for (size_t k = 0; k < i; k++)
			if (is_same(field->item, json_array_get(value, i), json_array_get(value, k)))
				return api_fail(err, API_INVALID, name, "is there twice");
	}
	return 0;
}

static CHECK(check_object)
{
	return json_is_object(value) ? 0 : mistyped(path, "an object", err);
}

static int check_map_entry(const char *key, const json_t *value, const char *path, struct api_err *err)
{
	const struct api_field text = {.type = API_STRING, .max = API_MAP_VALUE};
	size_t len = strlen(key);
	char name[PATH_MAX_TEXT + API_MAP_KEY + 2];

	if (!len || len > API_MAP_KEY || strchr("._/-", key[0]) ||
		strspn(key, "._/-" DIGITS LOWER UPPER) != len)
		return api_fail(err, API_INVALID, path,
			"has a key that is not 1 to %d letters, digits and ._/-, with one of the first two "
			"first",
			API_MAP_KEY);
	snprintf(name, sizeof(name), "%s.%s", path, key);
	return check_string(&text, value, name, err);
}

static CHECK(check_map)
{
	const char *key;
	json_t *text;

	if (!json_is_object(value))
		return mistyped(path, "an object of texts", err);
	if (check_range(field, (int64_t)json_object_size(value), path, " entries", err) < 0)
		return -1;
	json_object_foreach ((json_t *)value, key, text)
		if (check_map_entry(key, text, path, err) < 0)
			return -1;
	return 0;
}

static const struct {
	const char *name, *want;
	check_fn check;
} types[] = {
	[API_STRING] = {"string", "string", check_string},
	[API_NAME] = {"name", "name", check_name},
	[API_SERVICE] = {"service", "name of a service", check_service},
	[API_INT] = {"integer", "integer", check_int},
	[API_QUANTITY] = {"quantity", "number like 64K, 250M, 2.5G", check_quantity},
	[API_BOOL] = {"boolean", "true or false", check_bool},
	[API_ENUM] = {"enum", "one of", check_enum},
	[API_IP4] = {"ip4", "IPv4 address", check_ip4},
	[API_IP] = {"ip", "IP address", check_ip},
	[API_CIDR] = {"cidr", "IP prefix", check_cidr},
	[API_CIDR4] = {"cidr4", "IPv4 prefix", check_cidr4},
	[API_ADDR] = {"addr", "IP address with prefix length", check_addr},
	[API_MAC] = {"mac", "MAC address", check_mac},
	[API_SOURCE] = {"source", "\"MAC\" or \"MAC IP/len\"", check_source},
	[API_PATH] = {"path", "absolute path", check_path},
	[API_HOSTPORT] = {"hostport", "ADDRESS:PORT", check_hostport},
	[API_LIST] = {"list", "list", check_list},
	[API_OBJECT] = {"object", "object", check_object},
	[API_MAP] = {"map", "KEY=VALUE,...", check_map},
};

const char *schema_type_name(enum api_type type)
{
	return types[type].name;
}

static CHECK(check_value)
{
	return types[field->type].check(field, value, path, err);
}

void schema_describe(const struct api_field *field, char *buf, size_t size)
{
	int64_t min, max;
	int at = snprintf(buf, size, "%s", types[field->type].want);

	if (field->type == API_LIST)
		at += snprintf(buf + at, size - (size_t)at, " of %s", types[field->item].want);
	if ((field->type == API_ENUM || (field->type == API_LIST && field->item == API_ENUM)) &&
		field->choices)
		for (const char *const *c = field->choices; *c && (size_t)at < size; c++)
			at += snprintf(
				buf + at, size - (size_t)at, "%s%s", c == field->choices ? " " : "|", *c);
	else if (field->type == API_INT && schema_range(field, &min, &max) && (size_t)at < size)
		snprintf(buf + at, size - (size_t)at, " %lld..%lld", (long long)min, (long long)max);
}

const struct api_field *schema_field(const struct api_field *fields, const char *name)
{
	for (; fields && fields->name; fields++)
		if (strcmp(fields->name, name) == 0)
			return fields;
	return NULL;
}

static int check_known(
	const struct api_field *fields, const json_t *params, const char *path, struct api_err *err)
{
	const char *key;
	json_t *value;
	char name[PATH_MAX_TEXT];

	json_object_foreach ((json_t *)params, key, value) {
		if (schema_field(fields, key))
			continue;
		snprintf(name, sizeof(name), "%s%s", path, key);
		return api_fail(err, API_INVALID, name, "unknown key");
	}
	return 0;
}

/* A copy. Addresses in their usual spelling, so that objects that are named by one are found whoever writes it. */
static json_t *copy_of(enum api_type type, enum api_type item, const json_t *value)
{
	char text[IP_TEXT];
	struct ip_addr ip;
	json_t *list;

	if (type == API_IP && ip_parse(json_string_value(value), &ip))
		return json_string(ip_text(ip, text));
	if (type != API_LIST || item != API_IP)
		return json_deep_copy(value);
	list = json_array();
	for (size_t i = 0; i < json_array_size(value); i++)
		json_array_append_new(list, copy_of(item, item, json_array_get(value, i)));
	return list;
}

/* The objects of a list, each checked by the list's fields. */
static int take_objects(const struct api_field *field, const json_t *value, const char *path, json_t *out,
	struct api_err *err)
{
	json_t *list = json_array(), *inner = NULL;
	char name[PATH_MAX_TEXT + 24];

	for (size_t i = 0; i < json_array_size(value); i++) {
		snprintf(name, sizeof(name), "%s[%zu].", path, i);
		if (schema_check(field->fields, json_array_get(value, i), name, &inner, err) < 0) {
			json_decref(list);
			return -1;
		}
		json_array_append_new(list, inner);
	}
	return json_object_set_new(out, field->name, list);
}

/* Adds the checked value of one field to `out`, or its default. */
static int take_field(const struct api_field *field, const json_t *params, const char *path, json_t *out,
	struct api_err *err)
{
	json_t *value = json_object_get(params, field->name), *inner = NULL;
	char name[PATH_MAX_TEXT];

	snprintf(name, sizeof(name), "%s%s", path, field->name);
	if (!value && field->required)
		return api_fail(err, API_INVALID, name, "missing");
	if (!value)
		return field->def ? json_object_set_new(
					    out, field->name, json_loads(field->def, JSON_DECODE_ANY, NULL))
				  : 0;
	if (check_value(field, value, name, err) < 0)
		return -1;
	if (field->type == API_LIST && field->item == API_OBJECT)
		return take_objects(field, value, name, out, err);
	if (field->type != API_OBJECT)
		return json_object_set_new(out, field->name, copy_of(field->type, field->item, value));
	snprintf(name, sizeof(name), "%s%s.", path, field->name);
	if (schema_check(field->fields, value, name, &inner, err) < 0)
		return -1;
	return json_object_set_new(out, field->name, inner);
}

int schema_check(const struct api_field *fields, const json_t *params, const char *path, json_t **out,
	struct api_err *err)
{
	char whole[PATH_MAX_TEXT];
	size_t len = strlen(path);
	json_t *result;

	if (params && !json_is_object(params)) {
		snprintf(whole, sizeof(whole), "%.*s", (int)(len ? len - 1 : 0), path);
		return api_fail(err, API_INVALID, len ? whole : "params", "must be an object");
	}
	if (params && check_known(fields, params, path, err) < 0)
		return -1;
	result = json_object();
	api_fail(err, API_INTERNAL, NULL, "out of memory");
	for (; result && fields && fields->name; fields++)
		if (take_field(fields, params, path, result, err) < 0) {
			json_decref(result);
			return -1;
		}
	*out = result;
	return result ? 0 : -1;
}

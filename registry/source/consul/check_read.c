/*
 * check_read.c: the checks of a registration. A probe starts in the network of the instance's service,
 * or in the host when it goes to the loopback; it goes to an address, never to a name.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/base/duration.h"
#include "registry/source/consul/inside.h"

enum { TIMEOUT_MS = 10000, TIMEOUT_MAX_MS = 600000 };

/* A number is one of nanoseconds, as Go's durations are; 0 is none. */
static int read_ns(const json_t *number, const char *name, uint32_t *ms, struct reg_err *err)
{
	double ns = json_number_value(number);

	if (ns == 0)
		return 0;
	if (!(ns >= 1e6 && ns / 1e6 <= UINT32_MAX))
		return reg_fail(err, -EINVAL,
			"%s: %.0f ns is out of range 1ms..%ums (a number is one of nanoseconds)", name, ns,
			UINT32_MAX);
	*ms = (uint32_t)(ns / 1e6);
	return 0;
}

int consul_read_duration(const json_t *check, const char *name, uint32_t *ms, struct reg_err *err)
{
	const json_t *number = consul_field(check, name);
	const char *text;
	int64_t us;
	int rc;

	if (json_is_number(number))
		return read_ns(number, name, ms, err);
	rc = consul_text(check, name, &text, err);
	if (rc || !text || !text[0])
		return rc;
	if (duration_parse(text, &us) == 0 && us == 0) /* Go's library spells out what is not set */
		return 0;
	if (duration_parse(text, &us) < 0 || us < 1000 || us / 1000 > UINT32_MAX)
		return reg_fail(err, -EINVAL, "%s: \"%.40s\" is no duration", name, text);
	*ms = (uint32_t)(us / 1000);
	return 0;
}

/* What runs programs or speaks to others than the instance. */
static int refuse_others(const json_t *check, struct reg_err *err)
{
	static const struct {
		const char *field, *why;
	} others[] = {
		{"Args", "checks that run a program are not served: whoever may register could run anything"},
		{"ScriptArgs",
			"checks that run a program are not served: whoever may register could run anything"},
		{"Script",
			"checks that run a program are not served: whoever may register could run anything"},
		{"DockerContainerID", "checks that run a program are not served"},
		{"UDP", "this type of check is not served"},
		{"H2PING", "this type of check is not served"},
		{"OSService", "this type of check is not served"},
		{"TCPUseTLS", "this type of check is not served"},
		{"TLSServerName", "a certificate must name the address that is probed"},
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		if (!consul_is_empty(consul_field(check, others[i].field)))
			return reg_fail(err, -ENOTSUP, "%s: %s", others[i].field, others[i].why);
	}
	return 0;
}

/* An address, or the loopback's name; no other is looked up. */
static bool read_host(const char *text, size_t len, struct ip_addr *address)
{
	if (len == strlen("localhost") && memcmp(text, "localhost", len) == 0)
		return ip_parse("127.0.0.1", address);
	return ip_parse_part(text, len, address) && !ip_is_none(*address);
}

/* "HOST:PORT" or "[HOST]:PORT" before `end`, the port optional when `port` has one. False: it is none. */
static bool read_place(const char *text, const char *end, struct ip_addr *address, uint16_t *port)
{
	bool bracket = text < end && *text == '[';
	const char *begin = text + bracket, *stop = memchr(begin, bracket ? ']' : ':', (size_t)(end - begin));
	const char *colon = bracket && stop ? stop + 1 : stop;
	size_t len = (size_t)((stop ? stop : end) - begin);
	unsigned long number = *port;
	char *after = (char *)end;

	if (bracket && (!stop || (colon < end && *colon != ':')))
		return false;
	if (colon && colon < end)
		number = colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &after, 10) : 0;
	*port = (uint16_t)number;
	return after == end && number >= 1 && number <= 65535 && read_host(begin, len, address);
}

/* The probe goes to the `len` bytes of `place`: the instance itself, or another address. */
static int aim(const char *field, const char *place, size_t len, uint16_t port, const struct reg_backend *of,
	struct reg_check *spec, struct reg_err *err)
{
	struct ip_addr address;

	if (!read_place(place, place + len, &address, &port))
		return reg_fail(err, -ENOTSUP,
			"%s: \"%.60s\" is not at an address and port (names are not looked up; IPv6 in "
			"brackets)",
			field, place);
	if (of && ip_equal(address, of->address) && port == of->port)
		return 0;
	spec->address = address;
	spec->port = port;
	return 0;
}

/* {"Header": {"X-Probe": ["a", "b"]}} */
static int read_headers(
	const json_t *check, struct consul_checks *list, struct reg_check *spec, struct reg_err *err)
{
	const json_t *map = consul_field(check, "Header"), *values, *value;
	const char *name;
	size_t i;

	if (map && !json_is_object(map))
		return reg_fail(err, -EINVAL, "Header: must be an object of lists");
	spec->headers = list->headers + list->nheader;
	json_object_foreach ((json_t *)map, name, values) {
		if (!json_is_array(values))
			return reg_fail(err, -EINVAL, "Header: must be an object of lists");
		json_array_foreach (values, i, value) {
			if (!json_is_string(value))
				return reg_fail(
					err, -EINVAL, "Header: must be an object of lists of strings");
			if (list->nheader == CONSUL_LIST)
				return reg_fail(err, -EINVAL, "Header: more than %d", CONSUL_LIST);
			list->headers[list->nheader++] = (struct reg_pair){name, json_string_value(value)};
			spec->nheader++;
		}
	}
	return 0;
}

static int read_http(const json_t *check, const char *url, const struct reg_backend *of,
	struct consul_checks *list, struct reg_check *spec, struct reg_err *err)
{
	const char *place = strstr(url, "://");
	int rc = consul_text(check, "Method", &spec->method, err);

	if (!rc)
		rc = consul_text(check, "Body", &spec->body, err);
	if (!rc)
		rc = read_headers(check, list, spec, err);
	if (rc)
		return rc;
	if (spec->method && !spec->method[0])
		spec->method = NULL;
	if (spec->body && !spec->body[0])
		spec->body = NULL;
	spec->tls = strncmp(url, "https:", 6) == 0;
	if (!place || (!spec->tls && strncmp(url, "http:", 5) != 0))
		return reg_fail(err, -EINVAL, "HTTP: \"%.60s\" is no URL of http or https", url);
	place += 3;
	spec->path = strchr(place, '/');
	return aim("HTTP", place, strcspn(place, "/"), spec->tls ? 443 : 80, of, spec, err);
}

static int read_grpc(const json_t *check, const char *target, const struct reg_backend *of,
	struct reg_check *spec, struct reg_err *err)
{
	const char *slash = strchr(target, '/');
	int rc = consul_flag(check, "GRPCUseTLS", &spec->tls, err);

	spec->service = slash && slash[1] ? slash + 1 : NULL;
	return rc ? rc : aim("GRPC", target, strcspn(target, "/"), 0, of, spec, err);
}

/* Of the fields that say what is probed, the first that is given. */
static int read_target(const json_t *check, const struct reg_backend *of, struct consul_checks *list,
	struct reg_check *spec, struct reg_err *err)
{
	const char *tcp, *http, *grpc;
	int rc = consul_text(check, "TCP", &tcp, err);

	if (!rc)
		rc = consul_text(check, "HTTP", &http, err);
	if (!rc)
		rc = consul_text(check, "GRPC", &grpc, err);
	if (!rc)
		rc = consul_text(check, "AliasService", &spec->alias, err);
	if (!rc)
		rc = consul_text(check, "AliasNode", &spec->alias_node, err);
	if (rc)
		return rc;
	spec->alias = spec->alias && spec->alias[0] ? spec->alias : NULL;
	spec->alias_node = spec->alias_node && spec->alias_node[0] ? spec->alias_node : NULL;
	if (tcp && tcp[0]) {
		spec->type = REG_CHECK_TCP;
		return aim("TCP", tcp, strlen(tcp), 0, of, spec, err);
	}
	if (http && http[0]) {
		spec->type = REG_CHECK_HTTP;
		return read_http(check, http, of, list, spec, err);
	}
	if (grpc && grpc[0]) {
		spec->type = REG_CHECK_GRPC;
		return read_grpc(check, grpc, of, spec, err);
	}
	spec->type = spec->alias || spec->alias_node ? REG_CHECK_ALIAS : REG_CHECK_TTL;
	return 0;
}

/* What is probed, and how often; or else how long the instance's word holds. */
static int read_kind(const json_t *check, const struct reg_backend *of, struct consul_checks *list,
	struct reg_check *spec, struct reg_err *err)
{
	int rc = read_target(check, of, list, spec, err);

	if (!rc && (spec->type == REG_CHECK_HTTP || spec->type == REG_CHECK_GRPC))
		rc = consul_flag(check, "TLSSkipVerify", &spec->tls_skip_verify, err);
	if (!rc)
		rc = consul_read_duration(
			check, spec->type == REG_CHECK_TTL ? "TTL" : "Interval", &spec->interval_ms, err);
	if (rc || spec->interval_ms || spec->type == REG_CHECK_ALIAS)
		return rc;
	if (spec->type == REG_CHECK_TTL)
		return reg_fail(
			err, -EINVAL, "Must define one of: TTL, TCP, HTTP, GRPC, AliasService, AliasNode");
	return reg_fail(err, -EINVAL, "Interval must be > 0 for TCP, HTTP and GRPC checks");
}

int consul_read_status(const json_t *check, enum reg_health *out, bool *given, struct reg_err *err)
{
	const char *text;
	int rc = consul_text(check, "Status", &text, err);

	*out = REG_CRITICAL;
	*given = !rc && text && text[0];
	if (!*given || strcmp(text, "critical") == 0)
		return rc;
	*out = strcmp(text, "passing") == 0 ? REG_PASSING : REG_WARNING;
	if (*out == REG_WARNING && strcmp(text, "warning") != 0)
		return reg_fail(err, -EINVAL, "Status: must be passing, warning or critical");
	return 0;
}

static int read_numbers(const json_t *check, struct reg_check *spec, struct reg_err *err)
{
	int64_t rise = 0, fall = 0, warn = 0, size = REG_OUTPUT_MAX;
	int rc = consul_number(check, "SuccessBeforePassing", 0, 100, &rise, err);

	if (!rc)
		rc = consul_number(check, "FailuresBeforeCritical", 0, 100, &fall, err);
	if (!rc)
		rc = consul_number(check, "FailuresBeforeWarning", 0, 100, &warn, err);
	if (!rc)
		rc = consul_number(check, "OutputMaxSize", 0, INT32_MAX, &size, err);
	spec->rise = (uint8_t)(rise ? rise : 1);
	spec->fall = (uint8_t)(fall ? fall : 1);
	spec->warn = (uint8_t)warn;
	spec->output_max = (uint16_t)(size > 0 && size < REG_OUTPUT_MAX ? size : REG_OUTPUT_MAX);
	return rc;
}

/* Its names; without an id it gets `id`, and without that its name. */
static int read_names(const json_t *check, const char *id, struct consul_checks *list, struct reg_check *spec,
	struct reg_err *err)
{
	const char *given, *other;
	char *room = list->id[list->n];
	int rc = consul_text(check, "CheckID", &given, err);

	if (!rc)
		rc = consul_text(check, "ID", &other, err);
	if (!rc)
		rc = consul_text(check, "Name", &spec->name, err);
	if (!rc)
		rc = consul_text(check, "Notes", &spec->notes, err);
	if (rc)
		return rc;
	if (!given || !given[0])
		given = other && other[0] ? other : id ? id : spec->name;
	if (!given || !given[0])
		return reg_fail(err, -EINVAL, "Missing check name");
	if (snprintf(room, sizeof(list->id[0]), "%s", given) >= (int)sizeof(list->id[0]))
		return reg_fail(err, -EINVAL, "CheckID: longer than %d bytes", REG_CHECK_ID_MAX);
	spec->id = room;
	return 0;
}

static int check_room(const struct consul_checks *list, struct reg_err *err)
{
	return list->n < REG_CHECKS_MAX ? 0 : reg_fail(err, -EINVAL, "Checks: more than %d", REG_CHECKS_MAX);
}

int consul_read_check(const json_t *check, const char *id, const struct reg_backend *of,
	struct consul_checks *list, struct reg_err *err)
{
	struct reg_check *spec = &list->spec[list->n];
	int rc = check_room(list, err);

	if (rc)
		return rc;
	*spec = (struct reg_check){.timeout_ms = TIMEOUT_MS};
	rc = refuse_others(check, err);
	if (!rc)
		rc = read_names(check, id, list, spec, err);
	if (!rc)
		rc = consul_read_status(check, &spec->initial, &spec->has_initial, err);
	if (!rc)
		rc = read_numbers(check, spec, err);
	if (!rc)
		rc = consul_read_duration(check, "Timeout", &spec->timeout_ms, err);
	if (!rc)
		rc = consul_read_duration(check, "DeregisterCriticalServiceAfter", &spec->reap_ms, err);
	if (!rc)
		rc = read_kind(check, of, list, spec, err);
	if (rc)
		return rc;
	if (spec->timeout_ms > TIMEOUT_MAX_MS)
		spec->timeout_ms = TIMEOUT_MAX_MS;
	list->body[list->n++] = check;
	return 0;
}

int consul_each_check(const json_t *body, int (*fn)(void *arg, const json_t *check, unsigned i, unsigned n),
	void *arg, struct reg_err *err)
{
	const json_t *one = consul_field(body, "Check"), *list = consul_field(body, "Checks"), *check;
	unsigned n, i = 0;
	size_t at;
	int rc = 0;

	if (list && !json_is_array(list))
		return reg_fail(err, -EINVAL, "Checks: must be a list");
	if (one && !json_is_object(one))
		return reg_fail(err, -EINVAL, "Check: must be an object");
	if (json_object_size(one) == 0) /* clients send one that is empty */
		one = NULL;
	n = (unsigned)json_array_size(list) + !!one;
	if (one)
		rc = fn(arg, one, i++, n);
	json_array_foreach (list, at, check) {
		if (rc < 0)
			break;
		if (!json_is_object(check))
			return reg_fail(err, -EINVAL, "Checks: must be a list of objects");
		rc = fn(arg, check, i++, n);
	}
	return rc;
}

struct reading {
	const struct reg_backend *of;
	struct consul_checks *list;
	struct reg_err *err;
};

/* Without an id it is service:ID, or one of service:ID:1, ... */
static int read_one(void *arg, const json_t *check, unsigned i, unsigned n)
{
	struct reading *reading = arg;
	char id[CONSUL_ID + 16];

	if (n > 1)
		snprintf(id, sizeof(id), CONSUL_OWN_CHECK "%s:%u", reading->of->id, i + 1);
	else
		snprintf(id, sizeof(id), CONSUL_OWN_CHECK "%s", reading->of->id);
	return consul_read_check(check, id, reading->of, reading->list, reading->err);
}

int consul_read_checks(
	const json_t *body, const struct reg_backend *of, struct consul_checks *list, struct reg_err *err)
{
	struct reading reading = {of, list, err};

	return consul_each_check(body, read_one, &reading, err);
}

int consul_read_result(const json_t *check, struct consul_checks *list, struct reg_err *err)
{
	struct reg_check *spec = &list->spec[list->n];
	int rc = check_room(list, err);

	if (rc)
		return rc;
	*spec = (struct reg_check){.type = REG_CHECK_TTL,
		.timeout_ms = TIMEOUT_MS,
		.rise = 1,
		.fall = 1,
		.has_initial = true,
		.output_max = REG_OUTPUT_MAX};
	rc = read_names(check, NULL, list, spec, err);
	if (!rc)
		rc = consul_read_status(check, &spec->initial, &spec->has_initial, err);
	if (!rc)
		rc = consul_text(check, "Type", &spec->kind, err);
	if (!rc)
		rc = consul_read_definition(check, list, spec, err);
	spec->has_initial = true;
	if (!rc)
		list->body[list->n++] = check;
	return rc;
}

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
static uint32_t read_ns(struct consul_body *in, const char *name, double ns, uint32_t absent)
{
	if (ns == 0)
		return absent;
	if (ns >= 1e6 && ns / 1e6 <= UINT32_MAX)
		return (uint32_t)(ns / 1e6);
	consul_bad(in, -EINVAL, "%s: %.0f ns is out of range 1ms..%ums (a number is one of nanoseconds)",
		name, ns, UINT32_MAX);
	return absent;
}

uint32_t consul_read_duration(struct consul_body *in, const char *name, uint32_t absent)
{
	const json_t *number = consul_field(in->json, name);
	const char *text;
	int64_t us = 0;

	if (json_is_number(number))
		return read_ns(in, name, json_number_value(number), absent);
	text = consul_text(in, name);
	if (!text ||
		(duration_parse(text, &us) == 0 && us == 0)) /* Go's library spells out what is not set */
		return absent;
	if (us < 1000 || us / 1000 > UINT32_MAX)
		consul_bad(in, -EINVAL, "%s: \"%.40s\" is no duration", name, text);
	return (uint32_t)(us / 1000);
}

/* What runs programs or speaks to others than the instance. */
static void refuse_others(struct consul_body *in)
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

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
		if (!consul_is_empty(consul_field(in->json, others[i].field)))
			consul_bad(in, -ENOTSUP, "%s: %s", others[i].field, others[i].why);
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
static void aim(struct consul_body *in, const char *field, const char *place, size_t len, uint16_t port,
	const struct reg_backend *of, struct reg_check *spec)
{
	struct ip_addr address;

	if (!read_place(place, place + len, &address, &port)) {
		consul_bad(in, -ENOTSUP,
			"%s: \"%.60s\" is not at an address and port (names are not looked up; IPv6 in "
			"brackets)",
			field, place);
	} else if (!of || !ip_equal(address, of->address) || port != of->port) {
		spec->address = address;
		spec->port = port;
	}
}

/* {"Header": {"X-Probe": ["a", "b"]}} */
static void read_headers(struct consul_body *in, struct consul_checks *list, struct reg_check *spec)
{
	const json_t *map = consul_field(in->json, "Header"), *values, *value;
	const char *name;
	size_t i;

	if (map && !json_is_object(map))
		consul_bad(in, -EINVAL, "Header: must be an object of lists");
	spec->headers = list->headers + list->nheader;
	json_object_foreach ((json_t *)map, name, values) {
		if (!json_is_array(values))
			consul_bad(in, -EINVAL, "Header: must be an object of lists");
		json_array_foreach (values, i, value) {
			if (!json_is_string(value))
				consul_bad(in, -EINVAL, "Header: must be an object of lists of strings");
			if (list->nheader == CONSUL_LIST) {
				consul_bad(in, -EINVAL, "Header: more than %d", CONSUL_LIST);
				return;
			}
			list->headers[list->nheader++] = (struct reg_pair){name, json_string_value(value)};
			spec->nheader++;
		}
	}
}

static void read_http(struct consul_body *in, const char *url, const struct reg_backend *of,
	struct consul_checks *list, struct reg_check *spec)
{
	const char *place = strstr(url, "://");

	spec->type = REG_CHECK_HTTP;
	spec->method = consul_text(in, "Method");
	spec->body = consul_text(in, "Body");
	read_headers(in, list, spec);
	spec->tls = strncmp(url, "https:", 6) == 0;
	if (!place || (!spec->tls && strncmp(url, "http:", 5) != 0)) {
		consul_bad(in, -EINVAL, "HTTP: \"%.60s\" is no URL of http or https", url);
		return;
	}
	place += 3;
	spec->path = strchr(place, '/');
	aim(in, "HTTP", place, strcspn(place, "/"), spec->tls ? 443 : 80, of, spec);
}

static void read_grpc(
	struct consul_body *in, const char *target, const struct reg_backend *of, struct reg_check *spec)
{
	const char *slash = strchr(target, '/');

	spec->type = REG_CHECK_GRPC;
	spec->tls = consul_flag(in, "GRPCUseTLS");
	spec->service = slash && slash[1] ? slash + 1 : NULL;
	aim(in, "GRPC", target, strcspn(target, "/"), 0, of, spec);
}

/* Of the fields that say what is probed, the first that is given. */
static void read_target(struct consul_body *in, const struct reg_backend *of, struct consul_checks *list,
	struct reg_check *spec)
{
	const char *tcp = consul_text(in, "TCP"), *http = consul_text(in, "HTTP"),
		   *grpc = consul_text(in, "GRPC");

	spec->alias = consul_text(in, "AliasService");
	spec->alias_node = consul_text(in, "AliasNode");
	spec->type = spec->alias || spec->alias_node ? REG_CHECK_ALIAS : REG_CHECK_TTL;
	if (tcp) {
		spec->type = REG_CHECK_TCP;
		aim(in, "TCP", tcp, strlen(tcp), 0, of, spec);
	} else if (http) {
		read_http(in, http, of, list, spec);
	} else if (grpc) {
		read_grpc(in, grpc, of, spec);
	}
}

/* What is probed, and how often; or else how long the instance's word holds. */
static void read_kind(struct consul_body *in, const struct reg_backend *of, struct consul_checks *list,
	struct reg_check *spec)
{
	read_target(in, of, list, spec);
	if (spec->type == REG_CHECK_HTTP || spec->type == REG_CHECK_GRPC)
		spec->tls_skip_verify = consul_flag(in, "TLSSkipVerify");
	spec->interval_ms = consul_read_duration(in, spec->type == REG_CHECK_TTL ? "TTL" : "Interval", 0);
	if (spec->interval_ms || spec->type == REG_CHECK_ALIAS)
		return;
	consul_bad(in, -EINVAL, "%s",
		spec->type == REG_CHECK_TTL
			? "Must define one of: TTL, TCP, HTTP, GRPC, AliasService, AliasNode"
			: "Interval must be > 0 for TCP, HTTP and GRPC checks");
}

enum reg_health consul_read_status(struct consul_body *in, bool *given)
{
	const char *text = consul_text(in, "Status");

	*given = text != NULL;
	if (!text || strcmp(text, "critical") == 0)
		return REG_CRITICAL;
	if (strcmp(text, "passing") == 0)
		return REG_PASSING;
	if (strcmp(text, "warning") != 0)
		consul_bad(in, -EINVAL, "Status: must be passing, warning or critical");
	return REG_WARNING;
}

static void read_numbers(struct consul_body *in, struct reg_check *spec)
{
	int64_t rise = consul_number(in, "SuccessBeforePassing", 0, 100, 0);
	int64_t fall = consul_number(in, "FailuresBeforeCritical", 0, 100, 0);
	int64_t warn = consul_number(in, "FailuresBeforeWarning", 0, 100, 0);
	int64_t size = consul_number(in, "OutputMaxSize", 0, INT32_MAX, REG_OUTPUT_MAX);

	spec->rise = (uint8_t)(rise ? rise : 1);
	spec->fall = (uint8_t)(fall ? fall : 1);
	spec->warn = (uint8_t)warn;
	spec->output_max = (uint16_t)(size > 0 && size < REG_OUTPUT_MAX ? size : REG_OUTPUT_MAX);
}

/* Its names; without an id it gets `id`, and without that its name. */
static void read_names(
	struct consul_body *in, const char *id, struct consul_checks *list, struct reg_check *spec)
{
	const char *given = consul_text(in, "CheckID"), *other = consul_text(in, "ID");
	char *room = list->id[list->n];

	spec->name = consul_text(in, "Name");
	spec->notes = consul_text(in, "Notes");
	if (!given)
		given = other ? other : id ? id : spec->name;
	if (!given)
		consul_bad(in, -EINVAL, "Missing check name");
	else if (snprintf(room, sizeof(list->id[0]), "%s", given) >= (int)sizeof(list->id[0]))
		consul_bad(in, -EINVAL, "CheckID: longer than %d bytes", REG_CHECK_ID_MAX);
	spec->id = room;
}

static bool has_room(struct consul_body *in, const struct consul_checks *list)
{
	return list->n < REG_CHECKS_MAX || !consul_bad(in, -EINVAL, "Checks: more than %d", REG_CHECKS_MAX);
}

int consul_read_check(const json_t *check, const char *id, const struct reg_backend *of,
	struct consul_checks *list, struct reg_err *err)
{
	struct reg_check *spec = &list->spec[list->n];
	struct consul_body in = {check, err, 0};

	if (!has_room(&in, list))
		return in.rc;
	*spec = (struct reg_check){0};
	refuse_others(&in);
	read_names(&in, id, list, spec);
	spec->initial = consul_read_status(&in, &spec->has_initial);
	read_numbers(&in, spec);
	spec->timeout_ms = consul_read_duration(&in, "Timeout", TIMEOUT_MS);
	spec->reap_ms = consul_read_duration(&in, "DeregisterCriticalServiceAfter", 0);
	read_kind(&in, of, list, spec);
	if (in.rc)
		return in.rc;
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
	struct consul_body in = {check, err, 0};

	if (!has_room(&in, list))
		return in.rc;
	*spec = (struct reg_check){.type = REG_CHECK_TTL,
		.timeout_ms = TIMEOUT_MS,
		.rise = 1,
		.fall = 1,
		.output_max = REG_OUTPUT_MAX};
	read_names(&in, NULL, list, spec);
	spec->initial = consul_read_status(&in, &spec->has_initial);
	spec->has_initial = true;
	spec->kind = consul_text(&in, "Type");
	consul_read_definition(&in, list, spec);
	if (!in.rc)
		list->body[list->n++] = check;
	return in.rc;
}

/*
 * consul_check_read.c: the check of a registration. A probe starts in the network of the instance's service,
 * or in the host when it goes to the loopback; it goes to an address, never to a name.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/consul.h"
#include "registry/duration.h"

enum { TIMEOUT_MS = 10000, TIMEOUT_MAX_MS = 600000 };

static int read_duration(const json_t *check, const char *name, uint32_t *ms, struct reg_err *err)
{
	const char *text;
	int64_t us;
	int rc = consul_text(check, name, &text, err);

	if (rc || !text || !text[0])
		return rc;
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
		{"Header", "http checks send no headers of their own"},
		{"Body", "http checks send no body"},
		{"AliasNode", "this type of check is not served yet"},
		{"AliasService", "this type of check is not served yet"},
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		const json_t *value = consul_field(check, others[i].field);

		if (value && !(json_is_string(value) && json_string_length(value) == 0) &&
			!(json_is_array(value) && json_array_size(value) == 0) &&
			!(json_is_object(value) && json_object_size(value) == 0))
			return reg_fail(err, -ENOTSUP, "%s: %s", others[i].field, others[i].why);
	}
	return 0;
}

/* "HOST:PORT" before `end`, the port optional when `port` has one. False: it is none. */
static bool read_place(const char *text, const char *end, uint32_t *address, uint16_t *port)
{
	const char *colon = memchr(text, ':', (size_t)(end - text));
	size_t len = (size_t)((colon ? colon : end) - text);
	char host[INET_ADDRSTRLEN] = "";
	unsigned long number = *port;
	char *after = (char *)end;

	if (len >= sizeof(host))
		return false;
	memcpy(host, text, len);
	if (colon)
		number = strtoul(colon + 1, &after, 10);
	*port = (uint16_t)number;
	return after == end && number >= 1 && number <= 65535 &&
	       inet_pton(AF_INET, strcmp(host, "localhost") ? host : "127.0.0.1", address) == 1;
}

/* The probe goes to the `len` bytes of `place`: the instance itself, or another address. */
static int aim(const char *field, const char *place, size_t len, uint16_t port,
	struct consul_registration *read, struct reg_err *err)
{
	struct reg_check *spec = &read->backend.check;
	uint32_t address;

	if (!read_place(place, place + len, &address, &port))
		return reg_fail(err, -ENOTSUP,
			"%s: \"%.60s\" is not at an IPv4 address and port (names are not looked up)", field,
			place);
	if (address == read->backend.address && port == read->backend.port)
		return 0;
	spec->address = address;
	spec->port = port;
	return 0;
}

static int read_tcp(const char *target, struct consul_registration *read, struct reg_err *err)
{
	read->backend.check.type = REG_CHECK_TCP;
	return aim("TCP", target, strlen(target), 0, read, err);
}

static int read_http(
	const json_t *check, const char *url, struct consul_registration *read, struct reg_err *err)
{
	struct reg_check *spec = &read->backend.check;
	const char *place = strstr(url, "://"), *method;
	int rc = consul_text(check, "Method", &method, err);

	if (rc)
		return rc;
	if (method && method[0] && strcmp(method, "GET") != 0)
		return reg_fail(err, -ENOTSUP, "Method: http checks ask by GET");
	spec->type = REG_CHECK_HTTP;
	spec->tls = strncmp(url, "https:", 6) == 0;
	if (!place || (!spec->tls && strncmp(url, "http:", 5) != 0))
		return reg_fail(err, -EINVAL, "HTTP: \"%.60s\" is no URL of http or https", url);
	place += 3;
	spec->path = strchr(place, '/');
	return aim("HTTP", place, strcspn(place, "/"), spec->tls ? 443 : 80, read, err);
}

static int read_grpc(
	const json_t *check, const char *target, struct consul_registration *read, struct reg_err *err)
{
	struct reg_check *spec = &read->backend.check;
	const char *slash = strchr(target, '/');
	int rc = consul_flag(check, "GRPCUseTLS", &spec->tls, err);

	spec->type = REG_CHECK_GRPC;
	spec->service = slash && slash[1] ? slash + 1 : NULL;
	return rc ? rc : aim("GRPC", target, strcspn(target, "/"), 0, read, err);
}

/* What is probed, and how often; or else how long the instance's word holds. */
static int read_kind(const json_t *check, struct consul_registration *read, struct reg_err *err)
{
	struct reg_check *spec = &read->backend.check;
	const char *tcp, *http, *grpc;
	int rc = consul_text(check, "TCP", &tcp, err);

	if (!rc)
		rc = consul_text(check, "HTTP", &http, err);
	if (!rc)
		rc = consul_text(check, "GRPC", &grpc, err);
	if (rc)
		return rc;
	if (tcp && tcp[0])
		rc = read_tcp(tcp, read, err);
	else if (http && http[0])
		rc = read_http(check, http, read, err);
	else if (grpc && grpc[0])
		rc = read_grpc(check, grpc, read, err);
	else
		spec->type = REG_CHECK_TTL;
	if (!rc && (spec->type == REG_CHECK_HTTP || spec->type == REG_CHECK_GRPC))
		rc = consul_flag(check, "TLSSkipVerify", &spec->tls_skip_verify, err);
	if (!rc)
		rc = read_duration(
			check, spec->type == REG_CHECK_TTL ? "TTL" : "Interval", &spec->interval_ms, err);
	if (rc || spec->interval_ms)
		return rc;
	if (spec->type == REG_CHECK_TTL)
		return reg_fail(err, -EINVAL, "Must define one of: TTL, TCP, HTTP, GRPC");
	return reg_fail(err, -EINVAL, "Interval must be > 0 for TCP, HTTP and GRPC checks");
}

static int read_status(const json_t *check, enum reg_health *out, struct reg_err *err)
{
	const char *text;
	int rc = consul_text(check, "Status", &text, err);

	*out = REG_CRITICAL;
	if (rc || !text || !text[0] || strcmp(text, "critical") == 0)
		return rc;
	*out = strcmp(text, "passing") == 0 ? REG_PASSING : REG_WARNING;
	if (*out == REG_WARNING && strcmp(text, "warning") != 0)
		return reg_fail(err, -EINVAL, "Status: must be passing, warning or critical");
	return 0;
}

static int read_thresholds(const json_t *check, struct reg_check *spec, struct reg_err *err)
{
	int64_t rise = 0, fall = 0;
	int rc = consul_number(check, "SuccessBeforePassing", 0, 99, &rise, err);

	if (!rc)
		rc = consul_number(check, "FailuresBeforeCritical", 0, 99, &fall, err);
	spec->rise = (uint8_t)(rise + 1); /* Consul counts those that do not count yet */
	spec->fall = (uint8_t)(fall + 1);
	return rc;
}

int consul_read_check(const json_t *check, struct consul_registration *read, struct reg_err *err)
{
	struct reg_check *spec = &read->backend.check;
	const char *id;
	int rc = refuse_others(check, err);

	*spec = (struct reg_check){.timeout_ms = TIMEOUT_MS};
	if (!rc)
		rc = consul_text(check, "CheckID", &read->check, err);
	if (!rc)
		rc = consul_text(check, "ID", &id, err);
	if (!rc)
		rc = consul_text(check, "Name", &read->check_name, err);
	if (!rc)
		rc = consul_text(check, "Notes", &read->notes, err);
	if (!rc)
		rc = read_status(check, &read->initial, err);
	if (!rc)
		rc = read_thresholds(check, spec, err);
	if (!rc)
		rc = read_duration(check, "Timeout", &spec->timeout_ms, err);
	if (!rc)
		rc = read_duration(check, "DeregisterCriticalServiceAfter", &spec->reap_ms, err);
	if (!rc)
		rc = read_kind(check, read, err);
	if (rc)
		return rc;
	if (spec->timeout_ms > TIMEOUT_MAX_MS)
		spec->timeout_ms = TIMEOUT_MAX_MS;
	read->check = read->check && read->check[0] ? read->check : id && id[0] ? id : NULL;
	read->backend.has_check = true;
	return 0;
}

int consul_read_checks(const json_t *body, struct consul_registration *read, struct reg_err *err)
{
	const json_t *one = consul_field(body, "Check"), *list = consul_field(body, "Checks");

	if (list && !json_is_array(list))
		return reg_fail(err, -EINVAL, "Checks: must be a list");
	if (json_array_size(list) + !!one > 1)
		return reg_fail(err, -ENOTSUP, "Checks: an instance has one check");
	if (!one)
		one = json_array_get(list, 0);
	if (one && !json_is_object(one))
		return reg_fail(err, -EINVAL, "Check: must be an object");
	return one && json_object_size(one) ? consul_read_check(one, read, err) : 0;
}

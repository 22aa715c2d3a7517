/*
 * consul_check_read.c: the check of a registration. What Consul would probe somewhere else than at the
 * instance is refused: a check here is of its instance, and its probe starts in the instance's network.
 */
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
		{"HTTP", "this type of check is not served yet"},
		{"GRPC", "this type of check is not served yet"},
		{"UDP", "this type of check is not served"},
		{"H2PING", "this type of check is not served"},
		{"OSService", "this type of check is not served"},
		{"AliasNode", "this type of check is not served yet"},
		{"AliasService", "this type of check is not served yet"},
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		const json_t *value = consul_field(check, others[i].field);

		if (value && !(json_is_string(value) && json_string_length(value) == 0) &&
			!(json_is_array(value) && json_array_size(value) == 0))
			return reg_fail(err, -ENOTSUP, "%s: %s", others[i].field, others[i].why);
	}
	return 0;
}

/* The instance's own address, as "ADDRESS:PORT"? */
static bool is_own(const struct reg_backend *backend, const char *target)
{
	char own[REG_ADDRESS];

	reg_address(own, backend->address, backend->port);
	return backend->address && strcmp(own, target) == 0;
}

static int read_tcp(
	const json_t *check, const char *target, struct consul_registration *read, struct reg_err *err)
{
	struct reg_check *spec = &read->backend.check;
	int rc;

	if (!is_own(&read->backend, target))
		return reg_fail(err, -ENOTSUP,
			"TCP: \"%.60s\" is not the address and port of the instance, which alone is probed",
			target);
	spec->type = REG_CHECK_TCP;
	rc = read_duration(check, "Interval", &spec->interval_ms, err);
	if (!rc && !spec->interval_ms)
		rc = reg_fail(err, -EINVAL, "Interval must be > 0 for TCP checks");
	return rc;
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
	const char *id, *tcp;
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
		rc = consul_text(check, "TCP", &tcp, err);
	if (!rc && tcp && tcp[0])
		rc = read_tcp(check, tcp, read, err);
	else if (!rc)
		rc = read_duration(check, "TTL", &spec->interval_ms, err);
	if (rc)
		return rc;
	if (spec->type == REG_CHECK_NONE && !spec->interval_ms)
		return reg_fail(err, -EINVAL, "Must define one of: TTL, TCP");
	if (spec->type == REG_CHECK_NONE)
		spec->type = REG_CHECK_TTL;
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

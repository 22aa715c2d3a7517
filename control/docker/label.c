#include "control/docker/label.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/methods/service_json.h"

#define OURS "sluice."
#define CHECK "sluice.check"
#define COMPOSE "com.docker.compose."

static int read_number(
	const char *label, const char *text, int64_t min, int64_t max, int64_t *out, struct api_err *err)
{
	char *end;

	errno = 0;
	*out = strtoll(text, &end, 10);
	if (errno || text[0] < '0' || text[0] > '9' || *end || *out < min || *out > max)
		return api_fail(err, API_INVALID, label, "must be a number in %lld..%lld", (long long)min,
			(long long)max);
	return 0;
}

/* A label is text; the fields of a check have types. */
static int read_check(const char *label, const char *text, json_t *check, struct api_err *err)
{
	const char *name = label[strlen(CHECK)] ? label + strlen(CHECK ".") : "type";
	const struct api_field *field = schema_field(check_fields, name);
	int64_t number;

	if (!field)
		return api_fail(err, API_INVALID, NULL,
			"label %.64s: unknown; a check has no field \"%.32s\"", label, name);
	if (field->type == API_INT) {
		if (read_number(label, text, 0, INT32_MAX, &number, err) < 0)
			return -1;
		json_object_set_new(check, name, json_integer(number));
	} else if (field->type == API_BOOL && strcmp(text, "true") != 0 && strcmp(text, "false") != 0) {
		return api_fail(err, API_INVALID, label, "must be true or false");
	} else {
		json_object_set_new(check, name,
			field->type == API_BOOL ? json_boolean(text[0] == 't') : json_string(text));
	}
	return 0;
}

static int read_ours(const char *label, const char *text, struct docker_label *out, struct api_err *err)
{
	int64_t number = 0;
	int rc;

	if (strcmp(label, "sluice.service") == 0) {
		out->service = text;
		return 0;
	}
	if (strcmp(label, "sluice.port") == 0) {
		rc = read_number(label, text, 1, 65535, &number, err);
		out->port = (int)number;
		return rc;
	}
	if (strcmp(label, "sluice.weight") == 0) {
		rc = read_number(label, text, 0, 65535, &number, err);
		out->weight = (int)number;
		return rc;
	}
	if (strncmp(label, CHECK, strlen(CHECK)) == 0 && strchr(".", label[strlen(CHECK)])) {
		out->check = out->check ? out->check : json_object();
		return read_check(label, text, out->check, err);
	}
	return api_fail(err, API_INVALID, NULL,
		"label %.64s: unknown; there are sluice.service, sluice.port, sluice.weight and sluice.check",
		label);
}

static int read_one(const char *label, const json_t *value, struct docker_label *out, struct api_err *err)
{
	const char *text = json_string_value(value);

	if (strncmp(label, OURS, strlen(OURS)) == 0)
		return text ? read_ours(label, text, out, err)
			    : api_fail(err, API_INVALID, label, "must be a string");
	if (strcmp(label, COMPOSE "service") == 0)
		out->compose = text;
	if (strcmp(label, COMPOSE "project") == 0)
		out->project = text;
	if (strcmp(label, COMPOSE "oneoff") == 0)
		out->one_off = text && strcmp(text, "True") == 0;
	return 0;
}

int docker_label_read(const json_t *labels, struct docker_label *out, struct api_err *err)
{
	json_t *value, *checked = NULL;
	const char *label;
	int rc = 0;

	*out = (struct docker_label){.port = -1, .weight = 1};
	json_object_foreach ((json_t *)labels, label, value) {
		rc = read_one(label, value, out, err);
		if (rc < 0)
			break;
	}
	if (rc == 0 && out->check)
		rc = schema_check(check_fields, out->check, CHECK ".", &checked, err);
	json_decref(out->check);
	out->check = checked;
	return rc;
}

/*
 * Backends: the instances of a service.
 */
#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/base/result.h"
#include "control/methods/list.h"
#include "control/methods/service_json.h"
#include "control/model/objects.h"

static const char *const statuses[] = {"passing", "warning", "critical", NULL};

static const struct reg_service *need_service(struct model *model, const json_t *params, struct api_err *err)
{
	const char *name = param_str(params, "service");
	const struct reg_service *service = registry_service_find(model->registry, name);

	if (!service)
		api_fail(err, API_NOT_FOUND, "service", "no such service \"%s\"", name);
	return service;
}

/* The backend that the parameters name, which the caller copies before it changes the registry. */
static const struct reg_backend *need_backend(struct model *model, const json_t *params, struct api_err *err)
{
	const struct reg_service *service = need_service(model, params, err);
	uint16_t port = (uint16_t)param_int(params, "port", 0);
	const struct reg_backend *backend;
	struct ip_addr address = {0};
	char text[IP_PORT_TEXT];

	if (!service)
		return NULL;
	ip_parse(param_str(params, "address"), &address);
	backend = registry_backend_at(model->registry, service->name, address, port);
	if (!backend)
		api_fail(err, API_NOT_FOUND, "address", "service %s has no backend %s", service->name,
			ip_port_text(address, port, text));
	return backend;
}

static json_t *result_of(struct model *model, const char *service, const char *id)
{
	const struct reg_backend *backend = registry_backend_find(model->registry, service, id);

	return backend ? service_backend_json(model, registry_service_find(model->registry, service), backend)
		       : json_object();
}

static API_HANDLER(backend_add)
{
	const struct reg_service *service = need_service(model, params, err);
	struct reg_backend backend = {.weight = 1};
	struct reg_err why = {""};
	struct reg_check check;
	int rc;

	if (!service)
		return -1;
	snprintf(backend.source, sizeof(backend.source), "%s", source);
	service_backend_read(params, &backend, &check);
	rc = registry_backend_add(model->registry, param_str(params, "service"), &backend, &why);
	if (rc < 0)
		return model_refused(err, rc, why.text);
	model_changed(model, "backend.add", source, params);
	*result = result_of(model, param_str(params, "service"), backend.id);
	return 0;
}

/* A copy of the backend, to be changed; what it points to is the registry's. */
static int copy_backend(
	struct model *model, const json_t *params, struct reg_backend *copy, struct api_err *err)
{
	const struct reg_backend *backend = need_backend(model, params, err);

	if (!backend)
		return -1;
	*copy = *backend;
	return 0;
}

static int put_backend(struct model *model, const char *method, const char *source, const json_t *params,
	const struct reg_backend *backend, json_t **result, struct api_err *err)
{
	const char *service = param_str(params, "service");
	struct reg_err why = {""};
	int rc = registry_backend_set(model->registry, service, backend, &why);

	if (rc < 0)
		return model_refused(err, rc, why.text);
	model_changed(model, method, source, params);
	*result = result_of(model, service, backend->id);
	return 0;
}

static API_HANDLER(backend_set)
{
	struct reg_backend backend;
	struct reg_check check;

	if (copy_backend(model, params, &backend, err) < 0)
		return -1;
	service_backend_change(params, &backend, &check);
	return put_backend(model, "backend.set", source, params, &backend, result, err);
}

static int put_drained(struct model *model, bool drained, const char *source, json_t *params, json_t **result,
	struct api_err *err)
{
	struct reg_backend backend;

	if (copy_backend(model, params, &backend, err) < 0)
		return -1;
	backend.drained = drained;
	backend.has_drain_ms = param_given(params, "deadline_ms");
	backend.drain_ms = (uint32_t)param_int(params, "deadline_ms", 0);
	return put_backend(
		model, drained ? "backend.drain" : "backend.undrain", source, params, &backend, result, err);
}

static API_HANDLER(backend_drain)
{
	return put_drained(model, true, source, params, result, err);
}

static API_HANDLER(backend_undrain)
{
	return put_drained(model, false, source, params, result, err);
}

static API_HANDLER(backend_del)
{
	const struct reg_backend *backend = need_backend(model, params, err);
	struct reg_err why = {""};
	char id[REG_ID_MAX + 1];
	int rc;

	if (!backend)
		return -1;
	memcpy(id, backend->id, sizeof(id));
	rc = registry_backend_del(model->registry, param_str(params, "service"), id, &why);
	if (rc < 0)
		return model_refused(err, rc, why.text);
	model_changed(model, "backend.del", source, params);
	return 0;
}

static API_HANDLER(backend_check)
{
	static const enum reg_health healths[] = {REG_PASSING, REG_WARNING, REG_CRITICAL};
	const struct reg_backend *backend = need_backend(model, params, err);
	const char *output = param_str(params, "output"), *service = param_str(params, "service"),
		   *check = param_str(params, "check");
	enum reg_health health = REG_PASSING;
	struct reg_err why = {""};
	char id[REG_ID_MAX + 1];
	int rc;

	if (!backend)
		return -1;
	memcpy(id, backend->id, sizeof(id));
	for (unsigned i = 0; statuses[i]; i++)
		if (!strcmp(param_str(params, "status"), statuses[i]))
			health = healths[i];
	rc = registry_backend_beat(model->registry, service, id, check, health, output ? output : "", &why);
	if (rc < 0)
		return model_refused(err, rc, why.text);
	*result = result_of(model, service, id);
	return 0;
}

enum { PART = 64 }; /* backends told in one go */

struct listing {
	struct model *model;
	json_t *list;
};

static bool list_backend(void *arg, const char *service, const struct reg_backend *backend)
{
	struct listing *listing = arg;
	json_t *object = service_backend_json(
		listing->model, registry_service_find(listing->model->registry, service), backend);

	put_str(object, "service", service);
	json_array_append_new(listing->list, object);
	return json_array_size(listing->list) < PART;
}

static bool backend_list_part(struct model *model, const json_t *params, struct api_at *at, json_t *list)
{
	const char *only = param_str(params, "service");
	struct listing listing = {model, list};

	if (only)
		return !registry_instances_in(model->registry, only, &at->name, list_backend, &listing);
	return !registry_instances(model->registry, &at->name, list_backend, &listing);
}

static API_HANDLER(backend_list)
{
	if (param_given(params, "service") && !need_service(model, params, err))
		return -1;
	*result = json_array();
	return 0;
}

/* clang-format off */
#define BACKEND_KEY \
	{"service", API_SERVICE, "that it provides", .required = true, .positional = true}, \
	{"address", API_IP, "where it listens; an IPv6 one is in brackets in ADDRESS:PORT", .required = true, .positional = true}, \
	{"port", API_INT, "where it listens", .required = true, .positional = true, .min = 1, .max = 65535}
/* clang-format on */

static const struct api_field add_fields[] = {
	BACKEND_KEY,
	{"weight", API_INT, "share of the connections; 0: no new ones", .min = 0, .max = 65535, .def = "1"},
	{"warning_weight", API_INT, "the same while its check warns (default: as weight)", .min = 0,
		.max = 65535},
	{"id", API_STRING, "key within the service (default ADDRESS:PORT)", .min = 1, .max = REG_ID_MAX},
	{"check", API_OBJECT, "that it must pass instead of the service's", .fields = check_fields},
	{NULL},
};

static const struct api_field set_fields[] = {
	BACKEND_KEY,
	{"weight", API_INT, "share of the connections; 0: no new ones", .min = 0, .max = 65535},
	{"warning_weight", API_INT, "the same while its check warns", .min = 0, .max = 65535},
	{"check", API_OBJECT, "that it must pass instead of the service's", .fields = check_fields},
	{NULL},
};

static const struct api_field check_call_fields[] = {
	BACKEND_KEY,
	{"status", API_ENUM, "how it is", .required = true, .choices = statuses},
	{"output", API_STRING, "in words", .min = 0, .max = 127},
	{"check", API_STRING, "id of the check, if it has several (default: its first ttl check)", .min = 1,
		.max = REG_CHECK_ID_MAX},
	{NULL},
};

static const struct api_field drain_fields[] = {
	BACKEND_KEY,
	{"deadline_ms", API_INT,
		"how long its connections go on, from the begin of its draining; 0: until they end "
		"(default: the service's drain_ms)",
		.max = REG_DRAIN_MAX_MS},
	{NULL},
};

const struct api_method backend_methods[] = {
	{"backend.add", "Register an instance of a service", add_fields, backend_add, true},
	{"backend.set", "Change a backend", set_fields, backend_set, true},
	{"backend.del", "Deregister a backend", API_FIELDS(BACKEND_KEY), backend_del, true},
	{"backend.drain", "Give a backend no new connections", drain_fields, backend_drain, true},
	{"backend.undrain", "Give it new connections again", API_FIELDS(BACKEND_KEY), backend_undrain, true},
	{"backend.check", "Say how a backend with a ttl check is", check_call_fields, backend_check, true},
	{"backend.list", "List backends",
		API_FIELDS({"service", API_SERVICE, "only its backends", .positional = true}), backend_list,
		false,
		"service,address,port,weight,health,balanced,connections,drain_left_ms,packets,bytes,source",
		backend_list_part},
	{NULL},
};

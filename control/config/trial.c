/* trial.c: checks services and backends by putting them into a registry that is then thrown away. */
#include <errno.h>
#include <event2/event.h>
#include <string.h>

#include "control/config/check.h"
#include "control/config/sections.h"
#include "control/methods/service_json.h"
#include "registry/registry.h"

static void apply(void *ctx, const struct reg_service *service, const struct reg_backend *const *backends,
	size_t nbackend, bool gone, uint64_t generation)
{
}

/* The loop never runs, so no check begins. */
static int no_socket(void *ctx, const char *network, int domain, int type)
{
	return -ENOTSUP;
}

static bool reaches(void *ctx, const char *network, struct ip_addr address)
{
	return true;
}

static int port_state(void *ctx, const char *network, struct ip_addr address)
{
	return -1;
}

static void no_log(void *ctx, int level, const char *about, const char *line) {}

static int try_service(struct registry *registry, const json_t *params, struct reg_err *why)
{
	struct reg_service service = {.policy = "maglev", .source = "config"};

	strcpy(service.name, json_string_value(json_object_get(params, "name")));
	service_params_read(params, &service);
	return registry_service_add(registry, &service, why);
}

static int try_backend(struct registry *registry, const json_t *params, struct reg_err *why)
{
	struct reg_backend backend = {.weight = 1, .source = "config"};
	struct reg_check check;

	service_backend_read(params, &backend, &check);
	return registry_backend_add(
		registry, json_string_value(json_object_get(params, "service")), &backend, why);
}

static int try_all(struct registry *registry, const json_t *config, const char *section,
	int (*fn)(struct registry *registry, const json_t *params, struct reg_err *why), struct api_err *err)
{
	const json_t *list = json_object_get(config, section);
	struct config_location at = {section, 0};
	struct reg_err why = {""};

	for (; at.index < json_array_size(list); at.index++)
		if (fn(registry, json_array_get(list, at.index), &why) < 0)
			return config_fail_line(at, err, API_INVALID, why.text);
	return 0;
}

int config_trial(const json_t *config, struct api_err *err)
{
	struct registry_sink sink = {
		.apply = apply,
		.socket = no_socket,
		.reaches = reaches,
		.port_state = port_state,
		.log = no_log,
	};
	struct event_base *base = event_base_new();
	struct registry *registry = NULL;
	int rc;

	if (!base || registry_new(base, &sink, &registry) < 0) {
		rc = api_fail(err, API_INTERNAL, NULL, "out of memory");
		goto out;
	}
	registry_batch_begin(registry);
	rc = try_all(registry, config, "services", try_service, err);
	if (!rc)
		rc = try_all(registry, config, "backends", try_backend, err);
	registry_batch_end(registry);
out:
	registry_free(registry);
	if (base)
		event_base_free(base);
	return rc;
}

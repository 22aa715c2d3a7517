#include "control/docker/container.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/docker/address.h"
#include "control/docker/label.h"
#include "control/methods/service_json.h"
#include "control/model/model.h"

enum { SIGRT_FIRST = 34 }; /* Docker's RTMIN */

__attribute__((format(printf, 2, 3))) static void complain(
	const struct docker_container *container, const char *fmt, ...)
{
	char text[API_TEXT];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	log_subject(LOG_WARNING, container->id, "docker: container %s: %s", container->name, text);
}

static bool is_among(const struct docker_instance *instances, unsigned n, const struct docker_instance *one)
{
	for (unsigned i = 0; i < n; i++)
		if (strcmp(instances[i].service, one->service) == 0 && strcmp(instances[i].id, one->id) == 0)
			return true;
	return false;
}

static const struct reg_backend *registered(struct docker *docker, const struct docker_instance *instance)
{
	const struct reg_backend *backend =
		registry_backend_find(model_registry(docker->model), instance->service, instance->id);

	return backend && strcmp(backend->source, "docker") == 0 ? backend : NULL;
}

static void deregister(struct docker *docker, const struct docker_instance *instance)
{
	struct reg_err err;

	if (registered(docker, instance))
		registry_backend_del(model_registry(docker->model), instance->service, instance->id, &err);
}

/* Docker's own check, or what stands for it while the container is paused. True: there is one. */
static bool read_health(const struct docker_container *container, struct reg_check *check)
{
	bool passing = !container->paused && strcmp(container->health, "healthy") == 0;

	*check = (struct reg_check){.type = REG_CHECK_TTL,
		.timeout_ms = 1, /* of those that probe, but it has a range */
		.rise = 1,
		.fall = 1,
		.has_initial = true,
		.initial = passing ? REG_PASSING : REG_CRITICAL,
		.id = "docker",
		.name = "Docker's health"};
	return container->paused || container->health[0];
}

static void tell_health(struct docker *docker, const struct docker_container *container,
	const struct docker_instance *instance, const struct reg_check *check)
{
	struct reg_err err;

	registry_backend_beat(model_registry(docker->model), instance->service, instance->id, check->id,
		check->initial, container->paused ? "paused" : container->health, &err);
}

/* What a user has drained stays drained. */
static bool is_drained(struct docker *docker, const struct docker_container *container,
	const struct docker_instance *instance)
{
	const struct reg_backend *is = registered(docker, instance);

	return container->stopping || (is && is->drained && !container->drained);
}

static void register_one(struct docker *docker, const struct docker_container *container,
	const struct docker_instance *instance)
{
	const char *tags[] = {container->project};
	const struct reg_pair meta[] = {{"container", container->name}};
	const struct reg_metadata metadata = {.tags = tags,
		.ntag = container->project[0] != '\0',
		.meta = meta,
		.nmeta = sizeof(meta) / sizeof(meta[0])};
	struct reg_backend backend = {.address = instance->address,
		.port = container->port,
		.weight = container->weight,
		.metadata = &metadata,
		.source = "docker"};
	struct reg_check checks[2];
	struct reg_err why;
	bool has_health = read_health(container, &checks[0]);

	backend.ncheck = has_health;
	if (container->check) {
		service_check_read(container->check, &checks[backend.ncheck]);
		checks[backend.ncheck++].id = "label";
	}
	backend.checks = checks;
	backend.own_checks = backend.ncheck > 0;
	backend.drained = is_drained(docker, container, instance);
	snprintf(backend.id, sizeof(backend.id), "%s", instance->id);
	if (registry_backend_put(model_registry(docker->model), instance->service, &backend, &why) < 0)
		complain(container, "is no instance of service %.64s: %s", instance->service, why.text);
	else if (has_health)
		tell_health(docker, container, instance, &checks[0]);
}

void docker_container_apply(struct docker *docker, struct docker_container *container)
{
	struct registry *registry = model_registry(docker->model);

	registry_batch_begin(registry);
	for (unsigned i = 0; i < container->n; i++)
		register_one(docker, container, &container->instances[i]);
	container->drained = container->stopping;
	registry_batch_end(registry);
}

static void replace(struct docker *docker, struct docker_container *container,
	struct docker_instance *instances, unsigned n)
{
	struct registry *registry = model_registry(docker->model);

	registry_batch_begin(registry);
	for (unsigned i = 0; i < container->n; i++)
		if (!is_among(instances, n, &container->instances[i]))
			deregister(docker, &container->instances[i]);
	free(container->instances);
	container->instances = instances;
	container->n = n;
	registry_batch_end(registry);
}

void docker_container_clear(struct docker *docker, struct docker_container *container)
{
	replace(docker, container, NULL, 0);
	json_decref(container->check);
	container->check = NULL;
}

/* "SIGQUIT", "QUIT", "3", "RTMIN+3" */
static int read_signal(const char *text)
{
	const char *name = text && strncmp(text, "SIG", 3) == 0 ? text + 3 : text;

	if (!name || !name[0])
		return SIGTERM;
	if (name[0] >= '0' && name[0] <= '9')
		return atoi(name);
	if (strncmp(name, "RTMIN", 5) == 0)
		return SIGRT_FIRST + atoi(name + 5);
	for (int i = 1; i < SIGRT_FIRST; i++)
		if (sigabbrev_np(i) && strcmp(sigabbrev_np(i), name) == 0)
			return i;
	return SIGTERM;
}

/* The one TCP port that it exposes; 0: none, or several. */
static int exposed_port(const json_t *config)
{
	const char *name;
	json_t *value;
	int port = 0;

	json_object_foreach (json_object_get(config, "ExposedPorts"), name, value) {
		const char *slash = strchr(name, '/');

		if (!slash || strcmp(slash, "/tcp") != 0)
			continue;
		if (port)
			return 0;
		port = atoi(name);
	}
	return port > 0 && port <= 65535 ? port : 0;
}

struct reading {
	struct docker_container *container;
	struct docker_instance *instances;
	unsigned n;
};

static void add_name(struct reading *reading, const char *service, const char *endpoint, struct ip_addr ip)
{
	struct docker_instance *one = &reading->instances[reading->n];

	if (!service || !service[0] || strlen(service) > REG_SERVICE_MAX)
		return;
	if (reading->n == CONTAINER_NAMES) {
		complain(reading->container, "has more than %d names: %.64s is left out", CONTAINER_NAMES,
			service);
		return;
	}
	snprintf(one->service, sizeof(one->service), "%s", service);
	docker_name(endpoint, one->id);
	one->address = ip;
	if (!is_among(reading->instances, reading->n, one))
		reading->n++;
}

/* The first of its id, which Docker adds to the aliases, is no name that anybody has given. */
static void add_aliases(
	struct reading *reading, const json_t *aliases, const char *endpoint, struct ip_addr ip)
{
	const char *id = reading->container->id;
	json_t *alias;
	size_t i;

	json_array_foreach (aliases, i, alias) {
		const char *name = json_string_value(alias);

		/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): an array of a struct is never NULL */
		if (name && strncmp(name, id, DOCKER_SHORT) != 0)
			add_name(reading, name, endpoint, ip);
	}
}

/* Its names in one network, if that is one of ours. */
static void add_network(struct docker *docker, struct reading *reading, const struct docker_label *label,
	const json_t *network)
{
	const char *endpoint = param_str(network, "EndpointID");
	const json_t *record = endpoint ? docker_record(docker, DOCKER_ENDPOINT, endpoint) : NULL;
	struct ip_addr ip;

	if (!record || !(docker_address_read(param_str(record, "address"), &ip) ||
			       docker_address_read(param_str(record, "address6"), &ip)))
		return;
	if (label->service) {
		add_name(reading, label->service, endpoint, ip);
		return;
	}
	if (!label->one_off)
		add_name(reading, label->compose, endpoint, ip);
	add_name(reading, reading->container->name, endpoint, ip);
	add_aliases(reading, json_object_get(network, "Aliases"), endpoint, ip);
}

static void read_state(
	struct docker_container *container, const json_t *inspected, const struct docker_label *label)
{
	const json_t *state = json_object_get(inspected, "State"),
		     *config = json_object_get(inspected, "Config");
	const char *health = param_str(json_object_get(state, "Health"), "Status");

	container->paused = json_is_true(json_object_get(state, "Paused"));
	snprintf(container->health, sizeof(container->health), "%.15s",
		health && strcmp(health, "none") != 0 ? health : "");
	container->stop_signal = read_signal(param_str(config, "StopSignal"));
	container->port = (uint16_t)(label->port >= 0 ? label->port : exposed_port(config));
	container->weight = (uint16_t)label->weight;
	snprintf(container->project, sizeof(container->project), "%.255s",
		label->project ? label->project : "");
	json_decref(container->check);
	container->check = label->check;
}

static void read_name(struct docker_container *container, const json_t *inspected)
{
	const char *name = param_str(inspected, "Name");

	snprintf(container->name, sizeof(container->name), "%.255s",
		name ? name + (name[0] == '/') : container->id);
}

bool docker_container_read(struct docker *docker, struct docker_container *container, const json_t *inspected)
{
	const json_t *settings = json_object_get(inspected, "NetworkSettings");
	struct docker_instance *instances = calloc(CONTAINER_NAMES + 1, sizeof(*instances));
	struct reading reading = {container, instances, 0};
	struct docker_label label;
	struct api_err err;
	const char *name;
	json_t *network;

	read_name(container, inspected);
	if (!instances || !json_is_true(json_object_get(json_object_get(inspected, "State"), "Running"))) {
		free(instances);
		return false;
	}
	if (docker_label_read(json_object_get(json_object_get(inspected, "Config"), "Labels"), &label, &err) <
		0) {
		complain(container, "is no instance of any service: %s", err.text);
		label.check = NULL;
	} else {
		json_object_foreach (json_object_get(settings, "Networks"), name, network)
			add_network(docker, &reading, &label, network);
	}
	read_state(container, inspected, &label);
	replace(docker, container, reading.n ? instances : NULL, reading.n);
	if (!reading.n)
		free(instances);
	docker_container_apply(docker, container);
	return true;
}

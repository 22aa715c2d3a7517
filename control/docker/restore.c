/*
 * restore.c: after a start the model must have what the records say, which Docker was told. The model has most of it from
 * its own journal; the two may differ by what changed in the last moment before a crash.
 */
#include <string.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/docker/inside.h"
#include "control/docker/publish.h"
#include "control/model/objects.h"

static void make_networks(struct docker *docker)
{
	struct api_err err;
	const char *id;
	json_t *record;

	json_object_foreach (docker->records[DOCKER_NETWORK], id, record) {
		const char *name = param_str(record, "network");

		if (!json_is_true(json_object_get(record, "own")) || model_network(docker->model, name))
			continue;
		if (docker_method(
			    docker, "network.add", json_incref(json_object_get(record, "params")), &err) < 0)
			log_line(LOG_WARNING, "docker: network %s is not made again: %s", name, err.text);
	}
}

static void delete_object(struct docker *docker, const char *method, const char *name)
{
	struct api_err err;

	if (docker_method(docker, method, json_pack("{s:s}", "name", name), &err) < 0)
		log_line(LOG_WARNING, "docker: %s %s: %s", method, name, err.text);
}

/* Is it as the endpoint's record says? */
static bool is_right(const struct model_port *port, const json_t *record)
{
	const char *ifname = param_str(record, "ifname"), *netns = param_str(port->params, "netns");

	return netns && strcmp(netns, param_str(record, "sandbox")) == 0 &&
	       (!ifname || strcmp(ifname, param_str(port->params, "ifname")) == 0) &&
	       param_bool(port->params, "default_route", true) == param_bool(record, "route", false);
}

static void make_ports(struct docker *docker)
{
	const struct model_port *port;
	char name[DOCKER_NAME];
	struct api_err err;
	const char *id;
	json_t *record;

	model_replaying(docker->model, true);
	json_object_foreach (docker->records[DOCKER_ENDPOINT], id, record) {
		if (!param_given(record, "sandbox"))
			continue;
		port = model_port(docker->model, docker_name(id, name));
		if (port && is_right(port, record))
			continue;
		if (port)
			delete_object(docker, "port.del", name);
		if (docker_port_add(docker, id, NULL, &err) < 0)
			log_line(LOG_WARNING, "docker: port %s is not made again: %s", name, err.text);
	}
	model_replaying(docker->model, false);
}

/* Has Docker such an endpoint with a port, or such a network? */
static bool is_known(const struct docker *docker, enum docker_kind kind, const char *name)
{
	char other[DOCKER_NAME];
	const char *id;
	json_t *record;

	json_object_foreach (docker->records[kind], id, record)
		if (strcmp(docker_name(id, other), name) == 0 &&
			(kind == DOCKER_NETWORK || param_given(record, "sandbox")))
			return true;
	return false;
}

static void delete_unknown(struct docker *docker)
{
	struct model_port *port, *next_port;
	struct model_network *network, *next;

	for (port = TAILQ_FIRST(&docker->model->ports); port; port = next_port) {
		next_port = TAILQ_NEXT(port, link);
		if (!strcmp(port->source, "docker") && !is_known(docker, DOCKER_ENDPOINT, port->name))
			delete_object(docker, "port.del", port->name);
	}
	for (network = TAILQ_FIRST(&docker->model->networks); network; network = next) {
		next = TAILQ_NEXT(network, link);
		if (!strcmp(network->source, "docker") && !is_known(docker, DOCKER_NETWORK, network->name))
			delete_object(docker, "network.del", network->name);
	}
}

void docker_restore(struct docker *docker)
{
	make_networks(docker);
	make_ports(docker);
	model_replaying(docker->model, true);
	docker_publish_restore(docker);
	model_replaying(docker->model, false);
	delete_unknown(docker);
	docker_follow(docker);
}

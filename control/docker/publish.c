/*
 * publish.c: `-p`. Each port is a `publish` of the daemon's own, called like the endpoint's port and a number. The
 * endpoint's record has what Docker asked for (`portmap`), and what came of it (`published`, in Docker's form, one for
 * each): a port that was chosen here stays the same through restarts of the daemon.
 */
#include "control/docker/publish.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/docker/address.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"
#include "control/model/publish.h"

/* PORTS_MAX: all of a network's are in rules that each change rewrites. */
enum {
	PORTS_MAX = 256,
	NAME = DOCKER_NAME + 8,
	TARGET = ADDR_IP4_TEXT + 8,
	FIRST_PORT = 32768,
	LAST_PORT = 60999
};

#define LOCAL_PORTS "/proc/sys/net/ipv4/ip_local_port_range"

/* One of the list. */
struct binding {
	unsigned port;	      /* the container's */
	unsigned first, last; /* of the host's, any of them; 0: any at all */
	const char *protocol;
	int number;	     /* IPPROTO_ */
	const char *address; /* the host's */
};

static const char *name_of(const char *endpoint, size_t i, char name[NAME])
{
	char port[DOCKER_NAME];

	snprintf(name, NAME, "%s-%zu", docker_name(endpoint, port), i);
	return name;
}

static int read_port(const json_t *entry, const char *field, int min, unsigned *port, struct api_err *err)
{
	const json_t *value = json_object_get(entry, field);
	json_int_t number = json_integer_value(value);

	*port = (unsigned)number;
	if ((value && !json_is_null(value) && !json_is_integer(value)) || number < min || number > 65535)
		return api_fail(err, API_INVALID, field, "of a published port must be %d..65535", min);
	return 0;
}

static int read_protocol(const json_t *entry, struct binding *binding, struct api_err *err)
{
	binding->number = (int)json_integer_value(json_object_get(entry, "Proto"));
	if (binding->number != IPPROTO_TCP && binding->number != IPPROTO_UDP)
		return api_fail(err, API_UNSUPPORTED, NULL,
			"port %u: of TCP and UDP can be published, of protocol %d not yet", binding->port,
			binding->number);
	binding->protocol = model_publish_protocols[binding->number == IPPROTO_UDP];
	return 0;
}

static int read_address(const json_t *entry, struct binding *binding, struct api_err *err)
{
	const json_t *value = json_object_get(entry, "HostIP");
	const char *text = json_string_value(value);
	uint32_t ip;

	binding->address = text && text[0] ? text : "0.0.0.0";
	if (value && !json_is_null(value) && !text)
		return api_fail(err, API_INVALID, "HostIP", "must be a string");
	if (strchr(binding->address, ':'))
		return api_fail(err, API_UNSUPPORTED, NULL,
			"port %u: at an IPv6 address of the host nothing can be published yet",
			binding->port);
	if (!addr_ip4(binding->address, &ip))
		return api_fail(err, API_INVALID, "HostIP", "must be an IPv4 address");
	return 0;
}

static int read_binding(const json_t *entry, struct binding *binding, struct api_err *err)
{
	if (!json_is_object(entry))
		return api_fail(err, API_INVALID, "com.docker.network.portmap", "must hold objects");
	if (read_port(entry, "Port", 1, &binding->port, err) < 0 ||
		read_port(entry, "HostPort", 0, &binding->first, err) < 0 ||
		read_port(entry, "HostPortEnd", 0, &binding->last, err) < 0 ||
		read_protocol(entry, binding, err) < 0 || read_address(entry, binding, err) < 0)
		return -1;
	if (!binding->last)
		binding->last = binding->first;
	return binding->last < binding->first || (binding->last && !binding->first)
		       ? api_fail(err, API_INVALID, "HostPortEnd", "is below HostPort")
		       : 0;
}

/* The container's address, in a network that ports can lead to. */
static int find_target(struct docker *docker, const json_t *record, uint32_t *ip, struct api_err *err)
{
	const json_t *of = docker_record(docker, DOCKER_NETWORK, param_str(record, "network"));
	const struct model_network *network = model_network(docker->model, param_str(of, "network"));

	if (!network)
		return api_fail(
			err, API_NOT_FOUND, NULL, "network %s has been deleted", param_str(of, "network"));
	if (network->spec.mode != DP_HOST)
		return api_fail(err, API_UNSUPPORTED, NULL,
			"-p: network %s is of mode %s, and ports are published from networks of mode host: "
			"create "
			"it without --opt mode, or with mode=host",
			network->name, network_modes[network->spec.mode]);
	if (!docker_address_read4(param_str(record, "address"), ip))
		return api_fail(err, API_UNSUPPORTED, NULL, "-p: the container has no address");
	return 0;
}

static int add(struct docker *docker, const char *name, const struct binding *binding, unsigned port,
	uint32_t ip, struct api_err *err)
{
	char text[ADDR_IP4_TEXT], to[TARGET];

	snprintf(to, sizeof(to), "%s:%u", addr_ip4_text(ip, text), binding->port);
	return docker_method(docker, "publish.add",
		json_pack("{s:s, s:i, s:s, s:s, s:s}", "name", name, "port", (int)port, "to", to, "protocol",
			binding->protocol, "address", binding->address),
		err);
}

/* From where programs of the host have theirs, as Docker does it. */
static void any_port(struct binding *binding)
{
	FILE *file = fopen(LOCAL_PORTS, "re");

	binding->first = FIRST_PORT;
	binding->last = LAST_PORT;
	if (!file)
		return;
	if (fscanf(file, "%u %u", &binding->first, &binding->last) != 2 || !binding->first ||
		binding->first > binding->last || binding->last > 65535) {
		binding->first = FIRST_PORT;
		binding->last = LAST_PORT;
	}
	fclose(file);
}

/* One port that is free, or -1. Of any, the next after that of the last container, which may just have been given back. */
static int publish_one(
	struct docker *docker, const char *name, struct binding *binding, uint32_t ip, struct api_err *err)
{
	bool any = !binding->first;
	unsigned count, at = 0;

	if (any)
		any_port(binding);
	count = binding->last - binding->first + 1;
	if (any && docker->next_port >= binding->first && docker->next_port <= binding->last)
		at = docker->next_port - binding->first;
	for (unsigned i = 0; i < count; i++) {
		unsigned port = binding->first + (at + i) % count;

		if (add(docker, name, binding, port, ip, err) == 0) {
			docker->next_port = any ? port + 1 : docker->next_port;
			return (int)port;
		}
		if (err->code != API_EXISTS)
			return -1;
	}
	return count == 1 ? -1
			  : api_fail(err, API_EXISTS, NULL, "port %u: none of the host's %u to %u is free",
				    binding->port, binding->first, binding->last);
}

static json_t *result_of(const struct binding *binding, int port, uint32_t ip)
{
	char text[ADDR_IP4_TEXT];

	return json_pack("{s:i, s:s, s:i, s:s, s:i, s:i}", "Proto", binding->number, "IP",
		addr_ip4_text(ip, text), "Port", (int)binding->port, "HostIP", binding->address, "HostPort",
		port, "HostPortEnd", port);
}

/* The first `n` of them. */
static int delete_first(struct docker *docker, const char *endpoint, size_t n, struct api_err *err)
{
	char name[NAME];
	int rc = 0;

	model_publish_begin(docker->model);
	for (size_t i = 0; i < n && rc == 0; i++) {
		rc = docker_method(
			docker, "publish.del", json_pack("{s:s}", "name", name_of(endpoint, i, name)), err);
		if (docker_is_gone(rc, err))
			rc = 0;
	}
	return model_publish_end(docker->model, rc < 0 ? &(struct api_err){.code = 0} : err) < 0 ? -1 : rc;
}

/* All or none. The list of what came of it; NULL with *err. */
static json_t *publish_all(
	struct docker *docker, const char *endpoint, const json_t *portmap, uint32_t ip, struct api_err *err)
{
	json_t *published = json_array(), *entry;
	struct binding binding = {0};
	struct api_err ignored;
	char name[NAME];
	int port = 0;
	size_t i;

	model_publish_begin(docker->model);
	json_array_foreach (portmap, i, entry) {
		port = read_binding(entry, &binding, err) < 0
			       ? -1
			       : publish_one(docker, name_of(endpoint, i, name), &binding, ip, err);
		if (port < 0)
			break;
		json_array_append_new(published, result_of(&binding, port, ip));
	}
	if (model_publish_end(docker->model, port < 0 ? &ignored : err) == 0 && port >= 0)
		return published;
	delete_first(docker, endpoint, json_array_size(published), &ignored);
	json_decref(published);
	return NULL;
}

int docker_publish(struct docker *docker, const char *endpoint, const json_t *portmap, struct api_err *err)
{
	json_t *record = docker_record(docker, DOCKER_ENDPOINT, endpoint), *published;
	uint32_t ip = 0;

	if (portmap && !json_is_null(portmap) && !json_is_array(portmap))
		return api_fail(err, API_INVALID, "com.docker.network.portmap", "must be a list");
	if (json_array_size(portmap) > PORTS_MAX)
		return api_fail(err, API_UNSUPPORTED, NULL, "-p: a container has at most %d published ports",
			PORTS_MAX);
	if (json_array_size(portmap) && json_equal(portmap, json_object_get(record, "portmap")))
		return 0;
	if (docker_unpublish(docker, endpoint, err) < 0)
		return -1;
	if (!json_array_size(portmap))
		return 0;
	if (find_target(docker, record, &ip, err) < 0)
		return -1;
	published = publish_all(docker, endpoint, portmap, ip, err);
	if (!published)
		return -1;
	json_object_set_new(record, "portmap", json_deep_copy(portmap));
	json_object_set_new(record, "published", published);
	docker_keep(docker, DOCKER_ENDPOINT, endpoint);
	return 0;
}

int docker_unpublish(struct docker *docker, const char *endpoint, struct api_err *err)
{
	json_t *record = docker_record(docker, DOCKER_ENDPOINT, endpoint);
	size_t n = json_array_size(json_object_get(record, "published"));

	if (delete_first(docker, endpoint, n, err) < 0)
		return -1;
	if (!n)
		return 0;
	json_object_del(record, "portmap");
	json_object_del(record, "published");
	docker_keep(docker, DOCKER_ENDPOINT, endpoint);
	return 0;
}

json_t *docker_published(const json_t *record)
{
	json_t *published = json_object_get(record, "published");

	return json_is_array(published) ? json_deep_copy(published) : json_array();
}

static void restore_endpoint(struct docker *docker, const char *endpoint, const json_t *record)
{
	struct api_err err = {.text = "its address is unreadable"};
	char name[NAME];
	json_t *entry;
	size_t i;

	json_array_foreach (json_object_get(record, "published"), i, entry) {
		struct binding binding = {0};
		uint32_t ip = 0;

		if (model_publish(docker->model, name_of(endpoint, i, name)))
			continue;
		if (read_binding(entry, &binding, &err) < 0 ||
			!docker_address_read4(param_str(entry, "IP"), &ip) ||
			add(docker, name, &binding, binding.first, ip, &err) < 0)
			log_line(LOG_WARNING, "docker: %s is not published again: %s", name, err.text);
	}
}

/* The names of all that endpoints have, as keys. */
static json_t *known_names(const struct docker *docker)
{
	json_t *names = json_object(), *record;
	char name[NAME];
	const char *id;

	json_object_foreach (docker->records[DOCKER_ENDPOINT], id, record)
		for (size_t i = 0; i < json_array_size(json_object_get(record, "published")); i++)
			json_object_set_new(names, name_of(id, i, name), json_true());
	return names;
}

void docker_publish_restore(struct docker *docker)
{
	struct model_publish *publish, *next;
	json_t *known = known_names(docker), *record;
	struct api_err err;
	const char *id;

	for (publish = TAILQ_FIRST(&docker->model->published); publish; publish = next) {
		next = TAILQ_NEXT(publish, link);
		if (strcmp(publish->source, "docker") == 0 && !json_object_get(known, publish->name))
			docker_method(docker, "publish.del", json_pack("{s:s}", "name", publish->name), &err);
	}
	json_decref(known);
	json_object_foreach (docker->records[DOCKER_ENDPOINT], id, record)
		restore_endpoint(docker, id, record);
}

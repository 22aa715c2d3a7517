/*
 * publish.c: `-p`. Each port is a `publish` of the daemon's own, called like the endpoint's port and a number; what has
 * no address of the host is one for each family of the container's addresses, at the same port. The endpoint's record
 * has what Docker asked for (`portmap`), and what came of it (`published`, in Docker's form, one for each): a port that
 * was chosen here stays the same through restarts of the daemon.
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
enum { PORTS_MAX = 256, NAME = DOCKER_NAME + 8, FIRST_PORT = 32768, LAST_PORT = 60999 };

#define LOCAL_PORTS "/proc/sys/net/ipv4/ip_local_port_range"

/* One of the list. */
struct binding {
	unsigned port;	      /* the container's */
	unsigned first, last; /* of the host's, any of them; 0: any at all */
	const char *protocol;
	int number;		/* IPPROTO_ */
	struct ip_addr address; /* the host's; see `both` */
	bool both;		/* any, of both families */
};

/* The container's addresses of IPv4 and IPv6; none: it has none of that family. */
struct target {
	struct ip_addr ip[2];
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
	binding->protocol = reg_protocol_name((enum reg_protocol)binding->number);
	return binding->protocol
		       ? 0
		       : api_fail(err, API_UNSUPPORTED, NULL,
				 "port %u: of TCP, UDP and SCTP can be published, of protocol %d not",
				 binding->port, binding->number);
}

static int read_address(const json_t *entry, struct binding *binding, struct api_err *err)
{
	const json_t *value = json_object_get(entry, "HostIP");
	const char *text = json_string_value(value);

	binding->both = !text || !text[0];
	if (value && !json_is_null(value) && !text)
		return api_fail(err, API_INVALID, "HostIP", "must be a string");
	if (!binding->both && !ip_parse(text, &binding->address))
		return api_fail(err, API_INVALID, "HostIP", "must be an IP address");
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

static const char *const fields[2] = {"address", "address6"};

static bool has_uplink(const struct model *model)
{
	const struct model_port *port;

	TAILQ_FOREACH (port, &model->ports, link)
		if (!port->network && !ip_is_none(port->spec.address.address))
			return true;
	return false;
}

/* The container's addresses, in a network that ports can lead to: of the host, or of an uplink. */
static int find_target(
	struct docker *docker, const json_t *record, struct target *target, struct api_err *err)
{
	const json_t *of = docker_record(docker, DOCKER_NETWORK, param_str(record, "network"));
	const struct model_network *network = model_network(docker->model, param_str(of, "network"));

	if (!network)
		return api_fail(
			err, API_NOT_FOUND, NULL, "network %s has been deleted", param_str(of, "network"));
	if (network->spec.mode != DP_HOST && !has_uplink(docker->model))
		return api_fail(err, API_UNSUPPORTED, NULL,
			"-p: network %s is of mode %s, whose ports lead in from uplinks, and there is none "
			"with an "
			"address: create the network without --opt mode, or add an uplink",
			network->name, network_modes[network->spec.mode]);
	for (int ip6 = 0; ip6 < 2; ip6++)
		if (!network_spec_lets_in(&network->spec, ip6) ||
			!docker_address_read(param_str(record, fields[ip6]), &target->ip[ip6]))
			target->ip[ip6] = (struct ip_addr){0};
	if (ip_is_none(target->ip[0]) && ip_is_none(target->ip[1]))
		return api_fail(err, API_UNSUPPORTED, NULL, "-p: the container has no address");
	return 0;
}

static int add(struct docker *docker, const char *name, const struct binding *binding, unsigned port,
	struct ip_addr address, struct ip_addr ip, struct api_err *err)
{
	char text[IP_TEXT], to[IP_PORT_TEXT];

	ip_port_text(ip, (uint16_t)binding->port, to);
	return docker_method(docker, "publish.add",
		json_pack("{s:s, s:i, s:s, s:s, s:s}", "name", name, "port", (int)port, "to", to, "protocol",
			binding->protocol, "address", ip_text(address, text)),
		err);
}

static json_t *result_of(const struct binding *binding, int port, struct ip_addr address, struct ip_addr ip)
{
	char text[IP_TEXT], at[IP_TEXT];

	return json_pack("{s:i, s:s, s:i, s:s, s:i, s:i}", "Proto", binding->number, "IP", ip_text(ip, text),
		"Port", (int)binding->port, "HostIP", ip_text(address, at), "HostPort", port, "HostPortEnd",
		port);
}

/* Takes back those from the `from`th on. */
static int delete_from(
	struct docker *docker, const char *endpoint, json_t *published, size_t from, struct api_err *err)
{
	char name[NAME];
	int rc = 0;

	while (json_array_size(published) > from && rc == 0) {
		size_t last = json_array_size(published) - 1;

		rc = docker_method(docker, "publish.del",
			json_pack("{s:s}", "name", name_of(endpoint, last, name)), err);
		if (docker_is_gone(rc, err))
			rc = 0;
		if (rc == 0)
			json_array_remove(published, last);
	}
	return rc;
}

/* The binding at this port of the host: of each family that it is of, or of none. */
static int add_each(struct docker *docker, const char *endpoint, const struct binding *binding, unsigned port,
	const struct target *target, json_t *published, struct api_err *err)
{
	size_t before = json_array_size(published);
	struct api_err ignored;
	char name[NAME];

	for (int ip6 = 0; ip6 < 2; ip6++) {
		struct ip_addr address =
			binding->both ? ip6 ? (struct ip_addr){0} : ip_from4(0) : binding->address;

		if (ip_is_none(target->ip[ip6]) || ip_is4(address) == (ip6 != 0))
			continue;
		if (add(docker, name_of(endpoint, json_array_size(published), name), binding, port, address,
			    target->ip[ip6], err) < 0) {
			delete_from(docker, endpoint, published, before, &ignored);
			return -1;
		}
		json_array_append_new(published, result_of(binding, (int)port, address, target->ip[ip6]));
	}
	return json_array_size(published) > before
		       ? 0
		       : api_fail(err, API_UNSUPPORTED, NULL,
				 "port %u: the container has no address of the family of the host's",
				 binding->port);
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

/* At one port that is free, or -1. Of any, the next after that of the last container, which may just have been given
 * back. */
static int publish_one(struct docker *docker, const char *endpoint, struct binding *binding,
	const struct target *target, json_t *published, struct api_err *err)
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

		if (add_each(docker, endpoint, binding, port, target, published, err) == 0) {
			docker->next_port = any ? port + 1 : docker->next_port;
			return 0;
		}
		if (err->code != API_EXISTS)
			return -1;
	}
	return count == 1 ? -1
			  : api_fail(err, API_EXISTS, NULL, "port %u: none of the host's %u to %u is free",
				    binding->port, binding->first, binding->last);
}

/* All or none. The list of what came of it; NULL with *err. */
static json_t *publish_all(struct docker *docker, const char *endpoint, const json_t *portmap,
	const struct target *target, struct api_err *err)
{
	json_t *published = json_array(), *entry;
	struct binding binding = {0};
	struct api_err ignored;
	int rc = 0;
	size_t i;

	model_publish_begin(docker->model);
	json_array_foreach (portmap, i, entry) {
		rc = read_binding(entry, &binding, err) < 0
			     ? -1
			     : publish_one(docker, endpoint, &binding, target, published, err);
		if (rc < 0)
			break;
	}
	if (model_publish_end(docker->model, rc < 0 ? &ignored : err) == 0 && rc == 0)
		return published;
	model_publish_begin(docker->model);
	delete_from(docker, endpoint, published, 0, &ignored);
	model_publish_end(docker->model, &ignored);
	json_decref(published);
	return NULL;
}

int docker_publish(struct docker *docker, const char *endpoint, const json_t *portmap, struct api_err *err)
{
	json_t *record = docker_record(docker, DOCKER_ENDPOINT, endpoint), *published;
	struct target target;

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
	if (find_target(docker, record, &target, err) < 0)
		return -1;
	published = publish_all(docker, endpoint, portmap, &target, err);
	if (!published)
		return -1;
	json_object_set_new(record, "portmap", json_deep_copy(portmap));
	json_object_set_new(record, "published", published);
	docker_keep(docker, DOCKER_ENDPOINT, endpoint);
	return 0;
}

int docker_unpublish(struct docker *docker, const char *endpoint, struct api_err *err)
{
	json_t *record = docker_record(docker, DOCKER_ENDPOINT, endpoint), *published;
	int rc;

	if (!json_array_size(json_object_get(record, "published")))
		return 0;
	published = json_copy(json_object_get(record, "published"));
	model_publish_begin(docker->model);
	rc = delete_from(docker, endpoint, published, 0, err);
	if (model_publish_end(docker->model, rc < 0 ? &(struct api_err){.code = 0} : err) < 0)
		rc = -1;
	json_decref(published);
	if (rc < 0)
		return -1;
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
		struct ip_addr ip;

		if (model_publish(docker->model, name_of(endpoint, i, name)))
			continue;
		if (read_binding(entry, &binding, &err) < 0 || !ip_parse(param_str(entry, "IP"), &ip) ||
			add(docker, name, &binding, binding.first, binding.address, ip, &err) < 0)
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

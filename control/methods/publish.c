/*
 * Published ports: a port of the host's own address that leads to a container or to a service.
 */
#include "control/model/publish.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/base/params.h"
#include "control/base/result.h"
#include "control/methods/list.h"
#include "control/model/scope.h"

enum { TARGET_TEXT = MODEL_NAME + IP_PORT_TEXT };

static const char *to_text(const struct model_publish *publish, char text[TARGET_TEXT])
{
	if (!publish->service[0])
		return ip_port_text(publish->to, publish->to_port, text);
	snprintf(text, TARGET_TEXT, "service %s", publish->service);
	return text;
}

static json_t *publish_json(const struct model *model, const struct model_publish *publish)
{
	char address[IP_TEXT], to[TARGET_TEXT], now[IP_PORT_TEXT];
	json_t *object = json_object();

	put_str(object, "name", publish->name);
	put_str(object, "protocol", reg_protocol_name(publish->protocol));
	put_str(object, "address", ip_text(publish->address, address));
	put_int(object, "port", publish->port);
	put_str(object, "to", to_text(publish, to));
	put_str(object, "network", publish->network ? publish->network->name : NULL);
	put_str(object, "now", publish->network ? ip_port_text(publish->to, publish->to_port, now) : NULL);
	put_str(object, "source", publish->source);
	scope_put(model, object, "publish", publish->name, publish->source);
	return object;
}

/* No program of the host's has the port, and the address is its own. */
static int check_host(const struct model_publish *publish, struct api_err *err)
{
	struct sockaddr_storage at;
	socklen_t len = ip_sockaddr(publish->address, publish->port, &at);
	int fd, rc, alone = 1;

	at.ss_family = (sa_family_t)ip_family(publish->address);
	fd = socket(at.ss_family, (publish->protocol == REG_UDP ? SOCK_DGRAM : SOCK_STREAM) | SOCK_CLOEXEC,
		(int)publish->protocol);
	if (fd < 0) /* of a kernel without SCTP, or IPv6: no program has it either */
		return 0;
	if (model_publish_is6(publish))
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &alone, sizeof(alone));
	rc = bind(fd, (struct sockaddr *)&at, len) < 0 ? errno : 0;
	close(fd);
	if (rc == EADDRINUSE)
		return api_fail(
			err, API_EXISTS, "port", "a program of this host has %u already", publish->port);
	if (rc == EADDRNOTAVAIL)
		return api_fail(err, API_INVALID, "address", "this host has no such address");
	return 0;
}

/* The address is an uplink's, and the port not that of its tunnels. */
static int check_uplinks(const struct model *model, const struct model_publish *publish, struct api_err *err)
{
	const struct model_port *port;
	bool any = ip_is_unspecified(publish->address), found = any;

	TAILQ_FOREACH (port, &model->ports, link) {
		if (port->network || (!any && !ip_equal(port->spec.address.address, publish->address)))
			continue;
		found = true;
		if (publish->protocol == REG_UDP && port->spec.vxlan_port == publish->port)
			return api_fail(err, API_EXISTS, "port", "%u is that of VXLAN on uplink %s",
				publish->port, port->name);
	}
	if (!found && !model->replaying)
		return api_fail(err, API_INVALID, "address", "no uplink has this address");
	return 0;
}

/* No two lead from the same address, and none from what others have. */
static int check_free(const struct model *model, const struct model_publish *publish, struct api_err *err)
{
	struct model_publish *other;

	TAILQ_FOREACH (other, &model->published, link)
		if (model_publish_clash(other, publish))
			return api_fail(err, API_EXISTS, "port", "%u is published as %s already",
				publish->port, other->name);
	if (publish->network && publish->network->spec.mode != DP_HOST)
		return check_uplinks(model, publish, err);
	return check_host(publish, err);
}

static int find_target(
	struct model *model, struct model_publish *publish, const json_t *params, struct api_err *err)
{
	if (model_publish_find(model, publish) || (model->replaying && publish->service[0]))
		return 0;
	if (!publish->service[0])
		return api_fail(err, API_INVALID, "to", MODEL_PUBLISH_NOWHERE, param_str(params, "to"));
	if (!registry_service_find(model->registry, publish->service))
		return api_fail(err, API_NOT_FOUND, "to", "no such service \"%s\"", publish->service);
	return api_fail(err, API_INVALID, "to", MODEL_PUBLISH_NO_VIP, publish->service,
		reg_protocol_name(publish->protocol), model_publish_is6(publish) ? 6 : 4);
}

static API_HANDLER(publish_add)
{
	const char *name = param_str(params, "name");
	struct model_publish *publish;

	if (model_publish(model, name))
		return api_fail(err, API_EXISTS, "name", "\"%s\" is published already", name);
	publish = calloc(1, sizeof(*publish));
	if (!publish)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	snprintf(publish->source, sizeof(publish->source), "%s", source);
	if (model_publish_read(params, publish, err) < 0 || find_target(model, publish, params, err) < 0 ||
		check_free(model, publish, err) < 0) {
		free(publish);
		return -1;
	}
	TAILQ_INSERT_TAIL(&model->published, publish, link);
	if (publish->network && model_forward(model, publish->network, publish->network->egress, err) < 0) {
		TAILQ_REMOVE(&model->published, publish, link);
		free(publish);
		return -1;
	}
	model_changed(model, "publish.add", source, params);
	*result = publish_json(model, publish);
	return 0;
}

static API_HANDLER(publish_del)
{
	const char *name = param_str(params, "name");
	struct model_publish *publish = model_publish(model, name);
	struct model_network *network;

	if (!publish)
		return api_fail(err, API_NOT_FOUND, "name", "nothing is published as \"%s\"", name);
	network = publish->network;
	publish->network = NULL;
	if (network && model_forward(model, network, network->egress, err) < 0) {
		publish->network = network;
		return -1;
	}
	TAILQ_REMOVE(&model->published, publish, link);
	free(publish);
	model_changed(model, "publish.del", source, params);
	return 0;
}

static API_HANDLER(publish_list)
{
	struct model_publish *publish;

	*result = json_array();
	TAILQ_FOREACH (publish, &model->published, link)
		json_array_append_new(*result, publish_json(model, publish));
	return 0;
}

/* clang-format off */
#define PUBLISH_NAME {"name", API_NAME, "of what is published", .required = true, .positional = true}
/* clang-format on */

static const struct api_field add_fields[] = {
	PUBLISH_NAME,
	{"port", API_INT, "of the host", .required = true, .min = 1, .max = 65535},
	{"to", API_STRING, "\"ADDRESS:PORT\" in a network with a gateway, or \"service NAME\": its vip there",
		.required = true, .min = 1, .max = TARGET_TEXT},
	{"protocol", API_ENUM, "of both", .choices = model_publish_protocols, .def = "\"tcp\""},
	{"address", API_IP,
		"of the host for networks of mode host, of an uplink for others; 0.0.0.0 or ::, each of them "
		"of that family; by default that of `to`, and of a service IPv4"},
	SCOPE_FIELD,
	{NULL},
};

const struct api_method publish_methods[] = {
	{"publish.add", "Lead a port of this host to a container or a service", add_fields, publish_add,
		true},
	{"publish.del", "Lead it there no more", API_FIELDS(PUBLISH_NAME, SCOPE_FIELD), publish_del, true},
	{"publish.list", "List published ports", NULL, publish_list, false,
		"name,protocol,address,port,to,now,network,source"},
	{NULL},
};

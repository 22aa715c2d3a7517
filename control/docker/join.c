/*
 * join.c: a container runs. Its interface is a TAP, made in the host's namespace, for Docker wants to move it into the
 * container's itself. The descriptor stays with the daemon. After a restart of the daemon the port makes it again, in the
 * container's namespace at once, as any port with `netns` does; until then the container is without.
 */
#include <net/if.h>
#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/docker/address.h"
#include "control/docker/call.h"
#include "control/docker/publish.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"
#include "control/model/port_tap.h"

enum { SANDBOX_MAX = 4000 };

/* In the host's namespace, until Docker has moved it. */
static const char *host_ifname(const char *endpoint, char ifname[IFNAMSIZ])
{
	snprintf(ifname, IFNAMSIZ, "sld%.*s", DOCKER_SHORT, endpoint);
	return ifname;
}

static json_t *port_params(struct docker *docker, const char *endpoint, const json_t *record)
{
	const json_t *network = docker_record(docker, DOCKER_NETWORK, param_str(record, "network"));
	const char *ifname = param_str(record, "ifname");
	char name[DOCKER_NAME], text[IP_TEXT];
	json_t *ips = json_array();
	struct ip_addr ip;

	if (docker_address_read(param_str(record, "address"), &ip))
		json_array_append_new(ips, json_string(ip_text(ip, text)));
	if (docker_address_read(param_str(record, "address6"), &ip))
		json_array_append_new(ips, json_string(ip_text(ip, text)));
	return json_pack("{s:s, s:O, s:s, s:O, s:s, s:O, s:o, s:b}", "name", docker_name(endpoint, name),
		"network", json_object_get(network, "network"), "type", "tap", "netns",
		json_object_get(record, "sandbox"), "ifname", ifname ? ifname : "eth0", "mac",
		json_object_get(record, "mac"), "ips", ips, "default_route",
		json_is_true(json_object_get(record, "route")));
}

int docker_port_add(struct docker *docker, const char *endpoint, const char *made_as, struct api_err *err)
{
	const json_t *record = docker_record(docker, DOCKER_ENDPOINT, endpoint);
	int rc;

	port_tap_made_as(docker->model, made_as);
	rc = docker_method(docker, "port.add", port_params(docker, endpoint, record), err);
	port_tap_made_as(docker->model, NULL);
	return rc;
}

int docker_port_del(struct docker *docker, const char *endpoint, struct api_err *err)
{
	json_t *record = docker_record(docker, DOCKER_ENDPOINT, endpoint);
	char name[DOCKER_NAME];
	int rc;

	if (docker_unpublish(docker, endpoint, err) < 0)
		return -1;
	if (!param_given(record, "sandbox"))
		return 0;
	rc = docker_method(docker, "port.del", json_pack("{s:s}", "name", docker_name(endpoint, name)), err);
	if (rc < 0 && !docker_is_gone(rc, err))
		return -1;
	json_object_del(record, "sandbox");
	json_object_del(record, "ifname");
	json_object_set_new(record, "route", json_false());
	docker_keep(docker, DOCKER_ENDPOINT, endpoint);
	return 0;
}

/* Has Docker not moved the interface yet? Then it may have had no answer. */
static bool waits_for_docker(const json_t *record, const char *sandbox, const char *ifname)
{
	const char *joined = param_str(record, "sandbox");

	return joined && strcmp(joined, sandbox) == 0 && if_nametoindex(ifname);
}

/* `record`: of the endpoint, which has a gateway of a family where it has an address of it. */
static void answer(
	struct docker *docker, const json_t *network, const json_t *record, const char *ifname, json_t *out)
{
	static const char *const field[2] = {"Gateway", "GatewayIPv6"};
	const struct model_network *of = model_network(docker->model, param_str(network, "network"));
	bool internal = json_is_true(json_object_get(network, "internal"));
	bool any = false;

	json_object_set_new(
		out, "InterfaceName", json_pack("{s:s, s:s}", "SrcName", ifname, "DstPrefix", "eth"));
	json_object_set_new(out, "StaticRoutes", json_array());
	for (unsigned ip6 = 0; of && !internal && ip6 < 2; ip6++) {
		struct ip_addr gateway = network_spec_gateway(&of->spec, ip6), ip;
		char text[IP_TEXT];

		/* of IPv4 also to one that has got its address elsewhere */
		if (ip_is_none(gateway) || (ip6 && !docker_address_read(param_str(record, "address6"), &ip)))
			continue;
		json_object_set_new(out, field[ip6], json_string(ip_text(gateway, text)));
		any = true;
	}
	if (!any) /* else Docker would add a bridge of its own, past the switch */
		json_object_set_new(out, "DisableGatewayService", json_true());
}

/* A sandbox that Docker has left without a word is left now. */
static int make(
	struct docker *docker, const char *id, const char *sandbox, const char *ifname, struct api_err *err)
{
	json_t *record = docker_record(docker, DOCKER_ENDPOINT, id);

	if (docker_port_del(docker, id, err) < 0)
		return -1;
	json_object_set_new(record, "sandbox", json_string(sandbox));
	json_object_set_new(record, "at", json_integer(docker_now_ms()));
	if (docker_port_add(docker, id, ifname, err) < 0) {
		json_object_del(record, "sandbox");
		return -1;
	}
	docker_keep(docker, DOCKER_ENDPOINT, id);
	docker_follow(docker);
	return 0;
}

int docker_join(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const json_t *record = docker_need_endpoint(docker, in, err);
	const char *id = param_str(in, "EndpointID");
	const char *sandbox = record ? docker_call_text(in, "SandboxKey", err) : NULL;
	char ifname[IFNAMSIZ];

	if (!sandbox)
		return -1;
	if (sandbox[0] != '/' || strlen(sandbox) > SANDBOX_MAX)
		return api_fail(err, API_INVALID, "SandboxKey",
			"must be an absolute path of at most %d bytes", SANDBOX_MAX);
	host_ifname(id, ifname);
	if (!waits_for_docker(record, sandbox, ifname) && make(docker, id, sandbox, ifname, err) < 0)
		return -1;
	answer(docker, docker_record(docker, DOCKER_NETWORK, param_str(in, "NetworkID")), record, ifname,
		out);
	return 0;
}

int docker_leave(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const char *id = docker_call_id(in, "EndpointID", err);
	const json_t *record = id ? docker_record(docker, DOCKER_ENDPOINT, id) : NULL;

	if (!id || !docker_call_id(in, "NetworkID", err))
		return -1;
	if (!record || strcmp(param_str(record, "network"), param_str(in, "NetworkID")) != 0)
		return 0;
	return docker_port_del(docker, id, err);
}

/* Which of a container's networks has its default route. */
static void set_route(struct docker *docker, const char *id, bool yes)
{
	json_t *record = docker_record(docker, DOCKER_ENDPOINT, id);
	char name[DOCKER_NAME];
	struct model_port *port = model_port(docker->model, docker_name(id, name));

	if (json_is_true(json_object_get(record, "route")) == yes)
		return;
	json_object_set_new(record, "route", json_boolean(yes));
	docker_keep(docker, DOCKER_ENDPOINT, id);
	if (port)
		port_tap_keep(docker->model, port, "default_route", json_boolean(yes));
}

/* Docker calls it for the network that a container's default route is by. */
int docker_program(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const json_t *ports = json_object_get(json_object_get(in, "Options"), "com.docker.network.portmap");

	if (!docker_need_endpoint(docker, in, err) ||
		docker_publish(docker, param_str(in, "EndpointID"), ports, err) < 0)
		return -1;
	set_route(docker, param_str(in, "EndpointID"), true);
	return 0;
}

int docker_revoke(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const char *id = docker_call_id(in, "EndpointID", err);

	if (!id || !docker_call_id(in, "NetworkID", err))
		return -1;
	if (!docker_record(docker, DOCKER_ENDPOINT, id))
		return 0;
	if (docker_unpublish(docker, id, err) < 0)
		return -1;
	set_route(docker, id, false);
	return 0;
}

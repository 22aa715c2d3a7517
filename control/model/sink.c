/*
 * What the registry decides is heard here, and what it needs of the switch comes from here.
 */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "control/base/ending.h"
#include "control/base/log.h"
#include "control/host/netlink.h"
#include "control/host/netns.h"
#include "control/model/balance.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"
#include "control/model/peer.h"
#include "control/model/usual.h"

static int open_socket(void *ctx, const char *name, int domain, int type)
{
	int protocol = type == SOCK_RAW ? IPPROTO_TCP : 0;
	struct model_network *network;

	if (name[0] == '\0')
		return netns_socket(-1, domain, type, protocol);
	network = model_network(ctx, name);
	if (!network || !network->has_gateway)
		return -ENETUNREACH;
	return netns_socket(network->gateway.netns, domain, type, protocol);
}

static uint64_t netns_id(void *ctx, const char *name)
{
	struct model_network *network;

	if (name[0] == '\0')
		return GATEWAY_HOST;
	network = model_network(ctx, name);
	return network && network->has_gateway ? network->gateway.netns_id : 0;
}

static bool reaches(void *ctx, const char *name, struct ip_addr address)
{
	struct model_network *network = model_network(ctx, name);
	struct ip_prefix subnet;

	if (!network)
		return false;
	subnet = network_spec_subnet(&network->spec, !ip_is4(address));
	return !ip_is_none(subnet.address) && ip_inside(address, subnet);
}

static int port_state(void *ctx, const char *name, struct ip_addr address)
{
	struct model *model = ctx;
	struct model_network *network;
	int state = -1;

	TAILQ_FOREACH (network, &model->networks, link) {
		struct model_port *port;

		if (name[0] && strcmp(network->name, name) != 0)
			continue;
		port = model_port_of_ip(model, network, address);
		if (port && model_port_up(model, port))
			return 1;
		if (port || (state < 0 && peer_has_lost(model, network, address)))
			state = 0;
	}
	return state;
}

static const char *home(void *ctx, struct ip_addr address)
{
	struct model *model = ctx;
	const struct model_network *network = NULL;
	struct model_port *port;

	TAILQ_FOREACH (port, &model->ports, link)
		for (unsigned i = 0; i < port->spec.nips; i++) {
			if (!ip_equal(port->spec.ips[i], address))
				continue;
			if (network && network != port->network)
				return NULL;
			network = port->network;
		}
	return network ? network->name : "";
}

/*
 * When the kernel gives no answer, the address counts as the host's own. Without a route nothing is reached.
 */
static bool is_own(void *ctx, struct ip_addr address)
{
	struct model *model = ctx;
	int rc = 0;

	if (!model->routes)
		rc = netlink_open(-1, &model->routes);
	if (rc == 0)
		rc = netlink_is_local(model->routes, address);
	return rc != 0 && rc != -ENETUNREACH && rc != -EHOSTUNREACH;
}

static int traffic(
	void *ctx, const char *name, struct ip_addr address, uint16_t port, struct reg_traffic *seen)
{
	struct model *model = ctx;
	struct model_service *service = model_service(model, name);
	struct dp_backend_info info;
	int rc = service ? model_backend_info(model, service, address, port, &info) : -ENOENT;

	if (rc < 0)
		return rc;
	*seen = (struct reg_traffic){.opened = info.opened,
		.answered = info.answered,
		.refused = info.refused,
		.withdrawn = info.withdrawn,
		.latency_us = (uint32_t)info.latency_us,
		.usual_us = info.latency_us ? usual_latency_us(model, service) : 0};
	return 0;
}

static void write_log(void *ctx, int level, const char *subject, const char *line)
{
	log_subject(level, subject, "%s", line);
}

static void set_kept(void *ctx, const char *file, const char *why)
{
	struct model *model = ctx;
	enum outage which = outage_of_file(file);

	if (which < OUTAGES)
		outage_set(&model->outages, which, "", why);
}

static bool is_ending(void *ctx)
{
	return ending_asked();
}

struct registry_sink model_sink(struct model *model)
{
	return (struct registry_sink){
		.ctx = model,
		.apply = balance_apply,
		.applied = balance_applied,
		.socket = open_socket,
		.netns_id = netns_id,
		.reaches = reaches,
		.port_state = port_state,
		.log = write_log,
		.ending = is_ending,
		.traffic = traffic,
		.home = home,
		.is_own = is_own,
		.kept = set_kept,
	};
}

#include "control/model/port_tap.h"

#include <unistd.h>

#include "control/base/params.h"
#include "control/model/network_spec.h"
#include "control/model/port_wait.h"
#include "control/model/tap_port.h"

void port_tap_interface(const struct model_port *port, struct tap_port *tap)
{
	const char *netns = param_str(port->params, "netns"), *ifname = param_str(port->params, "ifname");
	const struct dp_network *network;

	*tap = (struct tap_port){
		.contained = netns,
		.ifname = ifname  ? ifname
			  : netns ? "eth0"
				  : port->name,
		.mtu = port->spec.mtu,
		.configure = param_bool(port->params, "configure", true),
		.queues = port->spec.queues,
	};
	/* an uplink's MAC and address are the switch's own: the interface at the other end has others */
	if (!port->network)
		return;
	network = &port->network->spec;
	tap->mac = port->spec.mac;
	tap->ips = port->spec.ips;
	tap->nips = port->spec.nips;
	tap->prefix = network->prefix;
	tap->prefix6 = network->subnet6.len;
	if (!param_bool(port->params, "default_route", true))
		return;
	tap->gateway = network_spec_gateway(network, false);
	tap->gateway6 = network_spec_gateway(network, true);
}

void port_tap_made_as(struct model *model, const char *name)
{
	model->tap_made_as = name;
}

int port_tap_find(struct model_port *port, char ifname[PORT_TAP_IFNAME])
{
	struct api_err ignored;
	int netns, rc;

	if (port_wait_netns(port, &netns, &ignored) < 0)
		return -1;
	rc = netns < 0 ? -1 : tap_name_of_mac(netns, port->spec.mac, ifname);
	if (rc == 0)
		port_wait_moved(port, netns);
	if (netns >= 0)
		close(netns);
	return rc < 0 ? -1 : 0;
}

void port_tap_keep(struct model *model, struct model_port *port, const char *field, json_t *value)
{
	json_object_set_new(port->params, field, value);
	model_changed(model, "port.add", port->source, port->params);
}

/* The interface of one that waits will be made as the port is then. */
static int tap_change(struct model *model, struct model_port *port, const struct model_port *from,
	const struct model_port *to, struct api_err *err)
{
	struct tap_port old, now;
	struct api_err ignored;
	int netns, rc;

	if (port_waits(model, port))
		return 0;
	if (port_wait_netns(port, &netns, err) < 0)
		return -1;
	port_tap_interface(from, &old);
	port_tap_interface(to, &now);
	rc = tap_port_change(&old, &now, netns, err);
	if (rc < 0)
		tap_port_change(&now, &old, netns, &ignored);
	if (netns >= 0)
		close(netns);
	return rc;
}

static const char *const takes[] = {
	"netns", "ifname", "configure", "default_route", "hold_netns", "queues", NULL};

const struct port_type port_tap = {.takes = takes, .attach = port_wait_attach, .change = tap_change};

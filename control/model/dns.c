/*
 * DNS inside the networks: it is answered at their gateways, for the names of their ports.
 */
#include "registry/dns/dns.h"

#include <string.h>

#include "control/base/log.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"

static size_t port_ips(void *ctx, const char *network, const char *name, struct ip_addr *ips, size_t max)
{
	struct model *model = ctx;
	const struct model_port *port = model_port(model, name);
	size_t n = 0;

	if (!port || !port->network || strcmp(port->network->name, network) != 0 ||
		!model_port_up(model, port))
		return 0;
	while (n < max && n < port->spec.nips) {
		ips[n] = port->spec.ips[n];
		n++;
	}
	return n;
}

static const char *port_name(void *ctx, const char *network, struct ip_addr address)
{
	const struct model_network *in = model_network(ctx, network);
	const struct model_port *port = in ? model_port_of_ip(ctx, in, address) : NULL;

	return port ? port->name : NULL;
}

void model_dns_config(struct model *model, struct dns_config *config)
{
	config->port_ips = port_ips;
	config->port_name = port_name;
	config->ctx = model;
}

/* A network is as good without: its address may be the host's, where somebody else answers DNS. */
void model_dns_join(struct model *model, const struct model_network *network)
{
	struct reg_err why;

	if (!model->dns || !network->has_gateway)
		return;
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct ip_addr gateway = network_spec_gateway(&network->spec, ip6);

		if (!ip_is_none(gateway) && dns_join(model->dns, network->name, gateway, &why) < 0)
			log_line(LOG_WARNING, "no DNS at the gateway: %s", why.text);
	}
}

void model_dns_leave(struct model *model, const struct model_network *network)
{
	if (model->dns)
		dns_leave(model->dns, network->name);
}

void model_dns_attach(struct model *model, struct dns *dns)
{
	const struct model_network *network;

	model->dns = dns;
	TAILQ_FOREACH (network, &model->networks, link)
		model_dns_join(model, network);
}

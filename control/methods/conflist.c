/*
 * The configuration by which container runtimes attach containers to a network (CNI, "Network configuration format").
 */
#include <string.h>

#include "control/base/result.h"
#include "control/methods/list.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"

#define DEFAULT_SOCKET "/run/sluice/control.sock"

/* Without DNS at the gateways there is nobody to ask. */
static json_t *dns_of(const struct model *model, const struct model_network *network)
{
	json_t *servers = json_array();
	char text[IP_TEXT];

	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		struct ip_addr gateway = network_spec_gateway(&network->spec, ip6);

		if (model->dns && network->has_gateway && !ip_is_none(gateway))
			json_array_append_new(servers, json_string(ip_text(gateway, text)));
	}
	return servers;
}

static json_t *plugin_of(const struct model *model, const struct model_network *network)
{
	static const char *const capabilities[] = {
		"portMappings", "bandwidth", "ips", "mac", "aliases", "dns", NULL};
	json_t *plugin = json_object(), *takes = json_object(), *servers = dns_of(model, network);

	put_str(plugin, "type", "sluice-cni");
	put_str(plugin, "network", network->name);
	if (strcmp(model->socket, DEFAULT_SOCKET) != 0)
		put_str(plugin, "socket", model->socket);
	for (const char *const *name = capabilities; *name; name++)
		put_bool(takes, *name, true);
	put(plugin, "capabilities", takes);
	if (json_array_size(servers))
		put(plugin, "dns", json_pack("{s:O}", "nameservers", servers));
	json_decref(servers);
	return plugin;
}

/* Runtimes before CNI 1.1 read cniVersion alone, and know none above 1.0.0; the others choose among all. */
static API_HANDLER(network_conflist)
{
	const struct model_network *network = model_need_network(model, params, "name", err);

	if (!network)
		return -1;
	*result = json_pack("{s:s, s:[s, s, s, s], s:s, s:[o]}", "cniVersion", "1.0.0", "cniVersions",
		"0.3.1", "0.4.0", "1.0.0", "1.1.0", "name", network->name, "plugins",
		plugin_of(model, network));
	return *result ? 0 : api_fail(err, API_INTERNAL, NULL, "out of memory");
}

const struct api_method conflist_methods[] = {
	{"network.conflist", "Print the file by which container runtimes attach to a network (CNI)",
		API_FIELDS(API_NAME_OF("network")), network_conflist, false, .document = true},
	{NULL},
};

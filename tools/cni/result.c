#include "tools/cni/result.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static bool is_ip6(const char *ip)
{
	return strchr(ip, ':') != NULL;
}

const char *result_of_family(const json_t *network, const char *field, const char *like)
{
	json_t *item;
	size_t i;

	json_array_foreach (json_object_get(network, field), i, item)
		if (json_string_value(item) && is_ip6(json_string_value(item)) == is_ip6(like))
			return json_string_value(item);
	return NULL;
}

void result_address(const json_t *network, const char *ip, char text[64], const char **gateway)
{
	const char *subnet = result_of_family(network, "subnets", ip);
	const char *slash = subnet ? strchr(subnet, '/') : NULL;

	snprintf(text, 64, "%s%s", ip, slash ? slash : is_ip6(ip) ? "/128" : "/32");
	*gateway = result_of_family(network, "gateways", ip);
}

/* What an earlier plugin of the chain has put there, or an empty list. */
static json_t *list_of(json_t *result, const char *field)
{
	json_t *list = json_object_get(result, field);

	if (!json_is_array(list)) {
		list = json_array();
		json_object_set_new(result, field, list);
	}
	return list;
}

static json_t *interface_of(
	const struct conf *conf, const struct cni_env *env, const json_t *port, const char *socket)
{
	json_t *interface = json_pack("{s:s, s:O}", "name", env->ifname, "mac", json_object_get(port, "mac"));

	if (socket)
		json_object_set_new(interface, "socketPath", json_string(socket));
	json_object_set_new(interface, "sandbox", json_string(env->netns));
	if (conf->version >= CONF_1_1_0)
		json_object_set(interface, "mtu", json_object_get(port, "mtu"));
	return interface;
}

static void add_ip(
	const struct conf *conf, json_t *result, size_t interface, const json_t *network, const char *ip)
{
	json_t *entry = json_pack("{s:I}", "interface", (json_int_t)interface);
	const char *gateway;
	char address[64];

	result_address(network, ip, address, &gateway);
	if (conf->version < CONF_1_0_0)
		json_object_set_new(entry, "version", json_string(is_ip6(ip) ? "6" : "4"));
	json_object_set_new(entry, "address", json_string(address));
	if (gateway)
		json_object_set_new(entry, "gateway", json_string(gateway));
	json_array_append_new(list_of(result, "ips"), entry);
	if (gateway && !json_is_false(json_object_get(conf->port, "default_route")))
		json_array_append_new(list_of(result, "routes"),
			json_pack("{s:s, s:s}", "dst", is_ip6(ip) ? "::/0" : "0.0.0.0/0", "gw", gateway));
}

json_t *result_of(const struct conf *conf, const struct cni_env *env, const json_t *network,
	const json_t *port, const char *socket)
{
	json_t *result = conf->previous ? json_deep_copy(conf->previous) : json_object();
	json_t *interfaces = list_of(result, "interfaces"), *ip, *dns = conf_dns(conf);
	size_t at = json_array_size(interfaces), i;

	json_object_set_new(result, "cniVersion", json_string(conf_versions[conf->version]));
	json_array_append_new(interfaces, interface_of(conf, env, port, socket));
	json_array_foreach (json_object_get(port, "ips"), i, ip)
		add_ip(conf, result, at, network, json_string_value(ip));
	if (json_object_size(dns) || !json_object_get(result, "dns"))
		json_object_set(result, "dns", dns);
	json_decref(dns);
	return result;
}

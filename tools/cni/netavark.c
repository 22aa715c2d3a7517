#include "tools/cni/netavark.h"

#include <stdio.h>
#include <string.h>

#include "tools/cni/attach.h"
#include "tools/cni/conf.h"
#include "tools/cni/input.h"
#include "tools/cni/result.h"
#include "tools/cni/want.h"

enum { SILENCE_S = 30, NETNS_MAX = 4000, PORT_MAX = 65535, PORTS_MAX = 1024 };

static const struct client_names names = {"the network's option \"socket\"", NULL};

/* What a network's options may say (podman network create --opt). */
#define OPTION_NETWORK "sluice.network"
#define OPTION_SOCKET "socket"

/* What Netavark has said, and the daemon's network that it is about. */
struct call {
	const char *netns;
	json_t *in, *network; /* `network` as the daemon shows it */
	const json_t *net;    /* of `in`: the network as Podman knows it */
	const char *name;     /* the daemon's name of it */
	struct client *client;
	json_t *answer; /* NULL: none */
};

/* The network's own options, of which an unknown one is refused. */
static int read_network(struct call *call, const char *path, struct cni_err *err)
{
	static const char *const known[] = {OPTION_NETWORK, OPTION_SOCKET, NULL};
	char inner[64], why[CLIENT_ERROR];
	const char *name, *socket;
	const json_t *options;

	snprintf(inner, sizeof(inner), "%soptions.", path);
	name = input_text(call->net, "name", path, err);
	if (!name || input_object(call->net, "options", path, &options, err) < 0 ||
		input_known(options, known, inner, err) < 0)
		return -1;
	call->name = input_text(options, OPTION_NETWORK, inner, err);
	socket = call->name ? input_text(options, OPTION_SOCKET, inner, err) : NULL;
	if (!socket)
		return -1;
	if (!input_is_name(name))
		return cni_fail(err, CNI_BAD_CONF,
			"%sname: must be 1 to 255 letters, digits and ._-, with one of the first two first",
			path);
	if (!call->name[0])
		call->name = name;
	call->client = client_open(socket[0] ? socket : CONF_SOCKET, SILENCE_S, &names, why);
	return call->client ? 0 : cni_fail(err, CNI_TRY_AGAIN, "%s", why);
}

static int find_network(struct call *call, struct cni_err *err)
{
	int rc = attach_call(
		call->client, "network.show", json_pack("{s:s}", "name", call->name), &call->network, err);

	if (rc < 0 && err->code != CNI_TRY_AGAIN)
		cni_fail(err, CNI_BAD_CONF, "the daemon has no network \"%.128s\" (sluicectl network add)",
			call->name);
	return rc;
}

/* The network's subnets, with the gateway of the same family. */
static json_t *subnets_of(const json_t *network)
{
	json_t *list = json_array(), *subnet, *all = json_object_get(network, "subnets"), *entry;
	size_t i;

	json_array_foreach (all, i, subnet) {
		const char *gateway = result_of_family(network, "gateways", json_string_value(subnet));

		entry = json_pack("{s:O}", "subnet", subnet);
		if (gateway)
			json_object_set_new(entry, "gateway", json_string(gateway));
		json_array_append_new(list, entry);
	}
	return list;
}

/* Addresses are the daemon's, so subnets that Podman was told must be those of the network. */
static int check_subnets(const struct call *call, struct cni_err *err)
{
	const json_t *given = json_object_get(call->net, "subnets");
	const char *subnet, *text;
	json_t *item;
	size_t i;

	json_array_foreach ((json_t *)given, i, item) {
		text = json_string_value(json_object_get(item, "subnet"));
		subnet = result_of_family(call->network, "subnets", text ? text : "");
		if (!text || !subnet || strcmp(text, subnet) != 0)
			return cni_fail(err, CNI_BAD_CONF, "subnets[%zu].subnet: network %.128s has %s", i,
				call->name, subnet ? subnet : "none of that family");
	}
	return 0;
}

/* The daemon's network must be there: Netavark does not tell when it deletes one, so none is made for it. */
static int run_create(struct call *call, struct cni_err *err)
{
	json_t *out;

	call->net = call->in;
	if (read_network(call, "", err) < 0 || find_network(call, err) < 0 || check_subnets(call, err) < 0)
		return -1;
	out = json_deep_copy(call->in);
	json_object_set_new(out, "subnets", subnets_of(call->network));
	json_object_set_new(out, "ipam_options", json_pack("{s:s}", "driver", "none"));
	call->answer = out;
	return 0;
}

/* "tcp", or "tcp,udp": each of them. */
static int add_mapping(struct attachment *a, const char *name, json_int_t from, json_int_t to,
	const char *address, const char *protocols)
{
	char copy[32], *rest = copy, *protocol;

	snprintf(copy, sizeof(copy), "%s", protocols[0] ? protocols : "tcp");
	while ((protocol = strsep(&rest, ",")))
		if (want_publish(a, name, from, address, protocol, to) < 0)
			return -1;
	return 0;
}

static int read_mapping(const json_t *mapping, const char *path, struct attachment *a, struct cni_err *err)
{
	const char *protocol = input_text(mapping, "protocol", path, err),
		   *address = protocol ? input_text(mapping, "host_ip", path, err) : NULL;
	json_int_t from, to, range;

	if (!address || input_number(mapping, "host_port", path, 1, PORT_MAX, 0, &from, err) < 0 ||
		input_number(mapping, "container_port", path, 1, PORT_MAX, 0, &to, err) < 0 ||
		input_number(mapping, "range", path, 0, PORTS_MAX, 1, &range, err) < 0)
		return -1;
	if (!from || !to)
		return cni_fail(
			err, CNI_BAD_CONF, "%s%s: missing", path, from ? "container_port" : "host_port");
	for (json_int_t i = 0; i < (range ? range : 1); i++) {
		if (from + i > PORT_MAX || to + i > PORT_MAX)
			return cni_fail(err, CNI_BAD_CONF, "%srange: goes beyond port %d", path, PORT_MAX);
		if (json_array_size(a->publish) >= PORTS_MAX)
			return cni_fail(err, CNI_BAD_CONF, "port_mappings: more than %d ports", PORTS_MAX);
		if (add_mapping(a, path, from + i, to + i, address, protocol) < 0)
			return cni_fail(err, CNI_BAD_CONF, "%sprotocol: is no text", path);
	}
	return 0;
}

static int read_mappings(const struct call *call, struct attachment *a, struct cni_err *err)
{
	const json_t *list = json_object_get(call->in, "port_mappings");
	char path[64];
	json_t *item;
	size_t i;

	if (list && !json_is_null(list) && !json_is_array(list))
		return cni_fail(err, CNI_BAD_CONF, "port_mappings: must be a list");
	json_array_foreach ((json_t *)list, i, item) {
		snprintf(path, sizeof(path), "port_mappings[%zu].", i);
		if (read_mapping(item, path, a, err) < 0)
			return -1;
	}
	return 0;
}

#define WANTED "network_options."

static int read_wanted(
	const struct call *call, const json_t *options, struct attachment *a, struct cni_err *err)
{
	const json_t *ips, *aliases;
	const char *mac = input_text(options, "static_mac", WANTED, err),
		   *container = mac ? input_text(call->in, "container_name", "", err) : NULL;
	json_t *alias;
	size_t i;

	if (!container || input_texts(options, "static_ips", WANTED, &ips, err) < 0 ||
		input_texts(options, "aliases", WANTED, &aliases, err) < 0)
		return -1;
	if (mac[0])
		json_object_set_new(a->port, "mac", json_string(mac));
	if (json_array_size(ips))
		json_object_set_new(a->port, "ips", json_deep_copy(ips));
	if (container[0] && want_alias(a, container, "container_name", err) < 0)
		return -1;
	json_array_foreach ((json_t *)aliases, i, alias)
		if (want_alias(a, json_string_value(alias), WANTED "aliases", err) < 0)
			return -1;
	return 0;
}

/* Which container it is: what teardown says as well. The interface's name is the options' own. */
static int read_key(
	const struct call *call, const json_t *options, struct attach_key *key, struct cni_err *err)
{
	key->network = input_text(call->net, "name", "network.", err);
	key->container = key->network ? input_text(call->in, "container_id", "", err) : NULL;
	key->ifname = key->container ? input_text(options, "interface_name", WANTED, err) : NULL;
	if (!key->ifname)
		return -1;
	if (!input_is_name(key->container))
		return cni_fail(err, CNI_BAD_CONF, "container_id: must be 1 to 255 letters, digits and ._-");
	if (!input_is_ifname(key->ifname))
		return cni_fail(err, CNI_BAD_CONF,
			WANTED "interface_name: must be a name for an interface, of 1 to %d bytes",
			INPUT_IFNAME_MAX);
	return 0;
}

/* The parts that setup and teardown are about. */
static int read_call(struct call *call, struct attach_key *key, const json_t **options, struct cni_err *err)
{
	if (input_object(call->in, "network", "", &call->net, err) < 0 ||
		input_object(call->in, "network_options", "", options, err) < 0)
		return -1;
	if (!call->net)
		return cni_fail(err, CNI_BAD_CONF, "network: missing");
	if (!*options)
		return cni_fail(err, CNI_BAD_CONF, "network_options: missing");
	if (read_key(call, *options, key, err) < 0)
		return -1;
	return read_network(call, "network.", err);
}

static json_t *status_of(const struct call *call, const struct attach_key *key, const json_t *port)
{
	json_t *subnets = json_array(), *servers = json_array(), *ip;
	const char *gateway;
	char address[64];
	size_t i;

	json_array_foreach (json_object_get(port, "ips"), i, ip) {
		json_t *entry;

		result_address(call->network, json_string_value(ip), address, &gateway);
		entry = json_pack("{s:s}", "ipnet", address);
		if (gateway)
			json_object_set_new(entry, "gateway", json_string(gateway));
		if (gateway && json_is_true(json_object_get(call->net, "dns_enabled")))
			json_array_append_new(servers, json_string(gateway));
		json_array_append_new(subnets, entry);
	}
	return json_pack("{s:[], s:o, s:{s:{s:O, s:o}}}", "dns_search_domains", "dns_server_ips", servers,
		"interfaces", key->ifname, "mac_address", json_object_get(port, "mac"), "subnets", subnets);
}

static int set_up(struct call *call, struct attachment *a, const json_t *options, struct cni_err *err)
{
	json_t *port;
	int rc;

	if (read_mappings(call, a, err) < 0 || read_wanted(call, options, a, err) < 0 ||
		find_network(call, err) < 0)
		return -1;
	rc = attach_add(call->client, a, &port, err);
	if (rc == 0) {
		call->answer = status_of(call, &a->key, port);
		json_decref(port);
	}
	return rc;
}

static int run_setup(struct call *call, struct cni_err *err)
{
	const json_t *options;
	struct attachment a = {.directory = ""};
	int rc;

	if (read_call(call, &a.key, &options, err) < 0)
		return -1;
	a.port = json_pack("{s:s, s:s, s:s, s:s}", "network", call->name, "type", "tap", "netns", call->netns,
		"ifname", a.key.ifname);
	a.publish = json_array();
	a.names = json_pack("{s:s, s:s, s:s, s:s}", "mac", WANTED "static_mac", "ips", WANTED "static_ips",
		"ifname", WANTED "interface_name", "services", WANTED "aliases");
	rc = a.port ? set_up(call, &a, options, err)
		    : cni_fail(err, CNI_BAD_CONF, "the namespace's path is no text");
	conf_attachment_close(&a);
	return rc;
}

static int run_teardown(struct call *call, struct cni_err *err)
{
	const json_t *options;
	struct attach_key key;

	if (read_call(call, &key, &options, err) < 0)
		return -1;
	return attach_del(call->client, &key, err);
}

static int run_info(struct call *call, struct cni_err *err)
{
	call->answer = json_pack("{s:s, s:s}", "version", SLUICE_VERSION, "api_version", "1.0.0");
	return 0;
}

static const struct {
	const char *name;
	bool netns, input; /* needs a namespace's path, needs standard input */
	int (*run)(struct call *call, struct cni_err *err);
} commands[] = {
	{"create", false, true, run_create},
	{"setup", true, true, run_setup},
	{"teardown", true, true, run_teardown},
	{"info", false, false, run_info},
};

static int run(struct call *call, int argc, char **argv, struct cni_err *err)
{
	const char *name = argc > 1 ? argv[1] : "";

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++) {
		if (strcmp(commands[i].name, name) != 0)
			continue;
		call->netns = argc > 2 ? argv[2] : "";
		if (commands[i].netns && (call->netns[0] != '/' || strlen(call->netns) > NETNS_MAX))
			return cni_fail(err, CNI_BAD_ENVIRONMENT,
				"%s needs the path of a namespace, absolute and of at most %d bytes", name,
				NETNS_MAX);
		if (commands[i].input && !(call->in = input_read(err)))
			return -1;
		return commands[i].run(call, err);
	}
	return cni_fail(err, CNI_BAD_ENVIRONMENT, "\"%.32s\" is none of create, setup, teardown, info", name);
}

int netavark_main(int argc, char **argv)
{
	struct call call = {.netns = ""};
	struct cni_err err;
	int rc = run(&call, argc, argv, &err);

	if (rc < 0) {
		call.answer = json_pack("{s:s}", "error", err.text);
		if (!call.answer)
			call.answer = json_pack("{s:s}", "error", "refused");
	}
	if (call.answer) {
		json_dumpf(call.answer, stdout, JSON_COMPACT);
		printf("\n");
	}
	json_decref(call.answer);
	json_decref(call.network);
	json_decref(call.in);
	client_close(call.client);
	return rc < 0;
}

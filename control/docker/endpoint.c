/* endpoint.c: a container's place in a network before and after it runs: its address and its MAC. */
#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/docker/address.h"
#include "control/docker/call.h"
#include "control/docker/publish.h"
#include "control/model/objects.h"

enum { MAC_ATTEMPTS = 8 };

struct wanted {
	uint32_t ip; /* 0: none */
	uint8_t len;
	uint8_t mac[6];
	bool has_mac;
	char address[ADDR_PREFIX_TEXT]; /* "": none */
};

static int read_mac(const char *text, struct wanted *wanted, struct api_err *err)
{
	static const uint8_t zero[6];

	wanted->has_mac = text[0] != '\0';
	if (!wanted->has_mac)
		return 0;
	if (!addr_mac(text, wanted->mac) || wanted->mac[0] & 1 || !memcmp(wanted->mac, zero, sizeof(zero)))
		return api_fail(err, API_INVALID, "Interface.MacAddress", "must be a unicast MAC, not zero");
	return 0;
}

static int read_wanted(const json_t *interface, struct wanted *wanted, struct api_err *err)
{
	const char *address = docker_call_text(interface, "Address", err), *v6 = NULL, *mac = NULL;
	struct addr_prefix prefix;

	*wanted = (struct wanted){.ip = 0};
	if (interface && !json_is_null(interface) && !json_is_object(interface))
		return api_fail(err, API_INVALID, "Interface", "must be an object");
	if (address)
		v6 = docker_call_text(interface, "AddressIPv6", err);
	if (v6)
		mac = docker_call_text(interface, "MacAddress", err);
	if (!mac || read_mac(mac, wanted, err) < 0)
		return -1;
	if (v6[0])
		return api_fail(err, API_UNSUPPORTED, "Interface.AddressIPv6",
			"containers have no IPv6 addresses yet");
	if (!address[0])
		return 0;
	if (!addr_prefix(address, &prefix))
		return api_fail(err, API_INVALID, "Interface.Address", "must be an address with its prefix");
	wanted->ip = prefix.address;
	wanted->len = prefix.len;
	addr_prefix_text(prefix, wanted->address);
	return 0;
}

/* The endpoint of the same network here that has the address; NULL: none. */
static const char *holder(struct docker *docker, const char *network, uint32_t ip)
{
	const char *id;
	json_t *record;
	uint32_t other;

	json_object_foreach (docker->records[DOCKER_ENDPOINT], id, record) {
		const json_t *of = docker_record(docker, DOCKER_NETWORK, param_str(record, "network"));

		if (of && docker_address_read(param_str(record, "address"), &other) && other == ip &&
			strcmp(param_str(of, "network"), network) == 0)
			return id;
	}
	return NULL;
}

static int check_address(struct docker *docker, const struct model_network *network,
	const struct wanted *wanted, struct api_err *err)
{
	char who[96], subnet[ADDR_PREFIX_TEXT];
	const char *other;

	if (!wanted->ip)
		return 0;
	if (!network->spec.subnet || wanted->len != network->spec.prefix ||
		!addr_is_host(model_subnet(network), wanted->ip))
		return api_fail(err, API_INVALID, "Interface.Address", "%s is no host address of %s",
			wanted->address,
			network->spec.subnet ? addr_prefix_text(model_subnet(network), subnet)
					     : "a network without a subnet");
	other = holder(docker, network->name, wanted->ip);
	if (other)
		return api_fail(err, API_EXISTS, "Interface.Address", "%s is taken by endpoint %.12s",
			wanted->address, other);
	if (model_ip_taken(docker->model, network, ip_from4(wanted->ip), NULL, who))
		return api_fail(
			err, API_EXISTS, "Interface.Address", "%s is taken by %s", wanted->address, who);
	return 0;
}

static bool mac_taken(struct docker *docker, const struct model_network *network, const uint8_t mac[6])
{
	const struct model_port *port;

	TAILQ_FOREACH (port, &docker->model->ports, link)
		if (port->network == network && !memcmp(port->spec.mac, mac, 6))
			return true;
	return false;
}

/* From the endpoint's id, never from its address: whoever gets the address next must not pass for this one. */
static int choose_mac(struct docker *docker, const struct model_network *network, const char *id,
	struct wanted *wanted, struct api_err *err)
{
	char mac[ADDR_MAC_TEXT];

	if (wanted->has_mac)
		return mac_taken(docker, network, wanted->mac)
			       ? api_fail(err, API_EXISTS, "Interface.MacAddress",
					 "%s is taken in network %s", addr_mac_text(wanted->mac, mac),
					 network->name)
			       : 0;
	for (unsigned i = 0; i < MAC_ATTEMPTS; i++) {
		addr_mac_of_name(id, i, wanted->mac);
		if (!mac_taken(docker, network, wanted->mac))
			return 0;
	}
	return api_fail(err, API_EXISTS, NULL, "no MAC is free");
}

/* Docker takes it for an error when it is told what it has said itself. */
static void answer(json_t *out, const json_t *record)
{
	json_t *interface = json_object();

	if (!json_is_true(json_object_get(record, "given")))
		json_object_set(interface, "MacAddress", json_object_get(record, "mac"));
	json_object_set_new(out, "Interface", interface);
}

static int check_again(const json_t *record, const char *network, const struct wanted *wanted, const char *id,
	struct api_err *err)
{
	const char *address = param_str(record, "address");
	char mac[ADDR_MAC_TEXT];

	if (strcmp(param_str(record, "network"), network) == 0 &&
		strcmp(address ? address : "", wanted->address) == 0 &&
		wanted->has_mac == json_is_true(json_object_get(record, "given")) &&
		(!wanted->has_mac || !strcmp(param_str(record, "mac"), addr_mac_text(wanted->mac, mac))))
		return 0;
	return api_fail(err, API_EXISTS, "EndpointID", "there is an endpoint %.12s, and it is another", id);
}

static int make(struct docker *docker, const char *id, const char *network_id, const json_t *network,
	struct wanted *wanted, struct api_err *err)
{
	const char *name = param_str(network, "network"), *pool = docker_pool_of(docker, network_id);
	const struct model_network *of = model_network(docker->model, name);
	char mac[ADDR_MAC_TEXT];

	if (!of)
		return api_fail(err, API_NOT_FOUND, NULL, "network %s has been deleted", name);
	if (check_address(docker, of, wanted, err) < 0 || choose_mac(docker, of, id, wanted, err) < 0)
		return -1;
	docker_put(docker, DOCKER_ENDPOINT, id,
		json_pack("{s:s, s:s, s:s, s:b, s:b, s:I}", "network", network_id, "address", wanted->address,
			"mac", addr_mac_text(wanted->mac, mac), "given", wanted->has_mac, "route", false,
			"at", (json_int_t)docker_now_ms()));
	if (pool && wanted->ip)
		docker_address_claim(docker, pool, wanted->ip, id);
	return 0;
}

int docker_create_endpoint(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const json_t *network = docker_need_network(docker, in, err), *record;
	const char *id = network ? docker_call_id(in, "EndpointID", err) : NULL;
	const char *network_id = json_string_value(json_object_get(in, "NetworkID"));
	struct wanted wanted;
	int rc;

	if (!id || read_wanted(json_object_get(in, "Interface"), &wanted, err) < 0)
		return -1;
	record = docker_record(docker, DOCKER_ENDPOINT, id);
	rc = record ? check_again(record, network_id, &wanted, id, err)
		    : make(docker, id, network_id, network, &wanted, err);
	if (rc == 0)
		answer(out, docker_record(docker, DOCKER_ENDPOINT, id));
	return rc;
}

json_t *docker_need_endpoint(const struct docker *docker, const json_t *in, struct api_err *err)
{
	const char *id = docker_need_network(docker, in, err) ? docker_call_id(in, "EndpointID", err) : NULL;
	json_t *record = id ? docker_record(docker, DOCKER_ENDPOINT, id) : NULL;

	if (id && (!record || strcmp(param_str(record, "network"), param_str(in, "NetworkID")) != 0)) {
		api_fail(err, API_NOT_FOUND, "EndpointID", "no such endpoint %.12s in network %.12s", id,
			param_str(in, "NetworkID"));
		return NULL;
	}
	return record;
}

int docker_endpoint_info(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const json_t *record = docker_need_endpoint(docker, in, err);
	json_t *value = json_object(), *published;

	if (!record) {
		json_decref(value);
		return -1;
	}
	published = docker_published(record);
	if (json_array_size(published))
		json_object_set(value, "com.docker.network.portmap", published);
	json_decref(published);
	json_object_set_new(out, "Value", value);
	return 0;
}

int docker_endpoint_drop(struct docker *docker, const char *id, struct api_err *err)
{
	const json_t *record = docker_record(docker, DOCKER_ENDPOINT, id);
	const char *pool;

	if (docker_port_del(docker, id, err) < 0)
		return -1;
	pool = docker_pool_of(docker, param_str(record, "network"));
	if (pool)
		docker_address_unclaim(docker, pool, id);
	docker_forget(docker, DOCKER_ENDPOINT, id);
	return 0;
}

/* Docker deletes what it never made, too, when it cleans up. */
int docker_delete_endpoint(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	const char *id = docker_call_id(in, "EndpointID", err);
	const json_t *record;

	if (!id || !docker_call_id(in, "NetworkID", err))
		return -1;
	record = docker_record(docker, DOCKER_ENDPOINT, id);
	if (!record || strcmp(param_str(record, "network"), param_str(in, "NetworkID")) != 0)
		return 0;
	return docker_endpoint_drop(docker, id, err);
}

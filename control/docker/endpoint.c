/* endpoint.c: a container's place in a network before and after it runs: its address and its MAC. */
#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/docker/address.h"
#include "control/docker/call.h"
#include "control/docker/publish.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"

enum { MAC_ATTEMPTS = 8 };

/* An address of one family. */
struct place {
	struct ip_prefix ip;
	char text[ADDR_IP_PREFIX_TEXT]; /* "": none */
};

struct wanted {
	struct place place[2]; /* of IPv4, of IPv6 */
	uint8_t mac[6];
	bool has_mac;
};

/* In Docker's request, and in the record. */
static const char *const asked[2] = {"Address", "AddressIPv6"}, *const fields[2] = {"address", "address6"};

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

static int read_place(const json_t *interface, bool ip6, struct place *place, struct api_err *err)
{
	const char *text = docker_call_text(interface, asked[ip6], err);
	char field[32];

	if (!text || !text[0])
		return text ? 0 : -1;
	snprintf(field, sizeof(field), "Interface.%s", asked[ip6]);
	if (!addr_ip_prefix(text, &place->ip) || ip_is4(place->ip.address) == ip6)
		return api_fail(err, API_INVALID, field, "must be an address of IPv%c with its prefix",
			ip6 ? '6' : '4');
	addr_ip_prefix_text(place->ip, place->text);
	return 0;
}

static int read_wanted(const json_t *interface, struct wanted *wanted, struct api_err *err)
{
	const char *mac;

	*wanted = (struct wanted){.has_mac = false};
	if (interface && !json_is_null(interface) && !json_is_object(interface))
		return api_fail(err, API_INVALID, "Interface", "must be an object");
	for (unsigned ip6 = 0; ip6 < 2; ip6++)
		if (read_place(interface, ip6, &wanted->place[ip6], err) < 0)
			return -1;
	mac = docker_call_text(interface, "MacAddress", err);
	return mac ? read_mac(mac, wanted, err) : -1;
}

static bool has_address(const json_t *record, struct ip_addr ip)
{
	struct ip_addr other;

	return docker_address_read(param_str(record, fields[!ip_is4(ip)]), &other) && ip_equal(other, ip);
}

/* The endpoint of the same network here that has the address; NULL: none. */
static const char *holder(struct docker *docker, const char *network, struct ip_addr ip)
{
	const char *id;
	json_t *record;

	json_object_foreach (docker->records[DOCKER_ENDPOINT], id, record) {
		const json_t *of = docker_record(docker, DOCKER_NETWORK, param_str(record, "network"));

		if (of && has_address(record, ip) && strcmp(param_str(of, "network"), network) == 0)
			return id;
	}
	return NULL;
}

static int check_place(struct docker *docker, const struct model_network *network, const struct place *place,
	bool ip6, struct api_err *err)
{
	struct ip_prefix subnet = network_spec_subnet(&network->spec, ip6);
	char who[96], text[ADDR_IP_PREFIX_TEXT], field[32];
	const char *other;

	if (!place->text[0])
		return 0;
	snprintf(field, sizeof(field), "Interface.%s", asked[ip6]);
	if (ip_is_none(subnet.address) || place->ip.len != subnet.len ||
		!addr_is_host_of(subnet, place->ip.address))
		return api_fail(err, API_INVALID, field, "%s is no host address of %s", place->text,
			ip_is_none(subnet.address) ? "a network without a subnet"
						   : addr_ip_prefix_text(subnet, text));
	other = holder(docker, network->name, place->ip.address);
	if (other)
		return api_fail(err, API_EXISTS, field, "%s is taken by endpoint %.12s", place->text, other);
	if (model_ip_taken(docker->model, network, place->ip.address, NULL, who))
		return api_fail(err, API_EXISTS, field, "%s is taken by %s", place->text, who);
	return 0;
}

static int check_places(struct docker *docker, const struct model_network *network,
	const struct wanted *wanted, struct api_err *err)
{
	for (unsigned ip6 = 0; ip6 < 2; ip6++)
		if (check_place(docker, network, &wanted->place[ip6], ip6, err) < 0)
			return -1;
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
	const char *address = param_str(record, fields[0]), *address6 = param_str(record, fields[1]);
	char mac[ADDR_MAC_TEXT];

	if (strcmp(param_str(record, "network"), network) == 0 &&
		strcmp(address ? address : "", wanted->place[0].text) == 0 &&
		strcmp(address6 ? address6 : "", wanted->place[1].text) == 0 &&
		wanted->has_mac == json_is_true(json_object_get(record, "given")) &&
		(!wanted->has_mac || !strcmp(param_str(record, "mac"), addr_mac_text(wanted->mac, mac))))
		return 0;
	return api_fail(err, API_EXISTS, "EndpointID", "there is an endpoint %.12s, and it is another", id);
}

static int make(struct docker *docker, const char *id, const char *network_id, const json_t *network,
	struct wanted *wanted, struct api_err *err)
{
	const char *name = param_str(network, "network"), *pool;
	const struct model_network *of = model_network(docker->model, name);
	char mac[ADDR_MAC_TEXT];

	if (!of)
		return api_fail(err, API_NOT_FOUND, NULL, "network %s has been deleted", name);
	if (check_places(docker, of, wanted, err) < 0 || choose_mac(docker, of, id, wanted, err) < 0)
		return -1;
	docker_put(docker, DOCKER_ENDPOINT, id,
		json_pack("{s:s, s:s, s:s, s:s, s:b, s:b, s:I}", "network", network_id, fields[0],
			wanted->place[0].text, fields[1], wanted->place[1].text, "mac",
			addr_mac_text(wanted->mac, mac), "given", wanted->has_mac, "route", false, "at",
			(json_int_t)docker_now_ms()));
	for (unsigned ip6 = 0; ip6 < 2; ip6++) {
		pool = docker_pool_of(docker, network_id, ip6);
		if (pool && wanted->place[ip6].text[0])
			docker_address_claim(docker, pool, wanted->place[ip6].ip.address, id);
	}
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

	if (docker_port_del(docker, id, err) < 0)
		return -1;
	docker_addresses_unclaim(docker, param_str(record, "network"), id);
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

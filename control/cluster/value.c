#include "control/cluster/value.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/params.h"
#include "control/host/addr.h"
#include "dataplane/dataplane.h"

static int refuse(const char **why, const char *text)
{
	*why = text;
	return -1;
}

json_t *value_read(const char *text, size_t len, const char **why)
{
	json_t *json = len <= VALUE_MAX ? json_loadb(text, len, JSON_REJECT_DUPLICATES, NULL) : NULL;
	int64_t version = json_integer_value(json_object_get(json, "v"));

	*why = NULL;
	if (len > VALUE_MAX)
		*why = "longer than 64 KB";
	else if (!json_is_object(json))
		*why = "no JSON object";
	else if (version < 1)
		*why = "v: missing";
	else if (version > VALUE_VERSION)
		*why = "v: of a later version";
	else
		return json;
	json_decref(json);
	return NULL;
}

/* Text of at most size - 1 bytes; `need`: and of one at least. */
static bool read_text(const json_t *json, const char *field, bool need, char *out, size_t size)
{
	const char *text = param_str(json, field);

	if (!text || strlen(text) >= size || (need && !text[0]))
		return false;
	snprintf(out, size, "%s", text);
	return true;
}

static int read_host(const json_t *json, struct value_host *host, const char **why)
{
	const char *address = param_str(json, "address"), *six = param_str(json, "address6");

	*host = (struct value_host){.zone = ""};
	if (!read_text(json, "id", true, host->id, sizeof(host->id)))
		return refuse(why, "id: must be a text of 1 to 39 bytes");
	if (param_given(json, "zone") && !read_text(json, "zone", false, host->zone, sizeof(host->zone)))
		return refuse(why, "zone: must be a text of at most 63 bytes");
	if (address && (!ip_parse(address, &host->address) || !ip_is_unicast(host->address)))
		return refuse(why, "address: must be a unicast address");
	if (six &&
		(!ip_parse(six, &host->address6) || ip_is4(host->address6) || !ip_is_unicast(host->address6)))
		return refuse(why, "address6: must be a unicast address of IPv6");
	return 0;
}

int value_read_host(const char *text, size_t len, struct value_host *host, const char **why)
{
	json_t *json = value_read(text, len, why);
	int rc = json ? read_host(json, host, why) : -1;

	json_decref(json);
	return rc;
}

int value_read_alive(const char *text, size_t len, char id[VALUE_ID], const char **why)
{
	json_t *json = value_read(text, len, why);
	int rc = -1;

	if (json)
		rc = read_text(json, "id", true, id, VALUE_ID)
			     ? 0
			     : refuse(why, "id: must be a text of 1 to 39 bytes");
	json_decref(json);
	return rc;
}

/* *room: where there is room for them, moved past them. */
static int read_ips(const json_t *list, struct value_endpoint *ep, struct ip_addr **room, const char **why)
{
	size_t n = json_array_size(list);

	if (list && !json_is_array(list))
		return refuse(why, "ips: must be a list");
	if (n > VALUE_IPS)
		return refuse(why, "ips: more than 8");
	ep->ips = *room;
	*room += n;
	for (size_t i = 0; i < n; i++) {
		const char *text = json_string_value(json_array_get(list, i));

		if (!text || !ip_parse(text, &ep->ips[i]) || !ip_is_unicast(ep->ips[i]))
			return refuse(why, "ips: must be unicast addresses");
	}
	ep->nips = (uint8_t)n;
	return 0;
}

/* A MAC that no guest may have would draw the traffic of all. */
static int read_endpoint(
	const json_t *json, struct value_endpoint *ep, struct ip_addr **room, const char **why)
{
	static const uint8_t none[6];
	const char *mac = param_str(json, "mac");

	*ep = (struct value_endpoint){.seq = param_int(json, "seq", 0)};
	if (!mac || !addr_mac(mac, ep->mac) || (ep->mac[0] & 1) || !memcmp(ep->mac, none, 6) ||
		!memcmp(ep->mac, dp_router_mac, 6))
		return refuse(why, "mac: must be one that a guest may have");
	if (ep->seq < 0)
		return refuse(why, "seq: must not be negative");
	return read_ips(json_object_get(json, "ips"), ep, room, why);
}

/* Most guests have one address: room for the most that each may have would be most of what a host keeps of the others. */
static size_t count_ips(const json_t *list)
{
	size_t n = 0, ips;

	for (size_t i = 0; i < json_array_size(list); i++) {
		ips = json_array_size(json_object_get(json_array_get(list, i), "ips"));
		n += ips < VALUE_IPS ? ips : VALUE_IPS;
	}
	return n;
}

static struct value_chunk *read_chunk(const json_t *json, const char **why)
{
	const json_t *list = json_object_get(json, "ep");
	size_t n = json_array_size(list);
	int64_t vni = param_int(json, "vni", 0);
	struct value_chunk *chunk;
	struct ip_addr *room;

	if (!json_is_array(list) || n > VALUE_ENDPOINTS) {
		*why = "ep: must be a list of at most 100";
		return NULL;
	}
	if (vni < 1 || vni > 0xffffff) {
		*why = "vni: out of range 1..16777215";
		return NULL;
	}
	chunk = calloc(1, sizeof(*chunk) + n * sizeof(chunk->ep[0]) + count_ips(list) * sizeof(*room));
	if (!chunk) {
		*why = "out of memory";
		return NULL;
	}
	chunk->vni = (uint32_t)vni;
	chunk->n = (unsigned)n;
	room = (struct ip_addr *)&chunk->ep[n];
	if (!read_text(json, "network", true, chunk->network, sizeof(chunk->network))) {
		*why = "network: must be a text of 1 to 63 bytes";
		goto fail;
	}
	for (size_t i = 0; i < n; i++)
		if (read_endpoint(json_array_get(list, i), &chunk->ep[i], &room, why) < 0)
			goto fail;
	return chunk;
fail:
	free(chunk);
	return NULL;
}

struct value_chunk *value_read_chunk(const char *text, size_t len, const char **why)
{
	json_t *json = value_read(text, len, why);
	struct value_chunk *chunk = json ? read_chunk(json, why) : NULL;

	json_decref(json);
	return chunk;
}

char *value_text(json_t *json)
{
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	return text;
}

static json_t *address_json(struct ip_addr address)
{
	char text[IP_TEXT];

	return ip_is_none(address) ? json_null() : json_string(ip_text(address, text));
}

char *value_host_text(const struct value_host *host)
{
	json_t *json = json_pack("{s:i, s:s, s:o, s:s}", "v", VALUE_VERSION, "id", host->id, "address",
		address_json(host->address), "zone", host->zone);

	if (json && !ip_is_none(host->address6) &&
		json_object_set_new(json, "address6", address_json(host->address6)) < 0) {
		json_decref(json);
		return NULL;
	}
	return value_text(json);
}

char *value_alive_text(const char *id)
{
	return value_text(json_pack("{s:i, s:s}", "v", VALUE_VERSION, "id", id));
}

static json_t *endpoint_json(const struct value_endpoint *ep)
{
	json_t *ips = json_array();
	char mac[ADDR_MAC_TEXT];

	for (unsigned i = 0; i < ep->nips; i++)
		json_array_append_new(ips, address_json(ep->ips[i]));
	return json_pack("{s:s, s:o, s:I}", "mac", addr_mac_text(ep->mac, mac), "ips", ips, "seq",
		(json_int_t)ep->seq);
}

char *value_chunk_text(const struct value_chunk *chunk)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < chunk->n; i++)
		json_array_append_new(list, endpoint_json(&chunk->ep[i]));
	return value_text(json_pack("{s:i, s:s, s:i, s:o}", "v", VALUE_VERSION, "network", chunk->network,
		"vni", (int)chunk->vni, "ep", list));
}

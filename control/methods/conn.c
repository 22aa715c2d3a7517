/*
 * Connections: who talks to whom through a vip now, or with the world outside by an uplink.
 */
#include <string.h>

#include "control/base/params.h"
#include "control/base/result.h"
#include "control/methods/list.h"
#include "control/model/objects.h"

static const char *const states[] = {
	[DP_CONN_NEW] = "new", [DP_CONN_ESTABLISHED] = "established", [DP_CONN_CLOSING] = "closing"};

struct listing {
	struct model *model;
	const char *service;   /* only this one; NULL: all */
	struct ip_addr client; /* only this one, when any_client is false */
	bool any_client;
	json_t *list;
};

static json_t *conn_json(
	const struct model *model, const struct dp_conn *conn, const struct model_service *service)
{
	const struct model_network *network = model->network_by_id[service->net];
	json_t *object = json_object();
	char text[IP_PORT_TEXT];

	put_str(object, "service", service->name);
	put_str(object, "client", ip_port_text(conn->client, conn->client_port, text));
	put_str(object, "vip", ip_port_text(conn->vip, conn->vip_port, text));
	put_str(object, "backend", ip_port_text(conn->backend, conn->backend_port, text));
	put_str(object, "protocol", reg_protocol_name((enum reg_protocol)conn->protocol));
	put_str(object, "state", states[conn->state]);
	put_int(object, "packets", conn->packets);
	put_int(object, "bytes", conn->bytes);
	put_int(object, "age_s", conn->age_s);
	put_int(object, "idle_s", conn->idle_s);
	put_str(object, "network", network ? network->name : NULL);
	put_str(object, "outside", NULL);
	return object;
}

static const char *protocol_name(uint8_t protocol)
{
	const char *name = reg_protocol_name((enum reg_protocol)protocol);

	return name ? name : "icmp";
}

/* Who began it is the client, who answers the backend, as through a vip; `outside` is the uplink's address between them. */
static json_t *egress_json(const struct dp_egress_conn *conn, const char *network)
{
	char guest[IP_PORT_TEXT], peer[IP_PORT_TEXT], outside[IP_PORT_TEXT];
	json_t *object = json_object();

	ip_port_text(conn->guest, conn->guest_port, guest);
	ip_port_text(conn->peer, conn->peer_port, peer);
	ip_port_text(conn->outside, conn->outside_port, outside);
	put_str(object, "service", NULL);
	put_str(object, "client", conn->inward ? peer : guest);
	put_str(object, "vip", NULL);
	put_str(object, "backend", conn->inward ? guest : peer);
	put_str(object, "protocol", protocol_name(conn->protocol));
	put_str(object, "state", states[conn->state]);
	put_int(object, "packets", conn->packets);
	put_int(object, "bytes", conn->bytes);
	put_int(object, "age_s", conn->age_s);
	put_int(object, "idle_s", conn->idle_s);
	put_str(object, "network", network);
	put_str(object, "outside", outside);
	return object;
}

static bool list_egress(void *arg, const struct dp_egress_conn *conn)
{
	struct listing *listing = arg;
	const struct model_network *network = listing->model->network_by_id[conn->net];
	struct ip_addr client = conn->inward ? conn->peer : conn->guest;

	if (network && (listing->any_client || ip_equal(client, listing->client)))
		json_array_append_new(listing->list, egress_json(conn, network->name));
	return true;
}

static bool list_conn(void *arg, const struct dp_conn *conn)
{
	struct listing *listing = arg;
	const struct model_service *service = model_service_by_id(listing->model, conn->service);

	if (!service || (listing->service && strcmp(service->name, listing->service) != 0))
		return true;
	if (listing->any_client || ip_equal(conn->client, listing->client))
		json_array_append_new(listing->list, conn_json(listing->model, conn, service));
	return true;
}

static API_HANDLER(conn_list)
{
	const char *service = param_str(params, "service");

	if (service && !registry_service_find(model->registry, service))
		return api_fail(err, API_NOT_FOUND, "service", "no such service \"%s\"", service);
	*result = json_array();
	return 0;
}

/* Of a walk's place: it is in the table of those with the world outside, which comes second. */
#define OUTSIDE (UINT64_C(1) << 63)

static bool conn_list_part(struct model *model, const json_t *params, struct api_at *at, json_t *list)
{
	struct listing listing = {model, .service = param_str(params, "service"), .list = list};
	bool more;

	listing.any_client = !ip_parse(param_str(params, "client"), &listing.client);
	if (!(at->n & OUTSIDE)) {
		if (dp_conn_walk_part(model->dp, &at->n, list_conn, &listing))
			return true;
		at->n = OUTSIDE;
		return !listing.service;
	}
	at->n &= ~OUTSIDE;
	more = dp_egress_walk_part(model->dp, &at->n, list_egress, &listing);
	at->n |= OUTSIDE;
	return more;
}

static API_HANDLER(conn_count)
{
	*result = json_object();
	put_int(*result, "count", dp_conn_count(model->dp));
	return 0;
}

static const struct api_field list_fields[] = {
	{"service", API_SERVICE, "only through its vips"},
	{"client", API_IP, "only of this client"},
	{NULL},
};

const struct api_method conn_methods[] = {
	{"conn.list", "List connections through vips, and with the world outside", list_fields, conn_list,
		false,
		"service,client,vip,outside,backend,protocol,state,packets,bytes,age_s=AGE,idle_s=IDLE",
		conn_list_part},
	{"conn.count", "Count connections through vips", NULL, conn_count, false},
	{NULL},
};

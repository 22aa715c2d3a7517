/*
 * Vteps: remote VXLAN tunnel end points of overlay networks.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/params.h"
#include "control/base/result.h"
#include "control/methods/fdb.h"
#include "control/methods/list.h"
#include "control/model/objects.h"
#include "control/model/peer.h"

static const char *const states[] = {[DP_VTEP_NO_UPLINK] = "no-uplink",
	[DP_VTEP_RESOLVING] = "resolving",
	[DP_VTEP_UP] = "up",
	[DP_VTEP_DOWN] = "down"};

static json_t *bfd_json(struct model *model, const struct model_vtep *vtep, struct dp_peer *peer)
{
	json_t *object;

	if (dp_peer_info(model->dp, vtep->remote, peer) < 0)
		return json_null();
	object = json_object();
	put_str(object, "state", peer->state);
	put_int(object, "interval_ms", peer->interval_ms);
	put_int(object, "multiplier", peer->multiplier);
	put_int(object, "detect_ms", peer->detect_ms);
	put_int(object, "downs", peer->downs);
	put(object, "held", json_boolean(peer->lost && !peer->cut));
	put_str(object, "why", *peer->why ? peer->why : NULL);
	return object;
}

/* Is it of who makes vteps for the hosts that there are? */
static bool is_of_hosts(const char *source)
{
	return strcmp(source, "cluster") == 0 || strcmp(source, "kubernetes") == 0;
}

static json_t *vtep_json(struct model *model, const struct model_vtep *vtep)
{
	struct dp_vtep_info info = {.state = DP_VTEP_NO_UPLINK, .uplink = UINT16_MAX};
	char remote[IP_TEXT], mac[ADDR_MAC_TEXT];
	json_t *object = json_object();
	struct dp_peer peer = {.state = "off"};
	json_t *bfd = bfd_json(model, vtep, &peer); /* first: a host that is seen to be lost is cut by then */

	dp_vtep_info(model->dp, vtep->id, &info);
	put_str(object, "network", vtep->network->name);
	put_str(object, "remote", ip_text(vtep->remote, remote));
	put_str(object, "state", states[info.state]);
	put_str(object, "mac", info.state == DP_VTEP_UP ? addr_mac_text(info.mac, mac) : NULL);
	put_str(object, "uplink", info.uplink == UINT16_MAX ? NULL : model_port_name(model, info.uplink));
	put(object, "bfd", bfd);
	put_str(object, "bfd_state", peer.state);
	put_str(object, "source", vtep->source);
	return object;
}

/* An address of our own is no remote one. */
static int check_remote(struct model *model, struct ip_addr remote, const char *text, struct api_err *err)
{
	struct model_port *port;

	if (!ip_is_unicast(remote))
		return api_fail(err, API_INVALID, "remote", "%s is no unicast address", text);
	TAILQ_FOREACH (port, &model->ports, link)
		if (!port->network && ip_equal(port->spec.address.address, remote))
			return api_fail(err, API_INVALID, "remote", "%s is the address of uplink %s", text,
				port->name);
	return 0;
}

/* As params say, or as it was. */
static int set_bfd(struct model *model, struct model_vtep *vtep, const json_t *params, struct api_err *err)
{
	uint32_t interval_ms = vtep->bfd_ms;
	uint8_t multiplier = vtep->bfd_multiplier;
	int rc;

	if (peer_read(params, &interval_ms, &multiplier, err) < 0)
		return -1;
	rc = dp_vtep_watch(model->dp, vtep->id, interval_ms, multiplier);
	if (rc < 0) {
		dp_vtep_watch(model->dp, vtep->id, vtep->bfd_ms, vtep->bfd_multiplier);
		return model_refused(err, rc, NULL);
	}
	vtep->bfd_ms = interval_ms;
	vtep->bfd_multiplier = multiplier;
	peer_settle(model, vtep->remote);
	return 0;
}

static API_HANDLER(vtep_add)
{
	struct model_network *network = model_need_network(model, params, "network", err);
	const char *text = param_str(params, "remote");
	struct dp_err why = {""};
	struct model_vtep *vtep;
	struct ip_addr remote = {0};
	int rc;

	if (!network)
		return -1;
	if (!network->spec.vni)
		return api_fail(err, API_INVALID, "network", "%s is no overlay", network->name);
	ip_parse(text, &remote);
	if (check_remote(model, remote, text, err) < 0)
		return -1;
	vtep = model_vtep(model, network, remote);
	if (vtep && is_of_hosts(vtep->source) && !is_of_hosts(source)) {
		if (set_bfd(model, vtep, params, err) < 0)
			return -1;
		snprintf(vtep->source, sizeof(vtep->source), "%s",
			source); /* it stays, whatever the cluster says */
		model_changed(model, "vtep.add", source, params);
		*result = vtep_json(model, vtep);
		return 0;
	}
	if (vtep)
		return api_fail(
			err, API_EXISTS, "remote", "network %s has vtep %s already", network->name, text);
	vtep = calloc(1, sizeof(*vtep));
	if (!vtep)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (peer_read(params, &vtep->bfd_ms, &vtep->bfd_multiplier, err) < 0) {
		free(vtep);
		return -1;
	}
	rc = dp_vtep_add(model->dp, network->id, remote, &vtep->id, &why);
	if (rc == 0 && vtep->bfd_ms) {
		rc = dp_vtep_watch(model->dp, vtep->id, vtep->bfd_ms, vtep->bfd_multiplier);
		if (rc < 0)
			dp_vtep_del(model->dp, vtep->id);
	}
	if (rc < 0) {
		free(vtep);
		return model_refused(err, rc, why.text);
	}
	vtep->network = network;
	vtep->remote = remote;
	snprintf(vtep->source, sizeof(vtep->source), "%s", source);
	TAILQ_INSERT_TAIL(&model->vteps, vtep, link);
	model->vtep_by_id[vtep->id] = vtep;
	model_changed(model, "vtep.add", source, params);
	*result = vtep_json(model, vtep);
	return 0;
}

static struct model_vtep *need_vtep(struct model *model, const json_t *params, struct api_err *err)
{
	struct model_network *network = model_need_network(model, params, "network", err);
	const char *text = param_str(params, "remote");
	struct model_vtep *vtep;
	struct ip_addr remote = {0};

	if (!network)
		return NULL;
	ip_parse(text, &remote);
	vtep = model_vtep(model, network, remote);
	if (!vtep)
		api_fail(err, API_NOT_FOUND, "remote", "network %s has no vtep %s", network->name, text);
	return vtep;
}

/* The same, of one that is not the cluster's, unless it is the cluster that asks. */
static struct model_vtep *own_vtep(
	struct model *model, const char *source, const json_t *params, struct api_err *err)
{
	struct model_vtep *vtep = need_vtep(model, params, err);

	if (!vtep || !is_of_hosts(vtep->source) || is_of_hosts(source))
		return vtep;
	api_fail(err, API_IN_USE, "remote", "%s is a host of the cluster, with ports in network %s",
		param_str(params, "remote"), vtep->network->name);
	return NULL;
}

static API_HANDLER(vtep_set)
{
	struct model_vtep *vtep = own_vtep(model, source, params, err);

	if (!vtep || set_bfd(model, vtep, params, err) < 0)
		return -1;
	model_changed(model, "vtep.set", source, params);
	*result = vtep_json(model, vtep);
	return 0;
}

static API_HANDLER(vtep_del)
{
	struct model_vtep *vtep = own_vtep(model, source, params, err);
	struct ip_addr remote;
	int rc;

	if (!vtep)
		return -1;
	remote = vtep->remote;
	fdb_forget(model, NULL, vtep);
	peer_forget(model, vtep);
	rc = dp_vtep_del(model->dp, vtep->id);
	if (rc < 0)
		return model_refused(err, rc, NULL);
	TAILQ_REMOVE(&model->vteps, vtep, link);
	model->vtep_by_id[vtep->id] = NULL;
	free(vtep);
	peer_settle(model, remote);
	model_changed(model, "vtep.del", source, params);
	return 0;
}

static API_HANDLER(vtep_list)
{
	const char *network = param_str(params, "network");
	struct model_vtep *vtep;

	if (network && !model_need_network(model, params, "network", err))
		return -1;
	*result = json_array();
	TAILQ_FOREACH (vtep, &model->vteps, link)
		if (!network || !strcmp(vtep->network->name, network))
			json_array_append_new(*result, vtep_json(model, vtep));
	return 0;
}

/* clang-format off */
#define VTEP_KEY \
	{"network", API_NAME, "an overlay network", .required = true}, \
	{"remote", API_IP, "underlay address of the other host", .required = true}
/* clang-format on */

const struct api_method vtep_methods[] = {
	{"vtep.add", "Reach another host of an overlay network", API_FIELDS(VTEP_KEY, PEER_FIELD), vtep_add,
		true},
	{"vtep.set", "Watch the host by BFD, or no longer", API_FIELDS(VTEP_KEY, PEER_FIELD), vtep_set, true},
	{"vtep.del", "Reach it no more", API_FIELDS(VTEP_KEY), vtep_del, true},
	{"vtep.list", "List vteps", API_FIELDS({"network", API_NAME, "only its vteps"}), vtep_list, false,
		"network,remote,state,bfd_state=BFD,mac,uplink,source"},
	{NULL},
};

/*
 * The MAC table: which MAC is behind which port or remote vtep of a network.
 */
#include "control/methods/fdb.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/base/result.h"
#include "control/methods/list.h"
#include "control/model/objects.h"

/* Where the entry is to point: exactly one of port and vtep, of the same network. */
static int read_target(struct model *model, struct model_fdb *fdb, const json_t *params, struct api_err *err)
{
	const char *port = param_str(params, "port"), *vtep = param_str(params, "vtep");
	struct ip_addr remote = {0};

	if (!port == !vtep)
		return api_fail(err, API_INVALID, "port", "give either a port or a vtep");
	if (port) {
		fdb->port = model_port(model, port);
		if (!fdb->port || fdb->port->network != fdb->network)
			return api_fail(err, API_NOT_FOUND, "port", "no port \"%s\" in network %s", port,
				fdb->network->name);
		return 0;
	}
	ip_parse(vtep, &remote);
	fdb->vtep = model_vtep(model, fdb->network, remote);
	if (!fdb->vtep)
		return api_fail(
			err, API_NOT_FOUND, "vtep", "no vtep %s in network %s", vtep, fdb->network->name);
	return 0;
}

static struct dp_fdb_entry dp_entry(const struct model_fdb *fdb)
{
	struct dp_fdb_entry entry = {
		.net = fdb->network->id,
		.port = fdb->port ? fdb->port->id : UINT16_MAX,
		.vtep = fdb->vtep ? fdb->vtep->id : UINT16_MAX,
		.is_static = true,
	};

	memcpy(entry.mac, fdb->mac, sizeof(entry.mac));
	return entry;
}

static int read_entry(struct model *model, struct model_fdb *fdb, const json_t *params, struct api_err *err)
{
	const char *mac = param_str(params, "mac");

	fdb->network = model_need_network(model, params, "network", err);
	if (!fdb->network)
		return -1;
	if (!addr_mac(mac, fdb->mac) || !memcmp(fdb->mac, dp_router_mac, 6))
		return api_fail(err, API_INVALID, "mac", "%s is the switch's own", mac);
	if (model_fdb(model, fdb->network, fdb->mac))
		return api_fail(err, API_EXISTS, "mac", "%s is static in network %s already", mac,
			fdb->network->name);
	return read_target(model, fdb, params, err);
}

static API_HANDLER(fdb_add)
{
	struct model_fdb *fdb = calloc(1, sizeof(*fdb));
	struct dp_fdb_entry entry;
	int rc;

	if (!fdb)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (read_entry(model, fdb, params, err) < 0)
		goto fail;
	snprintf(fdb->source, sizeof(fdb->source), "%s", source);
	entry = dp_entry(fdb);
	rc = dp_fdb_add(model->dp, &entry);
	if (rc < 0) {
		model_refused(err, rc, rc == -ENOSPC ? "the fdb is full" : NULL);
		goto fail;
	}
	TAILQ_INSERT_TAIL(&model->fdbs, fdb, link);
	model_changed(model, "fdb.add", source, params);
	return 0;
fail:
	free(fdb);
	return -1;
}

static void fdb_remove(struct model *model, struct model_fdb *fdb)
{
	int rc = dp_fdb_del(model->dp, fdb->network->id, fdb->mac);

	if (rc < 0 && rc != -ENOENT)
		log_line(LOG_ERR, "an fdb entry of network %s stays in the dataplane: %s", fdb->network->name,
			strerror(-rc));
	TAILQ_REMOVE(&model->fdbs, fdb, link);
	free(fdb);
}

void fdb_forget(struct model *model, const struct model_port *port, const struct model_vtep *vtep)
{
	struct model_fdb *fdb = TAILQ_FIRST(&model->fdbs), *next;

	for (; fdb; fdb = next) {
		char mac[ADDR_MAC_TEXT];
		json_t *params;

		next = TAILQ_NEXT(fdb, link);
		if (fdb->port != port || fdb->vtep != vtep)
			continue;
		params = json_object();
		put_str(params, "network", fdb->network->name);
		put_str(params, "mac", addr_mac_text(fdb->mac, mac));
		model_changed(model, "fdb.del", fdb->source, params);
		json_decref(params);
		fdb_remove(model, fdb);
	}
}

static API_HANDLER(fdb_del)
{
	struct model_network *network = model_need_network(model, params, "network", err);
	const char *text = param_str(params, "mac");
	struct model_fdb *fdb;
	uint8_t mac[6] = {0};
	int rc;

	if (!network)
		return -1;
	addr_mac(text, mac);
	fdb = model_fdb(model, network, mac);
	if (fdb) {
		fdb_remove(model, fdb);
		model_changed(model, "fdb.del", source, params);
	} else {
		/* a learned one: nothing that is kept */
		rc = dp_fdb_del(model->dp, network->id, mac);
		if (rc < 0)
			return api_fail(
				err, API_NOT_FOUND, "mac", "no %s in network %s", text, network->name);
	}
	return 0;
}

static API_HANDLER(fdb_flush)
{
	struct model_network *network = NULL;

	if (param_given(params, "network")) {
		network = model_need_network(model, params, "network", err);
		if (!network)
			return -1;
	}
	dp_fdb_flush(model->dp, network ? network->id : DP_NET_NONE);
	return 0;
}

struct listing {
	struct model *model;
	uint16_t only; /* network, DP_NET_NONE: all */
	json_t *list;
};

/* Where a MAC is: the vtep's address as `vtep_key`, or the port's name as `port_key`. */
static void put_location(struct model *model, json_t *object, const char *port_key, const char *vtep_key,
	struct dp_location at)
{
	const struct model_vtep *vtep = at.vtep == UINT16_MAX ? NULL : model->vtep_by_id[at.vtep];
	char ip[IP_TEXT];

	if (at.vtep != UINT16_MAX)
		put_str(object, vtep_key, vtep ? ip_text(vtep->remote, ip) : NULL);
	else
		put_str(object, port_key, model_port_name(model, at.port));
}

static bool list_entry(void *arg, const struct dp_fdb_entry *entry)
{
	struct listing *listing = arg;
	struct model_network *network = listing->model->network_by_id[entry->net];
	char mac[ADDR_MAC_TEXT];
	json_t *object;

	if (!network || (listing->only != DP_NET_NONE && entry->net != listing->only))
		return true;
	object = json_object();
	put_str(object, "network", network->name);
	put_str(object, "mac", addr_mac_text(entry->mac, mac));
	put_location(listing->model, object, "port", "vtep", (struct dp_location){entry->port, entry->vtep});
	put_bool(object, "static", entry->is_static);
	put_int(object, "age_s", entry->age_s);
	json_array_append_new(listing->list, object);
	return true;
}

/* Whose moves are watched has nothing to begin with, and fdb_list_part() goes on with a list. */
static API_HANDLER(fdb_list)
{
	if (param_given(params, "network") && !model_need_network(model, params, "network", err))
		return -1;
	*result = json_array();
	return 0;
}

static bool fdb_list_part(struct model *model, const json_t *params, struct api_at *at, json_t *list)
{
	struct listing listing = {model, DP_NET_NONE, list};
	const char *name = param_str(params, "network");
	const struct model_network *network = name ? model_network(model, name) : NULL;

	if (name && !network)
		return false;
	if (network)
		listing.only = network->id;
	return dp_fdb_walk_part(model->dp, &at->n, list_entry, &listing);
}

/*
 * fdb.watch: a connection receives each move of a MAC, or attempt that was refused, with both locations. Of a network
 * MOVES_RATE a second are sent. Further ones are counted, and their number is sent with the next.
 */
enum { MOVES_RATE = 10 };

struct fdb_watch {
	LIST_ENTRY(fdb_watch) link;
	char network[MODEL_NAME]; /* "": all */
	const struct api_watcher *by;
	void *arg;
};

static bool may_tell(struct model_network *network)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	if (network->moves_reported.second != now.tv_sec) {
		network->moves_reported.second = now.tv_sec;
		network->moves_reported.count = 0;
	}
	if (network->moves_reported.count++ < MOVES_RATE)
		return true;
	network->moves_reported.left_out++;
	return false;
}

static json_t *move_json(struct model *model, struct model_network *network, const struct dp_move *move)
{
	static const char *const what[] = {[DP_MOVED] = "moved",
		[DP_MOVE_HELD] = "held",
		[DP_MOVE_STICKY] = "sticky",
		[DP_MOVE_OWNED] = "owned"};
	json_t *object = json_object();
	char mac[ADDR_MAC_TEXT];

	put_str(object, "network", network->name);
	put_str(object, "mac", addr_mac_text(move->mac, mac));
	put_str(object, "what", what[move->what]);
	put_location(model, object, "from_port", "from_vtep", move->from);
	put_location(model, object, "to_port", "to_vtep", move->to);
	put_int(object, "left_out", (int64_t)(network->moves_reported.left_out + move->left_out));
	return object;
}

static void tell(struct model *model, const struct dp_move *move)
{
	struct model_network *network = model->network_by_id[move->net];
	struct fdb_watch *watch;
	json_t *object;

	if (!network || LIST_EMPTY(&model->fdb_watches))
		return;
	if (!may_tell(network)) {
		network->moves_reported.left_out += move->left_out;
		return;
	}
	object = move_json(model, network, move);
	network->moves_reported.left_out = 0;
	LIST_FOREACH (watch, &model->fdb_watches, link)
		if (!watch->network[0] || !strcmp(watch->network, network->name))
			watch->by->changed(watch->arg, "fdb.moved", json_incref(object));
	json_decref(object);
}

static int watch_open(struct model *model, const json_t *params, const struct api_watcher *by, void *arg,
	void **out, struct api_err *err)
{
	const char *network = param_str(params, "network");
	struct fdb_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	watch->by = by;
	watch->arg = arg;
	if (network)
		snprintf(watch->network, sizeof(watch->network), "%s", network);
	LIST_INSERT_HEAD(&model->fdb_watches, watch, link);
	model->tell_move = tell;
	*out = watch;
	return 0;
}

static void watch_close(void *arg)
{
	struct fdb_watch *watch = arg;

	LIST_REMOVE(watch, link);
	free(watch);
}

static const struct api_watch watch_type = {.open = watch_open, .close = watch_close};

static const struct api_field add_fields[] = {
	{"network", API_NAME, "of the entry", .required = true},
	{"mac", API_MAC, "that is reached", .required = true},
	{"port", API_NAME, "behind which it is"},
	{"vtep", API_IP, "or the remote vtep behind which it is"},
	{NULL},
};

const struct api_method fdb_methods[] = {
	{"fdb.list", "List the MAC table", API_FIELDS({"network", API_NAME, "only this one"}), fdb_list,
		false, "network,mac,port,vtep,static,age_s=AGE", fdb_list_part},
	{"fdb.add", "Add a static entry", add_fields, fdb_add, true},
	{"fdb.del", "Delete an entry",
		API_FIELDS({"network", API_NAME, "of the entry", .required = true},
			{"mac", API_MAC, "to forget, static or learned", .required = true}),
		fdb_del, true},
	{"fdb.watch", "Show MACs that move, or are kept from it, whenever they do",
		API_FIELDS({"network", API_NAME, "only this one"}), fdb_list, false, .watch = &watch_type},
	{"fdb.flush", "Forget learned entries", API_FIELDS({"network", API_NAME, "only this one"}), fdb_flush,
		true},
	{NULL},
};

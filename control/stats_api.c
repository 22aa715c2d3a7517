/*
 * Counters: of networks, of drops by reason, of workers.
 */
#include <string.h>

#include "control/objects.h"
#include "control/stats_json.h"

static int stats_show(
	struct model *model, const char *source, json_t *params, json_t **result, struct api_err *err)
{
	struct model_network *network;

	*result = json_array();
	TAILQ_FOREACH(network, &model->networks, link)
	{
		struct dp_net_info info = {0};

		dp_network_info(model->dp, network->id, &info);
		json_array_append_new(*result,
			json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:I}", "network", network->name, "rx",
				(json_int_t)info.rx, "generated", (json_int_t)info.generated, "copies",
				(json_int_t)info.copies, "tx", (json_int_t)info.tx, "drops",
				(json_int_t)info.drops, "consumed", (json_int_t)info.consumed));
	}
	return 0;
}

struct listing {
	struct model *model;
	json_t *list;
};

static void list_drop(void *arg, const struct dp_drop *drop)
{
	struct listing *listing = arg;
	const struct model_network *network =
		drop->net == DP_NET_NONE ? NULL : listing->model->network_by_id[drop->net];
	const char *port = drop->port == UINT16_MAX ? NULL : model_port_name(listing->model, drop->port);

	json_array_append_new(listing->list,
		json_pack("{s:s, s:s?, s:s?, s:I}", "reason", drop->reason, "port", port, "network",
			network ? network->name : NULL, "packets", (json_int_t)drop->packets));
}

static int stats_drops(
	struct model *model, const char *source, json_t *params, json_t **result, struct api_err *err)
{
	struct listing listing = {model, json_array()};

	*result = listing.list;
	dp_drop_walk(model->dp, list_drop, &listing);
	return 0;
}

static json_t *stages_json(const struct dp_worker_info *info)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < info->nstage; i++)
		json_array_append_new(list, json_pack("{s:s, s:f}", "name", info->stage[i].name,
						    "cycles_per_packet", info->stage[i].cycles_per_packet));
	return list;
}

json_t *stats_workers_json(struct model *model)
{
	json_t *list = json_array();
	struct dp_worker_info info;

	for (unsigned i = 0; dp_worker_info(model->dp, i, &info) == 0; i++)
		json_array_append_new(list,
			json_pack("{s:i, s:s, s:f, s:I, s:f, s:o, s:i}", "core", info.core, "state",
				info.asleep ? "asleep" : "busy", "busy_pct", info.busy_pct, "packets",
				(json_int_t)info.packets, "cycles_per_packet", info.cycles_per_packet,
				"stages", stages_json(&info), "longest_gap_us", (int)info.longest_gap_us));
	return list;
}

static int stats_workers(
	struct model *model, const char *source, json_t *params, json_t **result, struct api_err *err)
{
	*result = stats_workers_json(model);
	return 0;
}

static const struct api_field no_fields[] = {{NULL}};

static const struct api_column show_columns[] = {
	{"network", "NETWORK"},
	{"rx", "RX"},
	{"generated", "GENERATED"},
	{"copies", "COPIES"},
	{"tx", "TX"},
	{"drops", "DROPS"},
	{"consumed", "CONSUMED"},
	{NULL},
};

static const struct api_column drop_columns[] = {
	{"reason", "REASON"},
	{"port", "PORT"},
	{"network", "NETWORK"},
	{"packets", "PACKETS"},
	{NULL},
};

static const struct api_column worker_columns[] = {
	{"core", "CORE"},
	{"state", "STATE"},
	{"busy_pct", "BUSY %"},
	{"packets", "PACKETS"},
	{"cycles_per_packet", "CYCLES/PACKET"},
	{"longest_gap_us", "LONGEST GAP US"},
	{NULL},
};

const struct api_method stats_methods[] = {
	{"stats.show", "Count copies of frames by network: rx + generated + copies = tx + drops + consumed",
		no_fields, stats_show, false, show_columns},
	{"stats.drops", "Count dropped copies by reason", no_fields, stats_drops, false, drop_columns},
	{"stats.workers", "Show what the workers do, since the last time it was asked", no_fields,
		stats_workers, false, worker_columns},
	{NULL},
};

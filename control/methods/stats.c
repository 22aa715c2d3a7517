/*
 * Counters: of networks, of drops by reason, of workers; and the daemon as a whole.
 */
#include <math.h>

#include "control/base/result.h"
#include "control/methods/list.h"
#include "control/model/objects.h"
#include "registry/source/kubernetes/kubernetes.h"

static json_t *network_stats_json(struct model *model, const struct model_network *network)
{
	json_t *object = json_object();
	struct dp_net_info info = {0};

	dp_network_info(model->dp, network->id, &info);
	put_str(object, "network", network->name);
	put_int(object, "rx", info.rx);
	put_int(object, "generated", info.generated);
	put_int(object, "copies", info.copies);
	put_int(object, "tx", info.tx);
	put_int(object, "drops", info.drops);
	put_int(object, "consumed", info.consumed);
	return object;
}

static API_HANDLER(stats_show)
{
	struct model_network *network;

	*result = json_array();
	TAILQ_FOREACH (network, &model->networks, link)
		json_array_append_new(*result, network_stats_json(model, network));
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
	json_t *object = json_object();

	put_str(object, "reason", drop->reason);
	put_str(object, "port",
		drop->port == UINT16_MAX ? NULL : model_port_name(listing->model, drop->port));
	put_str(object, "network", network ? network->name : NULL);
	put_int(object, "packets", drop->packets);
	json_array_append_new(listing->list, object);
}

static API_HANDLER(stats_drops)
{
	struct listing listing = {model, json_array()};

	*result = listing.list;
	dp_drop_walk(model->dp, list_drop, &listing);
	return 0;
}

static json_t *stages_json(const struct dp_worker_info *info)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < info->nstage; i++) {
		json_t *stage = json_object();

		put_str(stage, "name", info->stage[i].name);
		put_real(stage, "cycles_per_packet", info->stage[i].cycles_per_packet);
		json_array_append_new(list, stage);
	}
	return list;
}

/* Of each length of gap that came, in how many milliseconds it was the longest. */
static json_t *gaps_json(const struct dp_worker_info *info)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < DP_GAPS; i++) {
		json_t *gap;

		if (info->gap_ms[i] == 0)
			continue;
		gap = json_object();
		put(gap, "up_to_us", isinf(dp_gap_us(i)) ? json_null() : json_real(dp_gap_us(i)));
		put_int(gap, "ms", info->gap_ms[i]);
		json_array_append_new(list, gap);
	}
	return list;
}

static json_t *workers_json(struct model *model)
{
	json_t *list = json_array();
	struct dp_worker_info info;

	for (unsigned i = 0; dp_worker_info(model->dp, i, &info) == 0; i++) {
		json_t *worker = json_object();

		put(worker, "core", json_integer(info.core));
		put_str(worker, "state", info.asleep ? "asleep" : "busy");
		put_real(worker, "busy_pct", info.busy_pct);
		put_int(worker, "packets", info.packets);
		put_int(worker, "busy_cycles", info.busy_cycles);
		put_real(worker, "cycles_per_packet", info.cycles_per_packet);
		put(worker, "stages", stages_json(&info));
		put_int(worker, "longest_gap_us", info.longest_gap_us);
		put(worker, "gaps", gaps_json(&info));
		json_array_append_new(list, worker);
	}
	return list;
}

static API_HANDLER(stats_workers)
{
	*result = workers_json(model);
	return 0;
}

/* The hosts that BFD watches. */
static json_t *peers_json(struct model *model)
{
	json_t *object = json_object();
	struct dp_peers_sum sum;

	dp_peers_sum(model->dp, &sum);
	put_int(object, "peers", sum.peers);
	put_int(object, "up", sum.up);
	put_int(object, "lost", sum.lost);
	put_int(object, "cut", sum.cut);
	put(object, "hold", json_boolean(sum.hold));
	return object;
}

static json_t *kubernetes_json(const struct kubernetes *kubernetes)
{
	struct kubernetes_info info = kubernetes_info(kubernetes);
	json_t *out = json_object();

	put(out, "synced", json_boolean(info.synced));
	put(out, "why", info.why ? json_string(info.why) : json_null());
	put_int(out, "since_s", (uint64_t)info.since_s);
	put_int(out, "services", info.services);
	put_int(out, "slices", info.slices);
	put_int(out, "endpoints", info.endpoints);
	put_int(out, "left_out", info.left_out);
	put_int(out, "nodes", info.nodes);
	put(out, "nodes_why", info.nodes_why ? json_string(info.nodes_why) : json_null());
	put_int(out, "ways", info.ways);
	put(out, "ways_due", json_boolean(info.ways_due));
	put(out, "ways_why", info.ways_why ? json_string(info.ways_why) : json_null());
	return out;
}

static API_HANDLER(status)
{
	json_t *workers = workers_json(model), *worker;
	struct timespec now;
	size_t i;

	json_array_foreach (workers, i, worker) {
		json_object_del(worker, "stages");
		json_object_del(worker, "longest_gap_us");
		json_object_del(worker, "gaps");
	}
	clock_gettime(CLOCK_MONOTONIC, &now);
	*result = json_object();
	put_str(*result, "version", SLUICE_VERSION);
	put_int(*result, "uptime_s", (uint64_t)(now.tv_sec - model->started.tv_sec));
	put(*result, "workers", workers);
	put_int(*result, "memory_mb", dp_memory_mb(model->dp));
	put_int(*result, "generation", registry_generation(model->registry));
	put(*result, "peers", peers_json(model));
	put(*result, "not_kept", outage_files_json(&model->outages));
	put(*result, "listening", outage_listening_json(&model->outages));
	put(*result, "not_listening", outage_servers_json(&model->outages));
	if (model->kubernetes)
		put(*result, "kubernetes", kubernetes_json(model->kubernetes));
	return 0;
}

static API_HANDLER(version)
{
	*result = json_object();
	put_str(*result, "version", SLUICE_VERSION);
	return 0;
}

const struct api_method stats_methods[] = {
	{"stats.show", "Count copies of frames by network: rx + generated + copies = tx + drops + consumed",
		NULL, stats_show, false, "network,rx,generated,copies,tx,drops,consumed"},
	{"stats.drops", "Count dropped copies by reason", NULL, stats_drops, false,
		"reason,port,network,packets"},
	{"stats.workers", "Show what the workers do, since the last time it was asked", NULL, stats_workers,
		false,
		"core,state,busy_pct=BUSY %,packets,cycles_per_packet=CYCLES/PACKET,longest_gap_us=LONGEST "
		"GAP US"},
	{"status", "Show how the daemon does", NULL, status, false},
	{"version", "Show the daemon's version", NULL, version, false},
	{NULL},
};

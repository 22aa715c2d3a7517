#include "control/metrics/metrics.h"

#include <event2/buffer.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/model/objects.h"
#include "registry/source/kubernetes/kubernetes.h"

static void write_daemon(struct model *model, struct evbuffer *out)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	metrics_family(out, "sluice_build_info", METRICS_GAUGE, "The version that runs.");
	metrics_value(out, "sluice_build_info", "version", SLUICE_VERSION, NULL, NULL, 1);
	metrics_single(out, "sluice_uptime_seconds", METRICS_GAUGE, "Time since the start.",
		(double)(now.tv_sec - model->started.tv_sec));
	metrics_single(out, "sluice_memory_bytes", METRICS_GAUGE, "Resident memory of the daemon's own.",
		(double)dp_memory_mb(model->dp) * 1048576);
	metrics_family(out, "sluice_not_kept", METRICS_GAUGE,
		"1: the disk does not take the changes that belong into the file.");
	for (enum outage i = OUTAGE_SERVERS; i < OUTAGES; i++)
		metrics_value(out, "sluice_not_kept", "file", outage_name(i), NULL, NULL,
			outage_why(&model->outages, i) != NULL);
	metrics_family(out, "sluice_not_kept_times_total", METRICS_COUNTER, "How often that began.");
	for (enum outage i = OUTAGE_SERVERS; i < OUTAGES; i++)
		metrics_value(out, "sluice_not_kept_times_total", "file", outage_name(i), NULL, NULL,
			(double)model->outages.each[i].times);
	metrics_family(out, "sluice_not_listening", METRICS_GAUGE,
		"1: the server has not the address that it should; another process does.");
	for (enum outage i = 0; i < OUTAGE_SERVERS; i++)
		metrics_value(out, "sluice_not_listening", "server", outage_name(i), NULL, NULL,
			outage_why(&model->outages, i) != NULL);
	metrics_single(out, "sluice_connections", METRICS_GAUGE, "Connections through vips.",
		(double)dp_conn_count(model->dp));
}

static void write_kubernetes(const struct kubernetes *kubernetes, struct evbuffer *out)
{
	struct kubernetes_info info;

	if (!kubernetes)
		return;
	info = kubernetes_info(kubernetes);
	metrics_single(out, "sluice_kubernetes_heard", METRICS_GAUGE,
		"0: the API server is not heard, and what it said last holds.", !info.why);
	metrics_single(out, "sluice_kubernetes_services", METRICS_GAUGE, "Services that are known.",
		(double)info.services);
	metrics_single(out, "sluice_kubernetes_endpoints", METRICS_GAUGE, "Endpoints that slices have.",
		(double)info.endpoints);
}

#define NET(field) offsetof(struct dp_net_info, field)
static const struct metrics_counter network_counters[] = {
	{"sluice_network_received_frames_total", "Frames that came from the network's ports.", NET(rx)},
	{"sluice_network_generated_frames_total", "Frames that the switch made itself.", NET(generated)},
	{"sluice_network_copied_frames_total", "Copies made by flooding.", NET(copies)},
	{"sluice_network_delivered_frames_total", "Copies delivered to ports.", NET(tx)},
	{"sluice_network_dropped_frames_total", "Copies dropped.", NET(drops)},
	{"sluice_network_consumed_frames_total", "Copies that the switch answered or took.", NET(consumed)},
	{"sluice_network_mac_moves_total", "MACs that went from one place to another.", NET(mac_moves)},
	{"sluice_network_mac_moves_held_total", "Frames of MACs that were kept from moving.",
		NET(mac_moves_held)},
	{"sluice_network_unlearned_frames_total",
		"Frames whose MAC found no room in the network's share of the table.", NET(unlearned)},
};

static void write_networks(struct metrics *metrics, struct evbuffer *out)
{
	struct model *model = metrics->model;
	struct model_network *network;

	for (size_t i = 0; i < sizeof(network_counters) / sizeof(network_counters[0]); i++) {
		const struct metrics_counter *counter = &network_counters[i];
		unsigned n = 0;

		metrics_family(out, counter->name, METRICS_COUNTER, counter->help);
		TAILQ_FOREACH (network, &model->networks, link) {
			struct dp_net_info info = {0};

			if (n++ >= METRICS_EACH)
				continue;
			dp_network_info(model->dp, network->id, &info);
			metrics_value(out, counter->name, "network", network->name, NULL, NULL,
				(double)metrics_counter_of(counter, &info));
		}
		metrics->left_off += i == 0 && n > METRICS_EACH ? n - METRICS_EACH : 0;
	}
}

struct fdb_count {
	uint32_t of[MODEL_IDS]; /* by network */
};

static bool count_entry(void *arg, const struct dp_fdb_entry *entry)
{
	((struct fdb_count *)arg)->of[entry->net]++;
	return true;
}

static void write_connections(struct model *model, struct evbuffer *out)
{
	struct model_network *network;
	unsigned n = 0;
	uint32_t share;

	metrics_family(
		out, "sluice_network_connections", METRICS_GAUGE, "Connections through the network's vips.");
	TAILQ_FOREACH (network, &model->networks, link)
		if (n++ < METRICS_EACH)
			metrics_value(out, "sluice_network_connections", "network", network->name, NULL, NULL,
				(double)dp_conn_count_of(model->dp, network->id, &share));
}

static void write_fdb(struct model *model, struct evbuffer *out)
{
	static struct fdb_count count; /* too large for the stack; control is one thread */
	struct model_network *network;
	unsigned n = 0;

	memset(&count, 0, sizeof(count));
	dp_fdb_walk(model->dp, count_entry, &count);
	metrics_family(out, "sluice_fdb_entries", METRICS_GAUGE, "Addresses in the MAC table.");
	TAILQ_FOREACH (network, &model->networks, link)
		if (n++ < METRICS_EACH)
			metrics_value(out, "sluice_fdb_entries", "network", network->name, NULL, NULL,
				count.of[network->id]);
}

#define PORT(field) offsetof(struct dp_port_info, field)
static const struct metrics_counter port_counters[] = {
	{"sluice_port_receive_packets_total", "Frames that came from the port.", PORT(rx_packets)},
	{"sluice_port_receive_bytes_total", "Bytes that came from the port.", PORT(rx_bytes)},
	{"sluice_port_receive_drops_total", "Frames from the port that were dropped.", PORT(rx_drops)},
	{"sluice_port_spoofed_frames_total",
		"Frames from the port that were dropped because they spoke for an address that is not its "
		"own.",
		PORT(spoofed)},
	{"sluice_port_transmit_packets_total", "Frames delivered to the port.", PORT(tx_packets)},
	{"sluice_port_transmit_bytes_total", "Bytes delivered to the port.", PORT(tx_bytes)},
	{"sluice_port_transmit_drops_total", "Frames on their way to the port that were dropped.",
		PORT(tx_drops)},
	{"sluice_port_throttled_total", "Times that the port was made to wait for the time that it had cost.",
		PORT(throttled)},
	{"sluice_port_mac_limit_drops_total", "Frames of new MACs over the port's mac_limit.",
		PORT(mac_limit_drops)},
	{"sluice_port_unlearned_frames_total", "Frames of such MACs that went on (mac_action flood).",
		PORT(unlearned)},
	{"sluice_port_storm_drops_total", "Frames from the port over its storm_pps.", PORT(storm_drops)},
	{"sluice_port_receive_rate_drops_total", "Frames from the port over its rate_in and pps_in.",
		PORT(rate_in_drops)},
	{"sluice_port_transmit_rate_drops_total",
		"Frames on their way to the port over its rate_out and pps_out.", PORT(rate_out_drops)},
};

static void write_port(const struct model_port *port, const char *name, double value, struct evbuffer *out)
{
	metrics_value(
		out, name, "port", port->name, "network", port->network ? port->network->name : "", value);
}

static void write_faults(struct metrics *metrics, struct evbuffer *out)
{
	struct model *model = metrics->model;
	struct model_port *port;
	unsigned n = 0;

	metrics_family(out, "sluice_port_guest_faults_total", METRICS_COUNTER,
		"Connections of a vhost-user port that ended because the front-end broke the rules.");
	TAILQ_FOREACH (port, &model->ports, link) {
		struct dp_port_guest guest;

		if (port->spec.type == DP_VHOST_USER && n++ < METRICS_EACH &&
			dp_port_guest(model->dp, port->id, &guest) == 0)
			write_port(port, "sluice_port_guest_faults_total", (double)guest.faults, out);
	}
}

static void add_ring_full(void *arg, const struct dp_drop *drop)
{
	uint64_t *ring_full = arg;

	if (drop->port != UINT16_MAX && strcmp(drop->reason, "ring-full") == 0)
		ring_full[drop->port] += drop->packets;
}

/* What tells a slow receiver from one that is down, whose frames are lost too. */
static void write_ring_full(struct metrics *metrics, struct evbuffer *out)
{
	uint64_t *ring_full = calloc(MODEL_IDS, sizeof(*ring_full));
	struct model_port *port;
	unsigned n = 0;

	if (!ring_full)
		return;
	dp_drop_walk(metrics->model->dp, add_ring_full, ring_full);
	metrics_family(out, "sluice_port_ring_full_total", METRICS_COUNTER,
		"Frames dropped because the port, whose link was up, had no room for them.");
	TAILQ_FOREACH (port, &metrics->model->ports, link)
		if (n++ < METRICS_EACH)
			write_port(port, "sluice_port_ring_full_total", (double)ring_full[port->id], out);
	free(ring_full);
}

static void write_ports(struct metrics *metrics, struct evbuffer *out)
{
	struct model *model = metrics->model;
	struct model_port *port;
	unsigned n = 0;

	metrics_family(out, "sluice_port_up", METRICS_GAUGE, "Is the port's link up?");
	TAILQ_FOREACH (port, &model->ports, link)
		if (n++ < METRICS_EACH)
			write_port(port, "sluice_port_up", model_port_up(model, port), out);
	metrics->left_off += n > METRICS_EACH ? n - METRICS_EACH : 0;
	for (size_t i = 0; i < sizeof(port_counters) / sizeof(port_counters[0]); i++) {
		const struct metrics_counter *counter = &port_counters[i];

		n = 0;
		metrics_family(out, counter->name, METRICS_COUNTER, counter->help);
		TAILQ_FOREACH (port, &model->ports, link) {
			struct dp_port_info info = {0};

			if (n++ >= METRICS_EACH)
				break;
			dp_port_info(model->dp, port->id, &info);
			write_port(port, counter->name, (double)metrics_counter_of(counter, &info), out);
		}
	}
	write_ring_full(metrics, out);
	write_faults(metrics, out);
}

enum { REASONS_MAX = 128 };
struct drops {
	const char *reason[REASONS_MAX];
	uint64_t packets[REASONS_MAX];
	unsigned n;
};

static void add_drop(void *arg, const struct dp_drop *drop)
{
	struct drops *drops = arg;
	unsigned i = 0;

	while (i < drops->n && strcmp(drops->reason[i], drop->reason) != 0)
		i++;
	if (i == REASONS_MAX)
		return;
	if (i == drops->n)
		drops->reason[drops->n++] = drop->reason;
	drops->packets[i] += drop->packets;
}

static void write_drops(struct model *model, struct evbuffer *out)
{
	struct drops drops = {.n = 0};

	dp_drop_walk(model->dp, add_drop, &drops);
	metrics_family(out, "sluice_drops_total", METRICS_COUNTER, "Copies dropped, by reason.");
	for (unsigned i = 0; i < drops.n; i++)
		metrics_value(out, "sluice_drops_total", "reason", drops.reason[i], NULL, NULL,
			(double)drops.packets[i]);
}

static void write_stages(struct model *model, struct evbuffer *out)
{
	static const char name[] = "sluice_stage_cycles_per_packet";
	struct dp_worker_info info;
	char core[16];

	metrics_family(out, name, METRICS_GAUGE, "TSC cycles a frame costs in the stage.");
	for (unsigned w = 0; dp_worker_info(model->dp, w, &info) == 0; w++) {
		snprintf(core, sizeof(core), "%d", info.core);
		for (unsigned i = 0; i < info.nstage; i++)
			metrics_value(out, name, "core", core, "stage", info.stage[i].name,
				info.stage[i].cycles_per_packet);
	}
}

static void write_workers(struct model *model, struct evbuffer *out)
{
	static const struct {
		const char *name, *help;
		enum metrics_kind kind;
	} families[] = {
		{"sluice_worker_packets_total", "Frames handled.", METRICS_COUNTER},
		{"sluice_worker_busy_cycles_total", "TSC cycles of polls that found frames.",
			METRICS_COUNTER},
		{"sluice_worker_busy_ratio", "Share of the last one to two seconds.", METRICS_GAUGE},
		{"sluice_worker_asleep", "Does it sleep, for want of frames?", METRICS_GAUGE},
		{"sluice_worker_longest_gap_seconds",
			"Longest time between two polls while awake, of the last one to two seconds.",
			METRICS_GAUGE},
	};
	struct dp_worker_info info;
	char core[16];

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		metrics_family(out, families[i].name, families[i].kind, families[i].help);
		for (unsigned w = 0; dp_worker_info(model->dp, w, &info) == 0; w++) {
			const double value[] = {(double)info.packets, (double)info.busy_cycles,
				info.busy_pct / 100, info.asleep, info.longest_gap_us / 1e6};

			snprintf(core, sizeof(core), "%d", info.core);
			metrics_value(out, families[i].name, "core", core, NULL, NULL, value[i]);
		}
	}
	write_stages(model, out);
}

void metrics_write(void *arg, struct evbuffer *out)
{
	struct metrics *metrics = arg;

	metrics->left_off = 0;
	write_daemon(metrics->model, out);
	write_kubernetes(metrics->model->kubernetes, out);
	write_networks(metrics, out);
	write_fdb(metrics->model, out);
	write_connections(metrics->model, out);
	write_ports(metrics, out);
	metrics_write_peers(metrics, out);
	write_drops(metrics->model, out);
	write_workers(metrics->model, out);
	metrics_write_cluster(metrics, out);
	metrics_write_registry(metrics, out);
	metrics_single(out, "sluice_metrics_left_off", METRICS_GAUGE,
		"Networks, ports, services and backends that are too many to be listed here.",
		(double)metrics->left_off);
}

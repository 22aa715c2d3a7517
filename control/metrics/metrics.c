#include "control/metrics/metrics.h"

#include <event2/buffer.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/model/objects.h"
#include "registry/source/kubernetes/kubernetes.h"

static void write_daemon(struct metrics *m)
{
	struct model *model = m->model;
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	metrics_family(m, "sluice_build_info", "The version that runs.");
	metrics_value(m, "version", SLUICE_VERSION, 1);
	metrics_single(
		m, "sluice_uptime_seconds", "Time since the start.", now.tv_sec - model->started.tv_sec);
	metrics_single(m, "sluice_memory_bytes", "Resident memory of the daemon's own.",
		dp_memory_mb(model->dp) * 1048576.0);
	metrics_family(
		m, "sluice_not_kept", "1: the disk does not take the changes that belong into the file.");
	for (enum outage i = OUTAGE_SERVERS; i < OUTAGES; i++)
		metrics_value(m, "file", outage_name(i), outage_why(&model->outages, i) != NULL);
	metrics_family(m, "sluice_not_kept_times_total", "How often that began.");
	for (enum outage i = OUTAGE_SERVERS; i < OUTAGES; i++)
		metrics_value(m, "file", outage_name(i), model->outages.each[i].times);
	metrics_family(m, "sluice_not_listening",
		"1: the server has not the address that it should; another process does.");
	for (enum outage i = 0; i < OUTAGE_SERVERS; i++)
		metrics_value(m, "server", outage_name(i), outage_why(&model->outages, i) != NULL);
	metrics_single(m, "sluice_connections", "Connections through vips.", dp_conn_count(model->dp));
}

static void write_kubernetes(struct metrics *m)
{
	const struct kubernetes *kubernetes = m->model->kubernetes;
	struct kubernetes_info info;

	if (!kubernetes)
		return;
	info = kubernetes_info(kubernetes);
	metrics_single(m, "sluice_kubernetes_heard",
		"0: the API server is not heard, and what it said last holds.", !info.why);
	metrics_single(m, "sluice_kubernetes_services", "Services that are known.", info.services);
	metrics_single(m, "sluice_kubernetes_endpoints", "Endpoints that slices have.", info.endpoints);
	metrics_single(m, "sluice_kubernetes_left_out", "Services and slices for which there is no room.",
		info.left_out);
	metrics_single(
		m, "sluice_kubernetes_ways", "Node ports and external addresses that lead in.", info.ways);
	metrics_single(m, "sluice_kubernetes_ways_fail",
		"1: what has changed of them cannot be brought to the kernel.", info.ways_why != NULL);
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

static void write_networks(struct metrics *m)
{
	struct model *model = m->model;
	struct model_network *network;

	for (size_t i = 0; i < sizeof(network_counters) / sizeof(network_counters[0]); i++) {
		const struct metrics_counter *counter = &network_counters[i];
		unsigned n = 0;

		metrics_family(m, counter->name, counter->help);
		TAILQ_FOREACH (network, &model->networks, link) {
			struct dp_net_info info = {0};

			if (n++ >= METRICS_EACH)
				continue;
			dp_network_info(model->dp, network->id, &info);
			metrics_value(m, "network", network->name, metrics_counter_of(counter, &info));
		}
		m->left_off += i == 0 && n > METRICS_EACH ? n - METRICS_EACH : 0;
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

static void write_connections(struct metrics *m)
{
	struct model *model = m->model;
	struct model_network *network;
	unsigned n = 0;
	uint32_t share;

	metrics_family(m, "sluice_network_connections", "Connections through the network's vips.");
	TAILQ_FOREACH (network, &model->networks, link)
		if (n++ < METRICS_EACH)
			metrics_value(m, "network", network->name,
				dp_conn_count_of(model->dp, network->id, &share));
}

static void write_egress(struct metrics *m)
{
	struct model *model = m->model;
	struct model_network *network;
	unsigned n = 0;

	metrics_family(
		m, "sluice_network_egress_connections", "Connections of the network with the world outside.");
	TAILQ_FOREACH (network, &model->networks, link)
		if (n++ < METRICS_EACH)
			metrics_value(m, "network", network->name,
				(double)dp_egress_count_of(model->dp, network->id));
}

static void write_fdb(struct metrics *m)
{
	struct model *model = m->model;
	static struct fdb_count count; /* too large for the stack; control is one thread */
	struct model_network *network;
	unsigned n = 0;

	memset(&count, 0, sizeof(count));
	dp_fdb_walk(model->dp, count_entry, &count);
	metrics_family(m, "sluice_fdb_entries", "Addresses in the MAC table.");
	TAILQ_FOREACH (network, &model->networks, link)
		if (n++ < METRICS_EACH)
			metrics_value(m, "network", network->name, count.of[network->id]);
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

static void write_port(struct metrics *m, const struct model_port *port, double value)
{
	metrics_value2(m, "port", port->name, "network", port->network ? port->network->name : "", value);
}

static void write_faults(struct metrics *m)
{
	struct model *model = m->model;
	struct model_port *port;
	unsigned n = 0;

	metrics_family(m, "sluice_port_guest_faults_total",
		"Connections of a vhost-user port that ended because the front-end broke the rules.");
	TAILQ_FOREACH (port, &model->ports, link) {
		struct dp_port_guest guest;

		if (port->spec.type == DP_VHOST_USER && n++ < METRICS_EACH &&
			dp_port_guest(model->dp, port->id, &guest) == 0)
			write_port(m, port, guest.faults);
	}
}

static void add_ring_full(void *arg, const struct dp_drop *drop)
{
	uint64_t *ring_full = arg;

	if (drop->port != UINT16_MAX && strcmp(drop->reason, "ring-full") == 0)
		ring_full[drop->port] += drop->packets;
}

/* What tells a slow receiver from one that is down, whose frames are lost too. */
static void write_ring_full(struct metrics *m)
{
	uint64_t *ring_full = calloc(MODEL_IDS, sizeof(*ring_full));
	struct model_port *port;
	unsigned n = 0;

	if (!ring_full)
		return;
	dp_drop_walk(m->model->dp, add_ring_full, ring_full);
	metrics_family(m, "sluice_port_ring_full_total",
		"Frames dropped because the port, whose link was up, had no room for them.");
	TAILQ_FOREACH (port, &m->model->ports, link)
		if (n++ < METRICS_EACH)
			write_port(m, port, ring_full[port->id]);
	free(ring_full);
}

static const char *label_of(const struct model_port *port, const char *key)
{
	return json_string_value(json_object_get(json_object_get(port->params, "labels"), key));
}

/* To be joined with the others by the port's name: who it is that Kubernetes calls a pod. */
static void write_pods(struct metrics *m)
{
	struct model_port *port;
	unsigned n = 0;

	TAILQ_FOREACH (port, &m->model->ports, link) {
		const char *namespace = label_of(port, "io.kubernetes.pod.namespace"),
			   *pod = label_of(port, "io.kubernetes.pod.name");
		const struct metrics_label labels[] = {
			{"port", port->name}, {"namespace", namespace}, {"pod", pod}};

		if (!namespace || !pod)
			continue;
		if (!n)
			metrics_family(m, "sluice_port_pod", "1: the port is that of this pod.");
		if (n++ < METRICS_EACH)
			metrics_labelled(m, labels, 3, 1);
	}
}

static void write_ports(struct metrics *m)
{
	struct model *model = m->model;
	struct model_port *port;
	unsigned n = 0;

	metrics_family(m, "sluice_port_up", "Is the port's link up?");
	TAILQ_FOREACH (port, &model->ports, link)
		if (n++ < METRICS_EACH)
			write_port(m, port, model_port_up(model, port));
	m->left_off += n > METRICS_EACH ? n - METRICS_EACH : 0;
	for (size_t i = 0; i < sizeof(port_counters) / sizeof(port_counters[0]); i++) {
		const struct metrics_counter *counter = &port_counters[i];

		n = 0;
		metrics_family(m, counter->name, counter->help);
		TAILQ_FOREACH (port, &model->ports, link) {
			struct dp_port_info info = {0};

			if (n++ >= METRICS_EACH)
				break;
			dp_port_info(model->dp, port->id, &info);
			write_port(m, port, metrics_counter_of(counter, &info));
		}
	}
	write_ring_full(m);
	write_pods(m);
	write_faults(m);
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

static void write_drops(struct metrics *m)
{
	struct model *model = m->model;
	struct drops drops = {.n = 0};

	dp_drop_walk(model->dp, add_drop, &drops);
	metrics_family(m, "sluice_drops_total", "Copies dropped, by reason.");
	for (unsigned i = 0; i < drops.n; i++)
		metrics_value(m, "reason", drops.reason[i], drops.packets[i]);
}

static void write_stages(struct metrics *m)
{
	struct model *model = m->model;
	struct dp_worker_info info;
	char core[16];

	metrics_family(m, "sluice_stage_cycles_per_packet", "TSC cycles a frame costs in the stage.");
	for (unsigned w = 0; dp_worker_info(model->dp, w, &info) == 0; w++) {
		snprintf(core, sizeof(core), "%d", info.core);
		for (unsigned i = 0; i < info.nstage; i++)
			metrics_value2(m, "core", core, "stage", info.stage[i].name,
				info.stage[i].cycles_per_packet);
	}
}

static void write_workers(struct metrics *m)
{
	struct model *model = m->model;
	static const struct {
		const char *name, *help;
	} families[] = {
		{"sluice_worker_packets_total", "Frames handled."},
		{"sluice_worker_busy_cycles_total", "TSC cycles of polls that found frames."},
		{"sluice_worker_busy_ratio", "Share of the last one to two seconds."},
		{"sluice_worker_asleep", "Does it sleep, for want of frames?"},
		{"sluice_worker_longest_gap_seconds",
			"Longest time between two polls while awake, of the last one to two seconds."},
	};
	struct dp_worker_info info;
	char core[16];

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		metrics_family(m, families[i].name, families[i].help);
		for (unsigned w = 0; dp_worker_info(model->dp, w, &info) == 0; w++) {
			const double value[] = {(double)info.packets, (double)info.busy_cycles,
				info.busy_pct / 100, info.asleep, info.longest_gap_us / 1e6};

			snprintf(core, sizeof(core), "%d", info.core);
			metrics_value(m, "core", core, value[i]);
		}
	}
	write_stages(m);
}

void metrics_write(void *arg, struct evbuffer *out)
{
	struct metrics *m = arg;

	m->out = out;
	m->left_off = 0;
	write_daemon(m);
	write_kubernetes(m);
	write_networks(m);
	write_fdb(m);
	write_connections(m);
	write_egress(m);
	write_ports(m);
	metrics_write_peers(m);
	write_drops(m);
	write_workers(m);
	metrics_write_cluster(m);
	metrics_write_registry(m);
	metrics_single(m, "sluice_metrics_left_off",
		"Networks, ports, services and backends that are too many to be listed here.", m->left_off);
}

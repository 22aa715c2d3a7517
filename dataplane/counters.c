/* counters.c: counters as control reads them, summed over the workers. */
#include "dataplane/counters.h"

#include <errno.h>
#include <rte_cycles.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "dataplane/core/account.h"
#include "dataplane/core/private.h"
#include "dataplane/core/stats.h"
#include "dataplane/engine/pipeline.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/vhost/mem.h"

static const char *const reason_name[DROP_COUNT] = {
#define X(id, name, help) name,
	DROP_REASONS(X)
#undef X
};

/* Counted at the receiver; all others at the port that the frame came from. */
static bool at_egress(enum drop_reason reason)
{
	return reason == DROP_RING_FULL || reason == DROP_MTU || reason == DROP_LINK_DOWN ||
	       reason == DROP_TX_ERROR || reason == DROP_BUDGET;
}

static uint64_t port_drops(const struct dp *dp, uint16_t id, enum drop_reason reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < dp->nworker; i++)
		sum += stat_read(&dp->worker[i]->port_stats[id].drop[reason]);
	return sum;
}

static uint64_t uplink_drops(const struct dp *dp, uint16_t net, enum drop_reason reason)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < dp->nworker; i++)
		sum += stat_read(&dp->worker[i]->net_stats[net].uplink_drop[reason]);
	return sum;
}

int dp_port_info(struct dp *dp, uint16_t id, struct dp_port_info *info)
{
	const struct port *port = dp_get_port(dp, id);

	if (!port)
		return -ENOENT;
	*info = (struct dp_port_info){.up = atomic_load(&port->up), .queues = port->nqueue};
	for (unsigned i = 0; i < dp->nworker; i++) {
		const struct port_stats *s = &dp->worker[i]->port_stats[id];

		info->rx_packets += stat_read(&s->rx_packets);
		info->rx_bytes += stat_read(&s->rx_bytes);
		info->tx_packets += stat_read(&s->tx_packets);
		info->tx_bytes += stat_read(&s->tx_bytes);
		info->rate_out_drops += stat_read(&s->rate_out);
		info->throttled += stat_read(&s->throttled);
		info->unlearned += stat_read(&s->unlearned);
		info->punts_left_out += stat_read(&s->punts_left_out);
	}
	for (unsigned r = 0; r < DROP_COUNT; r++)
		*(at_egress(r) ? &info->tx_drops : &info->rx_drops) += port_drops(dp, id, r);
	info->mac_limit_drops = port_drops(dp, id, DROP_MAC_LIMIT);
	info->macs = fdb_port_macs(dp->fdb, id);
	info->storm_drops = port_drops(dp, id, DROP_STORM);
	info->rate_in_drops = port_drops(dp, id, DROP_RATE) - info->rate_out_drops;
	info->rx_drops -= info->rate_out_drops; /* one reason for both directions */
	info->tx_drops += info->rate_out_drops;
	info->spoofed = port_drops(dp, id, DROP_SPOOFED_MAC) + port_drops(dp, id, DROP_SPOOFED_IP) +
			port_drops(dp, id, DROP_SPOOFED_ARP) + port_drops(dp, id, DROP_ROGUE_SERVER);
	return 0;
}

int dp_port_guest(struct dp *dp, uint16_t id, struct dp_port_guest *guest)
{
	const struct port *port = dp_get_port(dp, id);

	if (!port)
		return -ENOENT;
	*guest = port->guest;
	guest->memory_limit = vhost_mem_limit(port->spec.memory_mb);
	return 0;
}

static uint64_t network_drops(struct dp *dp, uint16_t id)
{
	uint64_t sum = 0;

	for (unsigned r = 0; r < DROP_COUNT; r++)
		sum += dp->priv->gone_drop[id][r] + uplink_drops(dp, id, r);
	for (unsigned p = 0; p < MAX_PORTS; p++) {
		const struct port *port = dp_get_port(dp, (uint16_t)p);

		for (unsigned r = 0; port && port->net == id && r < DROP_COUNT; r++)
			sum += port_drops(dp, (uint16_t)p, r);
	}
	return sum;
}

int dp_network_info(struct dp *dp, uint16_t id, struct dp_net_info *info)
{
	if (!dp_get_net(dp, id))
		return -ENOENT;
	*info = (struct dp_net_info){
		.drops = network_drops(dp, id),
		.macs = share_used(dp->fdb->share, id),
		.macs_share = share_part(dp->fdb->share),
	};
	for (unsigned i = 0; i < dp->nworker; i++) {
		const struct net_stats *s = &dp->worker[i]->net_stats[id];

		info->rx += stat_read(&s->rx);
		info->tx += stat_read(&s->tx);
		info->generated += stat_read(&s->generated);
		info->copies += stat_read(&s->copies);
		info->consumed += stat_read(&s->consumed);
		info->mac_moves += stat_read(&s->mac_moves);
		info->mac_moves_held += stat_read(&s->mac_moves_held);
		info->unlearned += stat_read(&s->unlearned);
	}
	return 0;
}

static void walk_port(
	struct dp *dp, const struct port *port, void (*fn)(void *, const struct dp_drop *), void *arg)
{
	for (unsigned r = 0; r < DROP_COUNT; r++) {
		struct dp_drop drop = {reason_name[r], port->id, port->net, port_drops(dp, port->id, r)};

		if (drop.packets)
			fn(arg, &drop);
	}
}

/* The uplink that a network's vteps use, at which their drops are counted. */
static uint16_t network_uplink(struct dp *dp, uint16_t net)
{
	for (unsigned i = 0; i < MAX_VTEPS; i++)
		if (dp->priv->vtep[i].used && dp->priv->vtep[i].net == net)
			return dp->priv->vtep[i].uplink;
	return OUT_NONE;
}

static void walk_network(struct dp *dp, uint16_t net, void (*fn)(void *, const struct dp_drop *), void *arg)
{
	for (unsigned r = 0; r < DROP_COUNT; r++) {
		struct dp_drop drop = {reason_name[r], OUT_NONE, net, dp->priv->gone_drop[net][r]};

		if (drop.packets)
			fn(arg, &drop);
		drop.packets = uplink_drops(dp, net, r);
		drop.port = network_uplink(dp, net);
		if (drop.packets)
			fn(arg, &drop);
	}
}

void dp_drop_walk(struct dp *dp, void (*fn)(void *arg, const struct dp_drop *drop), void *arg)
{
	for (unsigned i = 0; i < MAX_PORTS; i++)
		if (dp_get_port(dp, (uint16_t)i))
			walk_port(dp, dp_get_port(dp, (uint16_t)i), fn, arg);
	for (unsigned i = 0; i < MAX_NETS; i++)
		if (dp_get_net(dp, (uint16_t)i))
			walk_network(dp, (uint16_t)i, fn, arg);
}

/* A worker's account at one time. */
struct reading {
	uint64_t tsc, busy, packets, sampled, stage[DP_STAGES_MAX];
};

/*
 * Two readings a second apart: what is shown covers the last one to two seconds, however often it is asked
 * for.
 */
struct stats_window {
	struct reading older, newer;
	uint64_t last_gap; /* cycles: the longest of the second before */
};

static double ratio(uint64_t cycles, uint64_t packets)
{
	return packets ? (double)cycles / (double)packets : 0;
}

static const char *stage_name(unsigned i)
{
	if (i == 0)
		return "rx";
	return i <= pipeline_len ? pipeline[i - 1].name : "complete";
}

static struct reading read_account(const struct account *a)
{
	struct reading r = {
		rte_rdtsc(), stat_read(&a->busy), stat_read(&a->packets), stat_read(&a->sampled), {0}};

	for (unsigned i = 0; i < DP_STAGES_MAX; i++)
		r.stage[i] = stat_read(&a->stage[i]);
	return r;
}

int stats_open(struct dp *dp)
{
	dp->priv->window = calloc(MAX_WORKERS, sizeof(*dp->priv->window));
	for (unsigned i = 0; dp->priv->window && i < MAX_WORKERS; i++)
		dp->priv->window[i].older.tsc = dp->priv->window[i].newer.tsc = dp->start_tsc;
	return dp->priv->window ? 0 : -ENOMEM;
}

void stats_close(struct dp *dp)
{
	free(dp->priv->window);
}

void stats_tick(struct dp *dp)
{
	for (unsigned i = 0; i < dp->nworker; i++) {
		struct stats_window *window = &dp->priv->window[i];
		struct account *a = dp->worker[i]->account;

		window->older = window->newer;
		window->newer = read_account(a);
		window->last_gap = atomic_exchange(&a->longest_gap, 0);
	}
}

int dp_worker_info(struct dp *dp, unsigned index, struct dp_worker_info *info)
{
	const struct stats_window *window;
	struct reading then, now, none = {0};
	const struct reading *since;
	struct account *a;
	uint64_t gap;

	if (index >= dp->nworker)
		return -ENOENT;
	window = &dp->priv->window[index];
	a = dp->worker[index]->account;
	now = read_account(a);
	then = window->older;
	gap = atomic_load(&a->longest_gap);
	*info = (struct dp_worker_info){
		.core = dp->worker[index]->core,
		.asleep = atomic_load(&a->asleep),
		.busy_pct = 100 * ratio(now.busy - then.busy, now.tsc - then.tsc),
		.packets = now.packets,
		.busy_cycles = now.busy,
		.longest_gap_us = (uint32_t)((gap > window->last_gap ? gap : window->last_gap) * 1000000 /
					     rte_get_tsc_hz()),
		.nstage = pipeline_len + 2,
	};
	for (unsigned i = 0; i < DP_GAPS; i++)
		info->gap_ms[i] = stat_read(&a->gaps[i]);
	since = now.packets == then.packets ? &none : &then; /* nothing came lately: since the start */
	info->cycles_per_packet = ratio(now.busy - since->busy, now.packets - since->packets);
	since = now.sampled == then.sampled ? &none : &then;
	for (unsigned i = 0; i < info->nstage; i++)
		info->stage[i] = (struct dp_stage_info){
			stage_name(i), ratio(now.stage[i] - since->stage[i], now.sampled - since->sampled)};
	return 0;
}

unsigned dp_memory_mb(struct dp *dp)
{
	FILE *f = fopen("/proc/self/statm", "re");
	unsigned long total, resident = 0;

	if (f && fscanf(f, "%lu %lu", &total, &resident) != 2)
		resident = 0;
	if (f)
		fclose(f);
	return (unsigned)(resident * (unsigned long)sysconf(_SC_PAGESIZE) >> 20);
}

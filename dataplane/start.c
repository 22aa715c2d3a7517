/* start.c: start, stop, and the tick of what control does for the workers. */
#include "dataplane/start.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_eal.h>
#include <rte_launch.h>
#include <rte_lcore.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "dataplane/bfd/bfd.h"
#include "dataplane/core/exchange.h"
#include "dataplane/core/mem.h"
#include "dataplane/core/private.h"
#include "dataplane/core/rcu.h"
#include "dataplane/counters.h"
#include "dataplane/dataplane.h"
#include "dataplane/eal.h"
#include "dataplane/egress/egress.h"
#include "dataplane/engine/balance.h"
#include "dataplane/engine/loop.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/fdb_sweep.h"
#include "dataplane/l2/neigh.h"
#include "dataplane/l2/network.h"
#include "dataplane/lb/service.h"
#include "dataplane/overlay/load.h"
#include "dataplane/overlay/vtep.h"
#include "dataplane/ports.h"
#include "dataplane/vhost/notify.h"

static struct dp *instance; /* DPDK allows one a process */

static void on_tick(void *arg)
{
	struct dp *dp = arg;

	sweep_fdb(dp);
	neigh_tick(dp);
	lb_touch_ahead(dp);
	service_seek_ask(dp);
	tell_begin(dp);
	moves_tell(dp);
	if (dp->priv->ticks++ % (1000 / DP_TICK_MS) == 0) {
		share_recount(dp->fdb->share);
		lb_tick(dp);
		egress_tick(dp);
		stats_tick(dp);
		balance_tick(dp);
	}
	rcu_flush(dp);
}

enum { PUNTED_AT_ONCE = 64 }; /* frames of a worker, before control looks after others */

/* Returns whether there are more. */
static bool take_punted(struct dp *dp, struct worker *w)
{
	const struct exchange_frame *x;

	for (unsigned i = 0; i < PUNTED_AT_ONCE && (x = exchange_peek(w->punt)); i++) {
		neigh_input(dp, x->net, x->port, x->data, x->len);
		egress_wanted(dp, x->port, x->data, x->len);
		exchange_pop(w->punt);
	}
	return exchange_peek(w->punt) != NULL;
}

static void on_news(void *arg, unsigned events)
{
	struct dp *dp = arg;
	uint64_t count;
	bool more = false;

	if (read(dp->priv->link_fd, &count, sizeof(count)) < 0)
		return;
	for (unsigned i = 0; i < dp->nworker; i++)
		more |= take_punted(dp, dp->worker[i]);
	ports_report_links(dp);
	bfd_report(dp);
	if (more)
		dp_tell_control(dp);
}

/* Local, unicast, and of this host alone. */
static void make_probe_mac(uint8_t mac[6])
{
	if (getrandom(mac, 6, 0) != 6)
		mac[5] = (uint8_t)getpid();
	mac[0] = (uint8_t)((mac[0] | 2) & ~1);
}

/*
 * With huge pages memory is there for speed: a worker that is the first to write to a huge page waits a
 * millisecond for the kernel to clear it. Without them tables stay lazy and the switch small.
 */
static void touch_tables(struct dp *dp)
{
	if (!rte_eal_has_hugepages())
		return;
	fdb_touch(dp->fdb);
	lb_touch(dp);
}

static int open_tables(struct dp *dp)
{
	int rc = fdb_open(dp->config.fdb_size, &dp->fdb);

	if (!rc)
		rc = lb_open(dp, dp->config.conn_size);
	if (!rc)
		rc = egress_open(dp, dp->config.conn_size);
	if (!rc)
		rc = neigh_open(dp);
	if (!rc)
		rc = stats_open(dp);
	if (!rc)
		rc = balance_open(dp);
	if (!rc)
		rc = bfd_open(dp);
	if (!rc)
		touch_tables(dp);
	return rc;
}

static int open_workers(struct dp *dp)
{
	size_t size = rte_rcu_qsbr_get_memsize(dp->config.ncores);
	int rc = 0;

	dp->qsbr = aligned_alloc(RTE_CACHE_LINE_SIZE, RTE_CACHE_LINE_ROUNDUP(size));
	if (!dp->qsbr)
		return -ENOMEM;
	rte_rcu_qsbr_init(dp->qsbr, dp->config.ncores);
	for (unsigned i = 0; i < dp->config.ncores && !rc; i++) {
		rc = worker_new(dp, i, dp->config.cores[i], &dp->worker[i]);
		if (!rc)
			dp->nworker++;
	}
	if (!rc && notifier_new(&dp->notifier) < 0)
		dp->notifier = NULL; /* as the workers': dp_guests_can_block() */
	return rc;
}

static int watch(struct dp *dp)
{
	const struct dp_loop *loop = &dp->config.loop;

	dp->priv->watch = loop->fd_add(loop->ctx, dp->priv->link_fd, DP_READ, on_news, dp);
	dp->priv->timer = loop->timer_add(loop->ctx, DP_TICK_MS, on_tick, dp);
	return dp->priv->watch && dp->priv->timer ? 0 : -ENOMEM;
}

static struct dp *dp_alloc(const struct dp_config *config)
{
	struct dp *dp = mem_alloc(sizeof(*dp));

	if (!dp)
		return NULL;
	dp->priv = mem_alloc(sizeof(*dp->priv));
	if (!dp->priv) {
		mem_free(dp, sizeof(*dp));
		return NULL;
	}
	dp->config = *config;
	dp->start_tsc = rte_rdtsc();
	make_probe_mac(dp->probe_mac);
	dp->priv->link_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	return dp;
}

int dp_prepare(const struct dp_config *config, struct dp **out, struct dp_err *err)
{
	struct dp *dp;
	int rc;

	if (instance)
		return dp_fail(err, -EBUSY, "the dataplane runs already");
	if (!config->ncores || config->ncores > MAX_WORKERS)
		return dp_fail(err, -EINVAL, "dataplane.cores: 1 to %d workers", MAX_WORKERS);
	rc = eal_start(config, err);
	if (rc)
		return rc;
	dp = dp_alloc(config);
	if (!dp)
		return dp_fail(err, -ENOMEM, "out of memory");
	instance = dp;
	rc = dp->priv->link_fd < 0 ? -ENFILE : open_tables(dp);
	if (!rc)
		rc = open_workers(dp);
	if (!rc)
		rc = watch(dp);
	if (rc) {
		dp_close(dp);
		return dp_fail(err, rc, "the dataplane did not start: %s", strerror(-rc));
	}
	*out = dp;
	return 0;
}

int dp_open(const struct dp_config *config, struct dp **out, struct dp_err *err)
{
	int rc = dp_prepare(config, out, err);

	for (unsigned i = 0; !rc && i < (*out)->nworker; i++)
		rte_eal_remote_launch(worker_main, (*out)->worker[i], i + 1);
	if (!rc)
		rc = bfd_start(*out);
	if (rc && *out) {
		dp_close(*out);
		return dp_fail(err, rc, "the bfd thread did not start: %s", strerror(-rc));
	}
	return rc;
}

/* First of all, so that the ports below have no workers to wait for: each would wait for a turn of theirs. */
static void stop_workers(struct dp *dp)
{
	for (unsigned i = 0; i < dp->nworker; i++)
		atomic_store(&dp->worker[i]->stop, true);
	workers_wake(dp);
	rte_eal_mp_wait_lcore();
}

bool dp_guests_can_block(const struct dp *dp)
{
	return !dp->worker[0]->notifier;
}

int dp_uring(const struct dp *dp)
{
	return dp->worker[0]->no_uring;
}

void dp_close(struct dp *dp)
{
	const struct dp_loop *loop;

	if (!dp)
		return;
	loop = &dp->config.loop;
	bfd_stop(dp);
	stop_workers(dp);
	if (dp->priv->timer)
		loop->timer_del(loop->ctx, dp->priv->timer);
	if (dp->priv->watch)
		loop->fd_del(loop->ctx, dp->priv->watch);
	tell_end(dp);
	ports_close(dp);
	vteps_close(dp);
	rcu_flush(dp);
	for (unsigned i = 0; i < MAX_NETS; i++) {
		struct network *net = dp_get_net(dp, (uint16_t)i);

		if (net)
			free(atomic_load(&net->known));
		network_free(net);
	}
	free(atomic_load(&dp->vxlan));
	lb_close(dp);
	egress_close(dp);
	neigh_close(dp);
	fdb_close(dp->fdb);
	for (unsigned i = 0; i < dp->nworker; i++)
		worker_free(dp->worker[i]);
	notifier_free(dp->notifier);
	free(dp->qsbr);
	bfd_close(dp);
	if (dp->priv->link_fd >= 0)
		close(dp->priv->link_fd);
	stats_close(dp);
	balance_close(dp);
	mem_free(dp->priv, sizeof(*dp->priv));
	mem_free(dp, sizeof(*dp));
	instance = NULL;
	eal_stop();
}

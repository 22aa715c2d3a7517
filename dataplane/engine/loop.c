#include "dataplane/engine/loop.h"

#include <errno.h>
#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "dataplane/core/account.h"
#include "dataplane/core/dp.h"
#include "dataplane/core/exchange.h"
#include "dataplane/core/mem.h"
#include "dataplane/core/uring.h"
#include "dataplane/deliver/budget.h"
#include "dataplane/deliver/deliver.h"
#include "dataplane/engine/inject.h"
#include "dataplane/engine/pipeline.h"
#include "dataplane/engine/polling.h"
#include "dataplane/frame/udp_gso.h"
#include "dataplane/lb/service.h"
#include "dataplane/vhost/notify.h"

enum { IDLE_US = 50 }; /* adaptive: sleep when nothing has come for this long */

static size_t stats_bytes(const struct dp *dp)
{
	return MAX_PORTS * sizeof(struct port_stats) + MAX_NETS * sizeof(struct net_stats) +
	       dp->config.backends * (sizeof(struct backend_stats) + sizeof(struct backend_answers) +
					     2 * sizeof(struct backend_load));
}

int worker_new(struct dp *dp, unsigned index, int core, struct worker **out)
{
	struct worker *w = mem_alloc(sizeof(*w));
	int rc = -ENOMEM;

	if (!w)
		return -ENOMEM;
	w->dp = dp;
	w->index = index;
	w->core = core;
	w->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	w->port_stats = mem_alloc(stats_bytes(dp));
	w->scratch = mem_alloc(SCRATCH_BYTES);
	w->account = mem_alloc(sizeof(*w->account));
	w->gso = mem_alloc(sizeof(*w->gso));
	w->punt = mem_alloc(sizeof(*w->punt));
	w->inject = mem_alloc(sizeof(*w->inject));
	w->bfd_in = mem_alloc(sizeof(*w->bfd_in));
	w->bfd_out = mem_alloc(sizeof(*w->bfd_out));
	if (w->wake_fd < 0 || !w->port_stats || !w->scratch || !w->account || !w->gso || !w->punt ||
		!w->inject || !w->bfd_in || !w->bfd_out)
		goto fail;
	w->account->ms = rte_get_tsc_hz() / 1000;
	w->net_stats = (struct net_stats *)(w->port_stats + MAX_PORTS);
	w->backend_stats = (struct backend_stats *)(w->net_stats + MAX_NETS);
	w->backend_answers = (struct backend_answers *)(w->backend_stats + dp->config.backends);
	w->backend_load = (struct backend_load *)(w->backend_answers + dp->config.backends);
	w->backend_inbound = w->backend_load + dp->config.backends;
	rc = outbox_new(w);
	if (!rc)
		rc = polling_new(w);
	if (!rc)
		rc = budget_new(w);
	if (!rc && notifier_new(&w->notifier) < 0)
		w->notifier = NULL; /* dp_guests_can_block() */
	if (!rc)
		w->no_uring = uring_new(&w->uring);
	if (rc)
		goto fail;
	*out = w;
	return 0;
fail:
	worker_free(w);
	return rc;
}

void worker_free(struct worker *w)
{
	if (!w)
		return;
	uring_free(w->uring);
	notifier_free(w->notifier);
	budget_free(w);
	polling_free(w);
	outbox_free(w);
	mem_free(w->bfd_out, sizeof(*w->bfd_out));
	mem_free(w->bfd_in, sizeof(*w->bfd_in));
	mem_free(w->inject, sizeof(*w->inject));
	mem_free(w->punt, sizeof(*w->punt));
	mem_free(w->gso, sizeof(*w->gso));
	mem_free(w->account, sizeof(*w->account));
	mem_free(w->scratch, SCRATCH_BYTES);
	mem_free(w->port_stats, stats_bytes(w->dp));
	if (w->wake_fd >= 0)
		close(w->wake_fd);
	mem_free(w, sizeof(*w));
}

/* One burst in SAMPLE_EVERY reads the clock between the stages. */
static void serve_timed(struct worker *w, struct burst *b, uint64_t start)
{
	struct account *a = w->account;
	uint64_t taken = rte_rdtsc(), done, end;

	stat_add(&a->stage[0], taken - start);
	pipeline_run_timed(w, b, a->stage + 1);
	done = rte_rdtsc();
	if (b->in->ops->complete)
		b->in->ops->complete(b->in, w, b);
	end = rte_rdtsc();
	stat_add(&a->stage[1 + pipeline_len], end - done);
	stat_add(&a->queue_cycles[b->in->id * PORT_QUEUES_MAX + b->queue], (end - start) * SAMPLE_EVERY);
	stat_add(&a->sampled, b->count);
}

unsigned worker_serve(struct worker *w, struct port *port, uint16_t queue)
{
	struct burst *b = &w->burst;
	struct account *a = w->account;
	bool timed = a->bursts % SAMPLE_EVERY == 0;
	uint64_t start = timed ? rte_rdtsc() : 0;

	b->in = port;
	b->queue = queue;
	b->count = 0;
	b->nspan = 0;
	b->bytes = 0;
	if (!port->ops->rx(port, w, b))
		return 0;
	stat_add(&w->port_stats[port->id].rx_packets, b->count);
	stat_add(&w->port_stats[port->id].rx_bytes, b->bytes);
	a->bursts++;
	stat_add(&a->packets, b->count);
	if (__builtin_expect(w->watching, 0))
		budget_taken(w, b);
	if (timed) {
		serve_timed(w, b, start);
	} else {
		pipeline_run(w, b);
		if (port->ops->complete)
			port->ops->complete(port, w, b);
	}
	return b->count;
}

unsigned worker_turn(struct worker *w)
{
	uint64_t now = rte_rdtsc(), before = w->account->last_turn;
	unsigned frames;

	account_gap(w->account, now);
	if (__builtin_expect(now - before > w->long_turn && before, 0))
		budget_alarm(w, now, now - before);
	if (now >= w->next_second) {
		w->now_s++;
		w->next_second += rte_get_tsc_hz();
		service_drop_late(w);
	}
	w->turn++;
	frames = polling_turn(w, now);
	inject_send(w);
	if (__builtin_expect(w->late, 0))
		service_send_late(w, pipeline_resume);
	if (frames)
		stat_add(&w->account->busy, rte_rdtsc() - now);
	rte_rcu_qsbr_quiescent(w->dp->qsbr, w->index);
	return frames;
}

/* Seconds since the workers started: the same count on every worker, kept up across sleep. */
static void set_clock(struct worker *w)
{
	uint64_t hz = rte_get_tsc_hz(), since = rte_rdtsc() - w->dp->start_tsc;

	w->now_s = (uint32_t)(since / hz) + 1;
	w->next_second = w->dp->start_tsc + (uint64_t)w->now_s * hz;
}

static void doze(struct worker *w)
{
	polling_sleep(w);
	w->account->last_turn = 0;
	set_clock(w);
	service_drop_late(w);
}

int worker_main(void *arg)
{
	struct worker *w = arg;
	uint64_t idle_since = 0, patience = 0, now;

	if (w->dp->config.idle == DP_IDLE_ADAPTIVE)
		patience = rte_get_tsc_hz() / 1000000 * IDLE_US;
	set_clock(w);
	budget_start(w);
	rte_rcu_qsbr_thread_register(w->dp->qsbr, w->index);
	rte_rcu_qsbr_thread_online(w->dp->qsbr, w->index);
	while (!atomic_load_explicit(&w->stop, memory_order_relaxed)) {
		if (worker_turn(w) || w->dp->config.idle == DP_IDLE_POLL) {
			idle_since = 0;
			continue;
		}
		now = rte_rdtsc();
		if (!idle_since)
			idle_since = now;
		if (now - idle_since < patience)
			continue;
		doze(w);
		idle_since = 0;
	}
	rte_rcu_qsbr_thread_offline(w->dp->qsbr, w->index);
	rte_rcu_qsbr_thread_unregister(w->dp->qsbr, w->index);
	return 0;
}

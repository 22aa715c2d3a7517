#include "dataplane/engine/polling.h"

#include <errno.h>
#include <poll.h>
#include <rte_cycles.h>
#include <rte_rcu_qsbr.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "dataplane/core/account.h"
#include "dataplane/core/dp.h"
#include "dataplane/core/mem.h"
#include "dataplane/core/rcu.h"
#include "dataplane/deliver/budget.h"
#include "dataplane/engine/balance.h"
#include "dataplane/engine/loop.h"

enum {
	SLEEP_MS = 100,	     /* at most, should a wake-up be missed */
	BLIND_SLEEP_US = 50, /* when a port cannot signal */
	FDS_AT_ONCE = 32,
	COLD_MIN = 8,	 /* queues: fewer are all looked at every turn */
	QUIET_US = 1000, /* a queue without frames for this long is cold */
	COLD_US = 50,	 /* while others are busy, a cold queue is looked at this often at least */
	COLD_AT_ONCE = 32,
};

struct poll_entry {
	struct port *port;
	uint16_t queue;
	uint64_t last; /* TSC when it had frames, or was put on the list */
};

/*
 * Control makes it; once it is published it is the worker's. The hot queues, which had frames lately, stand
 * before the others.
 */
struct poll_list {
	unsigned count;	     /* queues in rings */
	unsigned hot;	     /* the first of them */
	unsigned cold;	     /* the next of the others to look at, counted from the first of those */
	unsigned nfd;	     /* queues in the epoll set */
	uint64_t cold_until; /* TSC up to which the cold ones have been given their looks */
	struct poll_entry entry[];
};

/* What a sleep waits for: the wake fd, the epoll set, every ring. The worker's own, for it outlives any list.
 */
enum { POLL_FDS = MAX_PORTS * PORT_QUEUES_MAX + 2 };

struct polling {
	_Atomic(struct poll_list *) list; /* never NULL: empty at first */
	int epoll;
	struct pollfd *fd;		/* [POLL_FDS], touched lazily */
	uint64_t fds_due;		/* TSC */
	uint64_t fds_every, cold_every; /* cycles */
	int64_t quiet_after;
};

int polling_new(struct worker *w)
{
	struct polling *p = calloc(1, sizeof(*p));
	struct poll_list *none = calloc(1, sizeof(*none));

	if (!p || !none) {
		free(p);
		free(none);
		return -ENOMEM;
	}
	atomic_store(&p->list, none);
	p->fd = mem_alloc(POLL_FDS * sizeof(*p->fd));
	p->epoll = epoll_create1(EPOLL_CLOEXEC);
	if (!p->fd || p->epoll < 0) {
		int rc = p->fd ? -errno : -ENOMEM;

		free(none);
		mem_free(p->fd, POLL_FDS * sizeof(*p->fd));
		if (p->epoll >= 0)
			close(p->epoll);
		free(p);
		return rc;
	}
	p->fds_every = rte_get_tsc_hz() / 1000000 * FDS_EVERY_US;
	p->quiet_after = (int64_t)(rte_get_tsc_hz() / 1000000 * QUIET_US);
	p->cold_every = rte_get_tsc_hz() / 1000000 * COLD_US;
	w->polling = p;
	return 0;
}

void polling_free(struct worker *w)
{
	if (!w->polling)
		return;
	free(atomic_load(&w->polling->list));
	mem_free(w->polling->fd, POLL_FDS * sizeof(*w->polling->fd));
	close(w->polling->epoll);
	free(w->polling);
}

static inline unsigned serve(struct worker *w, struct port *port, uint16_t queue)
{
	return __builtin_expect(w->watching, 0) ? budget_serve(w, port, queue, worker_serve)
						: worker_serve(w, port, queue);
}

/*
 * Looks at the queues in the epoll set that have frames, but stops when the worker is to stop: 400 containers
 * that come up at once multicast to each other for seconds of system calls.
 */
static unsigned serve_fds(struct worker *w)
{
	struct epoll_event event[FDS_AT_ONCE];
	int n = epoll_wait(w->polling->epoll, event, FDS_AT_ONCE, 0);
	unsigned frames = 0;

	for (int i = 0; i < n && !atomic_load_explicit(&w->stop, memory_order_relaxed); i++) {
		uint16_t queue = (uint16_t)event[i].data.u32;
		struct port *port = dp_get_port(w->dp, (uint16_t)(event[i].data.u32 >> 16));
		unsigned got = port && queue < port->nqueue ? serve(w, port, queue) : 0;
		int fd;

		frames += got;
		/* its interface is gone for good: an error would end every sleep */
		if (!got && port && (event[i].events & (EPOLLERR | EPOLLHUP))) {
			fd = port->ops->rx_fd(port, queue);
			if (fd >= 0)
				epoll_ctl(w->polling->epoll, EPOLL_CTL_DEL, fd, NULL);
		}
	}
	return frames;
}

static void swap(struct poll_entry *a, struct poll_entry *b)
{
	struct poll_entry other = *a;

	*a = *b;
	*b = other;
}

static unsigned serve_hot(struct worker *w, struct poll_list *list, uint64_t now)
{
	const int64_t quiet_after = list->count > COLD_MIN ? w->polling->quiet_after : INT64_MAX;
	unsigned frames = 0;

	for (unsigned i = 0; i < list->hot;) {
		struct poll_entry *e = &list->entry[i];
		unsigned got = serve(w, e->port, e->queue);

		frames += got;
		if (got)
			e->last = now;
		/* the last hot one takes its place, and has its look next */
		if (__builtin_expect((int64_t)(now - e->last) > quiet_after, 0))
			swap(e, &list->entry[--list->hot]);
		else
			i++;
	}
	return frames;
}

/* How many cold queues are due for a look: some of them each turn, so that all have had one in COLD_US. */
static unsigned cold_due(const struct polling *p, struct poll_list *list, bool busy, uint64_t now)
{
	unsigned cold = list->count - list->hot;
	uint64_t since = now - list->cold_until, each = p->cold_every / cold, due = since / each;

	if (since > p->cold_every) {
		list->cold_until = now;
		due = cold;
	} else {
		list->cold_until += due * each;
	}
	return !busy && due < COLD_AT_ONCE && COLD_AT_ONCE <= cold ? COLD_AT_ONCE : (unsigned)due;
}

static unsigned serve_cold(struct worker *w, struct poll_list *list, unsigned n, uint64_t now)
{
	unsigned frames = 0;

	for (; n > 0 && list->hot < list->count; n--) {
		struct poll_entry *e;
		unsigned got;

		if (list->cold >= list->count - list->hot)
			list->cold = 0;
		e = &list->entry[list->hot + list->cold];
		got = serve(w, e->port, e->queue);
		frames += got;
		if (got) {
			e->last = now;
			swap(e, &list->entry[list->hot++]);
		} else {
			list->cold++;
		}
	}
	return frames;
}

unsigned polling_turn(struct worker *w, uint64_t now)
{
	struct polling *p = w->polling;
	struct poll_list *list = atomic_load_explicit(&p->list, memory_order_acquire);
	unsigned frames;

	if (__builtin_expect(w->watching, 0))
		budget_turn(w, now);
	frames = serve_hot(w, list, now);
	if (list->hot < list->count)
		frames += serve_cold(w, list, cold_due(p, list, frames > 0, now), now);
	if (list->nfd && (!frames || now >= p->fds_due)) {
		frames += serve_fds(w);
		p->fds_due = now + p->fds_every;
	}
	return frames;
}

/* Asks every ring to signal. False: frames wait already. *blind: some ring cannot signal. */
static bool arm(const struct poll_list *list, bool *blind)
{
	bool waiting = false;

	for (unsigned i = 0; i < list->count && !waiting; i++) {
		struct port *port = list->entry[i].port;

		if (port->ops->arm && !port->blind)
			waiting = port->ops->arm(port, list->entry[i].queue, true);
		else
			*blind = true;
	}
	return !waiting;
}

static void disarm(const struct poll_list *list)
{
	for (unsigned i = 0; i < list->count; i++) {
		struct port *port = list->entry[i].port;

		if (port->ops->arm)
			port->ops->arm(port, list->entry[i].queue, false);
	}
}

static unsigned gather_fds(const struct worker *w, const struct poll_list *list)
{
	struct pollfd *fd = w->polling->fd;
	unsigned n = 0;

	fd[n++] = (struct pollfd){.fd = w->wake_fd, .events = POLLIN};
	if (list->nfd)
		fd[n++] = (struct pollfd){.fd = w->polling->epoll, .events = POLLIN};
	for (unsigned i = 0; i < list->count; i++) {
		struct port *port = list->entry[i].port;
		int kick = port->ops->arm ? port->ops->rx_fd(port, list->entry[i].queue) : -1;

		if (kick >= 0)
			fd[n++] = (struct pollfd){.fd = kick, .events = POLLIN};
	}
	return n;
}

/* Offline, so grace periods do not wait for a sleeper: it must not touch `list` or a port afterwards. */
static void sleep_offline(struct worker *w, struct pollfd *fd, unsigned n, bool blind)
{
	struct timespec limit = {.tv_nsec = blind ? BLIND_SLEEP_US * 1000L : SLEEP_MS * 1000000L};
	uint64_t wakes;

	atomic_store_explicit(&w->account->asleep, true, memory_order_relaxed);
	rte_rcu_qsbr_thread_offline(w->dp->qsbr, w->index);
	ppoll(fd, n, &limit, NULL);
	rte_rcu_qsbr_thread_online(w->dp->qsbr, w->index);
	atomic_store_explicit(&w->account->asleep, false, memory_order_relaxed);
	if (read(w->wake_fd, &wakes, sizeof(wakes)) < 0)
		return; /* nobody woke it */
}

void polling_sleep(struct worker *w)
{
	const struct poll_list *list = atomic_load_explicit(&w->polling->list, memory_order_acquire);
	bool blind = false;

	if (w->watching && budget_holds(w))
		return; /* its queue would end the sleep at once */
	if (arm(list, &blind))
		sleep_offline(w, w->polling->fd, gather_fds(w, list), blind);
	disarm(atomic_load_explicit(&w->polling->list, memory_order_acquire));
}

/* The list of a worker's queues; `staying`: only of those that were its own before. */
static struct poll_list *list_new(struct dp *dp, unsigned worker, bool staying)
{
	uint64_t now = rte_rdtsc();
	struct poll_list *list;
	unsigned count = 0;

	for (unsigned i = 0; i < MAX_PORTS; i++)
		count += dp_get_port(dp, i) ? dp_get_port(dp, i)->nqueue : 0;
	list = calloc(1, sizeof(*list) + count * sizeof(list->entry[0]));
	if (!list)
		return NULL;
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		struct port *port = dp_get_port(dp, i);

		for (unsigned q = 0; port && q < port->nqueue; q++) {
			if (balance_worker(dp, port->id, q) != worker ||
				(staying && balance_worker_before(dp, port->id, q) != worker))
				continue;
			if (port->ops->by_fd)
				list->nfd++;
			else
				list->entry[list->count++] = (struct poll_entry){port, q, now};
		}
	}
	list->hot = list->count;
	list->cold_until = now;
	return list;
}

/* One of each worker. -ENOMEM: none. */
static int lists_new(struct dp *dp, bool staying, struct poll_list *list[MAX_WORKERS])
{
	for (unsigned i = 0; i < dp->nworker; i++) {
		list[i] = list_new(dp, i, staying);
		if (list[i])
			continue;
		while (i-- > 0)
			free(list[i]);
		return -ENOMEM;
	}
	return 0;
}

static int add_fd(struct dp *dp, struct port *port, unsigned q)
{
	struct epoll_event event = {.events = EPOLLIN, .data.u32 = (uint32_t)port->id << 16 | q};
	int epoll = dp->worker[balance_worker(dp, port->id, q)]->polling->epoll,
	    fd = port->ops->rx_fd(port, q);

	if (fd < 0) /* it has none yet */
		return 0;
	return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

/* Has the port's workers listen to its fds; closing an fd takes it out of the set. */
int polling_add_fds(struct dp *dp, struct port *port)
{
	if (!port->ops->by_fd)
		return 0;
	for (unsigned q = 0; q < port->nqueue; q++) {
		int rc = add_fd(dp, port, q);

		if (rc)
			return rc;
	}
	return 0;
}

static void publish_lists(struct dp *dp, struct poll_list *const list[MAX_WORKERS])
{
	for (unsigned i = 0; i < dp->nworker; i++) {
		struct poll_list *old = atomic_exchange(&dp->worker[i]->polling->list, list[i]);

		if (old)
			rcu_defer(dp, free, old);
	}
	workers_wake(dp);
}

static void walk_moving(struct dp *dp, void (*fn)(struct dp *dp, struct port *port, uint16_t queue))
{
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		struct port *port = dp_get_port(dp, i);

		for (uint16_t q = 0; port && q < port->nqueue; q++)
			if (balance_worker(dp, port->id, q) != balance_worker_before(dp, port->id, q))
				fn(dp, port, q);
	}
}

static void take(struct dp *dp, struct port *port, uint16_t queue)
{
	unsigned from = balance_worker_before(dp, port->id, queue);

	if (port->ops->by_fd)
		epoll_ctl(
			dp->worker[from]->polling->epoll, EPOLL_CTL_DEL, port->ops->rx_fd(port, queue), NULL);
}

/* Nobody has it now; the old worker may have gone to sleep with it armed, and will not disarm it. */
static void disarm_one(struct dp *dp, struct port *port, uint16_t queue)
{
	if (port->ops->arm)
		port->ops->arm(port, queue, false);
}

static void give(struct dp *dp, struct port *port, uint16_t queue)
{
	if (port->ops->by_fd)
		add_fd(dp, port, queue); /* it was in another set: there is room in this one too */
}

int polling_hand_over(struct dp *dp)
{
	struct poll_list *without[MAX_WORKERS], *with[MAX_WORKERS];
	int rc = lists_new(dp, true, without);

	if (rc)
		return rc;
	rc = lists_new(dp, false, with);
	if (rc) {
		for (unsigned i = 0; i < dp->nworker; i++)
			free(without[i]);
		return rc;
	}
	publish_lists(dp, without);
	walk_moving(dp, take);
	rcu_wait(dp);
	walk_moving(dp, disarm_one);
	publish_lists(dp, with);
	walk_moving(dp, give);
	workers_wake(dp);
	return 0;
}

int polling_assign(struct dp *dp)
{
	struct poll_list *fresh[MAX_WORKERS];
	int rc = lists_new(dp, false, fresh);

	if (!rc)
		publish_lists(dp, fresh);
	return rc;
}

/*
 * failover: one of two backends of a vip ends, `count` times over, and comes back. From the moment at which its front-end
 * closes its socket, or its namespace loses its name and with it its life, it is timed until the last packet is sent to it,
 * be it of a connection that it had or of a new one, and until a new connection arrives at the other backend. Nobody asks how
 * the backend is: the switch sees its port close.
 *
 * A peer without ports is a proxy that checks its backends by itself. The bench is its servers then, over TCP, and each
 * attempt to connect stands for a packet.
 */
#include <err.h>
#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "bench/client/greeter.h"
#include "bench/front/rx.h"
#include "bench/front/tx.h"
#include "bench/host/host.h"
#include "bench/peer/peer.h"
#include "bench/run/measure.h"
#include "bench/traffic/balance.h"

enum { CLIENTS, ENDING, STAYING }; /* the ports, and the servers behind a proxy */
enum way { BY_SOCKET, BY_NAMESPACE, BY_SERVER };

enum {
	SIZE = 64,
	KEPT = 16,	       /* connections that the ending backend has */
	SETTLED = 64,	       /* packets in a row that arrived: none goes to the other any more */
	SETTLED_TCP = 16,      /* the proxy takes its backends in turns */
	SENT_MAX = 1 << 20,    /* packets of one failure */
	NAMESPACE_PART = 20,   /* one namespace ends for so many sockets: each takes the kernel long */
	NAMESPACE_PORT = 4001, /* of the vip whose backend is in one */
};

#define PATIENCE_S 10.0

/* A packet of the failure at hand. */
struct sent {
	uint64_t at;
	uint32_t connection;
};

struct failover {
	struct session *s;
	enum way way;
	struct front_ring *tx, *rx[3];
	struct balance frames;
	struct greeter ending, staying;
	uint32_t fresh;	     /* the next connection that was never used */
	uint32_t kept[KEPT]; /* those of the ending backend */
	unsigned n_kept;
	uint64_t round; /* rises with each failure and each return, and is in the packets' numbers */
	bool learning;	/* the backend is there, and what does not arrive has gone to it */
	struct sent *sent;
	uint32_t n_sent, judged; /* those from `judged` on may still arrive */
	/* what was seen of it */
	uint64_t last_lost,
		opened; /* when the last lost one was sent, when a new connection arrived after it; 0: none */
	unsigned streak;
	uint64_t wrong;
	struct histogram *last, *open; /* of all failures */
};

/* An attempt arrived at `now`, or was lost (0). */
static void judge(struct failover *f, bool is_new, uint64_t sent, uint64_t now)
{
	if (now == 0) {
		f->last_lost = sent;
		f->opened = 0;
		f->streak = 0;
		return;
	}
	f->streak++;
	if (is_new && !f->opened)
		f->opened = now;
}

static void lose(struct failover *f, uint32_t n)
{
	if (!f->learning)
		judge(f, n % 2, f->sent[n].at, 0);
	else if (f->n_kept < KEPT)
		f->kept[f->n_kept++] = f->sent[n].connection;
}

/* Packets keep their order, so those before one that arrived have not. Every second one is of a new connection. */
static void arrive(struct failover *f, uint64_t number)
{
	uint32_t n = (uint32_t)number;

	if (number >> 32 != f->round || n >= f->n_sent)
		return;
	while (f->judged < n)
		lose(f, f->judged++);
	judge(f, n % 2, f->sent[n].at, host_tsc());
	f->judged = n + 1;
}

static void read_frame(struct failover *f, const uint8_t *frame)
{
	uint32_t mark;
	uint64_t number;
	uint16_t port;

	memcpy(&mark, frame + 44, 4);
	memcpy(&number, frame + 48, 8);
	memcpy(&port, frame + 36, 2);
	if (mark != BALANCE_MARK + BALANCE_CLIENTS)
		return; /* ARP and the like */
	f->wrong += port != balance_backend_port(STAYING - ENDING);
	arrive(f, number);
}

static void receive(struct failover *f, unsigned port)
{
	struct front_frame frames[32];
	unsigned n = front_rx_burst(f->rx[port], frames, 32);

	for (unsigned i = 0; i < n && port == STAYING; i++)
		if (frames[i].len >= f->frames.length)
			read_frame(f, frames[i].data);
	front_rx_done(f->rx[port], frames, n);
}

/* One packet, and a look at what has come. The switch's control has this core too. */
static void step(struct failover *f, bool is_new)
{
	uint32_t n = f->n_sent, connection = is_new ? f->fresh : f->kept[n / 2 % KEPT];

	if (n < SENT_MAX && front_tx_room(f->tx, 1) == 1) {
		f->sent[n] = (struct sent){host_tsc(), connection};
		balance_request(&f->frames, front_tx_frame(f->tx, 0), connection, f->round << 32 | n);
		front_tx_publish(f->tx, 1);
		f->fresh = (f->fresh + is_new) % BALANCE_MAX_CONNECTIONS;
		f->n_sent++;
	}
	receive(f, STAYING);
	sched_yield();
}

static void begin_round(struct failover *f, bool learning)
{
	f->round++;
	f->learning = learning;
	f->n_sent = f->judged = f->streak = 0;
	f->last_lost = f->opened = 0;
}

static int make_namespace(const struct failover *f)
{
	char command[256];

	snprintf(command, sizeof(command), "test -e /run/netns/%s || ip netns add %s",
		f->s->peer->end[0].netns, f->s->peer->end[0].netns);
	return system(command) == 0 ? 0 : -ECHILD;
}

static void end_namespace(const struct failover *f)
{
	char path[128];

	snprintf(path, sizeof(path), "/run/netns/%s", f->s->peer->end[0].netns);
	umount2(path, MNT_DETACH);
	unlink(path);
}

static int bring_back(struct failover *f)
{
	struct front *front = f->s->fronts[ENDING];
	int rc = 0;

	if (f->way == BY_NAMESPACE)
		return make_namespace(f);
	if (f->way == BY_SERVER)
		return f->ending.listener >= 0
			       ? 0
			       : greeter_open(&f->ending, f->s->peer->registry_http + ENDING, 'a');
	if (front_socket(front) < 0)
		rc = front_connect(front);
	if (rc < 0)
		warnx("%s: %s", f->s->peer->name, front_error(front));
	return rc;
}

/* It ends now. */
static uint64_t end(struct failover *f)
{
	uint64_t now = host_tsc();

	if (f->way == BY_SOCKET)
		front_disconnect(f->s->fronts[ENDING]);
	else if (f->way == BY_NAMESPACE)
		end_namespace(f);
	else
		greeter_close(&f->ending);
	return now;
}

static bool goes_on(const struct failover *f, uint64_t until)
{
	return host_tsc() < until && !atomic_load(f->s->stop);
}

/* The backend has connections again. */
static bool is_back(struct failover *f, uint64_t until)
{
	begin_round(f, true);
	f->n_kept = 0;
	while (f->way == BY_SERVER && goes_on(f, until))
		if (greeter_ask(f->s->peer->registry_http) == 'a')
			return true;
	while (f->way != BY_SERVER && f->n_kept < KEPT && goes_on(f, until)) {
		if (f->n_sent == SENT_MAX)
			begin_round(f, true);
		step(f, true);
		if (f->way == BY_SOCKET)
			receive(f, ENDING);
	}
	return f->n_kept == KEPT;
}

/* Packets of its connections and of new ones go on until they arrive elsewhere. */
static void watch(struct failover *f, uint64_t until)
{
	uint16_t port = f->s->peer->registry_http;
	unsigned settled = f->way == BY_SERVER ? SETTLED_TCP : SETTLED;

	while ((f->streak < settled || !f->opened) && goes_on(f, until)) {
		uint64_t now = host_tsc();

		if (f->way == BY_SERVER)
			judge(f, true, now, greeter_ask(port) == 'b' ? host_tsc() : 0);
		else
			step(f, f->n_sent % 2);
	}
}

static uint64_t deadline(void)
{
	return host_tsc() + (uint64_t)(PATIENCE_S * host_tsc_hz());
}

static int fail_once(struct failover *f)
{
	uint64_t died;
	int rc = bring_back(f);

	if (rc < 0)
		return rc;
	if (!is_back(f, deadline()))
		return atomic_load(f->s->stop) ? 0 : -ETIMEDOUT;
	begin_round(f, false);
	died = end(f);
	watch(f, deadline());
	if (atomic_load(f->s->stop))
		return 0;
	if (!f->opened)
		return -ETIMEDOUT;
	histogram_add(f->last, f->last_lost ? f->last_lost - died : 0, 1);
	histogram_add(f->open, f->opened - died, 1);
	return 0;
}

static int add(struct failover *f, const char *variant, struct histogram *took)
{
	struct trial t = measure_own(f->s, variant);

	t.latency = took;
	t.sent = took->count;
	t.wrong = f->wrong;
	report_percentiles(&t);
	return measure_add(f->s, &t);
}

/* So many failures of one kind, as two trials. */
static int take(struct failover *f, enum way way, unsigned count, const char *last, const char *open)
{
	const struct session *s = f->s;
	int rc = 0;

	f->way = way;
	f->wrong = 0;
	f->last = calloc(1, sizeof(*f->last));
	f->open = calloc(1, sizeof(*f->open));
	if (!f->last || !f->open)
		rc = -ENOMEM;
	/* it gives its core to the switch's control after each packet, and to nobody else; only the kernel's own threads end a
	 * namespace */
	if (s->o->realtime && way != BY_NAMESPACE)
		host_realtime(true);
	for (unsigned i = 0; i < count && rc == 0 && !atomic_load(s->stop); i++)
		rc = fail_once(f);
	if (s->o->realtime)
		host_realtime(false);
	if (rc < 0)
		warnx("%s: %s: %s", s->peer->name, last, strerror(-rc));
	if (rc < 0 || atomic_load(s->stop)) {
		free(f->last);
		free(f->open);
		return rc;
	}
	rc = add(f, last, f->last);
	return rc == 0 ? add(f, open, f->open) : rc;
}

static int take_ports(struct failover *f)
{
	struct session *s = f->s;
	unsigned namespaces = (s->kind.count + NAMESPACE_PART - 1) / NAMESPACE_PART;
	int rc;

	f->tx = front_tx_ring(s->fronts[CLIENTS], 0);
	for (unsigned port = ENDING; port <= STAYING; port++)
		f->rx[port] = front_rx_ring(s->fronts[port], 0);
	balance_init(&f->frames, SIZE, false, s->peer->mac, BALANCE_VIP_PORT);
	balance_fill(&f->frames, f->tx, BALANCE_CLIENTS);
	rc = take(f, BY_SOCKET, s->kind.count, "last packet", "new connection");
	if (rc < 0 || s->peer->n_ends == 0)
		return rc;
	balance_init(&f->frames, SIZE, false, s->peer->mac, NAMESPACE_PORT);
	balance_fill(&f->frames, f->tx, BALANCE_CLIENTS);
	return take(f, BY_NAMESPACE, namespaces, "namespace, last packet", "namespace, connection");
}

static int take_proxy(struct failover *f)
{
	int rc = greeter_open(&f->staying, f->s->peer->registry_http + STAYING, 'b');

	if (rc == 0)
		rc = take(f, BY_SERVER, f->s->kind.count, "last packet", "new connection");
	greeter_close(&f->ending);
	greeter_close(&f->staying);
	return rc;
}

int failover_take(struct session *s)
{
	struct failover *f = aligned_alloc(_Alignof(struct failover), sizeof(*f));
	int rc = 0;

	if (!f)
		return -ENOMEM;
	memset(f, 0, sizeof(*f));
	f->s = s;
	f->ending.listener = f->staying.listener = -1;
	f->sent = calloc(SENT_MAX, sizeof(*f->sent));
	if (!f->sent)
		rc = -ENOMEM;
	for (unsigned k = 0; k < s->o->trials && rc == 0 && !atomic_load(s->stop); k++)
		rc = s->n_fronts ? take_ports(f) : take_proxy(f);
	free(f->sent);
	free(f);
	return rc;
}

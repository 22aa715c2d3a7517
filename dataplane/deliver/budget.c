#include "dataplane/deliver/budget.h"

#include <errno.h>
#include <fcntl.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/mem.h"
#include "dataplane/deliver/transmit.h"

/*
 * What each call, each frame and each byte may cost. At a port in memory a frame costs 50 to 300 ns with all
 * that is done to it. Copies, checksums and segmentation cost a third of a nanosecond a byte. At a port of
 * the kernel each frame is a system call that takes it up a network stack, 1 to 5 us, and may run the TCP of
 * a socket on this host. An acknowledgement of 66 bytes makes that TCP send all that it may, 50 to 150 us as
 * a rule: with an allowance of 50 us a call, TCP into a tunnel carried a thirtieth of its rate.
 */
struct allowance {
	uint32_t call_ns, frame_ns, byte_ns;
	uint32_t
		most_ns; /* of an overrun without a page fault: what goes beyond that, somebody else had the core for */
};
static const struct allowance in_memory = {50000, 1000, 1, 500000}, in_kernel = {150000, 8000, 10, 4000000};

enum { RECENT = 3 };

/*
 * A switch to another thread and back costs the one that goes on more than it waits for the core: 50 us more were seen on a
 * virtual machine.
 */
enum { SWITCH_NS = 100000, SEEN_EVERY_US = 100 };

/* Of one port; times are TSC. */
struct dues {
	uint64_t source, receiver; /* when the overruns are paid for */
	uint64_t counted;	   /* the one of them that was counted as a wait last */
	uint64_t copy_until;	   /* its payload is copied before it is delivered */
};

struct budget {
	double ns; /* cycles */
	uint64_t watch_until, watch_for;
	uint64_t long_paid, patience; /* when the long turns are paid for, and how far ahead that may be */
	uint64_t saved, wait_max;     /* of debts */
	uint64_t others_for;
	int schedstat;		    /* of the thread; -1: unknown */
	struct seen {		    /* what the kernel said of the thread, when it was last asked */
		uint64_t waited_ns; /* for a core */
		uint64_t faults;
	} seen, at_alarm;
	uint64_t see_next, see_every;
	bool held;
	bool private;	      /* the burst's payload lies in memory of the worker's own */
	struct port *serving; /* NULL: none */
	uint64_t elsewhere;   /* cycles of this look that are not for its port to answer */
	struct recent {
		const struct port *port;
		uint64_t at;
	} recent[RECENT];	     /* the ports that had frames last */
	struct dues dues[MAX_PORTS]; /* touched lazily */
};

int budget_new(struct worker *w)
{
	struct budget *g = mem_alloc(sizeof(*g));
	uint64_t hz = rte_get_tsc_hz();

	if (!g)
		return -ENOMEM;
	g->ns = (double)hz * 1e-9;
	g->watch_for = hz * BUDGET_WATCH_S;
	g->saved = hz / 1000 * BUDGET_SAVED_MS * BUDGET_SHARE;
	g->patience = hz / 1000 * BUDGET_LONG_MS * BUDGET_SHARE;
	g->wait_max = hz * BUDGET_WAIT_MAX_S;
	g->others_for = hz * BUDGET_OTHERS_S;
	g->see_every = hz / 1000000 * SEEN_EVERY_US;
	g->schedstat = -1;
	w->budget = g;
	w->long_turn = hz / 1000000 * BUDGET_LONG_US;
	return 0;
}

void budget_free(struct worker *w)
{
	if (!w->budget)
		return;
	if (w->budget->schedstat >= 0)
		close(w->budget->schedstat);
	mem_free(w->budget, sizeof(*w->budget));
}

static struct seen seen_since(struct seen now, struct seen before)
{
	return (struct seen){now.waited_ns - before.waited_ns, now.faults - before.faults};
}

/* Asks the kernel, and returns what has come since it was asked last. schedstat is "ran waited slices". */
static struct seen see(struct budget *g)
{
	struct seen now = g->seen, since;
	struct rusage usage;
	char text[80], *second;
	ssize_t n = g->schedstat < 0 ? -1 : pread(g->schedstat, text, sizeof(text) - 1, 0);

	if (n > 0) {
		text[n] = '\0';
		strtoull(text, &second, 10);
		now.waited_ns = strtoull(second, NULL, 10);
	}
	if (getrusage(RUSAGE_THREAD, &usage) == 0)
		now.faults = (uint64_t)usage.ru_minflt + (uint64_t)usage.ru_majflt;
	since = seen_since(now, g->seen);
	g->seen = now;
	return since;
}

void budget_start(struct worker *w)
{
	struct budget *g = w->budget;

	if (g->schedstat >= 0)
		close(g->schedstat);
	g->schedstat = open("/proc/thread-self/schedstat", O_RDONLY | O_CLOEXEC);
	see(g);
	g->at_alarm = g->seen;
}

/*
 * How much of an overrun of `cycles` is the port's own. What the scheduler took is not, and neither is what
 * no frame can cost. Without a page fault the work on a burst is bounded. What takes longer is a host that
 * took the (virtual) core away, or a signal that stopped the process; the kernel reports neither.
 */
static uint64_t own_part(
	const struct budget *g, const struct allowance *a, struct seen since, uint64_t cycles)
{
	uint64_t lost = since.waited_ns ? (uint64_t)((double)(since.waited_ns + SWITCH_NS) * g->ns) : 0,
		 most = (uint64_t)(a->most_ns * g->ns);

	cycles = cycles > lost ? cycles - lost : 0;
	return since.faults || cycles < most ? cycles : most;
}

/* Of the ports that a turn may have served. Asked in long turns only, to which a look at each port adds little. */
static const struct allowance *longest_allowance(struct dp *dp)
{
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		const struct port *port = dp_get_port(dp, (uint16_t)i);

		if (port && port->ops->kernel)
			return &in_kernel;
	}
	return &in_memory;
}

void budget_alarm(struct worker *w, uint64_t now, uint64_t cycles)
{
	struct budget *g = w->budget;
	struct seen since;

	see(g);
	since = seen_since(g->seen, g->at_alarm);
	g->at_alarm = g->seen;
	cycles = own_part(g, longest_allowance(w->dp), since, cycles - w->long_turn);
	g->long_paid = (g->long_paid > now ? g->long_paid : now) + cycles * BUDGET_SHARE;
	if (g->long_paid <= now + g->patience && since.faults < BUDGET_FAULTS)
		return;
	if (g->long_paid > now + g->patience)
		g->long_paid = now + g->patience;
	g->watch_until = now + g->watch_for;
	if (w->watching)
		return;
	w->watching = true;
	for (unsigned i = 0; i < RECENT; i++)
		g->recent[i] = (struct recent){NULL, 0};
}

void budget_turn(struct worker *w, uint64_t now)
{
	struct budget *g = w->budget;

	g->held = false;
	w->watching = now < g->watch_until;
	if (now >= g->see_next) {
		see(g);
		g->see_next = now + g->see_every;
	}
}

bool budget_holds(const struct worker *w)
{
	return w->budget->held;
}

static const struct allowance *allowance_of(const struct port *port)
{
	return port->ops->kernel ? &in_kernel : &in_memory;
}

uint64_t budget_allowance(const struct port *port, unsigned frames, uint32_t bytes)
{
	const struct allowance *a = allowance_of(port);
	uint64_t ns = a->call_ns + (uint64_t)frames * a->frame_ns + (uint64_t)bytes * a->byte_ns;

	return ns * (rte_get_tsc_hz() / 1000000) / 1000;
}

static void note_recent(struct budget *g, const struct port *port, uint64_t now)
{
	struct recent first = {port, now};

	for (unsigned i = 0; i < RECENT; i++) {
		struct recent next = g->recent[i];

		g->recent[i] = first;
		if (next.port == port)
			return;
		first = next;
	}
}

/* Is there a port but these two that has frames now and then? */
static bool others_wait(
	const struct budget *g, const struct port *port, const struct port *with, uint64_t now)
{
	for (unsigned i = 0; i < RECENT; i++) {
		const struct recent *r = &g->recent[i];

		if (r->port && r->port != port && r->port != with && now - r->at < g->others_for)
			return true;
	}
	return false;
}

static bool must_wait(
	struct worker *w, const struct port *port, uint64_t paid, const struct port *with, uint64_t now)
{
	struct budget *g = w->budget;

	if (__builtin_expect(paid <= now + g->saved, 1) || !others_wait(g, port, with, now))
		return false;
	if (g->dues[port->id].counted != paid) {
		g->dues[port->id].counted = paid;
		stat_add(&w->port_stats[port->id].throttled, 1);
	}
	return true;
}

/* Puts an overrun of `cycles` on an account. */
static void charge(struct budget *g, uint64_t *paid, uint64_t cycles, uint64_t now)
{
	uint64_t most = now + g->saved + g->wait_max;

	if (cycles)
		*paid = (*paid > now ? *paid : now) + cycles * BUDGET_SHARE;
	if (*paid > most)
		*paid = most;
}

unsigned budget_serve(struct worker *w, struct port *port, uint16_t queue,
	unsigned (*serve)(struct worker *w, struct port *port, uint16_t queue))
{
	struct budget *g = w->budget;
	struct dues *dues = &g->dues[port->id];
	uint64_t start = rte_rdtsc(), now, spent, allowed;
	unsigned frames;

	if (must_wait(w, port, dues->source, NULL, start)) {
		g->held = true;
		return 0;
	}
	g->serving = port;
	g->elsewhere = 0;
	g->private = false;
	frames = serve(w, port, queue);
	now = rte_rdtsc();
	g->serving = NULL;
	if (frames)
		note_recent(g, port, now);
	spent = now - start - g->elsewhere;
	allowed = budget_allowance(port, w->burst.count, w->burst.bytes);
	if (__builtin_expect(spent > allowed, 0))
		charge(g, &dues->source, own_part(g, allowance_of(port), see(g), spent - allowed), now);
	return frames;
}

void budget_taken(struct worker *w, struct burst *b)
{
	struct budget *g = w->budget;
	const uint64_t until = g->dues[b->in->id].copy_until;
	uint8_t *to = w->scratch;

	if (!until || !b->nspan || until <= rte_rdtsc())
		return;
	for (unsigned i = 0; i < b->count; i++) {
		struct frame *f = &b->frame[i];
		struct span *span =
			(struct span *)f->span; /* in the burst, whose source has just filled it */
		uint32_t len = frame_tail(f), at = 0;

		for (unsigned k = 0; k < f->nspan; k++) {
			memcpy(to + at, span[k].ptr, span[k].len);
			at += span[k].len;
		}
		if (f->nspan)
			span[0] = (struct span){to, len};
		f->nspan = f->nspan > 0;
		to += len;
	}
	g->private = true;
}

/* Does a fault during delivery perhaps lie in the memory of the port that is served? */
static bool source_may_fault(const struct worker *w)
{
	const struct budget *g = w->budget;

	return g->serving && g->serving->ops->guest_memory && w->burst.nspan && !g->private;
}

/*
 * An overrun of one delivery is the receiver's, unless it may be the source's. In that case the source pays
 * this time, and its payload is copied first from then on, so that the next overrun is known for the
 * receiver's.
 */
static void judge_delivery(struct worker *w, const struct port *port, uint64_t over, uint64_t now)
{
	struct budget *g = w->budget;
	uint64_t own = own_part(g, allowance_of(port), see(g), over);

	charge(g, source_may_fault(w) ? &g->dues[g->serving->id].copy_until : &g->dues[port->id].receiver,
		own, now);
}

/* From TSC `start` on. */
static uint16_t deliver_timed(
	struct worker *w, struct port *port, struct frame *const *frames, uint16_t n, uint64_t start)
{
	struct budget *g = w->budget;
	uint16_t done = transmit_now(w, port, frames, n);
	uint64_t now = rte_rdtsc(), spent = now - start, allowed;
	uint32_t bytes = 0;

	for (unsigned i = 0; i < n; i++)
		bytes += frames[i]->len;
	allowed = budget_allowance(port, n, bytes);
	/* a system call for each frame is what is to be expected there; not for each copy of a flooded one */
	if (port->ops->kernel && frames[0]->verdict != V_FLOOD)
		g->elsewhere += spent < allowed ? spent : allowed;
	if (__builtin_expect(spent > allowed, 0)) {
		g->elsewhere += spent - allowed;
		judge_delivery(w, port, spent - allowed, now);
	}
	return done;
}

uint16_t budget_transmit(struct worker *w, struct port *port, struct frame *const *frames, uint16_t n)
{
	struct budget *g = w->budget;
	const struct dues *dues = &g->dues[port->id];
	uint16_t done = 0;

	while (done < n) {
		uint64_t now = rte_rdtsc();
		/* one that has overrun gets a frame at a time, so that it does not overrun by all of them */
		uint16_t some = dues->receiver > now ? 1 : n - done, took;

		if (must_wait(w, port, dues->receiver, g->serving, now)) {
			for (; done < n; done++)
				port_drop_frame(w, port, frames[done], DROP_BUDGET);
			break;
		}
		took = deliver_timed(w, port, frames + done, some, now);
		done += took;
		if (took < some)
			break;
	}
	return done;
}

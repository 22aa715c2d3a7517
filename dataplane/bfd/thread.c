/* thread.c: the turns of the sessions, and who is cut. */
#include <errno.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "dataplane/bfd/inside.h"
#include "dataplane/core/exchange.h"
#include "dataplane/core/private.h"
#include "dataplane/core/worker.h"

enum {
	LATE_US = 50000, /* who wakes so much too late cannot say that others were silent */
	AGAIN_US = 1000, /* worker 0 had no room */
	DECIDE_US = 1000000,
	PACKETS_AT_ONCE = 4, /* of a session in a turn: an answer and a change */
};

uint64_t bfd_now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

void bfd_wake(struct bfd_inside *b)
{
	uint64_t one = 1;

	/* a non-blocking eventfd: when it is full, the thread has been told */
	if (atomic_exchange(&b->asleep, false) && write(b->wake_fd, &one, sizeof(one)) < 0)
		return;
}

/* splitmix64; nobody gains by guessing when a packet is sent */
static uint32_t next_random(struct bfd_inside *b)
{
	uint64_t z = b->random += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	return (uint32_t)(z >> 32);
}

/* What the session's state means for those who send to the peer. True: something else than before. */
static bool judge(struct bfd_peer *peer, uint64_t now)
{
	const struct bfd_session *s = &peer->session;
	const struct hold_peer was = peer->hold;
	bool changed = s->state != peer->state;

	peer->state = s->state;

	if (s->state == BFD_UP) {
		peer->hold.seen = true;
		peer->hold.lost_at = 0;
	} else if (s->state == BFD_ADMIN_DOWN ||
		   (s->remote_state == BFD_ADMIN_DOWN && s->remote_diag != BFD_FORWARDING_ENDS)) {
		peer->hold = (struct hold_peer){
			0}; /* turned off, which says nothing of the host (RFC 5882, 3.2) */
	} else if (peer->hold.seen && !peer->hold.lost_at) {
		peer->hold.lost_at = now;
		peer->downs++;
	}
	return changed || was.seen != peer->hold.seen || was.lost_at != peer->hold.lost_at;
}

static void take_packets(struct dp *dp, struct worker *w, uint64_t now)
{
	struct bfd_inside *b = dp->bfd->inside;
	const struct exchange_frame *x;
	struct bfd_packet packet;

	for (unsigned i = 0; i < EXCHANGE_SLOTS && (x = exchange_peek(w->bfd_in)); i++) {
		struct bfd_peer *peer = x->net < b->top ? b->peers[x->net] : NULL;

		/* the peer of that number may be another one by now */
		if (peer && !peer->ends && bfd_packet_read(x->data, x->len, &packet) &&
			(!packet.yours || packet.yours == peer->session.mine)) {
			bfd_session_take(&peer->session, &packet, now);
			b->due[x->net] = 0;
		}
		exchange_pop(w->bfd_in);
	}
}

/* Sends what is due of one session. */
static void serve(struct dp *dp, unsigned i, uint64_t now, bool *sent)
{
	struct bfd_inside *b = dp->bfd->inside;
	struct bfd_peer *peer = b->peers[i];
	struct bfd_session *s = &peer->session;
	struct bfd_packet packet;

	for (unsigned n = 0; n < PACKETS_AT_ONCE && bfd_session_turn(s, now, next_random(b), &packet); n++) {
		if (!peer->head)
			continue;
		if (!bfd_headers_send(dp, peer, &packet)) {
			s->send_at = now + AGAIN_US;
			break;
		}
		*sent = true;
	}
	b->due[i] = bfd_session_due(s);
	if (judge(peer, now))
		b->decide_at = 0;
	if (peer->ends && now >= s->end_at) {
		b->due[i] = BFD_NEVER;
		b->decide_at = 0; /* control takes it away */
	}
}

static void decide(struct dp *dp, uint64_t now)
{
	struct bfd_inside *b = dp->bfd->inside;
	static struct hold_peer *list[BFD_PEERS];
	bool any = false, hold;

	for (unsigned i = 0; i < b->top; i++) {
		list[i] = b->peers[i] ? &b->peers[i]->hold : NULL;
		any |= list[i] && list[i]->lost_at;
	}
	hold = hold_decide(list, b->top, now);
	if (hold && !atomic_load(&b->hold))
		atomic_fetch_add(&b->holds, 1);
	atomic_store(&b->hold, hold);
	for (unsigned i = 0; i < b->top; i++)
		atomic_store_explicit(&dp->bfd->cut[i], list[i] && list[i]->cut, memory_order_relaxed);
	b->decide_at = any ? now + DECIDE_US : BFD_NEVER;
	atomic_store(&b->news, true);
	dp_tell_control(dp);
}

/* Who was stopped, or had no processor, heard nothing itself. */
static void forgive_if_late(struct bfd_inside *b, uint64_t now)
{
	if (now < b->planned || now - b->planned < LATE_US)
		return;
	for (unsigned i = 1; i < b->top; i++)
		if (b->peers[i])
			bfd_session_forgive(&b->peers[i]->session, now);
	b->dirty = true;
}

uint64_t bfd_turn(struct dp *dp, uint64_t now)
{
	struct bfd_inside *b = dp->bfd->inside;
	uint64_t next;
	bool sent = false;

	pthread_mutex_lock(&b->lock);
	forgive_if_late(b, now);
	for (unsigned i = 0; i < dp->nworker; i++)
		take_packets(dp, dp->worker[i], now);
	for (unsigned i = 1; i < b->top; i++)
		if (b->peers[i] && (b->dirty || b->due[i] <= now))
			serve(dp, i, now, &sent);
	b->dirty = false;
	if (now >= b->decide_at)
		decide(dp, now);
	next = b->decide_at;
	for (unsigned i = 1; i < b->top; i++)
		if (b->peers[i] && b->due[i] < next)
			next = b->due[i];
	b->planned = next > now ? next : now;
	pthread_mutex_unlock(&b->lock);
	if (sent)
		worker_wake(dp->worker[0]);
	return next;
}

static bool packets_wait(struct dp *dp)
{
	for (unsigned i = 0; i < dp->nworker; i++)
		if (exchange_peek(dp->worker[i]->bfd_in))
			return true;
	return false;
}

/* Until `next`, or until somebody wakes us. At least half a millisecond: sessions that are due soon get one turn together. */
static void sleep_until(struct dp *dp, uint64_t next)
{
	enum { LEAST_US = 500 };
	struct bfd_inside *b = dp->bfd->inside;
	struct pollfd fd = {.fd = b->wake_fd, .events = POLLIN};
	uint64_t now = bfd_now_us(), us = next > now + LEAST_US ? next - now : LEAST_US, count;
	struct timespec left = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

	atomic_exchange(&b->asleep, true); /* after which each packet ends the sleep */
	if (!packets_wait(dp) && !atomic_load(&b->stop) &&
		ppoll(&fd, 1, next == BFD_NEVER ? NULL : &left, NULL) > 0 &&
		read(b->wake_fd, &count, sizeof(count)) < 0)
		return;
	atomic_store(&b->asleep, false);
}

static void *run(void *arg)
{
	struct dp *dp = arg;
	struct bfd_inside *b = dp->bfd->inside;
	struct sched_param first = {.sched_priority = 1};

	if (pthread_setschedparam(pthread_self(), SCHED_RR, &first))
		(void)setpriority(PRIO_PROCESS, 0, -20); /* on Linux of this thread alone */
	while (!atomic_load(&b->stop))
		sleep_until(dp, bfd_turn(dp, bfd_now_us()));
	return NULL;
}

int bfd_start(struct dp *dp)
{
	struct bfd_inside *b = dp->bfd->inside;
	sigset_t all, before;
	int rc;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before); /* signals are the control loop's */
	rc = pthread_create(&b->thread, NULL, run, dp);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	b->running = !rc;
	return -rc;
}

/* Until worker 0 has taken all that waits. False: it is stuck, and nobody gets the processor from here. */
static bool wait_sent(struct dp *dp)
{
	enum { TRIES = 50 };
	const struct timespec pause = {.tv_nsec = 1000000};

	workers_wake(dp);
	for (unsigned i = 0; i < TRIES && exchange_peek(dp->worker[0]->bfd_out); i++)
		nanosleep(&pause, NULL);
	return !exchange_peek(dp->worker[0]->bfd_out);
}

/* Tells the peer that this host ends. False: worker 0 is stuck. */
static bool say_end(struct dp *dp, struct bfd_peer *peer, uint64_t now)
{
	struct bfd_packet packet;

	bfd_session_end(&peer->session, BFD_FORWARDING_ENDS, now);
	if (!bfd_session_turn(&peer->session, now, 0, &packet) || bfd_headers_send(dp, peer, &packet))
		return true;
	return wait_sent(dp) && bfd_headers_send(dp, peer, &packet); /* there are more peers than places */
}

void bfd_stop(struct dp *dp)
{
	struct bfd_inside *b = dp->bfd ? dp->bfd->inside : NULL;
	bool sends = true;
	uint64_t now;

	if (!b || !b->running)
		return;
	atomic_store(&b->stop, true);
	atomic_store(&b->asleep, true);
	bfd_wake(b);
	pthread_join(b->thread, NULL);
	b->running = false;
	now = bfd_now_us();
	for (unsigned i = 1; i < b->top && sends; i++)
		if (b->peers[i] && b->peers[i]->head)
			sends = say_end(dp, b->peers[i], now);
	if (sends)
		wait_sent(dp);
}

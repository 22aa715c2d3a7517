/* peer.c: the peers as control knows them: which there are, how they do, and what workers may know. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <unistd.h>

#include "dataplane/bfd/inside.h"
#include "dataplane/core/mem.h"
#include "dataplane/core/rcu.h"

/* The thread takes its turns at real-time priority: who has the lock is not to wait behind others meanwhile. */
static int make_lock(pthread_mutex_t *lock)
{
	pthread_mutexattr_t attr;
	int rc = pthread_mutexattr_init(&attr);

	if (rc)
		return -rc;
	rc = pthread_mutexattr_setprotocol(&attr, PTHREAD_PRIO_INHERIT);
	if (!rc)
		rc = pthread_mutex_init(lock, &attr);
	pthread_mutexattr_destroy(&attr);
	return -rc;
}

int bfd_open(struct dp *dp)
{
	struct bfd_inside *b;

	dp->bfd = mem_alloc(sizeof(*dp->bfd));
	if (!dp->bfd)
		return -ENOMEM;
	b = dp->bfd->inside = mem_alloc(sizeof(*b));
	if (!b)
		return -ENOMEM;
	b->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	b->top = 1;
	b->decide_at = BFD_NEVER;
	b->planned = BFD_NEVER;
	if (b->wake_fd < 0)
		return -errno;
	if (getrandom(&b->random, sizeof(b->random), 0) != sizeof(b->random))
		return -EIO;
	return make_lock(&b->lock);
}

void bfd_close(struct dp *dp)
{
	struct bfd_inside *b = dp->bfd ? dp->bfd->inside : NULL;

	if (b) {
		for (unsigned i = 1; i < b->top; i++)
			free(b->peers[i]);
		free(atomic_load(&b->gates));
		if (b->wake_fd >= 0)
			close(b->wake_fd);
		mem_free(b, sizeof(*b));
	}
	if (dp->bfd)
		mem_free(dp->bfd, sizeof(*dp->bfd));
	dp->bfd = NULL;
}

static uint16_t find(const struct bfd_inside *b, struct ip_addr remote)
{
	for (uint16_t i = 1; i < b->top; i++)
		if (b->peers[i] && ip_equal(b->peers[i]->want.remote, remote))
			return i;
	return BFD_NO_PEER;
}

uint16_t bfd_peer(struct dp *dp, struct ip_addr remote)
{
	uint16_t i = find(dp->bfd->inside, remote);

	return i && !dp->bfd->inside->peers[i]->ends ? i : BFD_NO_PEER;
}

static uint16_t make(struct bfd_inside *b, struct ip_addr remote)
{
	uint16_t i = find(b, remote);

	if (i)
		return i;
	for (i = 1; i < b->top && b->peers[i]; i++)
		;
	if (i == BFD_PEERS)
		return BFD_NO_PEER;
	b->peers[i] = calloc(1, sizeof(*b->peers[i]));
	if (!b->peers[i])
		return BFD_NO_PEER;
	b->peers[i]->want.remote = remote;
	b->peers[i]->ends = true; /* until it has begun */
	if (i >= b->top)
		b->top = (uint16_t)(i + 1);
	return i;
}

/* Not 0, and no other session's (RFC 5880, 6.8.1). */
static uint32_t discriminator(const struct bfd_inside *b)
{
	uint32_t mine = 0;
	bool taken = true;

	while (taken) {
		taken = getrandom(&mine, sizeof(mine), 0) != sizeof(mine) || !mine;
		for (unsigned i = 1; i < b->top && !taken; i++)
			taken = b->peers[i] && b->peers[i]->session.mine == mine;
	}
	return mine;
}

static bool same_want(const struct bfd_want *a, const struct bfd_want *b)
{
	return ip_equal(a->local, b->local) && a->interval_ms == b->interval_ms &&
	       a->multiplier == b->multiplier && a->routed == b->routed && a->uplink == b->uplink &&
	       a->resolved == b->resolved && !memcmp(a->from, b->from, 6) && !memcmp(a->to, b->to, 6);
}

static void apply(struct bfd_inside *b, uint16_t i, const struct bfd_want *want, uint64_t now)
{
	struct bfd_peer *peer = b->peers[i];

	peer->want = *want;
	if (peer->ends) {
		peer->ends = false;
		peer->state = BFD_DOWN;
		peer->hold = (struct hold_peer){0};
		bfd_session_start(
			&peer->session, discriminator(b), want->interval_ms * 1000, want->multiplier, now);
	} else {
		bfd_session_set(&peer->session, want->interval_ms * 1000, want->multiplier, now);
	}
	bfd_headers_make(peer, i);
	b->dirty = true;
}

uint16_t bfd_want(struct dp *dp, const struct bfd_want *want)
{
	struct bfd_inside *b = dp->bfd->inside;
	uint16_t i = bfd_peer(dp, want->remote);

	if (i && same_want(&b->peers[i]->want, want))
		return i;
	pthread_mutex_lock(&b->lock);
	i = make(b, want->remote);
	if (i)
		apply(b, i, want, bfd_now_us());
	pthread_mutex_unlock(&b->lock);
	if (i && bfd_gates_publish(dp)) {
		bfd_unwant(dp, want->remote);
		return BFD_NO_PEER;
	}
	bfd_wake(b);
	return i;
}

void bfd_unwant(struct dp *dp, struct ip_addr remote)
{
	struct bfd_inside *b = dp->bfd->inside;
	uint16_t i = bfd_peer(dp, remote);

	if (!i)
		return;
	pthread_mutex_lock(&b->lock);
	b->peers[i]->ends = true;
	bfd_session_end(&b->peers[i]->session, BFD_ADMIN, bfd_now_us());
	b->dirty = true;
	pthread_mutex_unlock(&b->lock);
	bfd_gates_publish(dp); /* without memory its packets are still let in, and come to nothing */
	bfd_wake(b);
}

static const char *const states[] = {
	[BFD_ADMIN_DOWN] = "admin-down", [BFD_DOWN] = "down", [BFD_INIT] = "init", [BFD_UP] = "up"};

static const char *const diags[] = {
	[BFD_NO_DIAG] = "",
	[BFD_TIME_EXPIRED] = "nothing came for the detection time",
	[BFD_NEIGHBOUR_DOWN] = "the peer says that its session is down",
};

/* Under the lock. */
static void describe(const struct bfd_peer *peer, struct dp_peer *info)
{
	const struct bfd_session *s = &peer->session;
	bool admin = s->remote_state == BFD_ADMIN_DOWN && s->state != BFD_UP;

	*info = (struct dp_peer){
		.remote = peer->want.remote,
		.state = admin ? states[BFD_ADMIN_DOWN] : states[s->state],
		.why = s->diag < sizeof(diags) / sizeof(diags[0]) && diags[s->diag] && s->state != BFD_UP
			       ? diags[s->diag]
			       : "",
		.up = s->state == BFD_UP,
		.lost = peer->hold.lost_at != 0,
		.cut = peer->hold.cut,
		.interval_ms = peer->want.interval_ms,
		.multiplier = peer->want.multiplier,
		.detect_ms = s->state == BFD_UP ? (uint32_t)(bfd_session_detect_us(s) / 1000) : 0,
		.downs = peer->downs,
	};
}

int dp_peer_info(struct dp *dp, struct ip_addr remote, struct dp_peer *info)
{
	struct bfd_inside *b = dp->bfd->inside;
	uint16_t i = bfd_peer(dp, remote);

	if (!i)
		return -ENOENT;
	pthread_mutex_lock(&b->lock);
	describe(b->peers[i], info);
	pthread_mutex_unlock(&b->lock);
	return 0;
}

size_t dp_peers(struct dp *dp, struct dp_peer *out, size_t max)
{
	struct bfd_inside *b = dp->bfd->inside;
	size_t n = 0;

	pthread_mutex_lock(&b->lock);
	for (unsigned i = 1; i < b->top; i++) {
		if (!b->peers[i] || b->peers[i]->ends)
			continue;
		if (n < max)
			describe(b->peers[i], &out[n]);
		n++;
	}
	pthread_mutex_unlock(&b->lock);
	return n;
}

void dp_peers_sum(struct dp *dp, struct dp_peers_sum *sum)
{
	struct bfd_inside *b = dp->bfd->inside;

	*sum = (struct dp_peers_sum){.hold = atomic_load(&b->hold), .holds = atomic_load(&b->holds)};
	pthread_mutex_lock(&b->lock);
	for (unsigned i = 1; i < b->top; i++) {
		const struct bfd_peer *peer = b->peers[i];

		if (!peer || peer->ends)
			continue;
		sum->peers++;
		sum->up += peer->session.state == BFD_UP;
		sum->lost += peer->hold.lost_at != 0;
		sum->cut += peer->hold.cut;
	}
	pthread_mutex_unlock(&b->lock);
}

/* One that has ended and has said so goes; of another, whether there is something to tell of it. Under the lock. */
static bool has_news(struct dp *dp, unsigned i, uint64_t now, struct dp_peer *info)
{
	struct bfd_inside *b = dp->bfd->inside;
	struct bfd_peer *peer = b->peers[i];

	if (peer->ends && now >= peer->session.end_at) {
		b->peers[i] = NULL;
		atomic_store_explicit(&dp->bfd->cut[i], 0, memory_order_relaxed);
		free(peer);
		return false;
	}
	if (peer->ends || (peer->told_state == peer->session.state && peer->told_cut == peer->hold.cut))
		return false;
	peer->told_state = peer->session.state;
	peer->told_cut = peer->hold.cut;
	describe(peer, info);
	return true;
}

void bfd_report(struct dp *dp)
{
	struct bfd_inside *b = dp->bfd->inside;

	if (!atomic_exchange(&b->news, false))
		return;
	for (unsigned i = 1; i < b->top; i++) {
		struct dp_peer info;
		bool tell;

		if (!b->peers[i])
			continue;
		pthread_mutex_lock(&b->lock);
		tell = has_news(dp, i, bfd_now_us(), &info);
		pthread_mutex_unlock(&b->lock);
		if (tell && dp->config.on_peer)
			dp->config.on_peer(dp->config.ctx, &info);
	}
}

/*
 * tap.c: TAP interfaces, one /dev/net/tun fd a queue. The kernel hands over and takes partial checksums
 * and large TCP frames with a virtio_net_hdr, so nothing is computed on the way between a container and a
 * guest.
 *
 * A frame is read into the worker's scratch memory and borrowed from there; it is written by one writev from
 * wherever it lies; where the kernel lets us, several of either are one system call (uring.h). The link is up
 * while the interface is: a timer asks, for the kernel tells nobody who holds only the fd. A port may be made
 * without fds, and may lose its interface; control gives it another by tap_plug().
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/private.h"
#include "dataplane/core/rcu.h"
#include "dataplane/core/uring.h"
#include "dataplane/core/worker.h"
#include "dataplane/port/types.h"
#include "dataplane/port/vnet.h"

enum {
	TAP_HDR = 12,	/* virtio_net_hdr with the field for merged buffers, as TUNSETVNETHDRSZ was told */
	TAP_CALLS = 16, /* reads a turn */
	TAP_SLOT = 66 * 1024,
	TAP_LINK_MS = 100,
	TAP_ASK_MIN = 2,      /* reads at once: a frame, and that there is no other */
	TAP_LARGE = 8 * 1024, /* bytes of a frame for which a queue is known, ... */
	TAP_LARGE_TURNS =
		64, /* ... and asked for no more at once than fit a turn, for so many turns with frames */
	TAP_IOVS = BURST_SPANS + 2 * BURST_MAX, /* at least one frame's */
};
static_assert(TAP_HDR + FRAME_MAX <= TAP_SLOT, "a slot holds the longest frame");
static_assert(TAP_CALLS * TAP_SLOT <= SCRATCH_BYTES, "a turn's reads fit");
static_assert((int)TAP_CALLS <= (int)BURST_MAX, "a read is one frame");
static_assert((int)BURST_MAX <= (int)URING_MAX, "a burst is written at once");
static_assert((int)TAP_IOVS >= (int)VNET_IOVS, "a frame fits one call: write_together() gets on");

/* What its worker knows of a queue. */
struct tap_queue {
	uint8_t ask;   /* reads at once: as many frames as it had last, and one more; 0: not known yet */
	uint8_t large; /* turns to come in which it may have large frames */
};

struct tap {
	unsigned nfd;
	int fd[PORT_QUEUES_MAX]; /* -1: none yet */
	struct tap_queue queue[PORT_QUEUES_MAX];
	/* There is no interface yet, or it was deleted, perhaps with its namespace: workers leave the fds
	 * alone, and from the next grace period on tap_plug() may give it others. */
	_Atomic(bool) gone;
	void *timer;
};

static void tap_lost(struct port *port)
{
	struct tap *tap = port->priv;

	atomic_store_explicit(&tap->gone, true, memory_order_relaxed);
	port_set_link(port, false);
}

/* Control, on a timer. A TAP is writable while its interface is up, and in error once it is deleted. */
static void tap_watch(void *arg)
{
	struct port *port = arg;
	struct tap *tap = port->priv;
	struct pollfd fd = {.fd = tap->fd[0], .events = POLLOUT};

	if (atomic_load_explicit(&tap->gone, memory_order_relaxed) || poll(&fd, 1, 0) < 0)
		return;
	if (fd.revents & (POLLERR | POLLNVAL))
		tap_lost(port);
	else
		port_set_link(port, fd.revents & POLLOUT);
}

static void tap_close(struct port *port)
{
	struct tap *tap = port->priv;
	const struct dp_loop *loop = &port->dp->config.loop;
	struct dp_private *priv = port->dp->priv; /* NULL: a port without a switch, of tests */

	if (tap->timer)
		loop->timer_del(loop->ctx, tap->timer);
	for (unsigned i = 0; i < tap->nfd; i++) {
		if (tap->fd[i] < 0)
			continue;
		if (priv && priv->closing)
			close_batch_add(&priv->at_end, tap->fd[i]);
		else
			close(tap->fd[i]);
	}
	free(tap);
}

static int tap_open(struct port *port, struct dp_err *err)
{
	const struct dp_loop *loop = &port->dp->config.loop;
	const struct dp_port *spec = &port->spec;
	unsigned queues = spec->nfds ? spec->nfds : spec->queues;
	struct tap *tap = calloc(1, sizeof(*tap));

	if (!tap || !queues || queues > PORT_QUEUES_MAX) {
		for (unsigned i = 0; i < spec->nfds; i++)
			close(spec->fds[i]);
		free(tap);
		return tap ? dp_fail(err, -EINVAL, "queues: 1 to %d", PORT_QUEUES_MAX)
			   : dp_fail(err, -ENOMEM, "out of memory");
	}
	tap->nfd = queues;
	atomic_store(&tap->gone, !spec->nfds);
	for (unsigned i = 0; i < queues; i++)
		tap->fd[i] = spec->nfds ? spec->fds[i] : -1;
	port->priv = tap;
	port->nqueue = (uint16_t)tap->nfd;
	atomic_store(&port->offloads, PORT_CSUM | PORT_TSO4 | PORT_TSO6 | PORT_USO | PORT_MERGE);
	tap->timer = loop->timer_add(loop->ctx, TAP_LINK_MS, tap_watch, port);
	if (!tap->timer) {
		tap_close(port);
		return dp_fail(err, -ENOMEM, "out of memory");
	}
	tap_watch(port);
	return 0;
}

/* The frame of `len` bytes at `data`, behind its header. False: it was counted and is not given. */
static bool tap_take(struct port *port, struct worker *w, struct burst *b, const uint8_t *data, uint32_t len)
{
	struct frame *f = burst_begin(b);
	const struct virtio_net_hdr *hdr = (const void *)data;

	if (len < TAP_HDR + FRAME_MIN || len > TAP_HDR + FRAME_MAX) {
		port_rx_drop(w, port, DROP_MALFORMED);
		return false;
	}
	data += TAP_HDR;
	f->len = len - TAP_HDR;
	f->hdr_len = f->len < port_hdr_copy(port) ? (uint16_t)f->len : port_hdr_copy(port);
	memcpy(frame_data(f), data, f->hdr_len);
	if (frame_tail(f))
		burst_lend(
			b, f, data + f->hdr_len, frame_tail(f)); /* the first of the frame: there is room */
	return vnet_keep(port, w, b, f, hdr);
}

/* Frames lie one behind the other in scratch: small ones then share pages, and there is always room for a
 * long one. */
static void read_singly(struct port *port, struct worker *w, struct burst *b)
{
	struct tap *tap = port->priv;
	uint8_t *slot = w->scratch;

	for (unsigned call = 0; call < TAP_CALLS && burst_has_room(b); call++) {
		ssize_t len = read(tap->fd[b->queue], slot, TAP_SLOT);

		if (len < 0) {
			if (errno == EBADFD)
				tap_lost(port);
			break;
		}
		if (tap_take(port, w, b, slot, (uint32_t)len))
			slot += ((size_t)len + 63) & ~(size_t)63;
	}
}

/* How many frames to ask a queue for at once: each that is not there costs little, and some that are there save a call. But
 * what was read counts, so where frames may be large no more are read than a turn may have. */
static unsigned reads_at_once(const struct tap_queue *q, const struct burst *b, unsigned had)
{
	unsigned n = had > q->ask ? had : q->ask,
		 fit = (BURST_BYTES - b->bytes) / FRAME_MAX + 1; /* a turn's bytes, plus one frame */

	if (n < TAP_ASK_MIN)
		n = TAP_ASK_MIN;
	if (q->large && n > fit)
		n = fit;
	return n < TAP_CALLS - had ? n : TAP_CALLS - had;
}

/* One call for n frames, into the slots from `first` on. Returns how many there were. */
static unsigned read_batch(struct port *port, struct worker *w, struct burst *b, unsigned first, unsigned n)
{
	struct tap *tap = port->priv;
	struct tap_queue *q = &tap->queue[b->queue];
	uint8_t *slot = w->scratch + (size_t)first * TAP_SLOT;
	int32_t len[URING_MAX];
	unsigned had = 0;

	for (unsigned i = 0; i < n; i++)
		uring_read(w->uring, tap->fd[b->queue], slot + (size_t)i * TAP_SLOT, TAP_SLOT);
	uring_run(w->uring, len);
	for (unsigned i = 0; i < n; i++) {
		if (len[i] == -EBADFD)
			tap_lost(port);
		if (len[i] < 0)
			continue;
		had++;
		if (len[i] > TAP_LARGE)
			q->large = TAP_LARGE_TURNS + 1;
		tap_take(port, w, b, slot + (size_t)i * TAP_SLOT, (uint32_t)len[i]);
	}
	return had;
}

static void read_together(struct port *port, struct worker *w, struct burst *b)
{
	struct tap *tap = port->priv;
	struct tap_queue *q = &tap->queue[b->queue];
	unsigned asked = 0, had = 0, n;

	do {
		n = reads_at_once(q, b, asked);
		had += read_batch(port, w, b, asked, n);
		asked += n;
	} while (had == asked && asked < TAP_CALLS && burst_has_room(b));
	q->ask = (uint8_t)(had + 1);
	if (q->large && had)
		q->large--;
}

static uint16_t tap_rx(struct port *port, struct worker *w, struct burst *b)
{
	struct tap *tap = port->priv;

	if (atomic_load_explicit(&tap->gone, memory_order_acquire))
		return 0;
	if (w->uring)
		read_together(port, w, b);
	else
		read_singly(port, w, b);
	return b->count;
}

/* What became of a frame that the kernel refused. False: try again, the receiver is full. */
static bool tap_refused(struct port *port, struct worker *w, const struct frame *f, int error)
{
	if (error != EBADFD) /* EIO: the interface is down */
		return vnet_refused(port, w, f, error == EIO ? ENETDOWN : error);
	tap_lost(port);
	port_tx_drop(w, port, f, DROP_LINK_DOWN);
	return true;
}

static uint16_t write_singly(
	struct port *port, struct worker *w, int fd, struct frame *const *frames, uint16_t n)
{
	for (uint16_t i = 0; i < n; i++) {
		uint8_t hdr[TAP_HDR];
		struct iovec iov[VNET_IOVS];
		unsigned count = vnet_vector(frames[i], hdr, sizeof(hdr), iov);

		if (writev(fd, iov, (int)count) < 0 && !tap_refused(port, w, frames[i], errno))
			return i;
	}
	return n;
}

/* Deals with what became of n frames that were written together. Returns how many it has dealt with: those that may be tried
 * again are the last, for behind a frame that was taken they would come out of order. */
static uint16_t settle(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n,
	const int32_t result[URING_MAX])
{
	uint16_t taken = n;

	while (taken > 0 && result[taken - 1] < 0)
		taken--;
	for (uint16_t i = 0; i < n; i++) {
		if (result[i] >= 0 || tap_refused(port, w, frames[i], -result[i]))
			continue;
		if (i >= taken)
			return i;
		port_tx_drop(w, port, frames[i], DROP_RING_FULL);
	}
	return n;
}

/* One call for as many frames as the vectors hold. Returns how many were dealt with; *full: the next one was not taken. */
static uint16_t write_batch(
	struct port *port, struct worker *w, int fd, struct frame *const *frames, uint16_t n, bool *full)
{
	uint8_t hdr[BURST_MAX][TAP_HDR];
	struct iovec iov[TAP_IOVS];
	int32_t result[URING_MAX];
	unsigned used = 0;
	uint16_t count, settled;

	for (count = 0; count < n && used + 2 + frames[count]->nspan <= TAP_IOVS; count++) {
		unsigned pieces = vnet_vector(frames[count], hdr[count], TAP_HDR, iov + used);

		uring_writev(w->uring, fd, iov + used, pieces);
		used += pieces;
	}
	uring_run(w->uring, result);
	settled = settle(port, w, frames, count, result);
	*full = settled < count;
	return settled;
}

static uint16_t write_together(
	struct port *port, struct worker *w, int fd, struct frame *const *frames, uint16_t n)
{
	uint16_t done = 0;
	bool full = false;

	while (done < n && !full)
		done += write_batch(port, w, fd, frames + done, n - done, &full);
	return done;
}

static uint16_t tap_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	struct tap *tap = port->priv;
	int fd;

	if (atomic_load_explicit(&tap->gone, memory_order_acquire)) {
		for (uint16_t i = 0; i < n; i++)
			port_tx_drop(w, port, frames[i], DROP_LINK_DOWN);
		return n;
	}
	/* the kernel answers a flow on the queue that it came from, so each worker keeps to one */
	fd = tap->fd[w->index % tap->nfd];
	return w->uring && n > 1 ? write_together(port, w, fd, frames, n)
				 : write_singly(port, w, fd, frames, n);
}

/* The fd is level-triggered: frames that are waiting end the sleep at once. */
static bool tap_arm(struct port *port, uint16_t queue, bool on)
{
	return false;
}

static int tap_rx_fd(struct port *port, uint16_t queue)
{
	struct tap *tap = port->priv;

	return tap->fd[queue];
}

static bool tap_has_lost(struct port *port)
{
	struct tap *tap = port->priv;

	return atomic_load_explicit(&tap->gone, memory_order_relaxed);
}

static void tap_plug(struct port *port, const int *fd)
{
	struct tap *tap = port->priv;

	rcu_wait(port->dp); /* a worker may have looked before it was gone */
	for (unsigned i = 0; i < tap->nfd; i++) {
		if (tap->fd[i] >= 0)
			close(tap->fd[i]);
		tap->fd[i] = fd[i];
	}
	atomic_store_explicit(&tap->gone, false, memory_order_release);
	tap_watch(port);
}

static void tap_unplug(struct port *port)
{
	struct tap *tap = port->priv;

	tap_lost(port);
	rcu_wait(port->dp); /* a worker may be reading */
	for (unsigned i = 0; i < tap->nfd; i++) {
		if (tap->fd[i] >= 0)
			close(tap->fd[i]);
		tap->fd[i] = -1;
	}
}

const struct port_ops port_tap_ops = {
	.name = "tap",
	.kernel = true,
	.by_fd = true,
	.open = tap_open,
	.close = tap_close,
	.rx = tap_rx,
	.tx = tap_tx,
	.arm = tap_arm,
	.rx_fd = tap_rx_fd,
	.lost = tap_has_lost,
	.plug = tap_plug,
	.unplug = tap_unplug,
};

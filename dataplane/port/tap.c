/*
 * tap.c: TAP interfaces, one /dev/net/tun fd a queue. The kernel hands over and takes partial checksums
 * and large TCP frames with a virtio_net_hdr, so nothing is computed on the way between a container and a
 * guest.
 *
 * A frame is read into the worker's scratch memory and borrowed from there; it is written by one writev from
 * wherever it lies. The link is up while the interface is: a timer asks, for the kernel tells nobody who
 * holds only the fd. A port may be made without fds, and may lose its interface; control gives it another by
 * tap_plug().
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/private.h"
#include "dataplane/core/rcu.h"
#include "dataplane/core/worker.h"
#include "dataplane/port/types.h"
#include "dataplane/port/vnet.h"

enum {
	TAP_HDR = 12,	/* virtio_net_hdr with the field for merged buffers, as TUNSETVNETHDRSZ was told */
	TAP_CALLS = 16, /* reads a turn */
	TAP_SLOT = 66 * 1024,
	TAP_LINK_MS = 100,
};
static_assert(TAP_HDR + FRAME_MAX <= TAP_SLOT, "a slot holds the longest frame");
static_assert(TAP_CALLS * TAP_SLOT <= SCRATCH_BYTES, "a turn's reads fit");
static_assert((int)TAP_CALLS <= (int)BURST_MAX, "a read is one frame");

struct tap {
	unsigned nfd;
	int fd[PORT_QUEUES_MAX]; /* -1: none yet */
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
static uint16_t tap_rx(struct port *port, struct worker *w, struct burst *b)
{
	struct tap *tap = port->priv;
	uint8_t *slot = w->scratch;

	if (atomic_load_explicit(&tap->gone, memory_order_acquire))
		return 0;
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
	for (uint16_t i = 0; i < n; i++) {
		uint8_t hdr[TAP_HDR];
		struct iovec iov[VNET_IOVS];
		unsigned count = vnet_vector(frames[i], hdr, sizeof(hdr), iov);

		if (writev(fd, iov, (int)count) < 0 && !tap_refused(port, w, frames[i], errno))
			return i;
	}
	return n;
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

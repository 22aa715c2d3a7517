/*
 * af_xdp.c: a network device of the host by AF_XDP. On an uplink the switch gets VXLAN to its address
 * and nothing else (xdp_prog.h), so that a host with one NIC keeps it: the kernel has the same address, and
 * its SSH, ping and ARP go on as before. Neighbours are learned from copies of ARP and of neighbour advertisements. As a container's port, on
 * a veth, it carries everything.
 *
 * Each receive queue has a socket with memory of its own: half of its chunks are for the kernel to fill, the
 * other half for sending. Frames are borrowed where the kernel has put them. No offloads are taken, and a
 * veth hands over partial checksums without a word, which are found by what they look like.
 */
#include <errno.h>
#include <linux/bpf.h>
#include <linux/ethtool.h>
#include <linux/filter.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <rte_spinlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>
#include <xdp/xsk.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/private.h"
#include "dataplane/core/worker.h"
#include "dataplane/frame/nd.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/l2/neigh.h"
#include "dataplane/port/types.h"
#include "dataplane/port/xdp_prog.h"

enum {
	XDP_RING = 2048,  /* slots of each of the four rings */
	XDP_CHUNK = 4096, /* what the kernel's headroom leaves of it holds the longest frame */
	XDP_MTU_MAX = XDP_CHUNK - XDP_PACKET_HEADROOM - ETH_LEN - VLAN_LEN,
	XDP_AREA = 2 * XDP_RING * XDP_CHUNK, /* memory of a queue, pinned */
	XDP_SNDBUF = 4 * 1024 * 1024,
	XDP_LINK_MS = 100,
	XDP_KICKS = 8, /* system calls to have one burst sent: the kernel takes 32 frames in one */
};

static_assert(BURST_MAX * XDP_CHUNK <= BURST_BYTES, "what is looked at at once fits a burst");

struct xdp_queue {
	/* the worker that polls it */
	struct xsk_ring_cons rx;
	struct xsk_ring_prod fill;
	unsigned nborrowed;
	uint64_t borrowed[BURST_MAX];
	/* whoever sends, under the lock */
	rte_spinlock_t lock;
	struct xsk_ring_prod tx;
	struct xsk_ring_cons sent;
	unsigned nfree;
	uint64_t free[XDP_RING]; /* chunks to send from */
	/* all */
	uint8_t *area;
	struct xsk_umem *umem;
	struct xsk_socket *socket;
	int fd;
	/* control counts, the worker takes: frames that found no room */
	_Atomic(uint32_t) lost;
	uint64_t lost_before;
};

struct xdp {
	unsigned nqueue;
	struct xdp_queue *queue[PORT_QUEUES_MAX];
	/* control */
	struct xdp_prog prog;
	int fd; /* of an uplink: ARP; otherwise only to ask about the device */
	int index;
	void *timer, *arp;
};

static int ask(const struct xdp *xdp, unsigned long request, const char *device, struct ifreq *req)
{
	memset(req->ifr_name, 0, sizeof(req->ifr_name));
	memcpy(req->ifr_name, device, strnlen(device, sizeof(req->ifr_name) - 1));
	return ioctl(xdp->fd, request, req);
}

/* Receive queues, each of which needs a socket. */
static unsigned count_queues(const struct xdp *xdp, const char *device)
{
	struct ethtool_channels channels = {.cmd = ETHTOOL_GCHANNELS};
	struct ifreq req = {.ifr_data = (void *)&channels};
	unsigned count;

	if (ask(xdp, SIOCETHTOOL, device, &req) < 0)
		return 1;
	count = channels.rx_count + channels.combined_count;
	return count ? count : 1;
}

/* The same device still, up, with a carrier? */
static bool running(const struct xdp *xdp, const char *device)
{
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK, .data = 1};
	struct ifreq req;

	if (ask(xdp, SIOCGIFINDEX, device, &req) < 0 || req.ifr_ifindex != xdp->index ||
		ask(xdp, SIOCGIFFLAGS, device, &req) < 0 || !(req.ifr_flags & IFF_UP))
		return false;
	req.ifr_data = (void *)&link;
	return ask(xdp, SIOCETHTOOL, device, &req) < 0 || link.data;
}

static void count_lost(struct xdp_queue *q)
{
	struct xdp_statistics stats;
	socklen_t len = sizeof(stats);
	uint64_t lost;

	if (getsockopt(q->fd, SOL_XDP, XDP_STATISTICS, &stats, &len) < 0 || len < sizeof(stats))
		return;
	lost = stats.rx_dropped + stats.rx_ring_full;
	atomic_fetch_add_explicit(&q->lost, (uint32_t)(lost - q->lost_before), memory_order_relaxed);
	q->lost_before = lost;
}

/* Control, on a timer: link state, and what the kernel could not hand over since. */
static void xdp_watch(void *arg)
{
	struct port *port = arg;
	struct xdp *xdp = port->priv;

	port_set_link(port, running(xdp, port->spec.device));
	for (unsigned i = 0; i < xdp->nqueue; i++)
		count_lost(xdp->queue[i]);
}

/* Control: ARP and advertisements that the kernel has had as well. */
static void xdp_arp(void *arg, unsigned events)
{
	struct port *port = arg;
	struct xdp *xdp = port->priv;
	struct frame f;
	ssize_t len;

	frame_init(&f);
	while ((len = recv(xdp->fd, frame_data(&f), HDR_MAX, MSG_DONTWAIT)) > 0) {
		f.hdr_len = (uint16_t)len;
		if (len >= FRAME_MIN)
			neigh_input(port->dp, NET_NONE, port->id, frame_data(&f), f.hdr_len);
	}
}

static void queue_close(struct xdp_queue *q)
{
	if (!q)
		return;
	if (q->socket)
		xsk_socket__delete(q->socket);
	if (q->umem)
		xsk_umem__delete(q->umem);
	if (q->area != MAP_FAILED)
		munmap(q->area, XDP_AREA);
	free(q);
}

static void xdp_close(struct port *port)
{
	struct xdp *xdp = port->priv;
	const struct dp_loop *loop = &port->dp->config.loop;

	if (xdp->timer)
		loop->timer_del(loop->ctx, xdp->timer);
	if (xdp->arp)
		loop->fd_del(loop->ctx, xdp->arp);
	xdp_prog_close(&xdp->prog);
	for (unsigned i = 0; i < xdp->nqueue; i++)
		queue_close(xdp->queue[i]);
	if (xdp->fd >= 0)
		close(xdp->fd);
	free(xdp);
}

/* The first half of the chunks to the kernel, the others to us. */
static void spread_chunks(struct xdp_queue *q)
{
	uint32_t at = 0;

	xsk_ring_prod__reserve(&q->fill, XDP_RING, &at); /* an empty ring: has room for all */
	for (uint32_t i = 0; i < XDP_RING; i++) {
		*xsk_ring_prod__fill_addr(&q->fill, at + i) = (uint64_t)i * XDP_CHUNK;
		q->free[q->nfree++] = (uint64_t)(XDP_RING + i) * XDP_CHUNK;
	}
	xsk_ring_prod__submit(&q->fill, XDP_RING);
}

/* Returns -errno. *out is to be closed also when it fails, unless NULL. */
static int queue_open(const char *device, unsigned number, struct xdp_queue **out)
{
	const struct xsk_umem_config memory = {
		.fill_size = XDP_RING, .comp_size = XDP_RING, .frame_size = XDP_CHUNK};
	const struct xsk_socket_config config = {.rx_size = XDP_RING,
		.tx_size = XDP_RING,
		.libxdp_flags = XSK_LIBXDP_FLAGS__INHIBIT_PROG_LOAD,
		.bind_flags = XDP_USE_NEED_WAKEUP};
	struct xdp_queue *q = calloc(1, sizeof(*q));
	int sndbuf = XDP_SNDBUF, rc;

	*out = q;
	if (!q)
		return -ENOMEM;
	rte_spinlock_init(&q->lock);
	q->area = mmap(NULL, XDP_AREA, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (q->area == MAP_FAILED)
		return -ENOMEM;
	rc = xsk_umem__create(&q->umem, q->area, XDP_AREA, &q->fill, &q->sent, &memory);
	if (!rc)
		rc = xsk_socket__create(&q->socket, device, number, q->umem, &q->rx, &q->tx, &config);
	if (rc)
		return rc;
	q->fd = xsk_socket__fd(q->socket);
	setsockopt(q->fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf));
	spread_chunks(q);
	return 0;
}

static int open_queues(struct xdp *xdp, const char *device, struct dp_err *err)
{
	unsigned count = count_queues(xdp, device);

	if (count > PORT_QUEUES_MAX)
		return dp_fail(err, -EINVAL,
			"device: has %u receive queues, at most %d can be served: ethtool -L", count,
			PORT_QUEUES_MAX);
	while (xdp->nqueue < count) {
		unsigned number = xdp->nqueue;
		int rc = queue_open(device, number, &xdp->queue[number]);

		xdp->nqueue++;
		if (rc)
			return dp_fail(
				err, rc, "device: AF_XDP socket of queue %u: %s", number, strerror(-rc));
	}
	return 0;
}

/* The program with a socket for each queue, then the device, which sends frames from there on. */
static int open_program(struct port *port, struct dp_err *err)
{
	struct xdp *xdp = port->priv;
	const struct xdp_filter filter = {.everything = port->net != NET_NONE,
		.address = port->spec.address.address,
		.port = port->spec.vxlan_port};
	int rc = xdp_prog_load(&xdp->prog, &filter, xdp->nqueue, err);

	for (unsigned i = 0; i < xdp->nqueue && !rc; i++) {
		rc = xdp_prog_set(&xdp->prog, i, xdp->queue[i]->fd);
		if (rc)
			dp_fail(err, rc, "device: AF_XDP map: %s", strerror(-rc));
	}
	return rc ? rc : xdp_prog_attach(&xdp->prog, xdp->index, err);
}

/* Of IPv6 only neighbour advertisements without extension headers, which is how they come. */
static int only_adverts(int fd)
{
	enum { AT_NEXT_HEADER = 20, AT_TYPE = 54 };
	struct sock_filter code[] = {
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_NEXT_HEADER),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, IPPROTO_ICMPV6, 0, 3),
		BPF_STMT(BPF_LD | BPF_B | BPF_ABS, AT_TYPE),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ND_ADVERT, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, HDR_MAX),
		BPF_STMT(BPF_RET | BPF_K, 0),
	};
	const struct sock_fprog filter = {.len = sizeof(code) / sizeof(code[0]), .filter = code};

	return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &filter, sizeof(filter)) < 0 ? -errno : 0;
}

/* On an uplink copies of its device's ARP, or what IPv6 has instead. */
static int open_neighbours(struct port *port)
{
	struct xdp *xdp = port->priv;
	bool six = !ip_is_none(port->address6);
	struct sockaddr_ll address = {.sll_family = AF_PACKET,
		.sll_protocol = htons(six ? ETH_P_IPV6 : ETH_P_ARP),
		.sll_ifindex = xdp->index};
	int rc = six ? only_adverts(xdp->fd) : 0;

	if (!rc && bind(xdp->fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		rc = -errno;
	return rc;
}

/* The device's number. */
static int open_device(struct port *port, struct dp_err *err)
{
	struct xdp *xdp = port->priv;
	struct ifreq req;
	int rc;

	if (port->mtu > XDP_MTU_MAX)
		return dp_fail(err, -EINVAL, "mtu: at most %d with af_xdp", XDP_MTU_MAX);
	xdp->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (xdp->fd < 0 || ask(xdp, SIOCGIFINDEX, port->spec.device, &req) < 0)
		return dp_fail(err, -errno, "device: %s: %s", port->spec.device, strerror(errno));
	xdp->index = req.ifr_ifindex;
	rc = port->net == NET_NONE ? open_neighbours(port) : 0;
	return rc ? dp_fail(err, rc, "device: packet socket: %s", strerror(-rc)) : 0;
}

static int start_watching(struct port *port, struct dp_err *err)
{
	struct xdp *xdp = port->priv;
	const struct dp_loop *loop = &port->dp->config.loop;

	xdp->timer = loop->timer_add(loop->ctx, XDP_LINK_MS, xdp_watch, port);
	if (port->net == NET_NONE)
		xdp->arp = loop->fd_add(loop->ctx, xdp->fd, DP_READ, xdp_arp, port);
	if (!xdp->timer || (port->net == NET_NONE && !xdp->arp))
		return dp_fail(err, -ENOMEM, "out of memory");
	return 0;
}

static int xdp_open(struct port *port, struct dp_err *err)
{
	struct xdp *xdp = calloc(1, sizeof(*xdp));
	int rc;

	if (!xdp)
		return dp_fail(err, -ENOMEM, "out of memory");
	xdp->prog = (struct xdp_prog){-1, -1, -1, false};
	xdp->fd = -1;
	port->priv = xdp;
	rc = open_device(port, err);
	if (!rc)
		rc = open_queues(xdp, port->spec.device, err);
	if (!rc)
		rc = open_program(port, err);
	if (!rc)
		rc = start_watching(port, err);
	if (rc) {
		xdp_close(port);
		return rc;
	}
	port->nqueue = (uint16_t)xdp->nqueue;
	port->unfinished = true;
	xdp_watch(port);
	return 0;
}

static bool take(struct port *port, struct worker *w, struct burst *b, const uint8_t *data, uint32_t len)
{
	struct frame *f = burst_begin(b);

	if (len < FRAME_MIN) {
		port_rx_drop(w, port, DROP_MALFORMED);
		return false;
	}
	f->len = len;
	f->hdr_len = len < port_hdr_copy(port) ? (uint16_t)len : port_hdr_copy(port);
	memcpy(frame_data(f), data, f->hdr_len);
	if (frame_tail(f))
		burst_lend(
			b, f, data + f->hdr_len, frame_tail(f)); /* the first of the frame: there is room */
	if (!port->is_uplink)
		offload_detect(f);
	burst_keep(b, f);
	return true;
}

/* Chunks that were looked at go back to the kernel, which may have to be told that it has some again. */
static void xdp_complete(struct port *port, struct worker *w, struct burst *b)
{
	struct xdp_queue *q = ((struct xdp *)port->priv)->queue[b->queue];
	uint32_t at;

	if (!q->nborrowed || xsk_ring_prod__reserve(&q->fill, q->nborrowed, &at) < q->nborrowed)
		return; /* cannot be: the ring has a slot for every chunk */
	for (unsigned i = 0; i < q->nborrowed; i++)
		*xsk_ring_prod__fill_addr(&q->fill, at + i) = q->borrowed[i];
	xsk_ring_prod__submit(&q->fill, q->nborrowed);
	q->nborrowed = 0;
	if (xsk_ring_prod__needs_wakeup(&q->fill))
		recvfrom(q->fd, NULL, 0, MSG_DONTWAIT, NULL, NULL);
}

static uint16_t xdp_rx(struct port *port, struct worker *w, struct burst *b)
{
	struct xdp_queue *q = ((struct xdp *)port->priv)->queue[b->queue];
	uint32_t at, n;

	if (__builtin_expect(atomic_load_explicit(&q->lost, memory_order_relaxed), 0))
		port_rx_lost(w, port, DROP_RX_OVERRUN,
			atomic_exchange_explicit(&q->lost, 0, memory_order_relaxed));
	n = xsk_ring_cons__peek(&q->rx, BURST_MAX, &at);
	for (uint32_t i = 0; i < n; i++) {
		const struct xdp_desc *desc = xsk_ring_cons__rx_desc(&q->rx, at + i);

		q->borrowed[q->nborrowed++] = desc->addr & ~(uint64_t)(XDP_CHUNK - 1);
		take(port, w, b, xsk_umem__get_data(q->area, desc->addr), desc->len);
	}
	if (n)
		xsk_ring_cons__release(&q->rx, n);
	if (n && !b->count)
		xdp_complete(port, w, b);
	return b->count;
}

/* Chunks that the kernel has sent are free again. */
static void reclaim(struct xdp_queue *q)
{
	uint32_t at, n = xsk_ring_cons__peek(&q->sent, XDP_RING, &at);

	for (uint32_t i = 0; i < n; i++)
		q->free[q->nfree++] = *xsk_ring_cons__comp_addr(&q->sent, at + i);
	if (n)
		xsk_ring_cons__release(&q->sent, n);
}

/* Has what is in the ring sent. What the kernel does not take now goes with the next burst. */
static void kick(struct port *port, const struct xdp_queue *q)
{
	if (!xsk_ring_prod__needs_wakeup(&q->tx))
		return;
	for (int i = 0; i < XDP_KICKS; i++) {
		if (sendto(q->fd, NULL, 0, MSG_DONTWAIT, NULL, 0) >= 0)
			return;
		if (errno == ENETDOWN || errno == ENXIO || errno == ENODEV)
			port_set_link(port, false);
		if (errno != EAGAIN)
			return;
	}
}

static uint16_t send_locked(
	struct port *port, struct worker *w, struct xdp_queue *q, struct frame *const *frames, uint16_t n)
{
	uint32_t at, used = 0;
	uint16_t done;

	reclaim(q);
	for (done = 0; done < n; done++) {
		struct xdp_desc *desc;

		if (frames[done]->len > XDP_CHUNK) {
			port_tx_drop(w, port, frames[done], DROP_MTU);
			continue;
		}
		if (!q->nfree || !xsk_ring_prod__reserve(&q->tx, 1, &at))
			break;
		desc = xsk_ring_prod__tx_desc(&q->tx, at);
		*desc = (struct xdp_desc){.addr = q->free[--q->nfree], .len = frames[done]->len};
		frame_copy(frames[done], xsk_umem__get_data(q->area, desc->addr));
		used++;
	}
	xsk_ring_prod__submit(&q->tx, used);
	kick(port, q);
	return done;
}

static uint16_t xdp_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	struct xdp *xdp = port->priv;
	struct xdp_queue *q = xdp->queue[w->index % xdp->nqueue];
	uint16_t done;

	rte_spinlock_lock(&q->lock);
	done = send_locked(port, w, q, frames, n);
	rte_spinlock_unlock(&q->lock);
	return done;
}

/* Level-triggered: frames that are waiting end the sleep at once. */
static bool xdp_arm(struct port *port, uint16_t queue, bool on)
{
	return false;
}

static int xdp_rx_fd(struct port *port, uint16_t queue)
{
	struct xdp *xdp = port->priv;

	return xdp->queue[queue]->fd;
}

const struct port_ops port_af_xdp_ops = {
	.name = "af_xdp",
	.kernel = true,
	.open = xdp_open,
	.close = xdp_close,
	.rx = xdp_rx,
	.complete = xdp_complete,
	.tx = xdp_tx,
	.arm = xdp_arm,
	.rx_fd = xdp_rx_fd,
};

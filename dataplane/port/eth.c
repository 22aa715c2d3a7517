/*
 * eth.c: any device that DPDK drives, by ethdev: a NIC by its devargs, memif, and for tests and benches
 * two that need no guest:
 *
 *	null  takes frames and gives none
 *	pcap  gives the frames of a file, once, from the moment that it is added; what it is sent vanishes
 *
 * Devices have mbufs, so here a frame is copied into one on its way out (the one copy), and mbuf segments are
 * borrowed on its way in. Offloads are not used: checksums and segmentation are done before.
 *
 * A worker sleeps on a device's receive interrupt where its driver has one; any other is looked at every 50 us
 * (port->blind).
 */
#include <errno.h>
#include <rte_dev.h>
#include <rte_ethdev.h>
#include <rte_interrupts.h>
#include <rte_mbuf.h>
#include <rte_spinlock.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/worker.h"
#include "dataplane/port/types.h"

enum {
	ETH_MBUFS = 8192 - 1, /* for all such ports together */
	ETH_CACHE = 128,
	ETH_DESCRIPTORS = 1024,
	ETH_DEVARGS = 512,
	ETH_LINK_MS = 100,
};

struct eth_queue {
	rte_spinlock_t lock; /* workers may share a queue */
} __attribute__((aligned(64)));

struct eth {
	uint16_t device; /* ethdev port number */
	uint16_t ntx;
	uint16_t nheld; /* taken off the device: the first `nlent` are in the burst */
	uint16_t nlent; /* the others come with the next: taken early, or the burst was full */
	struct rte_mbuf *held[BURST_MAX];
	int interrupt; /* epoll fd of the receive interrupt, -1: the driver has none */
	struct eth_queue tx[PORT_QUEUES_MAX];
	struct rte_mempool *pool;
	struct rte_device *probed;
	void *timer;
};

/* Made with the first such port; frames of a burst and descriptors of rings are in it. */
static struct rte_mempool *eth_pool(void)
{
	struct rte_mempool *pool = rte_mempool_lookup("sluice_mbufs");

	if (!pool)
		pool = rte_pktmbuf_pool_create(
			"sluice_mbufs", ETH_MBUFS, ETH_CACHE, 0, RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
	return pool;
}

/* What DPDK is to probe for the port. -EINVAL: does not fit, or the file's name cannot be put into devargs.
 */
static int devargs_of(const struct port *port, char out[ETH_DEVARGS], struct dp_err *err)
{
	const struct dp_port *spec = &port->spec;
	int len;

	switch (spec->type) {
	case DP_NULL:
		len = snprintf(out, ETH_DEVARGS, "net_null%u,no-rx=1", port->id);
		break;
	case DP_PCAP:
		if (!spec->file || access(spec->file, R_OK) < 0)
			return dp_fail(err, -errno, "file: %s: %s", spec->file, strerror(errno));
		if (strpbrk(spec->file, ",="))
			return dp_fail(
				err, -EINVAL, "file: a name with , or = in it cannot be given to DPDK");
		len = snprintf(out, ETH_DEVARGS, "net_pcap%u,rx_pcap=%s", port->id, spec->file);
		break;
	default:
		if (!spec->devargs || !*spec->devargs)
			return dp_fail(err, -EINVAL, "devargs: missing");
		len = snprintf(out, ETH_DEVARGS, "%s", spec->devargs);
	}
	return len < ETH_DEVARGS ? 0 : dp_fail(err, -EINVAL, "devargs: too long");
}

/* The ethdev that probing `devargs` brought. */
static int eth_find(const char *devargs, uint16_t *device)
{
	struct rte_dev_iterator iterator;
	uint16_t id;

	RTE_ETH_FOREACH_MATCHING_DEV(id, devargs, &iterator)
	{
		rte_eth_iterator_cleanup(&iterator);
		*device = id;
		return 0;
	}
	return -ENODEV;
}

static int eth_start(
	struct eth *eth, const struct rte_eth_dev_info *info, unsigned nworker, uint16_t mtu, bool interrupt)
{
	struct rte_eth_conf conf = {
		.intr_conf.rxq = interrupt,
		.txmode.offloads = info->tx_offload_capa & RTE_ETH_TX_OFFLOAD_MULTI_SEGS,
		.rxmode.offloads = info->rx_offload_capa & RTE_ETH_RX_OFFLOAD_SCATTER,
	};
	uint16_t nrxd = ETH_DESCRIPTORS, ntxd = ETH_DESCRIPTORS;
	int socket = rte_eth_dev_socket_id(eth->device), rc;

	eth->pool = eth_pool();
	if (!eth->pool)
		return -ENOMEM;
	eth->ntx = (uint16_t)RTE_MIN(RTE_MIN(nworker, info->max_tx_queues), (unsigned)PORT_QUEUES_MAX);
	if (!eth->ntx)
		return -ENOTSUP;
	rc = rte_eth_dev_configure(eth->device, 1, eth->ntx, &conf);
	if (rc)
		return rc;
	rc = rte_eth_dev_set_mtu(eth->device, mtu);
	if (rc && rc != -ENOTSUP)
		return rc;
	rc = rte_eth_dev_adjust_nb_rx_tx_desc(eth->device, &nrxd, &ntxd);
	if (!rc)
		rc = rte_eth_rx_queue_setup(eth->device, 0, nrxd, socket, NULL, eth->pool);
	for (uint16_t q = 0; !rc && q < eth->ntx; q++)
		rc = rte_eth_tx_queue_setup(eth->device, q, ntxd, socket, NULL);
	if (!rc)
		rc = rte_eth_dev_start(eth->device);
	if (!rc)
		rte_eth_promiscuous_enable(
			eth->device); /* a device that cannot gives all its frames anyway */
	return rc;
}

/* With its receive interrupt when the driver has one. */
static int eth_start_any(struct eth *eth, const struct rte_eth_dev_info *info, unsigned nworker, uint16_t mtu)
{
	int rc = eth_start(eth, info, nworker, mtu, true);

	if (rc) {
		rte_eth_dev_stop(eth->device);
		return eth_start(eth, info, nworker, mtu, false);
	}
	/* DPDK reads what the driver's kind of descriptor wants read, when it is waited for through its own epoll */
	eth->interrupt = epoll_create1(EPOLL_CLOEXEC);
	if (eth->interrupt < 0)
		return -errno;
	if (rte_eth_dev_rx_intr_ctl_q(eth->device, 0, eth->interrupt, RTE_INTR_EVENT_ADD, NULL) != 0) {
		close(eth->interrupt);
		eth->interrupt = -1;
	}
	/* one that can't be enabled and disabled, as tap's, is always on */
	return 0;
}

/* Control, on a timer. */
static void eth_watch(void *arg)
{
	struct port *port = arg;
	struct eth *eth = port->priv;
	struct rte_eth_link link = {0};

	if (rte_eth_link_get_nowait(eth->device, &link) == 0)
		port_set_link(port, link.link_status == RTE_ETH_LINK_UP);
}

static void eth_close(struct port *port)
{
	struct eth *eth = port->priv;
	const struct dp_loop *loop = &port->dp->config.loop;

	if (eth->timer)
		loop->timer_del(loop->ctx, eth->timer);
	if (eth->nheld)
		rte_pktmbuf_free_bulk(eth->held, eth->nheld);
	if (eth->interrupt >= 0)
		rte_eth_dev_rx_intr_ctl_q(eth->device, 0, eth->interrupt, RTE_INTR_EVENT_DEL, NULL);
	if (eth->probed) {
		rte_eth_dev_stop(eth->device);
		rte_eth_dev_close(eth->device);
		rte_dev_remove(eth->probed);
	}
	if (eth->interrupt >= 0)
		close(eth->interrupt);
	free(eth);
}

/* Brings the device in and starts it; what it took is undone by eth_close(). */
static int eth_bring(struct port *port, const char *devargs, struct dp_err *err)
{
	struct eth *eth = port->priv;
	struct rte_eth_dev_info info;
	int rc;

	/* probing it again would succeed, and closing it afterwards take it from the port that has it */
	if (eth_find(devargs, &eth->device) == 0)
		return dp_fail(err, -EEXIST, "devargs: %s: a port has it already", devargs);
	rc = rte_dev_probe(devargs);
	if (!rc)
		rc = eth_find(devargs, &eth->device);
	if (rc)
		return dp_fail(err, rc, "devargs: %s: %s", devargs, strerror(-rc));
	rc = rte_eth_dev_info_get(eth->device, &info);
	if (!rc) {
		eth->probed = info.device;
		rc = eth_start_any(eth, &info, RTE_MAX(port->dp->nworker, 1u), port->mtu);
		port->blind = eth->interrupt < 0;
	}
	return rc ? dp_fail(err, rc, "devargs: %s: does not start: %s", devargs, strerror(-rc)) : 0;
}

static int eth_open(struct port *port, struct dp_err *err)
{
	const struct dp_loop *loop = &port->dp->config.loop;
	char devargs[ETH_DEVARGS];
	int rc = devargs_of(port, devargs, err);

	if (rc)
		return rc;
	port->priv = aligned_alloc(64, sizeof(struct eth));
	if (!port->priv)
		return dp_fail(err, -ENOMEM, "out of memory");
	memset(port->priv, 0, sizeof(struct eth));
	((struct eth *)port->priv)->interrupt = -1;
	rc = eth_bring(port, devargs, err);
	if (!rc) {
		struct eth *eth = port->priv;

		eth->timer = loop->timer_add(loop->ctx, ETH_LINK_MS, eth_watch, port);
		rc = eth->timer ? 0 : dp_fail(err, -ENOMEM, "out of memory");
	}
	if (rc) {
		eth_close(port);
		return rc;
	}
	port->nqueue = 1;
	eth_watch(port);
	return 0;
}

/* The frame in `m` as the next of `b`, which has room. False: it was counted and is not given. */
static bool eth_take(struct port *port, struct worker *w, struct burst *b, const struct rte_mbuf *m)
{
	struct frame *f = burst_begin(b);

	for (; m; m = m->next) {
		if (m->data_len && !burst_lend(b, f, rte_pktmbuf_mtod(m, const uint8_t *), m->data_len))
			break;
		f->len += m->data_len;
	}
	if (m || f->len < FRAME_MIN || f->len > FRAME_MAX) {
		port_rx_drop(w, port, DROP_MALFORMED);
		return false;
	}
	frame_pull(f, port_hdr_copy(port));
	burst_keep(b, f);
	return true;
}

static void eth_complete(struct port *port, struct worker *w, struct burst *b)
{
	struct eth *eth = port->priv;

	rte_pktmbuf_free_bulk(eth->held, eth->nlent);
	eth->nheld -= eth->nlent;
	memmove(eth->held, eth->held + eth->nlent, eth->nheld * sizeof(struct rte_mbuf *));
	eth->nlent = 0;
}

static uint16_t eth_rx(struct port *port, struct worker *w, struct burst *b)
{
	struct eth *eth = port->priv;

	if (!eth->nheld)
		eth->nheld = rte_eth_rx_burst(eth->device, b->queue, eth->held, BURST_MAX);
	while (eth->nlent < eth->nheld && burst_has_room(b))
		eth_take(port, w, b, eth->held[eth->nlent++]);
	if (!b->count && eth->nlent)
		eth_complete(port, w, b);
	return b->count;
}

/* Arms first and takes what came before then, as the driver can't be asked whether anything has. */
static bool eth_arm(struct port *port, uint16_t queue, bool on)
{
	struct eth *eth = port->priv;
	struct rte_epoll_event event;

	if (eth->interrupt < 0)
		return false;
	if (!on) {
		rte_eth_dev_rx_intr_disable(eth->device, queue);
		rte_epoll_wait(eth->interrupt, &event, 1, 0);
		return false;
	}
	rte_eth_dev_rx_intr_enable(eth->device, queue);
	if (!eth->nheld)
		eth->nheld = rte_eth_rx_burst(eth->device, queue, eth->held, BURST_MAX);
	return eth->nheld > 0;
}

static int eth_rx_fd(struct port *port, uint16_t queue)
{
	const struct eth *eth = port->priv;

	return eth->interrupt;
}

/* Appends `len` bytes to the chain that ends in *last. False: no mbuf is left. */
static bool append(struct rte_mbuf *head, struct rte_mbuf **last, const uint8_t *data, uint32_t len)
{
	while (len) {
		uint32_t room = rte_pktmbuf_tailroom(*last), n = RTE_MIN(room, len);

		if (!room) {
			struct rte_mbuf *m = rte_pktmbuf_alloc(head->pool);

			if (!m)
				return false;
			(*last)->next = m;
			*last = m;
			head->nb_segs++;
			continue;
		}
		rte_memcpy(rte_pktmbuf_mtod_offset(*last, uint8_t *, (*last)->data_len), data, n);
		(*last)->data_len += (uint16_t)n;
		head->pkt_len += n;
		data += n;
		len -= n;
	}
	return true;
}

/* A copy of `f`. NULL: no mbuf is left. */
static struct rte_mbuf *eth_copy(const struct eth *eth, const struct frame *f)
{
	struct rte_mbuf *head = rte_pktmbuf_alloc(eth->pool), *last = head;
	bool fits = head && append(head, &last, f->hdr + f->hdr_off, f->hdr_len);

	for (unsigned i = 0; fits && i < f->nspan; i++)
		fits = append(head, &last, f->span[i].ptr, f->span[i].len);
	if (fits)
		return head;
	rte_pktmbuf_free(head);
	return NULL;
}

static uint16_t eth_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	struct eth *eth = port->priv;
	struct rte_mbuf *copy[BURST_MAX];
	uint16_t queue = (uint16_t)(w->index % eth->ntx), made, sent;

	for (made = 0; made < n; made++) {
		copy[made] = eth_copy(eth, frames[made]);
		if (!copy[made])
			break;
	}
	rte_spinlock_lock(&eth->tx[queue].lock);
	sent = rte_eth_tx_burst(eth->device, queue, copy, made);
	rte_spinlock_unlock(&eth->tx[queue].lock);
	rte_pktmbuf_free_bulk(copy + sent, made - sent);
	return sent;
}

const struct port_ops port_eth_ops = {
	.name = "eth",
	.open = eth_open,
	.close = eth_close,
	.rx = eth_rx,
	.complete = eth_complete,
	.tx = eth_tx,
	.arm = eth_arm,
	.rx_fd = eth_rx_fd,
};

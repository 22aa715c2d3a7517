/*
 * af_packet.c: a network device of the host through a packet socket: a veth whose other end is in a
 * container, or a NIC that the kernel keeps. Partial checksums and large frames pass both ways with a
 * virtio_net_hdr; the kernel works out what the device does not do itself, so every offload is taken.
 *
 * Frames are borrowed where the kernel has put them, in a ring of slots (TPACKET_V2) that each hold the
 * longest frame, and their slots go back after delivery. Sending is one sendmmsg from wherever frames lie. A
 * device that is deleted and made again under its name is taken again.
 */
#include <errno.h>
#include <linux/ethtool.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/worker.h"
#include "dataplane/frame/offload.h"
#include "dataplane/frame/parse.h"
#include "dataplane/port/tunnel_prog.h"
#include "dataplane/port/types.h"
#include "dataplane/port/vnet.h"

enum {
	PACKET_SLOT = 68 * 1024, /* 64 KB and every header before it, in whole pages */
	PACKET_BLOCK = 1024 * 1024,
	PACKET_BLOCKS = 16,
	PACKET_BLOCKS_UPLINK = 64, /* what many senders at once have on the way */
	PACKET_SLOTS_BLOCK = PACKET_BLOCK / PACKET_SLOT,
	PACKET_SNDBUF = 4 * 1024 * 1024,
	PACKET_IOVS = BURST_SPANS + 2 * BURST_MAX, /* at least one frame's */
	PACKET_LINK_MS = 100,
};
static_assert((int)PACKET_IOVS >= (int)VNET_IOVS, "a frame fits one call: packet_send() gets on");

struct packet {
	/* worker: the slot to look at next, and the first that has not gone back */
	uint32_t head, taken;
	uint32_t split; /* payload bytes of the large datagram in slot `head` that were given already */
	uint8_t *ring;
	uint32_t blocks, slots;
	int fd;
	int large; /* the socket for large frames inside VXLAN (tunnel_prog.h); -1: they are cut */
	/* control counts, the worker takes: frames that found the ring full */
	_Atomic(uint32_t) lost;
	/* control */
	int index; /* of the device; 0: gone */
	struct tunnel_prog tunnel;
	void *timer;
};

static struct tpacket2_hdr *packet_slot(const struct packet *packet, uint32_t number)
{
	return (void *)(packet->ring + (size_t)number / PACKET_SLOTS_BLOCK * PACKET_BLOCK +
			(size_t)number % PACKET_SLOTS_BLOCK * PACKET_SLOT);
}

static uint32_t next_slot(const struct packet *packet, uint32_t number)
{
	return number + 1 < packet->slots ? number + 1 : 0;
}

static int set_option(int fd, int option, int value)
{
	return setsockopt(fd, SOL_PACKET, option, &value, sizeof(value));
}

/* A socket that only sends, by the device that the port is bound to. */
static int open_large(const struct packet *packet)
{
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = packet->index};
	int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), sndbuf = PACKET_SNDBUF;

	if (fd >= 0 && set_option(fd, PACKET_VNET_HDR, 1) == 0 &&
		setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf)) == 0 &&
		bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	if (fd >= 0)
		close(fd);
	return -1;
}

/* An uplink takes large TCP frames inside VXLAN where kernel and device do. That they do not is no error. A device that came
 * again has another number, and the program hangs on that. */
static void attach_large(struct port *port)
{
	struct packet *packet = port->priv;
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_ifindex = packet->index};

	if (!port->is_uplink)
		return;
	if (packet->large < 0)
		packet->large = open_large(packet);
	else if (bind(packet->large, (struct sockaddr *)&address, sizeof(address)) < 0)
		return;
	if (packet->large >= 0 && tunnel_prog_attach(&packet->tunnel, packet->large, packet->index) == 0)
		atomic_fetch_or_explicit(&port->offloads, PORT_TUNNEL, memory_order_release);
	else
		atomic_fetch_and_explicit(&port->offloads, ~(uint32_t)PORT_TUNNEL, memory_order_release);
}

/* Binds to the device that has the name now. */
static int packet_attach(struct port *port)
{
	struct packet *packet = port->priv;
	struct sockaddr_ll address = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
	struct packet_mreq promiscuous = {.mr_type = PACKET_MR_PROMISC};
	struct ifreq req = {0};

	if (strlen(port->spec.device) >= sizeof(req.ifr_name))
		return -ENODEV;
	memcpy(req.ifr_name, port->spec.device, strlen(port->spec.device));
	if (ioctl(packet->fd, SIOCGIFINDEX, &req) < 0)
		return -errno;
	address.sll_ifindex = req.ifr_ifindex;
	promiscuous.mr_ifindex = req.ifr_ifindex;
	if (bind(packet->fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
		setsockopt(packet->fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &promiscuous, sizeof(promiscuous)) <
			0)
		return -errno;
	packet->index = req.ifr_ifindex;
	attach_large(port);
	return 0;
}

/* IFF_RUNNING follows the carrier up to a second late, so the driver is asked where it can tell. */
static bool carrier(const struct packet *packet, struct ifreq *req)
{
	struct ethtool_value link = {.cmd = ETHTOOL_GLINK};
	bool running = req->ifr_flags & IFF_RUNNING;

	req->ifr_data = (void *)&link;
	return ioctl(packet->fd, SIOCETHTOOL, req) == 0 ? link.data : running;
}

/* Is the device up, with a carrier? Sets index to 0 when it has gone. */
static bool packet_running(struct packet *packet)
{
	struct ifreq req = {.ifr_ifindex = packet->index};

	if (!packet->index)
		return false;
	if (ioctl(packet->fd, SIOCGIFNAME, &req) < 0 || ioctl(packet->fd, SIOCGIFFLAGS, &req) < 0) {
		packet->index = 0;
		return false;
	}
	return (req.ifr_flags & IFF_UP) && carrier(packet, &req);
}

/* Control, on a timer: link state, and what the kernel could not put into the ring since. */
static void packet_watch(void *arg)
{
	struct port *port = arg;
	struct packet *packet = port->priv;
	struct tpacket_stats stats;
	socklen_t len = sizeof(stats);
	bool up = packet_running(packet);

	if (!packet->index && packet_attach(port) == 0)
		up = packet_running(packet);
	port_set_link(port, up);
	if (getsockopt(packet->fd, SOL_PACKET, PACKET_STATISTICS, &stats, &len) == 0 && stats.tp_drops)
		atomic_fetch_add_explicit(&packet->lost, stats.tp_drops, memory_order_relaxed);
}

static void packet_close(struct port *port)
{
	struct packet *packet = port->priv;
	const struct dp_loop *loop = &port->dp->config.loop;

	if (packet->timer)
		loop->timer_del(loop->ctx, packet->timer);
	if (packet->ring)
		munmap(packet->ring, (size_t)packet->blocks * PACKET_BLOCK);
	tunnel_prog_close(&packet->tunnel);
	if (packet->large >= 0)
		close(packet->large);
	if (packet->fd >= 0)
		close(packet->fd);
	free(packet);
}

/* The socket with its ring, bound to nothing yet. Returns what failed, NULL: nothing. */
static const char *packet_socket(struct packet *packet)
{
	struct tpacket_req ring = {.tp_block_size = PACKET_BLOCK,
		.tp_block_nr = packet->blocks,
		.tp_frame_size = PACKET_SLOT,
		.tp_frame_nr = packet->slots};
	int sndbuf = PACKET_SNDBUF;
	void *map;

	packet->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (packet->fd < 0)
		return "packet socket";
	if (set_option(packet->fd, PACKET_VERSION, TPACKET_V2) < 0 ||
		set_option(packet->fd, PACKET_VNET_HDR, 1) < 0 ||
		set_option(packet->fd, PACKET_IGNORE_OUTGOING, 1) < 0 ||
		setsockopt(packet->fd, SOL_SOCKET, SO_SNDBUFFORCE, &sndbuf, sizeof(sndbuf)) < 0)
		return "packet socket options";
	if (setsockopt(packet->fd, SOL_PACKET, PACKET_RX_RING, &ring, sizeof(ring)) < 0)
		return "packet ring";
	map = mmap(NULL, (size_t)packet->blocks * PACKET_BLOCK, PROT_READ | PROT_WRITE, MAP_SHARED,
		packet->fd, 0);
	if (map == MAP_FAILED)
		return "packet ring";
	packet->ring = map;
	return NULL;
}

static int packet_open(struct port *port, struct dp_err *err)
{
	const struct dp_loop *loop = &port->dp->config.loop;
	struct packet *packet = calloc(1, sizeof(*packet));
	const char *failed;
	int rc;

	if (!packet)
		return dp_fail(err, -ENOMEM, "out of memory");
	port->priv = packet;
	packet->large = -1;
	packet->tunnel = (struct tunnel_prog){-1, -1};
	atomic_store(&port->offloads, PORT_CSUM | PORT_TSO4 | PORT_TSO6 | PORT_USO | PORT_MERGE);
	packet->blocks = port->net == NET_NONE ? PACKET_BLOCKS_UPLINK : PACKET_BLOCKS;
	packet->slots = packet->blocks * PACKET_SLOTS_BLOCK;
	failed = packet_socket(packet);
	rc = -errno;
	if (!failed) {
		failed = port->spec.device;
		rc = packet_attach(port);
	}
	if (!rc) {
		packet->timer = loop->timer_add(loop->ctx, PACKET_LINK_MS, packet_watch, port);
		rc = packet->timer ? 0 : -ENOMEM;
	}
	if (rc) {
		packet_close(port);
		return dp_fail(err, rc, "device: %s: %s", failed, strerror(-rc));
	}
	port->nqueue = 1;
	packet_watch(port);
	return 0;
}

/* The addresses and, behind them, the tag that the kernel has taken out. */
static void put_tag(struct frame *f, const struct tpacket2_hdr *slot, const uint8_t *data)
{
	bool typed = slot->tp_status & TP_STATUS_VLAN_TPID_VALID;
	uint8_t *to = frame_data(f);

	memcpy(to, data, 12);
	store16(to + 12, typed ? slot->tp_vlan_tpid : ETHERTYPE_8021Q);
	store16(to + 14, slot->tp_vlan_tci);
}

/* What the kernel put into `slot`, as the next frame of `b`. False: it was counted and is not given. */
static bool packet_take(struct port *port, struct worker *w, struct burst *b, const struct tpacket2_hdr *slot)
{
	struct frame *f = burst_begin(b);
	const uint8_t *data = (const uint8_t *)slot + slot->tp_mac;
	uint16_t tag = slot->tp_status & TP_STATUS_VLAN_VALID ? VLAN_LEN : 0, copied = 0;
	struct virtio_net_hdr hdr;

	if (slot->tp_snaplen < FRAME_MIN) {
		port_rx_drop(w, port, DROP_MALFORMED);
		return false;
	}
	if (slot->tp_snaplen < slot->tp_len || slot->tp_len + tag > FRAME_MAX) { /* larger than 64 KB of IP */
		port_rx_drop(w, port, DROP_BAD_OFFLOAD);
		return false;
	}
	f->len = slot->tp_len + tag;
	f->hdr_len = f->len < port_hdr_copy(port) ? (uint16_t)f->len : port_hdr_copy(port);
	memcpy(&hdr, data - sizeof(hdr), sizeof(hdr));
	if (tag) {
		put_tag(f, slot, data);
		copied = 12;
		hdr.csum_start += tag;
	}
	memcpy(frame_data(f) + copied + tag, data + copied, f->hdr_len - copied - tag);
	if (frame_tail(f)) /* the first of the frame: there is room */
		burst_lend(b, f, data + f->hdr_len - tag, frame_tail(f));
	return vnet_keep(port, w, b, f, &hdr);
}

/* The request of the frame in `slot`, with the tag not counted that the kernel has taken out. */
static struct offload slot_request(const struct tpacket2_hdr *slot)
{
	struct offload off;

	memcpy(&off, (const uint8_t *)slot + slot->tp_mac - sizeof(off), sizeof(off));
	return off;
}

/* On an uplink a large UDP datagram is many tunnel packets (udp_gso.h). */
static bool is_udp_gso(const struct port *port, const struct tpacket2_hdr *slot)
{
	return port->is_uplink && slot->tp_snaplen == slot->tp_len &&
	       !(slot->tp_status & TP_STATUS_VLAN_VALID) &&
	       slot_request(slot).gso_type == VIRTIO_NET_HDR_GSO_UDP_L4;
}

/* The next packet of the large datagram in `slot`. Returns whether it was the last. */
static bool packet_split(
	struct port *port, struct worker *w, struct burst *b, const struct tpacket2_hdr *slot)
{
	struct packet *packet = port->priv;
	const uint8_t *data = (const uint8_t *)slot + slot->tp_mac;
	struct offload off = slot_request(slot);
	struct frame *f = burst_begin(b);
	struct span rest;

	if (!udp_gso_split(data, slot->tp_len, &off, &packet->split, f, &rest)) {
		port_rx_drop(w, port, DROP_BAD_OFFLOAD);
		return true;
	}
	if (rest.len) /* the first of the frame: there is room */
		burst_lend(b, f, rest.ptr, rest.len);
	burst_keep(b, f);
	return packet->split == udp_gso_payload(data, slot->tp_len, &off);
}

static uint32_t slot_status(const struct tpacket2_hdr *slot)
{
	return __atomic_load_n(&slot->tp_status, __ATOMIC_ACQUIRE);
}

static void packet_complete(struct port *port, struct worker *w, struct burst *b)
{
	struct packet *packet = port->priv;

	for (; packet->taken != packet->head; packet->taken = next_slot(packet, packet->taken))
		__atomic_store_n(
			&packet_slot(packet, packet->taken)->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
}

static uint16_t packet_rx(struct port *port, struct worker *w, struct burst *b)
{
	struct packet *packet = port->priv;

	if (__builtin_expect(atomic_load_explicit(&packet->lost, memory_order_relaxed), 0))
		port_rx_lost(w, port, DROP_RX_OVERRUN,
			atomic_exchange_explicit(&packet->lost, 0, memory_order_relaxed));
	for (unsigned n = 0; n < BURST_MAX && burst_has_room(b); n++) {
		const struct tpacket2_hdr *slot = packet_slot(packet, packet->head);

		if (!(slot_status(slot) & TP_STATUS_USER))
			break;
		if (__builtin_expect(!is_udp_gso(port, slot), 1))
			packet_take(port, w, b, slot);
		else if (!packet_split(port, w, b, slot))
			continue;
		packet->split = 0;
		packet->head = next_slot(packet, packet->head);
		__builtin_prefetch(packet_slot(packet, packet->head));
	}
	if (!b->count)
		packet_complete(port, w, b);
	return b->count;
}

/* Is it a large TCP frame inside VXLAN? */
static bool is_large_in_tunnel(const struct frame *f)
{
	uint8_t type = f->off.gso_type;

	return (type == VIRTIO_NET_HDR_GSO_TCPV4 || type == VIRTIO_NET_HDR_GSO_TCPV6) && f->verdict == V_VTEP;
}

/* One system call for as many frames as the vectors hold and one socket sends. Returns how many were sent, or -errno. */
static int packet_send(struct packet *packet, struct frame *const *frames, unsigned n)
{
	struct mmsghdr msg[BURST_MAX];
	struct virtio_net_hdr hdr[BURST_MAX];
	struct iovec iov[PACKET_IOVS];
	bool large = is_large_in_tunnel(frames[0]);
	unsigned used = 0, count;
	int sent;

	for (count = 0; count < n && used + 2 + frames[count]->nspan <= PACKET_IOVS &&
			is_large_in_tunnel(frames[count]) == large;
		count++) {
		unsigned pieces = vnet_vector(frames[count], &hdr[count], sizeof(hdr[0]), iov + used);

		msg[count].msg_hdr = (struct msghdr){.msg_iov = iov + used, .msg_iovlen = pieces};
		used += pieces;
	}
	sent = sendmmsg(large ? packet->large : packet->fd, msg, count, 0);
	return sent < 0 ? -errno : sent;
}

static uint16_t packet_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	struct packet *packet = port->priv;
	bool stale = true;
	uint16_t done = 0;

	while (done < n) {
		int sent = packet_send(packet, frames + done, n - done);

		if (sent >= 0) {
			done += (uint16_t)sent;
		} else if (sent == -ENETDOWN && stale) {
			stale = false; /* the socket still says that the device went down; it may be up again */
		} else if (vnet_refused(port, w, frames[done], -sent)) {
			done++;
		} else {
			break;
		}
	}
	return done;
}

/* An error that waits at the socket (the device went down) would end every sleep, so it is taken off. */
static bool packet_arm(struct port *port, uint16_t queue, bool on)
{
	struct packet *packet = port->priv;
	socklen_t len = sizeof(int);
	int error;

	if (!on)
		return false;
	getsockopt(packet->fd, SOL_SOCKET, SO_ERROR, &error, &len);
	return slot_status(packet_slot(packet, packet->head)) & TP_STATUS_USER;
}

static int packet_rx_fd(struct port *port, uint16_t queue)
{
	struct packet *packet = port->priv;

	return packet->fd;
}

const struct port_ops port_af_packet_ops = {
	.name = "af_packet",
	.kernel = true,
	.open = packet_open,
	.close = packet_close,
	.rx = packet_rx,
	.complete = packet_complete,
	.tx = packet_tx,
	.arm = packet_arm,
	.rx_fd = packet_rx_fd,
};

#include "tests/fuzz/path_world.h"

#include <linux/virtio_net.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/conn.h"
#include "dataplane/exchange.h"
#include "dataplane/fdb.h"
#include "dataplane/lb.h"
#include "dataplane/polling.h"
#include "dataplane/private.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"

struct path_world path;

static const mac_t uplink_mac = {2, 0, 0, 0, 0, 1}, hop_mac = {2, 0, 0, 0, 0, 2};
static uint8_t whole[FRAME_MAX + HDR_ROOM];

static void fail(const char *what)
{
	fprintf(stderr, "fuzz_path: %s\n", what);
	abort();
}

static int plain_open(struct port *port, struct dp_err *err)
{
	atomic_store(&port->up, true);
	return 0;
}

static void plain_close(struct port *port) {}

static uint16_t sink_rx(struct port *port, struct worker *w, struct burst *b)
{
	return 0; /* the target puts frames in itself */
}

/* What is delivered must be whole, of this network, and in a form that the port takes. */
static void sink_take(const struct port *port, const struct frame *f)
{
	uint32_t len = f->hdr_len;

	for (unsigned i = 0; i < f->nspan; i++)
		len += f->span[i].len;
	if (len != f->len || len > sizeof(whole))
		fail("a frame is not as long as it says");
	if (!port->is_uplink && f->net != port->net)
		fail("a frame of another network");
	if (f->off.gso_type && !(atomic_load(&port->offloads) & (PORT_TSO4 | PORT_TSO6 | PORT_USO)))
		fail("a large frame for a port that takes none");
	if ((f->off.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !(atomic_load(&port->offloads) & PORT_CSUM))
		fail("a partial checksum for a port that takes none");
	frame_copy(f, whole);
}

static uint16_t sink_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n && path.room; i++, path.room--)
		sink_take(port, frames[i]);
	return i;
}

static uint16_t stranger_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	fail("a frame came into a network of others");
	return n;
}

static const struct port_ops sink_ops = {
	.name = "sink", .open = plain_open, .close = plain_close, .rx = sink_rx, .tx = sink_tx};
static const struct port_ops stranger_ops = {
	.name = "stranger", .open = plain_open, .close = plain_close, .rx = sink_rx, .tx = stranger_tx};
static const struct port_ops guest_ops = {.name = "guest",
	.open = plain_open,
	.close = plain_close,
	.rx = vhost_rx,
	.complete = vhost_complete,
	.tx = vhost_tx};

static struct port *add_port(const struct dp_port *like, uint16_t net, const struct port_ops *ops)
{
	struct dp_port spec = *like;
	struct dp_err err;
	uint16_t id;

	spec.net = net;
	spec.mtu = 1500;
	if (port_add(path.dp, &spec, ops, &id, &err))
		fail(err.text);
	return dp_get_port(path.dp, id);
}

/* Frames to this MAC go there whatever is learned. */
static void add_static(const uint8_t mac[6], uint16_t port, uint16_t vtep)
{
	struct dp_fdb_entry entry = {.net = path.net, .port = port, .vtep = vtep};

	memcpy(entry.mac, mac, 6);
	if (dp_fdb_add(path.dp, &entry))
		fail("no room in the fdb");
}

static void add_guest(unsigned i)
{
	struct path_guest *g = &path.guest[i];
	struct dp_port spec = {
		.mac = {2, 0, 0, 0, 0, (uint8_t)(10 + i)}, .ips = {htobe32(0x0a00000a + i)}, .nips = 1};
	static const uint32_t size[] = {PATH_REGION0, PATH_REGION1};
	uint64_t gpa = PATH_GPA;

	g->dev = aligned_alloc(64, (sizeof(*g->dev) + 63) / 64 * 64);
	memset(g->dev, 0, sizeof(*g->dev));
	for (unsigned r = 0; r < PATH_REGIONS; r++) {
		/* pages that fault lie before and behind */
		uint8_t *map = mmap(NULL, size[r] + 8192, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		g->mem[r] = map + 4096;
		mprotect(g->mem[r], size[r], PROT_READ | PROT_WRITE);
		g->dev->mem.region[r] = (struct vhost_region){.gpa = gpa, .size = size[r], .host = g->mem[r]};
		gpa += size[r];
	}
	g->dev->mem.count = PATH_REGIONS;
	for (unsigned r = 0; r < 2; r++) {
		g->ring[r] = aligned_alloc(64, sizeof(struct vhost_ring));
		memset(g->ring[r], 0, sizeof(struct vhost_ring));
		if (i % 2)
			g->ring[r]->given = malloc(BURST_MAX * sizeof(*g->ring[r]->given));
	}
	atomic_store(&g->dev->queue[0].rx, g->ring[0]);
	atomic_store(&g->dev->queue[0].tx, g->ring[1]);
	g->dev->active = 1;
	g->port = add_port(&spec, path.net, &guest_ops);
	g->port->priv = g->dev;
	add_static(spec.mac, g->port->id, OUT_NONE);
}

static void add_sinks(void)
{
	for (unsigned i = 0; i < PATH_SINKS; i++) {
		struct dp_port spec = {.mac = {2, 0, 0, 0, 1, (uint8_t)i}, .gateway = i == PATH_SINKS - 1};

		path.sink[i] = add_port(&spec, path.net, &sink_ops);
		add_static(spec.mac, path.sink[i]->id, OUT_NONE);
	}
}

/* An uplink, and behind it a host that has answered. */
static void add_underlay(void)
{
	static const mac_t far = {2, 0, 0, 0, 2, 0};
	struct dp_port up = {.address = ip4("192.0.2.1"), .prefix = 24, .vxlan_port = 4789};
	struct test_port via = {0};
	uint8_t buf[64];
	uint16_t vtep;

	memcpy(up.mac, uplink_mac, 6);
	path.uplink = add_port(&up, DP_NET_NONE, &sink_ops);
	if (dp_vtep_add(path.dp, path.net, ip4("192.0.2.2"), &vtep, NULL))
		fail("no vtep");
	via.port = path.uplink;
	harness_send(path.dp, &via, buf,
		packet_arp(buf, uplink_mac, hop_mac, 2, ip4("192.0.2.2"), ip4("192.0.2.1")),
		(struct offload){0}, 0);
	harness_tick(path.dp);
	add_static(far, OUT_NONE, vtep);
}

static void add_service(uint16_t port, enum dp_protocol protocol, uint16_t to)
{
	const struct dp_backend backends[] = {
		{htobe32(0x0a00000b), to, 1, false}, {htobe32(0x0a00000c), to, 1, false}};
	const struct dp_service spec = {path.net, htobe32(0x0a000064), port, protocol, backends, 2};
	uint32_t id = DP_SERVICE_NONE;
	struct dp_err err;

	if (dp_service_put(path.dp, &spec, &id, &err))
		fail(err.text);
}

static void close_all(void)
{
	harness_close(path.dp);
	for (unsigned i = 0; i < PATH_GUESTS; i++) {
		for (unsigned r = 0; r < 2; r++) {
			free(path.guest[i].ring[r]->given);
			free(path.guest[i].ring[r]);
		}
		free(path.guest[i].dev);
	}
}

void path_open(void)
{
	struct dp_network spec = {.mode = DP_OVERLAY,
		.vni = PATH_VNI,
		.mtu = 1500,
		.age_s = 300,
		.subnet = htobe32(0x0a000000),
		.prefix = 16,
		.gateway = htobe32(0x0a000001)};
	struct dp_port nobody = {.type = DP_NULL};

	path.dp = harness_open();
	path.w = path.dp->worker[0];
	path.room = UINT32_MAX;
	path.net = harness_network(path.dp, &spec);
	add_port(&nobody, harness_network(path.dp, NULL), &stranger_ops);
	for (unsigned i = 0; i < PATH_GUESTS; i++)
		add_guest(i);
	add_sinks();
	add_underlay();
	add_service(80, DP_TCP, 8080);
	add_service(53, DP_UDP, 5353);
	atexit(close_all); /* what is left then was lost */
}

static void ring_reset(struct path_guest *g, unsigned i, bool packed, bool bare)
{
	struct vhost_ring *r = g->ring[i];
	uint8_t *at = g->mem[0] + i * PATH_RING_BYTES;
	struct vhost_given *given = r->given;

	memset(r, 0, sizeof(*r));
	r->given = given;
	r->packed = packed;
	if (packed) {
		r->slot = (struct vring_packed_desc *)at;
		r->guest_wish = (struct vring_packed_desc_event *)(at + 4096);
		r->wish = (struct vring_packed_desc_event *)(at + 4100);
	} else {
		r->desc = (struct vring_desc *)at;
		r->avail = (struct vring_avail *)(at + 2048);
		r->used = (struct vring_used *)(at + 4096);
	}
	r->avail_wrap = r->used_wrap = true;
	g->next[i] = (struct vhost_place){0, true};
	r->mem = &g->dev->mem;
	r->mask = PATH_RING - 1;
	r->hdr_len = bare ? VHOST_HDR_LEGACY : VHOST_HDR;
	r->indirect = r->mergeable = !bare;
	r->rx_flags = bare ? 0 : VIRTIO_NET_HDR_F_NEEDS_CSUM;
	r->tx_flags = bare ? 0 : VIRTIO_NET_HDR_F_NEEDS_CSUM | VIRTIO_NET_HDR_F_DATA_VALID;
	r->gso_types = bare ? 1 << VIRTIO_NET_HDR_GSO_NONE
			    : 1 << VIRTIO_NET_HDR_GSO_NONE | 1 << VIRTIO_NET_HDR_GSO_TCPV4 |
				       1 << VIRTIO_NET_HDR_GSO_TCPV6;
	r->kick = -1;
	r->call = (struct vhost_call){-1, VHOST_CALL_NONE};
}

static void port_reset(struct port *port, uint32_t offloads)
{
	port->mtu = 1500;
	port->unfinished = false;
	atomic_store(&port->offloads, offloads);
	atomic_store(&port->up, true);
	atomic_store(&port->answers_full, 0);
}

static bool is_dynamic(void *arg, uint64_t key, uint64_t value)
{
	return !(fdb_flags(value) & FDB_STATIC);
}

static bool everybody(void *arg, uint16_t owner)
{
	return true;
}

void path_reset(void)
{
	for (unsigned i = 0; i < PATH_GUESTS; i++) {
		struct path_guest *g = &path.guest[i];

		if (g->touched) {
			memset(g->mem[0], 0, PATH_REGION0);
			memset(g->mem[1], 0, PATH_REGION1);
			g->touched = false;
		}
		ring_reset(g, 0, i % 2, i == 2);
		ring_reset(g, 1, i % 2, i == 2);
		atomic_store(&g->dev->queue[0].rarp, 0);
		port_reset(g->port, i == 2 ? 0 : PORT_CSUM | PORT_TSO4 | PORT_TSO6);
	}
	for (unsigned i = 0; i < PATH_SINKS; i++)
		port_reset(path.sink[i], 0);
	port_reset(path.uplink, PORT_CSUM | PORT_TSO4 | PORT_TSO6 | PORT_USO);
	path.room = UINT32_MAX;
	sweep_all(path.dp, is_dynamic, NULL);
	conn_expire(path.dp->lb->conns, path.w->now_s, UINT32_MAX, everybody, NULL);
	while (exchange_peek(path.w->punt))
		exchange_pop(path.w->punt);
}

void path_check(void)
{
	if (harness_balance(path.dp, path.net))
		fail("the books do not balance");
	for (unsigned i = 0; i < PATH_GUESTS; i++) {
		const struct vhost_ring *r = path.guest[i].ring[0];

		if (r->taken || r->next_used != r->next_avail)
			if (r->packed ||
				r->taken) /* a split ring skips what an index that jumped leaves out */
				fail("chains were not given back");
	}
}

void path_write(struct path_guest *g, uint32_t at, const void *data, uint32_t len)
{
	const uint8_t *from = data;

	g->touched = true;
	for (uint32_t n; len && at < PATH_MEMORY; at += n, from += n, len -= n) {
		bool second = at >= PATH_REGION0;
		uint32_t left = second ? PATH_MEMORY - at : PATH_REGION0 - at;

		n = len < left ? len : left;
		memcpy(second ? g->mem[1] + at - PATH_REGION0 : g->mem[0] + at, from, n);
	}
}

void path_serve(struct path_guest *g)
{
	path.w->turn++; /* the budgets of floods are full again */
	worker_serve(path.w, g->port, 0);
}

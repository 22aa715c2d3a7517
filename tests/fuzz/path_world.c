#include "tests/fuzz/path_world.h"

#include <linux/virtio_net.h>
#include <sanitizer/asan_interface.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dataplane/core/exchange.h"
#include "dataplane/core/private.h"
#include "dataplane/egress/inside.h"
#include "dataplane/engine/loop.h"
#include "dataplane/engine/pipeline.h"
#include "dataplane/engine/polling.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/fdb_sweep.h"
#include "dataplane/lb/conn_table.h"
#include "dataplane/lb/hold.h"
#include "dataplane/lb/lb.h"
#include "dataplane/lb/service.h"
#include "dataplane/ports.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"

struct path_world path;

static const mac_t uplink_mac = {2, 0, 0, 0, 0, 1}, hop_mac = {2, 0, 0, 0, 0, 2};

/* Long frames are not copied by who only looks whether they are all there. */
enum { COPIED = 2048, PAGE = 4096 };
static uint8_t whole[COPIED];

/* How many inputs lie between two whole checks, of what each input's own does not look at. */
enum { WHOLE_CHECK = 64 };
static unsigned resets;

/* What is done for every input alike is nothing that one input has over another. */
#define ALIKE __attribute__((no_sanitize("coverage")))

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

/* Every byte may be read: none is one that ASan knows to be nobody's, no page is missing. */
static ALIKE void touch(const uint8_t *ptr, uint32_t len)
{
	if (__asan_region_is_poisoned((void *)ptr, len))
		fail("a frame is in memory that is nobody's");
	for (uint32_t at = 0; at < len; at += PAGE)
		vhost_read8(ptr + at);
	if (len)
		vhost_read8(ptr + len - 1);
}

/* What is delivered must be whole, of this network, and in a form that the port takes. */
static void sink_take(const struct port *port, const struct frame *f)
{
	uint32_t len = f->hdr_len;

	for (unsigned i = 0; i < f->nspan; i++)
		len += f->span[i].len;
	if (len != f->len || len > FRAME_MAX + HDR_ROOM)
		fail("a frame is not as long as it says");
	if (!port->is_uplink && f->net != port->net)
		fail("a frame of another network");
	if (f->off.gso_type && !(atomic_load(&port->offloads) & (PORT_TSO4 | PORT_TSO6 | PORT_USO)))
		fail("a large frame for a port that takes none");
	if ((f->off.flags & VIRTIO_NET_HDR_F_NEEDS_CSUM) && !(atomic_load(&port->offloads) & PORT_CSUM))
		fail("a partial checksum for a port that takes none");
	if (len <= COPIED)
		frame_copy(f, whole);
	for (unsigned i = 0; len > COPIED && i < f->nspan; i++)
		touch(f->span[i].ptr, f->span[i].len);
}

/* What left under the uplink's address, in no tunnel: somebody may answer. */
static void remember(struct frame *f)
{
	path.left_len = f->hdr_len < sizeof(path.left) ? f->hdr_len : sizeof(path.left);
	memcpy(path.left, frame_data(f), path.left_len);
	path.left_frame = f->len;
}

static uint16_t sink_tx(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	uint16_t i;

	for (i = 0; i < n && path.room; i++, path.room--) {
		sink_take(port, frames[i]);
		if (port->is_uplink && frames[i]->routed)
			remember(frames[i]);
	}
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
	struct dp_port spec = {.mac = {2, 0, 0, 0, 0, (uint8_t)(10 + i)},
		.ips = {ip_from4(htobe32(0x0a00000a + i)), PATH_IP6(10 + i)},
		.nips = 2};
	static const uint32_t size[] = {PATH_REGION0, PATH_REGION1};
	uint64_t gpa = PATH_GPA;

	spec.security = i == 3 ? DP_SECURITY_FULL : DP_SECURITY_OFF;
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
	struct dp_port up = {.address = {ip_from4(ip4("192.0.2.1")), IP_PREFIX4 + 24},
		.next_hop = ip_from4(ip4("192.0.2.2")),
		.vxlan_port = 4789};
	struct test_port via = {0};
	uint8_t buf[64];
	uint16_t vtep;

	memcpy(up.mac, uplink_mac, 6);
	path.uplink = add_port(&up, DP_NET_NONE, &sink_ops);
	if (dp_vtep_add(path.dp, path.net, ip_from4(ip4("192.0.2.2")), &vtep, NULL))
		fail("no vtep");
	via.port = path.uplink;
	harness_send(path.dp, &via, buf,
		packet_arp(buf, uplink_mac, hop_mac, 2, ip4("192.0.2.2"), ip4("192.0.2.1")),
		(struct offload){0}, 0);
	harness_tick(path.dp);
	add_static(far, OUT_NONE, vtep);
}

/* Over both families. `more`: ports that follow. */
static void add_service(uint16_t port, uint16_t more, enum dp_protocol protocol, uint16_t to, bool least)
{
	for (unsigned six = 0; six < 2; six++) {
		const struct dp_backend backends[] = {
			{six ? PATH_IP6(0x0b) : ip_from4(htobe32(0x0a00000b)), to, 1, false},
			{six ? PATH_IP6(0x0c) : ip_from4(htobe32(0x0a00000c)), to, 1, false}};
		const struct dp_service spec = {.net = path.net,
			.vip = six ? PATH_IP6(PATH_VIP6) : ip_from4(htobe32(0x0a000064)),
			.port = port,
			.more_ports = more,
			.protocol = protocol,
			.backends = backends,
			.nbackends = 2,
			.least = least,
			.rejects = true};
		uint32_t id = DP_SERVICE_NONE;
		struct dp_err err;

		if (dp_service_put(path.dp, &spec, &id, &err))
			fail(err.text);
	}
}

/* Ports of the uplink's address lead to a guest and to a vip. */
static void publish(void)
{
	struct dp_published list[] = {
		{.protocol = DP_TCP, .port = 8000, .to = ip_from4(htobe32(0x0a00000a)), .to_port = 80},
		{.protocol = DP_UDP, .port = 8000, .to = ip_from4(htobe32(0x0a00000a)), .to_port = 80},
		{.protocol = DP_TCP,
			.port = 8001,
			.to = ip_from4(htobe32(0x0a000064)),
			.to_port = 80,
			.vip = true},
	};

	for (unsigned i = 0; i < 3; i++)
		list[i].net = path.net;
	if (dp_publish(path.dp, list, 3, NULL))
		fail("nothing can be published");
	memset(path.dp->egress->secret, 1, sizeof(path.dp->egress->secret)); /* the same ports each time */
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
		.gateway = htobe32(0x0a000001),
		.subnet6 = {{.b = {0xfd}}, 64},
		.gateway6 = PATH_IP6(PATH_GATEWAY6),
		.egress = DP_EGRESS_OUT | DP_EGRESS_IN};
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
	add_service(80, 0, DP_TCP, 8080, false);
	add_service(53, 0, DP_UDP, 5353, true);
	add_service(1000, 1, DP_TCP, 8080, true);
	publish();
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
	g->next[i] = (struct vhost_position){0, true};
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

static bool everybody(void *arg, uint32_t owner)
{
	return true;
}

/* Whatever an input had a guest's memory hold. */
static ALIKE void memory_reset(struct path_guest *g)
{
	for (unsigned i = 0; i < PATH_BLOCKS; i++) {
		uint32_t at = i * PATH_BLOCK;

		if (!g->written[i])
			continue;
		memset(at < PATH_REGION0 ? g->mem[0] + at : g->mem[1] + at - PATH_REGION0, 0, PATH_BLOCK);
		g->written[i] = false;
	}
}

static ALIKE bool is_zero(const uint8_t *p, size_t n)
{
	return !*p && !memcmp(p, p + 1, n - 1);
}

/* Frames, learned addresses and connections of the input before are gone; the tables count what they hold. */
static ALIKE void tables_reset(void)
{
	struct conn_table *conns[] = {path.dp->lb->conns, path.dp->lb->inbound, path.dp->egress->flows};

	if (share_used(path.dp->fdb->share, path.net))
		sweep_all(path.dp, is_dynamic, NULL);
	if (share_used(path.dp->fdb->share, path.net))
		fail("the fdb keeps what was taken out of it");
	for (unsigned i = 0; i < 3; i++) {
		if (share_used(conns[i]->share, path.net))
			conn_expire(conns[i], path.w->now_s, UINT32_MAX, everybody, NULL);
		if (share_used(conns[i]->share, path.net))
			fail("a table of connections keeps what was taken out of it");
	}
	path.left_len = 0;
	while (exchange_peek(path.w->punt))
		exchange_pop(path.w->punt);
}

ALIKE void path_reset(void)
{
	for (unsigned i = 0; i < PATH_GUESTS; i++) {
		struct path_guest *g = &path.guest[i];

		memory_reset(g);
		ring_reset(g, 0, i % 2, i == 2);
		ring_reset(g, 1, i % 2, i == 2);
		atomic_store(&g->dev->queue[0].rarp, 0);
		port_reset(g->port, i == 2 ? 0 : PORT_CSUM | PORT_TSO4 | PORT_TSO6);
	}
	for (unsigned i = 0; i < PATH_SINKS; i++)
		port_reset(path.sink[i], 0);
	port_reset(path.uplink, PORT_CSUM | PORT_TSO4 | PORT_TSO6 | PORT_USO);
	path.room = UINT32_MAX;
	tables_reset();
	if (resets++ % WHOLE_CHECK)
		return;
	for (unsigned i = 0; i < PATH_GUESTS; i++)
		if (!is_zero(path.guest[i].mem[0], PATH_REGION0) ||
			!is_zero(path.guest[i].mem[1], PATH_REGION1))
			fail("a guest's memory was written to where nothing was offered");
	if (harness_balance(path.dp, path.net))
		fail("the books as control reads them do not balance");
}

static ALIKE uint64_t drops(const uint64_t *drop)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < DROP_COUNT; i++)
		sum += drop[i];
	return sum;
}

/* As harness_balance(), which looks at all ports that there could be. */
static ALIKE uint64_t balance(void)
{
	const struct net_stats *s = &path.w->net_stats[path.net];
	uint64_t sum = s->rx + s->generated + s->copies - s->tx - s->consumed - drops(s->uplink_drop);

	for (unsigned i = 0; i < PATH_GUESTS; i++)
		sum -= drops(path.w->port_stats[path.guest[i].port->id].drop);
	for (unsigned i = 0; i < PATH_SINKS; i++)
		sum -= drops(path.w->port_stats[path.sink[i]->id].drop);
	return sum;
}

ALIKE void path_check(void)
{
	if (balance())
		fail("the books do not balance");
	for (unsigned i = 0; i < PATH_GUESTS; i++) {
		const struct vhost_ring *r = path.guest[i].ring[0];

		if (r->taken || r->next_used != r->next_avail)
			if (r->packed ||
				r->taken) /* a split ring skips what an index that jumped leaves out */
				fail("chains were not given back");
	}
}

ALIKE void path_writable(struct path_guest *g, uint32_t at, uint32_t len)
{
	uint32_t end = at < PATH_MEMORY && len < PATH_MEMORY - at ? at + len : PATH_MEMORY;

	for (uint32_t block = at / PATH_BLOCK; block * PATH_BLOCK < end; block++)
		g->written[block] = true;
}

void path_write(struct path_guest *g, uint32_t at, const void *data, uint32_t len)
{
	const uint8_t *from = data;

	path_writable(g, at, len);
	for (uint32_t n; len && at < PATH_MEMORY; at += n, from += n, len -= n) {
		bool second = at >= PATH_REGION0;
		uint32_t left = second ? PATH_MEMORY - at : PATH_REGION0 - at;

		n = len < left ? len : left;
		memcpy(second ? g->mem[1] + at - PATH_REGION0 : g->mem[0] + at, from, n);
	}
}

void path_send_late(void)
{
	if (path.w->late)
		service_send_late(path.w, pipeline_resume);
}

void path_serve(struct path_guest *g)
{
	path.w->turn++; /* the budgets of floods are full again */
	worker_serve(path.w, g->port, 0);
	path_send_late();
}

#include "bench/lines/world.h"

#include <arpa/inet.h>
#include <err.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "bench/lines/send.h"
#include "bench/tables/nothing.h"
#include "dataplane/core/dp.h"
#include "dataplane/engine/balance.h"
#include "dataplane/engine/loop.h"
#include "dataplane/frame/reply.h"
#include "dataplane/l2/neigh.h"
#include "dataplane/ports.h"
#include "dataplane/start.h"
#include "dataplane/vhost/resume.h"

enum { BUFFER = 1728, GPA = 0x40000000 };

static uint16_t ring_size(const struct lines_config *c)
{
	unsigned size = 2 * c->burst;

	while (c->way == LINES_MANY && size < c->burst * c->workers)
		size *= 2;
	return (uint16_t)size;
}

static int guest_open(struct port *port, struct dp_err *err)
{
	port->nqueue = port->spec.queues ? port->spec.queues : 1;
	atomic_store(&port->up, true);
	return 0;
}

/* The device's side of a ring of the front's, as dev.c publishes it. */
static struct vhost_ring *ring_new(const struct world_guest *g, const struct front_ring *f)
{
	struct vhost_ring *r = aligned_alloc(64, sizeof(*r));

	if (!r)
		errx(1, "no memory");
	*r = (struct vhost_ring){.mem = &g->dev->mem,
		.mask = f->mask,
		.hdr_len = VHOST_HDR,
		.packed = f->packed,
		.indirect = true,
		.mergeable = true,
		.gso_types = 1 << VIRTIO_NET_HDR_GSO_NONE,
		.kick = -1,
		.call = {.fd = -1}};
	if (f->packed) {
		r->slot = f->slot;
		r->guest_wish = f->event;
		r->wish = f->backend_event;
		r->given = aligned_alloc(64, BURST_MAX * sizeof(*r->given));
		vhost_resume_packed(r, (struct vhost_position){0, true});
		vhost_packed_want_kick(r, false);
	} else {
		r->desc = f->desc;
		r->avail = f->avail;
		r->used = f->used;
		vhost_resume_split(r);
		vhost_ring_want_kick(r, false);
	}
	return r;
}

static void lay_out(struct world_guest *g, const struct lines_config *c)
{
	size_t one = front_ring_bytes(ring_size(c), BUFFER), all = (2 * one * g->npair + 4095) / 4096 * 4096;

	g->base = mmap(NULL, all, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	g->dev = aligned_alloc(64, (sizeof(*g->dev) + 63) / 64 * 64);
	g->rx = aligned_alloc(64, 64 * sizeof(*g->rx));
	g->tx = aligned_alloc(64, 64 * sizeof(*g->tx));
	if (g->base == MAP_FAILED || !g->dev || !g->rx || !g->tx)
		errx(1, "no memory");
	memset(g->dev, 0, sizeof(*g->dev));
	g->dev->mem.region[0] = (struct vhost_region){.gpa = GPA, .size = all, .host = g->base};
	g->dev->mem.count = 1;
	for (unsigned i = 0; i < g->npair; i++) {
		front_ring_layout(&g->rx[i], g->base + 2 * i * one, ring_size(c), BUFFER);
		front_ring_layout(&g->tx[i], g->base + (2 * i + 1) * one, ring_size(c), BUFFER);
		front_ring_reset(&g->rx[i], g->base, GPA, true, false, c->packed);
		front_ring_reset(&g->tx[i], g->base, GPA, false, false, c->packed);
		g->rx[i].mergeable = true;
		atomic_store(&g->dev->queue[i].rx, ring_new(g, &g->tx[i]));
		atomic_store(&g->dev->queue[i].tx, ring_new(g, &g->rx[i]));
	}
	g->dev->active = (uint16_t)g->npair;
}

static void add_port(struct world *world, struct world_guest *g, struct dp_port *spec)
{
	static struct port_ops ops = {.name = "guest",
		.guest_memory = true,
		.open = guest_open,
		.close = nothing_close,
		.rx = vhost_rx,
		.complete = vhost_complete};
	struct dp_err why;
	uint16_t id;

	ops.tx = world->config->tx ? world->config->tx : vhost_tx;
	memcpy(spec->mac, g->mac, sizeof(g->mac));
	spec->queues = (uint16_t)g->npair;
	lay_out(g, world->config);
	if (port_add(world->dp, spec, &ops, &id, &why))
		errx(1, "%s", why.text);
	g->port = dp_get_port(world->dp, id);
	g->port->priv = g->dev;
}

static void move(struct world *world, const struct world_guest *g, unsigned queue, unsigned worker)
{
	if (balance_worker(world->dp, g->port->id, (uint16_t)queue) != worker &&
		balance_move(world->dp, g->port, (uint16_t)queue, worker))
		errx(1, "a queue cannot be moved");
}

static void add_guests(struct world *world)
{
	unsigned workers = world->config->workers;

	world->nguest = 2 * workers;
	for (unsigned i = 0; i < world->nguest; i++) {
		struct world_guest *g = &world->guest[i];
		struct dp_port spec = {.net = world->net, .mtu = 1500, .nips = 1};

		memcpy(g->mac, (uint8_t[]){2, 1, 0, 0, 0, (uint8_t)i}, 6);
		g->ip = htonl(0x0a000002 + i);
		g->npair = 1;
		spec.ips[0] = ip_from4(g->ip);
		add_port(world, g, &spec);
	}
	for (unsigned i = 0; i < world->nguest; i++)
		move(world, &world->guest[i], 0,
			(i / 2 + (i % 2 && world_is_both(world->config->way))) % workers);
}

static void add_uplink(struct world *world)
{
	struct world_guest *g = &world->uplink;
	struct dp_port spec = {.net = DP_NET_NONE,
		.mtu = 9000,
		.address = {ip_from4(htonl(SEND_OWN)), IP_PREFIX4 + 24},
		.vxlan_port = SEND_VXLAN};
	uint8_t answer[ARP_FRAME_LEN];
	struct dp_err why;
	uint16_t id;

	memcpy(g->mac, (uint8_t[]){2, 9, 0, 0, 0, 1}, 6);
	g->npair = world->config->workers;
	add_port(world, g, &spec);
	for (unsigned i = 0; i < g->npair; i++)
		move(world, g, i, i);
	if (dp_vtep_add(world->dp, world->net, ip_from4(htonl(SEND_OTHER)), &id, &why))
		errx(1, "%s", why.text);
	reply_write_arp_request(answer, send_other_mac, htonl(SEND_OTHER), htonl(SEND_OWN));
	neigh_input(world->dp, NET_NONE, g->port->id, answer, sizeof(answer));
}

/* A service of its own for each pair, so that a client's backend is its neighbour. */
static void add_services(struct world *world)
{
	for (unsigned i = 0; i < world->config->workers; i++) {
		const struct dp_backend backend = {
			ip_from4(world->guest[2 * i + 1].ip), SEND_BACKEND, 1, false};
		const struct dp_service spec = {.net = world->net,
			.vip = ip_from4(htonl(SEND_VIP)),
			.port = (uint16_t)(SEND_SERVICE + i),
			.protocol = DP_UDP,
			.backends = &backend,
			.nbackends = 1};
		uint32_t id = DP_SERVICE_NONE;
		struct dp_err why;

		if (dp_service_put(world->dp, &spec, &id, &why))
			errx(1, "%s", why.text);
	}
}

void world_turn(struct world *world, unsigned worker)
{
	worker_turn(world->dp->worker[worker]);
}

static void all_turn(struct world *world)
{
	for (unsigned i = 0; i < world->config->workers; i++)
		world_turn(world, i);
	for (unsigned i = 0; i < world->nguest; i++)
		world_take(&world->guest[i], 0);
	for (unsigned i = 0; i < world->uplink.npair; i++)
		world_take(&world->uplink, i);
}

/* Everybody is heard once; connections are opened by what the clients ask. */
static void introduce(struct world *world)
{
	for (unsigned i = 0; i < world->nguest; i++) {
		send_hello(world, &world->guest[i]);
		all_turn(world);
	}
	for (unsigned i = 0; i < world->uplink.npair; i++) {
		send_kind(world, &world->uplink, world->nguest, i, LINES_DECAP);
		all_turn(world);
	}
	for (unsigned i = 0; i < world->nguest && send_is_vip(world->config->way); i += 2) {
		send_kind(world, &world->guest[i], i, 0, LINES_REQUEST);
		all_turn(world);
	}
}

void world_open(struct world *world, const struct lines_config *config)
{
	static const int cores[64];
	struct dp_config dp = nothing_config(1 << 17, 1 << 17);
	struct dp_network net = {.mode = world_is_overlay(config->way) ? DP_OVERLAY : DP_BRIDGE,
		.vni = SEND_VNI,
		.mtu = 1500,
		.age_s = 300,
		.subnet = htonl(0x0a000000),
		.prefix = 16};
	struct dp_err why;

	world->config = config;
	dp.cores = cores;
	dp.ncores = config->workers;
	dp.idle = DP_IDLE_POLL;
	dp.memory_mb = 128;
	if (net.mode != DP_OVERLAY)
		net.vni = 0;
	if (dp_prepare(&dp, &world->dp, &why) || dp_network_add(world->dp, &net, &world->net, &why))
		errx(1, "%s", why.text);
	/* time stands still: what happens once a second is in no frame's account */
	for (unsigned i = 0; i < config->workers; i++) {
		world->dp->worker[i]->now_s = 1;
		world->dp->worker[i]->next_second = UINT64_MAX;
		world->dp->worker[i]->long_turn = UINT64_MAX;
	}
	add_guests(world);
	if (world_is_overlay(config->way))
		add_uplink(world);
	if (send_is_vip(config->way))
		add_services(world);
	introduce(world);
}

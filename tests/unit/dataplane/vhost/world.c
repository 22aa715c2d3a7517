#include "tests/unit/dataplane/vhost/world.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "dataplane/vhost/port.h"
#include "tests/unit/unit.h"

#define DIR_TEMPLATE "/tmp/sluice-vhost-XXXXXX"

struct world *world;
char world_dir[] = DIR_TEMPLATE;

int world_make_dir(void **state)
{
	strcpy(world_dir, DIR_TEMPLATE);
	return mkdtemp(world_dir) ? 0 : -1;
}

int world_remove_dir(void **state)
{
	return rmdir(world_dir);
}

int world_open(unsigned i, bool client, unsigned queues, struct dp_err *err)
{
	struct port *port = &world->port[i];

	*port = (struct port){
		.dp = &world->dp, .id = (uint16_t)i, .net = 1, .mtu = 1500, .ops = &port_vhost_ops};
	port->spec = (struct dp_port){.type = DP_VHOST_USER,
		.queues = (uint16_t)queues,
		.mtu = 1500,
		.socket = world->path[i],
		.client = client,
		.socket_mode = 0660};
	return port->ops->open(port, err);
}

int world_setup(void **state)
{
	world = aligned_alloc(64, (sizeof(*world) + 63) / 64 * 64);
	memset(world, 0, sizeof(*world));
	world->dp.config.loop = loop_ops(&world->loop);
	world->w.dp = &world->dp;
	world->w.port_stats = calloc(MAX_PORTS, sizeof(*world->w.port_stats));
	assert_int_equal(notifier_new(&world->w.notifier), 0);
	world->dp.notifier = world->w.notifier; /* one thread is both here */
	world->w.net_stats = calloc(MAX_NETS, sizeof(*world->w.net_stats));
	for (unsigned i = 0; i < WORLD_PORTS; i++) {
		snprintf(world->path[i], sizeof(world->path[i]), "%s/%u.sock", world_dir, i);
		assert_int_equal(world_open(i, false, 2, NULL), 0);
	}
	return 0;
}

int world_teardown(void **state)
{
	for (unsigned i = 0; i < WORLD_PORTS; i++)
		if (world->port[i].priv)
			port_vhost_ops.close(&world->port[i]);
	assert_int_equal(loop_count(&world->loop), 0);
	for (unsigned i = 0; i < WORLD_PORTS; i++)
		assert_int_equal(access(world->path[i], F_OK), -1);
	notifier_free(world->w.notifier);
	free(world->w.port_stats);
	free(world->w.net_stats);
	free(world);
	return 0;
}

struct vhost_dev *world_dev(unsigned i)
{
	return world->port[i].priv;
}

bool world_up(unsigned i)
{
	return atomic_load(&world->port[i].up);
}

void world_turns(unsigned n)
{
	while (n--)
		loop_turn(&world->loop, 0);
}

uint16_t world_poll(unsigned i, uint16_t queue)
{
	struct burst *b = &world->w.burst;

	b->in = &world->port[i];
	b->queue = queue;
	b->count = 0;
	b->nspan = 0;
	b->bytes = 0;
	vhost_rx(b->in, &world->w, b);
	if (b->count)
		vhost_complete(b->in, &world->w, b);
	return b->count;
}

/* Rings that begin, stop, go on where they were, and are set anew while they run. */
#include <unistd.h>

#include "dataplane/vhost/port.h"
#include "tests/unit/dataplane/vhost/guest.h"
#include "tests/unit/unit.h"

static void link_follows_the_rings(void **state)
{
	struct guest g;

	guest_boot(&g, 0);
	guest_expect_alive(&g, 0);
	say_state(g.fd, VHOST_SET_VRING_ENABLE, 1, 0);
	assert_false(world_up(0));
	say_state(g.fd, VHOST_SET_VRING_ENABLE, 1, 1);
	guest_expect_alive(&g, 0);
	say_state(g.fd, VHOST_GET_VRING_BASE, 1, 0);
	assert_int_equal(hear(g.fd, VHOST_GET_VRING_BASE), UINT64_C(2) << 32 | 1);
	assert_false(world_up(0));
	guest_set_vring(&g, 1);
	assert_true(world_up(0));
	close(g.fd);
	world_turns(1);
	assert_false(world_up(0));
	g.fd = -1;
	guest_shut(&g);
}

/* Everything a ring rests on may be set anew while it runs; it goes on with what holds then. */
static void settings_of_a_running_ring(void **state)
{
	struct guest g;
	int other;

	guest_boot(&g, 0);
	guest_expect_alive(&g, 0);
	guest_say_memory(g.fd, g.memfd, GUEST_MEM);
	guest_expect_alive(&g, 0);
	guest_say_addr(g.fd, 1, GUEST_TX_RING);
	guest_expect_alive(&g, 0);
	say_state(g.fd, VHOST_SET_VRING_NUM, 1, GUEST_NUM);
	guest_expect_alive(&g, 0);
	say_u64(g.fd, VHOST_SET_FEATURES, GUEST_FEATURES | UINT64_C(1) << VIRTIO_RING_F_INDIRECT_DESC);
	guest_expect_alive(&g, 0);
	say_vring_fd(g.fd, VHOST_SET_VRING_CALL, 1, -1);
	guest_expect_alive(&g, 0);
	say_vring_fd(g.fd, VHOST_SET_VRING_KICK, 1, -1);
	guest_expect_alive(&g, 0);
	other = guest_memory(GUEST_MEM);
	guest_say_memory(g.fd, other, 8192); /* the ring's memory is gone */
	assert_false(world_up(0));
	guest_say_memory(g.fd, g.memfd, GUEST_MEM); /* and is back */
	guest_expect_alive(&g, 0);
	say_state(g.fd, VHOST_SET_VRING_NUM, 1, 32768); /* so large that it leaves the memory */
	assert_false(world_up(0));
	say_state(g.fd, VHOST_SET_VRING_NUM, 1, GUEST_NUM);
	guest_expect_alive(&g, 0);
	close(other);
	guest_shut(&g);
}

static void second_queue_pair(void **state)
{
	struct guest g;

	guest_boot(&g, 0);
	assert_int_equal(world_dev(0)->active, 1);
	guest_set_vring(&g, 2); /* at the same places: it is only asked whether they run */
	guest_set_vring(&g, 3);
	say_state(g.fd, VHOST_SET_VRING_ENABLE, 2, 1);
	say_state(g.fd, VHOST_SET_VRING_ENABLE, 3, 1);
	assert_int_equal(world_dev(0)->active, 2);
	guest_sends(&g, 60);
	assert_int_equal(world_poll(0, 1), 1);
	guest_shut(&g);
}

static void say_packed_ring(struct guest *g, unsigned i, uint32_t num, uint32_t base)
{
	say_state(g->fd, VHOST_SET_VRING_NUM, i, num);
	say_state(g->fd, VHOST_SET_VRING_BASE, i, base);
	say_vring_fd(g->fd, VHOST_SET_VRING_KICK, i, g->kick[i % 2]);
}

/* The base of a packed ring is a slot and a wrap counter; both are kept while the ring does not run. */
static void a_packed_ring_stops_and_goes_on_where_it_was(void **state)
{
	struct guest g;

	port_vhost_ops.close(&world->port[0]);
	assert_int_equal(world_open(0, false, 1, NULL), 0);
	world_dev(0)->offered |= UINT64_C(1) << VIRTIO_F_RING_PACKED;
	guest_boot(&g, 0);
	say_u64(g.fd, VHOST_SET_FEATURES, GUEST_FEATURES | UINT64_C(1) << VIRTIO_F_RING_PACKED);
	for (unsigned i = 0; i < 2; i++)
		say_packed_ring(&g, i, GUEST_NUM, 1u << 15 | (GUEST_NUM - 1));
	guest_sends_packed(&g, GUEST_NUM - 1, true);
	guest_sends_packed(&g, 0, false);
	assert_int_equal(world_poll(0, 0), 2); /* the last slot of one round, the first of the next */
	say_state(g.fd, VHOST_GET_VRING_BASE, 1, 0);
	assert_int_equal(hear(g.fd, VHOST_GET_VRING_BASE), (UINT64_C(1) << 16 | 1) << 32 | 1);
	assert_false(world_up(0));
	guest_sends_packed(&g, 1, false);
	assert_int_equal(world_poll(0, 0), 0);
	say_packed_ring(&g, 1, GUEST_NUM, 1);
	assert_int_equal(world_poll(0, 0), 1);
	say_state(g.fd, VHOST_GET_VRING_BASE, 1, 0);
	assert_int_equal(hear(g.fd, VHOST_GET_VRING_BASE), (UINT64_C(2) << 16 | 2) << 32 | 1);
	guest_shut(&g);
}

static void packed_rings_that_cannot_be_do_not_run(void **state)
{
	static const struct {
		uint32_t num, base;
		bool runs;
	} rings[] = {{GUEST_NUM, 0, true}, {GUEST_NUM, GUEST_NUM, false},
		{GUEST_NUM, 1u << 15 | INT16_MAX, false}, {1, 1u << 15, false}, {2, 1u << 15 | 1, true},
		{VHOST_RING_MAX, 0, false}};
	struct guest g;

	port_vhost_ops.close(&world->port[0]);
	assert_int_equal(world_open(0, false, 1, NULL), 0);
	world_dev(0)->offered |= UINT64_C(1) << VIRTIO_F_RING_PACKED;
	guest_boot(&g, 0);
	say_u64(g.fd, VHOST_SET_FEATURES, GUEST_FEATURES | UINT64_C(1) << VIRTIO_F_RING_PACKED);
	for (unsigned i = 0; i < sizeof(rings) / sizeof(rings[0]); i++) {
		say_packed_ring(&g, 1, rings[i].num, rings[i].base);
		assert_int_equal(world_up(0), rings[i].runs);
	}
	guest_shut(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
		T(link_follows_the_rings),
		T(settings_of_a_running_ring),
		T(second_queue_pair),
		T(a_packed_ring_stops_and_goes_on_where_it_was),
		T(packed_rings_that_cannot_be_do_not_run),
	};

	return cmocka_run_group_tests(tests, world_make_dir, world_remove_dir);
}

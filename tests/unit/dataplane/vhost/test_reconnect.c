/* A front-end leaves and comes back with the same rings: they go on, whatever base it tells. */
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include "dataplane/vhost/port.h"
#include "tests/unit/dataplane/vhost/guest.h"
#include "tests/unit/unit.h"

static struct sigaction guard_action;

/* Asks for memory for what is in flight in two rings; returns its fd, and the answer in *wire. */
static int ask_inflight(int fd, struct vhost_wire_inflight *wire)
{
	struct {
		struct vhost_header header;
		struct vhost_wire_inflight wire;
	} __attribute__((packed)) answer;
	union {
		struct cmsghdr align;
		char room[CMSG_SPACE(sizeof(int))];
	} control;
	struct iovec iov = {&answer, sizeof(answer)};
	struct msghdr hdr = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
	int got;

	*wire = (struct vhost_wire_inflight){.rings = 2, .ring_size = GUEST_NUM};
	say(fd, VHOST_GET_INFLIGHT_FD, wire, sizeof(*wire), NULL, 0);
	assert_int_equal(recvmsg(fd, &hdr, MSG_DONTWAIT), sizeof(answer));
	assert_int_equal(answer.header.size, sizeof(*wire));
	assert_int_equal(hdr.msg_controllen, sizeof(control));
	memcpy(&got, CMSG_DATA(&control.align), sizeof(got));
	*wire = answer.wire;
	return got;
}

static void join_again(struct guest *g, uint64_t features, const struct vhost_wire_inflight *wire, int fd)
{
	g->fd = guest_join(0);
	say_u64(g->fd, VHOST_SET_FEATURES, features);
	guest_say_memory(g->fd, g->memfd, GUEST_MEM);
	if (wire)
		say(g->fd, VHOST_SET_INFLIGHT_FD, wire, sizeof(*wire), &fd, 1);
	for (unsigned k = 0; k < 2; k++) {
		guest_set_vring(g, k);
		if (features >> VIRTIO_F_RING_PACKED & 1)
			say_state(g->fd, VHOST_SET_VRING_BASE, k, 1 << 15);
	}
	for (unsigned k = 0; k < 2; k++)
		say_state(g->fd, VHOST_SET_VRING_ENABLE, k, 1);
}

/* The base that it tells is 0 whenever it comes back: it is the ring that knows. */
static void rings_go_on_when_a_front_end_comes_back(void **state)
{
	struct vhost_wire_inflight wire;
	struct guest g;
	int fd;

	guest_boot(&g, 0);
	guest_expect_alive(&g, 0);
	guest_expect_alive(&g, 0);
	fd = ask_inflight(g.fd, &wire);
	assert_in_range(wire.size, 2 * 16 * GUEST_NUM, GUEST_MEM);
	for (unsigned i = 0; i < 3; i++) {
		guest_leave(g.fd);
		join_again(&g, GUEST_FEATURES, i ? &wire : NULL, fd);
		assert_true(world_up(0));
		assert_int_equal(world_poll(0, 0), 0); /* nothing twice */
		guest_expect_alive(&g, 0);
	}
	close(fd);
	guest_shut(&g);
}

static void packed_rings_go_on_when_a_front_end_comes_back(void **state)
{
	const uint64_t features = GUEST_FEATURES | UINT64_C(1) << VIRTIO_F_RING_PACKED;
	struct vhost_wire_inflight wire;
	const struct vhost_packed_region *region;
	struct guest g;
	int fd;

	port_vhost_ops.close(&world->port[0]);
	assert_int_equal(world_open(0, false, 1, NULL), 0);
	world_dev(0)->offered |= UINT64_C(1) << VIRTIO_F_RING_PACKED;
	guest_boot(&g, 0);
	say_u64(g.fd, VHOST_SET_FEATURES, features);
	fd = ask_inflight(g.fd, &wire);
	region = mmap(NULL, wire.size, PROT_READ, MAP_SHARED, fd, 0);
	region = (const void *)((const uint8_t *)region +
				wire.size / 2); /* of ring 1, by which the guest sends */
	for (unsigned i = 0; i < 2; i++)
		say_state(g.fd, VHOST_SET_VRING_BASE, i, 1 << 15);
	for (unsigned i = 0; i < 3; i++) {
		guest_sends_packed(&g, i, true);
		assert_int_equal(world_poll(0, 0), 1);
		assert_int_equal(region->version, i > 1);
		guest_leave(g.fd);
		join_again(&g, features, i ? &wire : NULL, fd);
		assert_true(world_up(0));
		assert_int_equal(world_poll(0, 0), 0);
	}
	guest_sends_packed(&g, 3, true);
	assert_int_equal(world_poll(0, 0), 1);
	assert_int_equal(region->used, 4);
	assert_int_equal(region->old_used, 4);
	say_state(g.fd, VHOST_GET_VRING_BASE, 1, 0);
	assert_int_equal(hear(g.fd, VHOST_GET_VRING_BASE), UINT64_C(0x80048004) << 32 | 1);
	assert_int_equal(region->version, 0); /* it may begin anew there */
	munmap((uint8_t *)region - wire.size / 2, wire.size);
	close(fd);
	guest_shut(&g);
}

static void truncated_memory_for_what_is_in_flight(void **state)
{
	struct vhost_wire_inflight wire = {.size = GUEST_MEM, .rings = 2, .ring_size = GUEST_NUM};
	struct guest g;
	int fd = guest_memory(GUEST_MEM);

	port_vhost_ops.close(&world->port[0]);
	assert_int_equal(world_open(0, false, 1, NULL), 0);
	world_dev(0)->offered |= UINT64_C(1) << VIRTIO_F_RING_PACKED;
	guest_boot(&g, 0);
	guest_leave(g.fd);
	join_again(&g, GUEST_FEATURES | UINT64_C(1) << VIRTIO_F_RING_PACKED, &wire, fd);
	assert_true(world_up(0));
	assert_int_equal(ftruncate(fd, 0), 0);
	sigaction(SIGBUS, &guard_action, NULL);
	guest_sends_packed(&g, 0, true);
	assert_int_equal(world_poll(0, 0), 1);
	world_turns(2);
	assert_true(hung_up(g.fd));
	assert_false(world_up(0));
	close(fd);
	guest_shut(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
		T(rings_go_on_when_a_front_end_comes_back),
		T(packed_rings_go_on_when_a_front_end_comes_back),
		T(truncated_memory_for_what_is_in_flight),
	};
	static char page[4096];

	vhost_guard_clear(vhost_guard_set(page, sizeof(page), &(struct vhost_guard){.event_fd = -1}));
	sigaction(SIGBUS, NULL, &guard_action);
	return cmocka_run_group_tests(tests, world_make_dir, world_remove_dir);
}

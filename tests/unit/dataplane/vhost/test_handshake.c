/* What front-end and port agree on, and what follows from it: features, status, offloads, acknowledgements. */
#include <errno.h>
#include <unistd.h>

#include "dataplane/vhost/port.h"
#include "tests/unit/dataplane/vhost/guest.h"
#include "tests/unit/unit.h"

static void driver_ok_counts_when_status_is_negotiated(void **state)
{
	struct guest g;

	guest_boot(&g, 0);
	say_u64(g.fd, VHOST_SET_PROTOCOL_FEATURES, 1 << VHOST_PROTO_STATUS);
	assert_false(world_up(0));
	say_u64(g.fd, VHOST_SET_STATUS, 7);
	assert_int_equal(ask(g.fd, VHOST_GET_STATUS), 7);
	guest_expect_alive(&g, 0);
	say_u64(g.fd, VHOST_SET_STATUS, 0);
	assert_false(world_up(0));
	guest_shut(&g);
}

static void next_front_end_is_served(void **state)
{
	for (unsigned i = 0; i < 3; i++) {
		struct guest g;

		guest_boot(&g, 0);
		guest_expect_alive(&g, 0);
		guest_shut(&g);
	}
}

static void answers(void **state)
{
	int fd = guest_join(0);
	uint64_t features = ask(fd, VHOST_GET_FEATURES);

	assert_true((features & GUEST_FEATURES) == GUEST_FEATURES);
	assert_true(features >> VIRTIO_NET_F_MQ & 1);
	assert_int_equal(ask(fd, VHOST_GET_QUEUE_NUM), 2);
	assert_int_equal(ask(fd, VHOST_GET_MAX_MEM_SLOTS), VHOST_MEM_SLOTS);
	say_u64(fd, VHOST_SET_PROTOCOL_FEATURES, 1 << VHOST_PROTO_REPLY_ACK);
	for (uint64_t mtu = 0; mtu < 10000; mtu += 1500) {
		say_flags(fd, VHOST_NET_SET_MTU, VHOST_VERSION | VHOST_NEED_REPLY, &mtu, 8, NULL, 0);
		assert_int_equal(hear(fd, VHOST_NET_SET_MTU), mtu != 1500);
	}
	guest_leave(fd);
}

/* A front-end that asks for an acknowledgement waits for it, also of what ends the agreement to give one. */
static void reset_owner_is_acknowledged(void **state)
{
	struct guest g;

	guest_boot(&g, 0);
	say_flags(g.fd, VHOST_RESET_OWNER, VHOST_VERSION | VHOST_NEED_REPLY, NULL, 0, NULL, 0);
	assert_int_equal(hear(g.fd, VHOST_RESET_OWNER), 0);
	assert_false(world_up(0));
	say_flags(g.fd, VHOST_SET_OWNER, VHOST_VERSION | VHOST_NEED_REPLY, NULL, 0, NULL, 0);
	assert_false(hung_up(g.fd)); /* nor said a word: nothing was agreed on */
	assert_int_equal(errno, EAGAIN);
	guest_shut(&g);
}

static void masked_features_are_not_offered(void **state)
{
	int fd;

	port_vhost_ops.close(&world->port[0]);
	assert_int_equal(world_open(0, false, 1, NULL), 0);
	fd = guest_join(0);
	assert_int_equal(ask(fd, VHOST_GET_FEATURES) >> VIRTIO_NET_F_MQ & 1, 0); /* one queue */
	guest_leave(fd);
	world_dev(0)->offered &= ~(UINT64_C(1) << VIRTIO_NET_F_MRG_RXBUF);
	fd = guest_join(0);
	say_u64(fd, VHOST_SET_FEATURES, GUEST_FEATURES);
	assert_true(hung_up(fd));
	guest_leave(fd);
}

static void offloads_follow_the_features(void **state)
{
	int fd = guest_join(0);

	say_u64(fd, VHOST_SET_FEATURES,
		UINT64_C(1) << VIRTIO_NET_F_GUEST_CSUM | UINT64_C(1) << VIRTIO_NET_F_GUEST_TSO6);
	assert_int_equal(world->port[0].offloads, PORT_CSUM | PORT_TSO6);
	say_u64(fd, VHOST_SET_FEATURES, 0);
	assert_int_equal(world->port[0].offloads, 0);
	guest_leave(fd);
}

static void rarp_for_a_migrated_guest(void **state)
{
	static const uint8_t mac[8] = {2, 0, 0, 0, 0, 0x44};
	struct guest g;

	guest_boot(&g, 0);
	say(g.fd, VHOST_SEND_RARP, mac, 8, NULL, 0);
	assert_int_equal(world_poll(0, 0), 1);
	assert_memory_equal(world->w.burst.frame[0].hdr + HDR_ROOM + 6, mac, 6);
	assert_int_equal(world_poll(0, 0), 0);
	guest_shut(&g);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)
		T(driver_ok_counts_when_status_is_negotiated),
		T(next_front_end_is_served),
		T(answers),
		T(reset_owner_is_acknowledged),
		T(masked_features_are_not_offered),
		T(offloads_follow_the_features),
		T(rarp_for_a_migrated_guest),
	};

	return cmocka_run_group_tests(tests, world_make_dir, world_remove_dir);
}

/* BFD's state machine between two sessions, with a clock and a wire of the test's own. Nothing sleeps. */
#include <string.h>

#include "dataplane/bfd/packet.h"
#include "dataplane/bfd/session.h"
#include "tests/unit/unit.h"

enum { MS = 1000, S = 1000000, A_ID = 0xaaaa1111, B_ID = 0xbbbb2222 };

/* Two ends of a wire on which each direction can be cut. */
static struct world {
	struct bfd_session end[2];
	bool deaf[2]; /* this end hears nothing */
	bool dead[2];
	uint64_t now;
	unsigned sent[2], polls[2], finals[2];
	uint64_t gap_least, gap_most, last[2]; /* between two packets of end 0 */
	uint32_t random;
} world;

static int setup(void **state)
{
	world = (struct world){.now = 5 * S, .gap_least = UINT64_MAX};
	bfd_session_start(&world.end[0], A_ID, 100 * MS, 3, world.now);
	bfd_session_start(&world.end[1], B_ID, 100 * MS, 3, world.now);
	return 0;
}

static void note(unsigned i, const struct bfd_packet *packet)
{
	uint64_t gap = world.now - world.last[i];

	world.sent[i]++;
	world.polls[i] += packet->poll;
	world.finals[i] += packet->final;
	if (i != 0 || packet->final)
		return;
	if (world.last[i] && gap < world.gap_least)
		world.gap_least = gap;
	if (world.last[i] && gap > world.gap_most)
		world.gap_most = gap;
	world.last[i] = world.now;
}

/* As on the wire, so that what is written is what is read. */
static void carry(unsigned to, const struct bfd_packet *packet)
{
	uint8_t data[BFD_PACKET_LEN];
	struct bfd_packet read;

	if (world.dead[to] || world.deaf[to])
		return;
	bfd_packet_write(data, packet);
	assert_true(bfd_packet_read(data, sizeof(data), &read));
	bfd_session_take(&world.end[to], &read, world.now);
}

static bool turn(unsigned i)
{
	struct bfd_packet packet;

	world.random = world.random * 1103515245 + 12345;
	if (world.dead[i] || !bfd_session_turn(&world.end[i], world.now, world.random >> 8, &packet))
		return false;
	note(i, &packet);
	carry(!i, &packet);
	return true;
}

static void run(uint64_t us)
{
	uint64_t end = world.now + us;

	while (world.now <= end) {
		uint64_t next = end + 1;

		while (turn(0) || turn(1))
			;
		for (unsigned i = 0; i < 2; i++)
			if (!world.dead[i] && world.end[i].end_at > world.now &&
				bfd_session_due(&world.end[i]) < next)
				next = bfd_session_due(&world.end[i]);
		assert_true(next > world.now); /* what is due at once has had its turn */
		world.now = next;
	}
	world.now = end;
}

static void come_up(void)
{
	run(2 * S);
	assert_int_equal(world.end[0].state, BFD_UP);
	assert_int_equal(world.end[1].state, BFD_UP);
}

static void test_two_that_hear_each_other_are_up_with_the_first_packets(void **state)
{
	run(1);
	assert_int_equal(world.end[0].state, BFD_UP);
	assert_int_equal(world.end[1].state, BFD_UP);
	assert_int_equal(world.end[0].yours, B_ID);
	assert_true(world.sent[0] + world.sent[1] < 12);
}

static void test_nobody_there_is_asked_once_a_second(void **state)
{
	world.dead[1] = true;
	run(20 * S);
	assert_int_equal(world.end[0].state, BFD_DOWN);
	assert_in_range(world.sent[0], 19, 29); /* 75 to 100 % of a second */
	assert_in_range(world.gap_least, 750 * MS, 1000 * MS);
}

static void test_the_interval_is_agreed_on_by_a_poll(void **state)
{
	come_up();
	assert_false(world.end[0].polling);
	assert_true(world.finals[1] >= 1);
	assert_int_equal(bfd_session_detect_us(&world.end[0]), 300 * MS);
	world.gap_least = UINT64_MAX;
	world.gap_most = 0;
	run(10 * S);
	assert_in_range(world.gap_least, 75 * MS, 100 * MS);
	assert_in_range(world.gap_most, 75 * MS, 100 * MS);
	assert_true(world.gap_most - world.gap_least > 15 * MS); /* they do differ */
}

static void test_silence_is_noticed_after_the_detection_time(void **state)
{
	uint64_t silent;

	come_up();
	world.dead[1] = true;
	silent = world.now;
	run(199 * MS);
	assert_int_equal(world.end[0].state, BFD_UP);
	run(silent + 300 * MS - world.now);
	assert_int_equal(world.end[0].state, BFD_DOWN);
	assert_int_equal(world.end[0].diag, BFD_TIME_EXPIRED);
	assert_int_equal(world.end[0].yours, 0);
	world.dead[1] = false;
	bfd_session_start(&world.end[1], B_ID + 1, 100 * MS, 3, world.now); /* it starts anew */
	run(10 * MS);
	assert_int_equal(world.end[0].state, BFD_UP);
	assert_int_equal(world.end[0].diag, BFD_NO_DIAG);
}

static void test_a_restart_within_the_detection_time_is_seen(void **state)
{
	come_up();
	bfd_session_start(&world.end[1], B_ID + 1, 100 * MS, 3, world.now);
	run(1);
	assert_int_equal(world.end[0].yours, B_ID + 1);
	assert_int_equal(world.end[0].state, BFD_UP);
	assert_int_equal(world.end[1].state, BFD_UP);
}

static void test_one_way_link_takes_both_down(void **state)
{
	come_up();
	world.deaf[1] = true;
	run(S);
	assert_int_equal(world.end[1].state, BFD_DOWN);
	assert_int_equal(world.end[1].diag, BFD_TIME_EXPIRED);
	assert_true(world.end[0].state < BFD_UP); /* it is told */
	run(5 * S);
	assert_true(world.end[0].state < BFD_UP); /* init is as far as it comes */
	world.deaf[1] = false;
	come_up();
}

static void test_the_slower_side_sets_the_pace(void **state)
{
	bfd_session_set(&world.end[1], 400 * MS, 5, world.now);
	run(3 * S);
	assert_int_equal(bfd_session_detect_us(&world.end[0]), 5 * 400 * MS);
	assert_int_equal(bfd_session_detect_us(&world.end[1]), 3 * 400 * MS);
	world.gap_least = UINT64_MAX;
	run(10 * S);
	assert_in_range(world.gap_least, 300 * MS, 400 * MS);
}

static void test_a_change_while_up_loses_nobody(void **state)
{
	come_up();
	for (unsigned i = 0; i < 6; i++) {
		unsigned polls = world.polls[0];

		bfd_session_set(&world.end[0], i % 2 ? 50 * MS : 900 * MS, 3, world.now);
		if (i % 2 == 0) /* not slower before the other side knows */
			assert_true(world.end[0].tx_used_us < 900 * MS);
		run(3 * S);
		assert_true(world.polls[0] > polls);
		assert_false(world.end[0].polling);
		assert_int_equal(world.end[0].state, BFD_UP);
		assert_int_equal(world.end[1].state, BFD_UP);
		assert_int_equal(world.end[0].tx_used_us, i % 2 ? 50 * MS : 900 * MS);
	}
}

static void test_who_ends_says_so(void **state)
{
	come_up();
	bfd_session_end(&world.end[0], BFD_ADMIN, world.now);
	run(1);
	assert_int_equal(world.end[1].state, BFD_DOWN);
	assert_int_equal(world.end[1].diag, BFD_NEIGHBOUR_DOWN);
	assert_int_equal(world.end[1].remote_state, BFD_ADMIN_DOWN);
	assert_int_equal(world.end[1].remote_diag, BFD_ADMIN);
	run(10 * S);
	assert_int_equal(world.end[0].state, BFD_ADMIN_DOWN); /* nothing brings it back */
	assert_true(world.end[0].end_at < world.now);
}

/* By what it says it would hear of the end after hours. */
static void test_no_peer_holds_what_has_ended(void **state)
{
	struct bfd_packet packet = {.state = BFD_UP, .multiplier = 255, .mine = 7, .min_rx_us = UINT32_MAX};

	come_up();
	packet.yours = world.end[0].mine;
	bfd_session_take(&world.end[0], &packet, world.now);
	bfd_session_end(&world.end[0], BFD_ADMIN, world.now);
	assert_int_equal(world.end[0].end_at, world.now + 10 * S);
}

static void test_forgiven_lateness_takes_nobody_down(void **state)
{
	come_up();
	world.now += 30 * (uint64_t)S; /* both were stopped */
	bfd_session_forgive(&world.end[0], world.now);
	bfd_session_forgive(&world.end[1], world.now);
	run(S);
	assert_int_equal(world.end[0].state, BFD_UP);
	assert_int_equal(world.end[1].state, BFD_UP);
}

static void test_one_that_wants_no_packets_gets_answers_only(void **state)
{
	struct bfd_packet packet = {.state = BFD_DOWN, .multiplier = 255, .mine = 7, .min_tx_us = 60 * S};
	unsigned sent;

	bfd_session_take(&world.end[0], &packet, world.now);
	world.dead[1] = true;
	run(1);
	sent = world.sent[0];
	run(100 * (uint64_t)S);
	assert_int_equal(world.sent[0], sent);
	packet.poll = true;
	bfd_session_take(&world.end[0], &packet, world.now);
	run(1);
	assert_int_equal(world.finals[0], 1);
}

static void test_extreme_times_overflow_nothing(void **state)
{
	struct bfd_packet packet = {.state = BFD_INIT,
		.multiplier = 255,
		.mine = 7,
		.yours = A_ID,
		.min_tx_us = UINT32_MAX,
		.min_rx_us = UINT32_MAX};

	bfd_session_take(&world.end[0], &packet, world.now);
	assert_int_equal(bfd_session_detect_us(&world.end[0]), 255 * (uint64_t)UINT32_MAX);
	assert_int_equal(world.end[0].state, BFD_UP);
	world.dead[1] = true;
	run(10 * S);
	assert_int_equal(world.end[0].state, BFD_UP);
}

/* A multiplier of one leaves more room (RFC 5880, 6.8.7). */
static void test_jitter_with_a_multiplier_of_one(void **state)
{
	bfd_session_set(&world.end[0], 100 * MS, 1, world.now);
	run(2 * S);
	world.gap_least = UINT64_MAX;
	world.gap_most = 0;
	run(10 * S);
	assert_in_range(world.gap_least, 75 * MS, 90 * MS);
	assert_in_range(world.gap_most, 75 * MS, 90 * MS);
}

static void test_random_packets_never_hang_it(void **state)
{
	uint32_t seed = 1;

	for (unsigned i = 0; i < 200000; i++) {
		uint8_t data[32];
		struct bfd_packet packet;

		for (unsigned k = 0; k < sizeof(data); k++)
			data[k] = (uint8_t)((seed = seed * 1664525 + 1013904223) >> 24);
		data[0] = (uint8_t)(data[0] & 31) | 32;
		data[1] &= 0xf0;
		data[3] = 24;
		if (!bfd_packet_read(data, sizeof(data), &packet))
			continue;
		bfd_session_take(&world.end[0], &packet, world.now);
		world.now += seed % 1000;
		for (unsigned n = 0; turn(0); n++)
			assert_true(n < 4);
		assert_true(bfd_session_due(&world.end[0]) > world.now);
	}
}

static void refuses(const char *what, unsigned at, uint8_t value, size_t len)
{
	struct bfd_packet packet = {.state = BFD_UP, .multiplier = 3, .mine = 1, .yours = 2}, read;
	uint8_t data[BFD_PACKET_LEN];

	bfd_packet_write(data, &packet);
	assert_true(bfd_packet_read(data, sizeof(data), &read));
	data[at] = value;
	if (bfd_packet_read(data, len, &read))
		fail_msg("%s was taken", what);
}

static void test_packets_against_the_rules_are_refused(void **state)
{
	refuses("version 0", 0, 0, 24);
	refuses("version 2", 0, 2 << 5, 24);
	refuses("authentication", 1, 0xc0 | 0x04, 24);
	refuses("demand mode", 1, 0xc0 | 0x02, 24);
	refuses("multipoint", 1, 0xc0 | 0x01, 24);
	refuses("multiplier 0", 2, 0, 24);
	refuses("a length of 23", 3, 23, 24);
	refuses("a length beyond the datagram", 3, 25, 24);
	refuses("a datagram of 23 bytes", 3, 24, 23);
	refuses("my discriminator 0", 7, 0, 24);
	refuses("your discriminator 0 while up", 11, 0, 24);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_two_that_hear_each_other_are_up_with_the_first_packets, setup),
		cmocka_unit_test_setup(test_nobody_there_is_asked_once_a_second, setup),
		cmocka_unit_test_setup(test_the_interval_is_agreed_on_by_a_poll, setup),
		cmocka_unit_test_setup(test_silence_is_noticed_after_the_detection_time, setup),
		cmocka_unit_test_setup(test_a_restart_within_the_detection_time_is_seen, setup),
		cmocka_unit_test_setup(test_one_way_link_takes_both_down, setup),
		cmocka_unit_test_setup(test_the_slower_side_sets_the_pace, setup),
		cmocka_unit_test_setup(test_a_change_while_up_loses_nobody, setup),
		cmocka_unit_test_setup(test_who_ends_says_so, setup),
		cmocka_unit_test_setup(test_no_peer_holds_what_has_ended, setup),
		cmocka_unit_test_setup(test_forgiven_lateness_takes_nobody_down, setup),
		cmocka_unit_test_setup(test_one_that_wants_no_packets_gets_answers_only, setup),
		cmocka_unit_test_setup(test_extreme_times_overflow_nothing, setup),
		cmocka_unit_test_setup(test_jitter_with_a_multiplier_of_one, setup),
		cmocka_unit_test_setup(test_random_packets_never_hang_it, setup),
		cmocka_unit_test(test_packets_against_the_rules_are_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Frames to one address stay in order while it is learned: another worker hears of it between two frames of a burst, of
 * which the first are flooded and the others are not.
 */
#include <pthread.h>
#include <string.h>

#include "dataplane/core/dp.h"
#include "dataplane/l2/fdb.h"
#include "dataplane/l2/network.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum {
	MIXED = 20,	  /* bursts of both kinds that are wanted */
	BURSTS = 2000000, /* that are sent for them at most */
};

static struct dp *dp;
static struct test_port a, b, c;
static uint16_t net;
static _Atomic(bool) ends;

/* As another worker does with each frame of b's, and control when it is old. */
static void *learn_and_forget(void *arg)
{
	uint64_t key = fdb_key(net, MAC_B), was;
	const struct fdb_seen seen = {.target = b.port->id, .now = 1, .gen = dp_get_net(dp, net)->flush_gen};

	while (!atomic_load(&ends)) {
		fdb_learn(dp->fdb, key, &seen, &was);
		fdb_remove(dp->fdb, key);
	}
	return NULL;
}

static void send_burst(void)
{
	static uint8_t buf[BURST_MAX][64];
	static const struct offload plain;

	b.count = c.count = 0;
	harness_begin(dp, &a);
	for (unsigned i = 0; i < BURST_MAX; i++) {
		size_t len = packet_eth(buf[i], MAC_B, MAC_A, 46);

		buf[i][14] = (uint8_t)i;
		assert_true(harness_add(dp, buf[i], len, plain, 0));
	}
	harness_run(dp);
}

static void test_frames_to_one_address_stay_in_order(void **state)
{
	unsigned mixed = 0;
	pthread_t other;

	assert_int_equal(pthread_create(&other, NULL, learn_and_forget, NULL), 0);
	for (unsigned n = 0; n < BURSTS && mixed < MIXED; n++) {
		send_burst();
		assert_int_equal(b.count, BURST_MAX);
		for (unsigned i = 0; i < BURST_MAX; i++)
			assert_int_equal(b.got[i].data[14], i);
		mixed += c.count > 0 && c.count < BURST_MAX;
	}
	atomic_store(&ends, true);
	pthread_join(other, NULL);
	assert_int_equal(harness_balance(dp, net), 0);
	if (!mixed)
		skip(); /* the two threads have one core */
}

static int open_all(void **state)
{
	dp = harness_open();
	net = harness_network(dp, NULL);
	harness_port(dp, &a, net, NULL);
	harness_port(dp, &b, net, NULL);
	harness_port(dp, &c, net, NULL);
	return 0;
}

static int close_all(void **state)
{
	harness_close(dp);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames_to_one_address_stay_in_order),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}

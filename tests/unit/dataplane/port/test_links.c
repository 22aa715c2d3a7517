/* The link of a port that the kernel feeds is its interface's, also when that goes away and comes back. */
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/dataplane/hosts.h"
#include "tests/unit/unit.h"

static struct bench bench;
static struct host host;

/* A frame from a neighbour that nobody asked for. */
static struct frame *some_frame(void)
{
	static const struct recipe recipe = {4, IPPROTO_UDP, .payload = 100};
	static struct flat flat;
	static struct burst b;

	b.count = 0;
	b.nspan = 0;
	flat_make(&flat, &recipe, false);
	return split(&b, flat.data, flat.len, 64, 0);
}

static bool is_up(const struct host *h)
{
	return atomic_load(&h->port.up);
}

/* The port's link is the interface's; frames to an interface that is down count as link-down. */
static void check_link(enum host_kind kind)
{
	bench_open(&bench);
	host_open(&host, &bench, kind, 1);
	bench_tick(&bench);
	assert_true(is_up(&host));

	host_set_up(&host, false);
	assert_int_equal(host_tx(&bench, &host, some_frame()), 1);
	bench_tick(&bench);
	assert_false(is_up(&host));
	assert_int_equal(host_drops(&bench, &host, DROP_LINK_DOWN), 1);

	host_set_up(&host, true);
	bench_tick(&bench);
	assert_true(is_up(&host));
	assert_int_equal(host_tx(&bench, &host, some_frame()), 1);
	assert_int_equal(host_drops(&bench, &host, DROP_LINK_DOWN), 1);
	host_close(&host);
	bench_close(&bench);
}

static void test_tap_link(void **state)
{
	check_link(HOST_TAP);
}

static void test_veth_link(void **state)
{
	check_link(HOST_VETH);
}

/* The far end of a veth goes down and up: the carrier goes and comes. */
static void test_veth_carrier(void **state)
{
	bench_open(&bench);
	host_open(&host, &bench, HOST_VETH, 1);
	assert_true(is_up(&host));
	host_run(&host, "ip link set eth0 down");
	bench_tick(&bench);
	assert_false(is_up(&host));
	host_run(&host, "ip link set eth0 up");
	bench_tick(&bench);
	assert_true(is_up(&host));
	host_close(&host);
	bench_close(&bench);
}

/* A device that is made again under its name is taken again. */
static void test_device_comes_back(void **state)
{
	bench_open(&bench);
	host_open(&host, &bench, HOST_VETH, 1);
	here_run("ip link del %s", host.outer);
	assert_int_equal(host_tx(&bench, &host, some_frame()), 1);
	assert_int_equal(host_drops(&bench, &host, DROP_LINK_DOWN), 1);
	assert_false(is_up(&host));
	bench_tick(&bench);
	assert_false(is_up(&host));

	here_run("ip link add %s type veth peer name far; ip link set %s up; ip link set far up", host.outer,
		host.outer);
	bench_tick(&bench);
	assert_true(is_up(&host));
	assert_int_equal(host_tx(&bench, &host, some_frame()), 1);
	assert_int_equal(host_drops(&bench, &host, DROP_LINK_DOWN), 1);
	here_run("ip link del far");
	host_close(&host);
	bench_close(&bench);
}

/* The worker notices by itself, before the timer does, and the port stays down. */
static void test_tap_deleted(void **state)
{
	bench_open(&bench);
	host_open(&host, &bench, HOST_TAP, 1);
	assert_true(is_up(&host));
	host_run(&host, "ip link del eth0");
	assert_int_equal(host_rx(&bench, &host)->count, 0);
	assert_false(is_up(&host));
	assert_int_equal(host_tx(&bench, &host, some_frame()), 1);
	assert_int_equal(host_drops(&bench, &host, DROP_LINK_DOWN), 1);
	bench_tick(&bench);
	assert_false(is_up(&host));
	host_close(&host);
	bench_close(&bench);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_tap_link),
		cmocka_unit_test(test_veth_link),
		cmocka_unit_test(test_veth_carrier),
		cmocka_unit_test(test_device_comes_back),
		cmocka_unit_test(test_tap_deleted),
	};

	hosts_isolate();
	return cmocka_run_group_tests(tests, NULL, NULL);
}

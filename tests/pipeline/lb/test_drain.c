/* A backend that drains until a deadline, and what becomes of the connections that are left then. */
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { HOUR_MS = 3600000, SEQ = 38, ACKED = 42, FLAGS = 47 };

static uint8_t buf[2048];

/* Both backends drain, or the one of them does. */
static void drain(enum dp_protocol protocol, bool b, bool c, bool resets, uint32_t ms)
{
	uint16_t to = protocol == DP_TCP ? 8080 : 5353;
	const struct dp_backend backends[] = {
		{ip_from4(IP_B), to, b ? 0 : 1, .draining = b, .resets = resets, .drain_ms = ms},
		{ip_from4(IP_C), to, c ? 0 : 1, .draining = c, .resets = resets, .drain_ms = ms},
	};

	assert_int_equal(rig_put(rig.net, protocol == DP_TCP ? 80 : 53, protocol, backends, 2,
				 protocol == DP_TCP ? &rig.tcp_service : &rig.udp_service),
		0);
}

/* The time of every backend that drains is over. */
static void deadline(void)
{
	for (unsigned id = 0; id < backend_end(rig.dp->lb->backends); id++)
		atomic_store(&backend_get(rig.dp->lb->backends, id)->ends, 1);
}

static struct dp_backend_info info_of(const struct test_port *backend, uint32_t service, uint16_t port)
{
	struct dp_backend_info info;

	assert_int_equal(
		dp_backend_info(rig.dp, service, ip_from4(backend == &rig.b ? IP_B : IP_C), port, &info), 0);
	return info;
}

static uint32_t field32(const struct received *r, size_t at)
{
	return (uint32_t)rig_field16(r, at) << 16 | rig_field16(r, at + 2);
}

static void it_is_told_how_much_is_left(void **state)
{
	struct test_port *to = rig_open_connection(1234);

	rig_open_connection(1235);
	assert_false(info_of(to, rig.tcp_service, 8080).drains);
	drain(DP_TCP, true, true, false, HOUR_MS);
	assert_true(info_of(to, rig.tcp_service, 8080).drains);
	assert_in_range(info_of(to, rig.tcp_service, 8080).drain_left_ms, 1, HOUR_MS);
	assert_int_equal(info_of(&rig.b, rig.tcp_service, 8080).connections +
				 info_of(&rig.c, rig.tcp_service, 8080).connections,
		2);
	assert_ptr_equal(rig_client_reaches(1234, ACK), to);
	deadline();
	assert_int_equal(info_of(to, rig.tcp_service, 8080).drain_left_ms, 0);
	drain(DP_TCP, true, true, false, 0); /* no deadline any more */
	assert_false(info_of(to, rig.tcp_service, 8080).drains);
	assert_ptr_equal(rig_client_reaches(1234, ACK), to);
}

/* The deadline counts from when it began to drain, however often it is told. */
static void time_does_not_begin_anew(void **state)
{
	uint64_t ends;
	uint32_t id = 0;

	drain(DP_TCP, true, true, false, HOUR_MS);
	assert_int_equal(
		lb_find_backend(rig.dp->lb, rig.dp->lb->service[rig.tcp_service], ip_from4(IP_B), 8080, &id),
		0);
	ends = atomic_load(&backend_get(rig.dp->lb->backends, id)->ends);
	drain(DP_TCP, true, true, true, HOUR_MS);
	assert_int_equal(atomic_load(&backend_get(rig.dp->lb->backends, id)->ends), ends);
	drain(DP_TCP, false, false, true, HOUR_MS);
	drain(DP_TCP, true, true, true, HOUR_MS);
	assert_true(atomic_load(&backend_get(rig.dp->lb->backends, id)->ends) > ends);
}

static void without_resets_the_connection_goes_elsewhere(void **state)
{
	struct test_port *to = rig_open_connection(1234), *elsewhere = to == &rig.b ? &rig.c : &rig.b;

	drain(DP_TCP, to == &rig.b, to == &rig.c, false, HOUR_MS);
	assert_ptr_equal(rig_client_reaches(1234, ACK), to);
	deadline();
	assert_ptr_equal(rig_client_reaches(1234, ACK), elsewhere); /* which resets it */
	assert_int_equal(info_of(to, rig.tcp_service, 8080).connections, 0);
}

/* Idle ones go, too, without a packet. */
static void what_is_left_is_given_up(void **state)
{
	struct test_port *to = rig_open_connection(1234);

	drain(DP_TCP, true, true, false, HOUR_MS);
	lb_tick(rig.dp);
	assert_int_equal(info_of(to, rig.tcp_service, 8080).connections, 1);
	deadline();
	lb_tick(rig.dp);
	assert_int_equal(info_of(to, rig.tcp_service, 8080).connections, 0);
}

static void assert_reset(
	const struct received *r, const uint8_t *said, const uint8_t *to, const uint8_t *from)
{
	assert_int_equal(r->len, 54);
	assert_memory_equal(r->data, to, 6);
	assert_memory_equal(r->data + 6, from, 6);
	assert_memory_equal(r->data + 26, said + 30, 4); /* addresses and ports the other way round */
	assert_memory_equal(r->data + 30, said + 26, 4);
	assert_memory_equal(r->data + 34, said + 36, 2);
	assert_memory_equal(r->data + 36, said + 34, 2);
	assert_memory_equal(r->data + SEQ, said + ACKED, 4); /* what it expects next */
	assert_int_equal(field32(r, ACKED), 0);
	assert_int_equal(r->data[FLAGS], RST);
	assert_true(packet_checksums_right(r->data, r->len));
}

static void both_ends_are_reset(void **state)
{
	struct test_port *to = rig_open_connection(1234);
	size_t len;

	drain(DP_TCP, to == &rig.b, to == &rig.c, true, HOUR_MS);
	deadline();
	rig.a.count = 0;
	len = rig_to_vip(buf, TCP, 1234, ACK, 700);
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	assert_null(rig_reached());
	assert_int_equal(rig.a.count, 1);
	assert_reset(&rig.a.got[0], buf, MAC_A, dp_router_mac);
	assert_int_equal(
		info_of(to, rig.tcp_service, 8080).connections, 1); /* the other end does not know yet */
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);	    /* a client that goes on is told again */
	assert_null(rig_reached());
	assert_int_equal(rig.a.count, 2);

	rig.a.count = 0;
	len = rig_from_backend(buf, TCP, to == &rig.b, 1234, ACK, 700);
	harness_send(rig.dp, to, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 0);
	assert_int_equal(to->count, 1);
	assert_reset(&to->got[0], buf, to == &rig.b ? MAC_B : MAC_C, MAC_A);
	to->count = 0;
	assert_int_equal(info_of(to, rig.tcp_service, 8080).connections, 0);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

/* Whoever sends its packets in fragments is told by the answer to a first one. */
static void a_fragment_is_reset(void **state)
{
	struct test_port *to = rig_open_connection(1234);
	uint64_t dropped = harness_drops(rig.dp, "fragment");
	size_t len = rig_to_vip(buf, TCP, 1234, ACK, 80);

	drain(DP_TCP, to == &rig.b, to == &rig.c, true, HOUR_MS);
	deadline();
	rig.a.count = 0;
	buf[20] = 0x20; /* more of it follows */
	buf[24] -= 0x20;
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	assert_null(rig_reached());
	assert_int_equal(harness_drops(rig.dp, "fragment") - dropped, 0);
	assert_int_equal(rig.a.count, 1);
	assert_reset(&rig.a.got[0], buf, MAC_A, dp_router_mac);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

/* A reset is never answered by one: it goes on, and tells the other end. */
static void a_reset_passes(void **state)
{
	struct test_port *to = rig_open_connection(1234);

	drain(DP_TCP, to == &rig.b, to == &rig.c, true, HOUR_MS);
	deadline();
	assert_ptr_equal(rig_client_reaches(1234, RST | ACK), to);
	rig.a.count = 0;
	rig_backend_says(TCP, to == &rig.b, 1234, RST);
	assert_int_equal(rig.a.count, 1);
	rig_assert_ip(&rig.a.got[0], 26, IP_VIP);
}

static void who_begins_anew_reaches_another(void **state)
{
	struct test_port *to = rig_open_connection(1234), *elsewhere = to == &rig.b ? &rig.c : &rig.b;

	drain(DP_TCP, to == &rig.b, to == &rig.c, true, HOUR_MS);
	deadline();
	assert_ptr_equal(rig_client_reaches(1234, SYN), elsewhere);
}

static struct test_port *ask_and_answer(uint16_t port)
{
	struct test_port *to;

	rig_client_says(UDP, port, 0);
	to = rig_reached();
	assert_non_null(to);
	rig_backend_says(UDP, to == &rig.b, port, 0);
	return to;
}

static void datagrams_reach_another_at_the_deadline(void **state)
{
	struct test_port *to = ask_and_answer(1234), *elsewhere = to == &rig.b ? &rig.c : &rig.b;

	drain(DP_UDP, to == &rig.b, to == &rig.c, true, HOUR_MS);
	assert_ptr_equal(ask_and_answer(1234), to);
	deadline();
	assert_ptr_equal(ask_and_answer(1234), elsewhere);
}

/* What kube-proxy clears the kernel's table for: a client that keeps its port is not sent to who is gone. */
static void datagrams_reach_another_when_the_backend_is_deleted(void **state)
{
	struct test_port *to = ask_and_answer(1234), *elsewhere = to == &rig.b ? &rig.c : &rig.b;
	const struct dp_backend left = {ip_from4(elsewhere == &rig.b ? IP_B : IP_C), 5353, 1, false};

	assert_int_equal(rig_put(rig.net, 53, DP_UDP, &left, 1, &rig.udp_service), 0);
	assert_ptr_equal(ask_and_answer(1234), elsewhere);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(it_is_told_how_much_is_left),
		RIG_TEST(time_does_not_begin_anew),
		RIG_TEST(without_resets_the_connection_goes_elsewhere),
		RIG_TEST(what_is_left_is_given_up),
		RIG_TEST(both_ends_are_reset),
		RIG_TEST(a_fragment_is_reset),
		RIG_TEST(a_reset_passes),
		RIG_TEST(who_begins_anew_reaches_another),
		RIG_TEST(datagrams_reach_another_at_the_deadline),
		RIG_TEST(datagrams_reach_another_when_the_backend_is_deleted),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}

/* Connections to services: their states, their counts, and a table that is full of them. */
#include <errno.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

struct seen {
	unsigned count;
	struct dp_conn last;
};

static bool see(void *arg, const struct dp_conn *conn)
{
	struct seen *seen = arg;

	seen->count++;
	seen->last = *conn;
	return true;
}

static struct dp_conn only_connection(void)
{
	struct seen seen = {0};

	dp_conn_walk_part(rig.dp, &(uint64_t){0}, see, &seen);
	assert_int_equal(seen.count, 1);
	return seen.last;
}

static void test_connection_is_shown(void **state)
{
	struct test_port *to = rig_open_connection(1234);
	struct dp_conn conn = only_connection();

	assert_int_equal(conn.service, rig.tcp_service);
	assert_int_equal(ip_to4(conn.client), IP_A);
	assert_int_equal(ip_to4(conn.vip), IP_VIP);
	assert_int_equal(ip_to4(conn.backend), to == &rig.b ? IP_B : IP_C);
	assert_int_equal(conn.client_port, 1234);
	assert_int_equal(conn.vip_port, 80);
	assert_int_equal(conn.backend_port, 8080);
	assert_int_equal(conn.protocol, DP_TCP);
	assert_int_equal(conn.state, DP_CONN_ESTABLISHED);
	assert_int_equal(conn.packets, 3);
	assert_int_equal(conn.bytes, 3 * 64);
}

static void test_states_follow_the_packets(void **state)
{
	bool is_b = rig_client_reaches(1234, SYN) == &rig.b;

	assert_int_equal(only_connection().state, DP_CONN_NEW);
	rig_backend_says(TCP, is_b, 1234, SYN | ACK);
	assert_int_equal(only_connection().state, DP_CONN_NEW);
	rig_client_says(TCP, 1234, ACK);
	assert_int_equal(only_connection().state, DP_CONN_ESTABLISHED);
	rig_client_says(TCP, 1234, FIN | ACK);
	assert_int_equal(only_connection().state, DP_CONN_ESTABLISHED);
	rig_backend_says(TCP, is_b, 1234, FIN | ACK);
	assert_int_equal(only_connection().state, DP_CONN_CLOSING);
	rig_client_says(TCP, 1234, SYN); /* the client uses its port again */
	assert_int_equal(only_connection().state, DP_CONN_NEW);
	assert_int_equal(only_connection().packets, 1);
}

static void test_a_stray_reset_makes_no_connection(void **state)
{
	assert_non_null(rig_client_reaches(1234, RST | ACK));
	assert_int_equal(dp_conn_count(rig.dp), 0);
}

static void test_backend_counts(void **state)
{
	struct test_port *to = rig_open_connection(1234);
	struct dp_backend_info info;

	assert_int_equal(
		dp_backend_info(rig.dp, rig.tcp_service, ip_from4(to == &rig.b ? IP_B : IP_C), 8080, &info),
		0);
	assert_int_equal(info.packets, 3);
	assert_int_equal(info.bytes, 3 * 64);
	assert_int_equal(info.connections, 1);
	assert_true(info.resolved);
	assert_int_equal(
		dp_backend_info(rig.dp, rig.tcp_service, ip_from4(to == &rig.b ? IP_C : IP_B), 8080, &info),
		0);
	assert_int_equal(info.packets, 0);
	assert_int_equal(dp_backend_info(rig.dp, rig.tcp_service, ip_from4(IP_A), 8080, &info), -ENOENT);
}

/* Client 10.1.0.0 + n opens a connection; returns the backend's port that it reached. */
static struct test_port *crowd_opens(uint16_t n)
{
	uint32_t client = __builtin_bswap32(0x0a010000u + n);
	uint8_t buf[2048];
	struct test_port *to;

	harness_send(rig.dp, &rig.a, buf,
		packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, client, IP_VIP, TCP, 999, 80, SYN, 0}),
		RIG_PLAIN, 0);
	to = rig_reached();
	assert_non_null(to);
	rig.a.count = 0;
	harness_send(rig.dp, to, buf,
		packet_ip4(buf, &(struct packet){MAC_A, to == &rig.b ? MAC_B : MAC_C,
					to == &rig.b ? IP_B : IP_C, client, TCP, 8080, 999, SYN | ACK, 0}),
		RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	rig_assert_ip(&rig.a.got[0], 26, IP_VIP);
	harness_send(rig.dp, &rig.a, buf,
		packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, client, IP_VIP, TCP, 999, 80, ACK, 0}),
		RIG_PLAIN, 0);
	assert_ptr_equal(rig_reached(), to);
	return to;
}

/* The table (1024) is full of established connections: new ones work without an entry, both ways. */
static void test_full_table_drops_nothing(void **state)
{
	static struct test_port *to[3000];

	for (uint16_t i = 0; i < 3000; i++)
		to[i] = crowd_opens(i);
	assert_in_range(dp_conn_count(rig.dp), 1000, 1024);
	for (uint16_t i = 0; i < 3000; i++)
		assert_ptr_equal(crowd_opens(i), to[i]);
}

/* Backends tell connections apart by the client's address and port: through two vips they would be one. */
static void test_same_client_port_through_two_vips(void **state)
{
	const struct dp_backend both[] = {{ip_from4(IP_B), 8080, 1, false}, {ip_from4(IP_C), 8080, 1, false}},
				one = {ip_from4(IP_B), 8080, 1, false};
	uint32_t second = DP_SERVICE_NONE;
	uint64_t before = harness_drops(rig.dp, "clash");
	uint8_t buf[2048];

	assert_int_equal(rig_put(rig.net, 81, DP_TCP, both, 2, &second), 0);
	for (uint16_t port = 4000; port < 4032; port++) {
		struct test_port *first = rig_open_connection(port), *elsewhere;

		harness_send(rig.dp, &rig.a, buf,
			packet_ip4(buf,
				&(struct packet){dp_router_mac, MAC_A, IP_A, IP_VIP, TCP, port, 81, SYN, 0}),
			RIG_PLAIN, 0);
		elsewhere = rig_reached();
		if (elsewhere) /* else it was not found in a few tries, and counted */
			assert_ptr_not_equal(elsewhere, first);
	}
	assert_in_range(harness_drops(rig.dp, "clash") - before, 0, 8);
	assert_int_equal(rig_put(rig.net, 81, DP_TCP, &one, 1, &second), 0);
	for (uint16_t port = 5000; port < 5032; port++) {
		struct test_port *first = rig_open_connection(port);

		before = harness_drops(rig.dp, "clash");
		harness_send(rig.dp, &rig.a, buf,
			packet_ip4(buf,
				&(struct packet){dp_router_mac, MAC_A, IP_A, IP_VIP, TCP, port, 81, SYN, 0}),
			RIG_PLAIN, 0);
		assert_ptr_equal(rig_reached(), first == &rig.b ? NULL : &rig.b);
		assert_int_equal(harness_drops(rig.dp, "clash"), before + (first == &rig.b));
	}
	assert_int_equal(dp_service_del(rig.dp, second), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_connection_is_shown),
		RIG_TEST(test_states_follow_the_packets),
		RIG_TEST(test_a_stray_reset_makes_no_connection),
		RIG_TEST(test_backend_counts),
		RIG_TEST(test_full_table_drops_nothing),
		RIG_TEST(test_same_client_port_through_two_vips),
	};

	return cmocka_run_group_tests_name("service_conn", tests, rig_group_setup, rig_group_teardown);
}

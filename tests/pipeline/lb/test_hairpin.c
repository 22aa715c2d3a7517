/* A client that is the only backend of the service that it asks: both ends are rewritten, and it answers the vip. */
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

static uint8_t buf[2048];

static void serve_by(const struct dp_backend *backends, size_t n)
{
	assert_int_equal(rig_put(rig.net, 80, DP_TCP, backends, n, &rig.tcp_service), 0);
}

/* a alone serves both. */
static int setup(void **state)
{
	const struct dp_backend tcp = {ip_from4(IP_A), 8080, 1, false},
				udp = {ip_from4(IP_A), 5353, 1, false};

	rig_setup(state);
	serve_by(&tcp, 1);
	assert_int_equal(rig_put(rig.net, 53, DP_UDP, &udp, 1, &rig.udp_service), 0);
	return 0;
}
#define TEST_HAIRPIN(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

static const struct received *send(size_t len, const struct offload *off)
{
	rig.a.count = rig.b.count = rig.c.count = 0;
	harness_send(rig.dp, &rig.a, buf, len, *off, 0);
	assert_int_equal(rig.b.count + rig.c.count, 0);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
	return rig.a.count ? &rig.a.got[0] : NULL;
}

/* What a, as the backend, sends back. */
static size_t answer(uint8_t proto, uint16_t from_port, uint16_t client_port, uint8_t flags)
{
	return packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, IP_A, IP_VIP, proto, from_port,
				       client_port, flags, 20});
}

static void assert_packet(const struct received *r, uint16_t from_port, uint16_t to_port)
{
	assert_non_null(r);
	assert_memory_equal(r->data, MAC_A, 6);
	assert_memory_equal(r->data + 6, dp_router_mac, 6);
	rig_assert_ip(r, 26, IP_VIP);
	rig_assert_ip(r, 30, IP_A);
	assert_int_equal(rig_field16(r, 34), from_port);
	assert_int_equal(rig_field16(r, 36), to_port);
	assert_true(packet_checksums_right(r->data, r->len));
}

static void round_trip(uint8_t proto, uint16_t vip_port, uint16_t port)
{
	assert_packet(send(rig_to_vip(buf, proto, 1234, SYN, 20), &RIG_PLAIN), 1234, port);
	assert_packet(send(answer(proto, port, 1234, SYN | ACK), &RIG_PLAIN), vip_port, 1234);
	assert_packet(send(rig_to_vip(buf, proto, 1234, ACK, 20), &RIG_PLAIN), 1234, port);
	assert_packet(send(answer(proto, port, 1234, ACK), &RIG_PLAIN), vip_port, 1234);
	assert_int_equal(dp_conn_count(rig.dp), 1);
}

static void tcp_goes_both_ways(void **state)
{
	round_trip(TCP, 80, 8080);
}

static void udp_goes_both_ways(void **state)
{
	round_trip(UDP, 53, 5353);
}

static void backend_info(struct dp_backend_info *info)
{
	assert_int_equal(dp_backend_info(rig.dp, rig.tcp_service, ip_from4(IP_A), 8080, info), 0);
}

static void its_connections_are_counted_as_any(void **state)
{
	struct dp_backend_info before, after;

	backend_info(&before);
	send(rig_to_vip(buf, TCP, 1234, SYN, 0), &RIG_PLAIN);
	send(answer(TCP, 8080, 1234, SYN | ACK), &RIG_PLAIN);
	send(rig_to_vip(buf, TCP, 1235, SYN, 0), &RIG_PLAIN);
	send(answer(TCP, 8080, 1235, RST | ACK), &RIG_PLAIN);
	backend_info(&after);
	assert_int_equal(after.opened - before.opened, 2);
	assert_int_equal(after.answered - before.answered, 1);
	assert_int_equal(after.refused - before.refused, 1);
	assert_int_equal(after.packets - before.packets, 4);
}

/* Whoever sends to the vip at a port that no service has is no backend's side but of a connection. */
static void only_its_connection_lets_an_answer_in(void **state)
{
	uint64_t before = harness_drops(rig.dp, "vip-miss");

	assert_null(send(answer(TCP, 8080, 1234, SYN | ACK), &RIG_PLAIN));
	send(rig_to_vip(buf, TCP, 1234, SYN, 0), &RIG_PLAIN);
	assert_null(send(answer(TCP, 8081, 1234, SYN | ACK), &RIG_PLAIN));
	assert_null(send(answer(TCP, 8080, 1235, SYN | ACK), &RIG_PLAIN));
	packet_ip4(buf, &(struct packet){dp_router_mac, MAC_B, IP_B, IP_VIP, TCP, 8080, 1234, ACK, 20});
	rig.a.count = 0;
	harness_send(rig.dp, &rig.b, buf, 74, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count + rig.b.count + rig.c.count, 0);
	assert_int_equal(harness_drops(rig.dp, "vip-miss"), before + 4);
}

/* Its answers could not be told from what is sent to that service. */
static void a_client_port_that_is_a_service_is_dropped(void **state)
{
	uint64_t before = harness_drops(rig.dp, "hairpin");

	assert_null(send(rig_to_vip(buf, TCP, 80, SYN, 0), &RIG_PLAIN));
	assert_null(send(rig_to_vip(buf, TCP, 1234, RST, 0), &RIG_PLAIN));
	assert_int_equal(harness_drops(rig.dp, "hairpin"), before + 2);
	assert_int_equal(dp_conn_count(rig.dp), 0);
}

static void two_services_from_one_port_to_one_clash(void **state)
{
	const struct dp_backend self = {ip_from4(IP_A), 8080, 1, false};
	uint64_t before = harness_drops(rig.dp, "clash");
	uint32_t id = DP_SERVICE_NONE;

	assert_int_equal(rig_put(rig.net, 81, DP_TCP, &self, 1, &id), 0);
	round_trip(TCP, 80, 8080);
	rig_to_vip(buf, TCP, 1234, SYN, 0);
	buf[37] = 81;
	assert_null(send(54, &RIG_PLAIN));
	assert_int_equal(harness_drops(rig.dp, "clash"), before + 1);
	assert_int_equal(dp_service_del(rig.dp, id), 0);
}

static void it_stays_while_others_come_and_new_ones_go_there(void **state)
{
	const struct dp_backend both[] = {{ip_from4(IP_A), 8080, 1, false}, {ip_from4(IP_B), 8080, 1, false}};

	round_trip(TCP, 80, 8080);
	serve_by(both, 2);
	assert_packet(send(rig_to_vip(buf, TCP, 1234, ACK, 20), &RIG_PLAIN), 1234, 8080);
	assert_packet(send(answer(TCP, 8080, 1234, ACK), &RIG_PLAIN), 80, 1234);
	for (uint16_t port = 2000; port < 2032; port++)
		assert_ptr_equal(rig_client_reaches(port, SYN), &rig.b);
}

static void several_programs_of_the_client_share(void **state)
{
	const struct dp_backend two[] = {{ip_from4(IP_A), 8080, 1, false}, {ip_from4(IP_A), 8081, 1, false}};
	unsigned first = 0;

	serve_by(two, 2);
	for (uint16_t port = 2000; port < 2100; port++) {
		const struct received *r = send(rig_to_vip(buf, TCP, port, SYN, 0), &RIG_PLAIN);

		assert_non_null(r);
		first += rig_field16(r, 36) == 8080;
	}
	assert_in_range(first, 25, 75);
}

/* A partial checksum holds the sum of the pseudo header, which has both addresses. */
static void a_partial_checksum_stays_one(void **state)
{
	const struct offload partial = {.flags = NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	size_t len = rig_to_vip(buf, TCP, 1234, SYN, 20);
	uint8_t whole[2];

	assert_packet(send(len, &RIG_PLAIN), 1234, 8080);
	memcpy(whole, rig.a.got[0].data + 50, 2);
	send(rig_to_vip(buf, TCP, 1234, SYN, 20), &RIG_PLAIN);
	rig_to_vip(buf, TCP, 1234, SYN, 20);
	buf[50] = 0x14; /* 10.0.0.5 + 10.0.0.100 + TCP + 40 bytes */
	buf[51] = 0x69 + 6 + 40;
	assert_packet(send(len, &partial), 1234, 8080);
	assert_memory_equal(rig.a.got[0].data + 50, whole,
		2); /* the port takes no partial ones: completed on the way out */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_HAIRPIN(tcp_goes_both_ways),
		TEST_HAIRPIN(udp_goes_both_ways),
		TEST_HAIRPIN(its_connections_are_counted_as_any),
		TEST_HAIRPIN(only_its_connection_lets_an_answer_in),
		TEST_HAIRPIN(a_client_port_that_is_a_service_is_dropped),
		TEST_HAIRPIN(two_services_from_one_port_to_one_clash),
		TEST_HAIRPIN(it_stays_while_others_come_and_new_ones_go_there),
		TEST_HAIRPIN(several_programs_of_the_client_share),
		TEST_HAIRPIN(a_partial_checksum_stays_one),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}

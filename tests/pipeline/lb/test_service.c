/* Packets to and from services: packet in, verdict and packet out; what is dropped, and what is left alone. */
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

static void round_trip(uint8_t proto, size_t payload, size_t span)
{
	uint8_t buf[2048];
	struct test_port *to;
	const struct received *r;
	size_t len = rig_to_vip(buf, proto, 1234, SYN, payload);

	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, span);
	assert_int_equal(rig.a.count, 0);
	assert_int_equal(rig.b.count + rig.c.count, 1);
	to = rig.b.count ? &rig.b : &rig.c;
	r = &to->got[0];
	assert_int_equal(r->len, len);
	assert_memory_equal(r->data, to == &rig.b ? MAC_B : MAC_C, 6);
	assert_memory_equal(r->data + 6, MAC_A, 6);
	rig_assert_ip(r, 26, IP_A);
	rig_assert_ip(r, 30, to == &rig.b ? IP_B : IP_C);
	assert_int_equal(rig_field16(r, 34), 1234);
	assert_int_equal(rig_field16(r, 36), proto == TCP ? 8080 : 5353);
	assert_int_equal(r->data[22], 64); /* TTL: the same segment */
	assert_true(packet_checksums_right(r->data, r->len));

	len = rig_from_backend(buf, proto, to == &rig.b, 1234, SYN | ACK, payload);
	harness_send(rig.dp, to, buf, len, RIG_PLAIN, span);
	assert_int_equal(rig.a.count, 1);
	r = &rig.a.got[0];
	assert_int_equal(r->len, len);
	assert_memory_equal(r->data, MAC_A, 6);
	assert_memory_equal(r->data + 6, dp_router_mac, 6);
	rig_assert_ip(r, 26, IP_VIP);
	rig_assert_ip(r, 30, IP_A);
	assert_int_equal(rig_field16(r, 34), proto == TCP ? 80 : 53);
	assert_int_equal(rig_field16(r, 36), 1234);
	assert_true(packet_checksums_right(r->data, r->len));
}

static void test_tcp_goes_both_ways(void **state)
{
	round_trip(TCP, 0, 0);
}

static void test_udp_goes_both_ways(void **state)
{
	round_trip(UDP, 7, 0);
}

static void test_payload_in_many_pieces(void **state)
{
	round_trip(TCP, 1400, 100);
}

static void test_connections_spread_and_stay(void **state)
{
	struct test_port *to[100];
	unsigned to_b = 0;

	for (uint16_t i = 0; i < 100; i++) {
		to[i] = rig_open_connection((uint16_t)(2000 + i));
		to_b += to[i] == &rig.b;
	}
	assert_in_range(to_b, 30, 70);
	assert_int_equal(dp_conn_count(rig.dp), 100);
	for (uint16_t i = 0; i < 100; i++)
		assert_ptr_equal(rig_client_reaches((uint16_t)(2000 + i), ACK), to[i]);
}

/* `port` takes less than `from` sends in `buf`: the answer quotes what `from` sent, and goes to its MAC. */
static void assert_told(
	struct test_port *from, struct test_port *port, const uint8_t *mac, uint8_t *buf, size_t len)
{
	const struct received *r = &from->got[0];

	buf[14 + 6] = 0x40; /* do not fragment */
	buf[14 + 10] -= 0x40;
	from->count = 0;
	atomic_store(&port->port->mtu, 500);
	harness_send(rig.dp, from, buf, len, RIG_PLAIN, 0);
	atomic_store(&port->port->mtu, 1500);
	assert_int_equal(from->count, 1);
	assert_memory_equal(r->data, mac, 6);
	assert_memory_equal(r->data + 6, dp_router_mac, 6);
	assert_int_equal(r->data[34], 3);
	assert_int_equal(rig_field16(r, 40), 500);
	assert_true(packet_checksums_right(r->data, r->len));
	assert_memory_equal(r->data + 42, buf + 14, 548);
}

static void test_too_big_is_told_in_the_senders_terms(void **state)
{
	uint8_t buf[2048];
	struct test_port *to = rig_open_connection(1234);

	assert_told(&rig.a, to, MAC_A, buf, rig_to_vip(buf, TCP, 1234, ACK, 600));
	assert_told(to, &rig.a, to == &rig.b ? MAC_B : MAC_C, buf,
		rig_from_backend(buf, TCP, to == &rig.b, 1234, ACK, 600));
}

static void edit_nothing(uint8_t *buf) {}

static void edit_port(uint8_t *buf)
{
	buf[37] = 81;
}

static void edit_icmp(uint8_t *buf)
{
	buf[23] = 47;
}

static void edit_later_fragment(uint8_t *buf)
{
	buf[21] = 3;
}

static void edit_no_backends(uint8_t *buf)
{
	rig_weigh(0, 0);
}

static void edit_dead_backends(uint8_t *buf)
{
	rig_weigh(-1, -1);
}

static void edit_only_the_client(uint8_t *buf)
{
	const struct dp_backend self = {ip_from4(IP_A), 8080, 1, false};

	assert_int_equal(rig_put(rig.net, 80, DP_TCP, &self, 1, &rig.tcp_service), 0);
	buf[34] = 0;
	buf[35] = 80; /* its answers would come to the service */
}

static void edit_unknown_neighbour(uint8_t *buf)
{
	const struct dp_backend silent = {ip_from4(ip4("10.0.0.77")), 8080, 1, false};

	assert_int_equal(rig_put(rig.net, 80, DP_TCP, &silent, 1, &rig.tcp_service), 0);
}

static void test_what_is_dropped(void **state)
{
	static const struct {
		const char *reason;
		void (*edit)(uint8_t *buf);
	} cases[] = {
		{"vip-miss", edit_port},
		{"vip-miss", edit_icmp},
		{"fragment", edit_later_fragment},
		{"no-backend", edit_no_backends},
		{"no-backend", edit_dead_backends},
		{"hairpin", edit_only_the_client},
		{"neighbour", edit_unknown_neighbour},
		{NULL, edit_nothing},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t buf[2048];
		size_t len = rig_to_vip(buf, TCP, (uint16_t)(100 + i), SYN, 10);
		uint64_t before = cases[i].reason ? harness_drops(rig.dp, cases[i].reason) : 0;

		cases[i].edit(buf);
		harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
		rig_give_up_waiting();
		if (cases[i].reason && harness_drops(rig.dp, cases[i].reason) != before + 1)
			fail_msg("case %u: not dropped as %s", i, cases[i].reason);
		assert_int_equal(rig.a.count, 0);
		assert_int_equal(rig.b.count + rig.c.count, cases[i].reason ? 0 : 1);
		rig_weigh(1, 1);
	}
}

/* A TCP header that the packet cuts off. */
static void test_cut_header_is_malformed(void **state)
{
	uint8_t buf[2048];
	uint64_t before = harness_drops(rig.dp, "malformed");

	rig_to_vip(buf, TCP, 1234, SYN, 0);
	buf[17] = 36;
	harness_send(rig.dp, &rig.a, buf, 50, RIG_PLAIN, 0);
	assert_int_equal(harness_drops(rig.dp, "malformed"), before + 1);
	assert_int_equal(rig.b.count + rig.c.count, 0);
}

/* IP options that push the TCP header out of the private copy. */
static void test_header_behind_options(void **state)
{
	uint8_t plain[2048], buf[2048];
	size_t len = rig_to_vip(plain, TCP, 1234, SYN, 10);
	const struct received *r;
	uint32_t sum = 0;

	memcpy(buf, plain, 34);
	memset(buf + 34, 1, 40);
	memcpy(buf + 74, plain + 34, len - 34);
	buf[14] = 0x4f;
	buf[17] = (uint8_t)(buf[17] + 40);
	buf[24] = buf[25] = 0;
	for (size_t i = 14; i < 74; i += 2)
		sum += (uint32_t)(buf[i] << 8 | buf[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	buf[24] = (uint8_t)(sum >> 8);
	buf[25] = (uint8_t)sum;
	harness_send(rig.dp, &rig.a, buf, len + 40, RIG_PLAIN, 0);
	assert_int_equal(rig.b.count + rig.c.count, 1);
	r = rig.b.count ? &rig.b.got[0] : &rig.c.got[0];
	rig_assert_ip(r, 30, rig.b.count ? IP_B : IP_C);
	assert_int_equal(rig_field16(r, 76), 8080);
	sum = 0;
	for (size_t i = 14; i < 74; i += 2)
		sum += rig_field16(r, i);
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
}

static void test_direct_traffic_is_left_alone(void **state)
{
	uint8_t buf[2048];
	size_t len = rig_from_backend(buf, TCP, true, 4321, ACK, 10);

	harness_send(rig.dp, &rig.b, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	assert_memory_equal(rig.a.got[0].data, buf, len);
}

static void test_fragments_of_direct_traffic_are_left_alone(void **state)
{
	uint8_t buf[2048];
	size_t len = rig_from_backend(buf, UDP, true, 4321, 0, 10);

	buf[20] = 0x20;
	harness_send(rig.dp, &rig.b, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	assert_memory_equal(rig.a.got[0].data, buf, len);
}

static void test_hairpin_takes_another(void **state)
{
	struct test_port *to;
	uint8_t buf[2048];

	for (uint16_t port = 3000; port < 3032; port++) {
		size_t len = packet_ip4(
			buf, &(struct packet){dp_router_mac, MAC_B, IP_B, IP_VIP, TCP, port, 80, SYN, 0});

		harness_send(rig.dp, &rig.b, buf, len, RIG_PLAIN, 0);
		to = rig_reached();
		assert_ptr_equal(to, &rig.c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_tcp_goes_both_ways),
		RIG_TEST(test_udp_goes_both_ways),
		RIG_TEST(test_payload_in_many_pieces),
		RIG_TEST(test_connections_spread_and_stay),
		RIG_TEST(test_too_big_is_told_in_the_senders_terms),
		RIG_TEST(test_what_is_dropped),
		RIG_TEST(test_cut_header_is_malformed),
		RIG_TEST(test_header_behind_options),
		RIG_TEST(test_direct_traffic_is_left_alone),
		RIG_TEST(test_fragments_of_direct_traffic_are_left_alone),
		RIG_TEST(test_hairpin_takes_another),
	};

	return cmocka_run_group_tests_name("service", tests, rig_group_setup, rig_group_teardown);
}

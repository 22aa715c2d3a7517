/* What a client gets that asks a vip for what nobody serves: a reset or an ICMP error, or nothing. */
#include <rte_cycles.h>
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { SEQ = 38, ACKED = 42, OFFSET = 46, FLAGS = 47, TCP_CSUM = 50 };

static uint8_t buf[2048];

static void put(uint16_t port, enum dp_protocol protocol, uint32_t *id, bool rejects)
{
	const struct dp_service spec = {.net = rig.net,
		.vip = ip_from4(IP_VIP),
		.port = port,
		.protocol = protocol,
		.rejects = rejects};
	struct dp_err err;

	assert_int_equal(dp_service_put(rig.dp, &spec, id, &err), 0);
}

/* Nobody serves the vip, and its services tell so. */
static int setup(void **state)
{
	rig_setup(state);
	put(80, DP_TCP, &rig.tcp_service, true);
	put(53, DP_UDP, &rig.udp_service, true);
	return 0;
}
#define TEST_REFUSED(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

/* One's complement over the TCP header and what is with it, so that a changed field leaves the packet right. */
static void sum_again(size_t len)
{
	uint32_t sum = 6 + (uint32_t)(len - 34);

	memset(buf + TCP_CSUM, 0, 2);
	for (size_t i = 26; i < len; i++)
		sum += (uint32_t)buf[i] << (i % 2 ? 0 : 8);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~((sum & 0xffff) + (sum >> 16));
	buf[TCP_CSUM] = (uint8_t)(sum >> 8);
	buf[TCP_CSUM + 1] = (uint8_t)sum;
}

static const struct received *send(size_t len, const char *reason)
{
	uint64_t before = harness_drops(rig.dp, reason);

	rig.a.count = 0;
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	rig_give_up_waiting();
	assert_int_equal(rig.b.count + rig.c.count, 0);
	assert_int_equal(harness_drops(rig.dp, reason), before + 1);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
	return rig.a.count ? &rig.a.got[0] : NULL;
}

static uint32_t field32(const struct received *r, size_t at)
{
	return (uint32_t)rig_field16(r, at) << 16 | rig_field16(r, at + 2);
}

static void assert_reset(const struct received *r, uint16_t port, uint32_t acked)
{
	assert_non_null(r);
	assert_int_equal(r->len, 54);
	assert_memory_equal(r->data, MAC_A, 6);
	assert_memory_equal(r->data + 6, dp_router_mac, 6);
	assert_int_equal(r->data[14], 0x45);
	assert_int_equal(rig_field16(r, 16), 40);
	rig_assert_ip(r, 26, IP_VIP);
	rig_assert_ip(r, 30, IP_A);
	assert_int_equal(rig_field16(r, 34), port);
	assert_int_equal(rig_field16(r, 36), 1234);
	assert_int_equal(field32(r, SEQ), 0);
	assert_int_equal(field32(r, ACKED), acked);
	assert_int_equal(r->data[FLAGS], RST | ACK);
	assert_int_equal(r->off.flags, 0);
	assert_true(packet_checksums_right(r->data, r->len));
}

static void a_syn_is_reset(void **state)
{
	size_t len = rig_to_vip(buf, TCP, 1234, SYN, 0);

	memset(buf + SEQ, 0xff, 4); /* the next number is 0 */
	sum_again(len);
	assert_reset(send(len, "no-backend"), 80, 0);
}

static void data_in_a_syn_is_acknowledged(void **state)
{
	size_t len = rig_to_vip(buf, TCP, 1234, SYN, 700);

	memcpy(buf + SEQ, (const uint8_t[]){1, 2, 3, 4}, 4);
	sum_again(len);
	assert_reset(send(len, "no-backend"), 80, 0x01020304 + 701);
}

/* A TCP header that says that it is longer than the packet: no data, rather than a number from nowhere. */
static void a_syn_that_lies_about_its_header(void **state)
{
	size_t len = rig_to_vip(buf, TCP, 1234, SYN, 0);

	memcpy(buf + SEQ, (const uint8_t[]){0, 0, 0, 1}, 4);
	buf[OFFSET] = 0xf0;
	assert_reset(send(len, "no-backend"), 80, 2);
}

static void a_port_without_a_service_is_reset(void **state)
{
	size_t len = rig_to_vip(buf, TCP, 1234, SYN, 0);

	buf[37] = 81;
	memset(buf + SEQ, 0, 4);
	assert_reset(send(len, "vip-miss"), 81, 1);
}

static void what_opens_nothing_is_dropped_in_silence(void **state)
{
	const uint8_t flags[] = {ACK, FIN | ACK, RST, RST | ACK, SYN | ACK, SYN | FIN, SYN | RST, 0};

	for (size_t i = 0; i < sizeof(flags); i++)
		assert_null(send(rig_to_vip(buf, TCP, 1234, flags[i], 10), "no-backend"));
}

static void assert_unreachable(const struct received *r, size_t len)
{
	assert_non_null(r);
	assert_memory_equal(r->data, MAC_A, 6);
	assert_memory_equal(r->data + 6, dp_router_mac, 6);
	rig_assert_ip(r, 26, IP_VIP);
	rig_assert_ip(r, 30, IP_A);
	assert_int_equal(r->data[23], 1);
	assert_int_equal(rig_field16(r, 34), 0x0303);
	assert_int_equal(field32(r, 38), 0);
	assert_true(packet_checksums_right(r->data, r->len));
	assert_int_equal(r->len, 42 + len - 14);
	assert_memory_equal(r->data + 42, buf + 14, len - 14);
}

static void a_datagram_is_told_unreachable(void **state)
{
	size_t len = rig_to_vip(buf, UDP, 1234, 0, 100);

	assert_unreachable(send(len, "no-backend"), len);
	buf[37] = 54;
	assert_unreachable(send(len, "vip-miss"), len);
}

/* A port that has had its ICMP errors of this second gets no more; of resets there is no rate. */
static void icmp_errors_have_a_rate(void **state)
{
	uint64_t now = rte_rdtsc(), second = rte_get_tsc_hz();

	atomic_store(&rig.a.port->answers_full, now + 1000 * second);
	assert_null(send(rig_to_vip(buf, UDP, 1234, 0, 10), "no-backend"));
	assert_non_null(send(rig_to_vip(buf, TCP, 1234, SYN, 0), "no-backend"));
	atomic_store(&rig.a.port->answers_full, 0);
	assert_non_null(send(rig_to_vip(buf, UDP, 1234, 0, 10), "no-backend"));
	assert_true(atomic_load(&rig.a.port->answers_full) > now); /* that was one of them */
}

static void other_protocols_and_fragments_are_told_nothing(void **state)
{
	size_t len = rig_to_vip(buf, TCP, 1234, SYN, 10);

	buf[23] = 47;
	assert_null(send(len, "vip-miss"));
	len = rig_to_vip(buf, TCP, 1234, SYN, 10);
	buf[21] = 3; /* not the first */
	assert_null(send(len, "fragment"));
}

static void a_vip_that_drops_tells_nothing(void **state)
{
	put(80, DP_TCP, &rig.tcp_service, false);
	put(53, DP_UDP, &rig.udp_service, false);
	assert_null(send(rig_to_vip(buf, TCP, 1234, SYN, 0), "no-backend"));
	assert_null(send(rig_to_vip(buf, UDP, 1234, 0, 10), "no-backend"));
	rig_to_vip(buf, TCP, 1234, SYN, 0);
	buf[37] = 81;
	assert_null(send(54, "vip-miss"));
}

/* A port that no service has is told of where one of the vip's services would tell. */
static void one_service_of_a_vip_tells_for_all_other_ports(void **state)
{
	size_t len = rig_to_vip(buf, TCP, 1234, SYN, 0);

	put(80, DP_TCP, &rig.tcp_service, false);
	memset(buf + SEQ, 0, 4);
	buf[37] = 81;
	assert_reset(send(len, "vip-miss"), 81, 1);
	assert_null(send(rig_to_vip(buf, TCP, 1234, SYN, 0), "no-backend"));
}

/* The one backend's port was down for a moment: its connections wait, and go on. */
static void a_connection_outlives_its_backends_absence(void **state)
{
	const struct dp_backend b = {ip_from4(IP_B), 8080, 1, false}, dead = {ip_from4(IP_B), 8080, 1, true};
	struct dp_service spec = {.net = rig.net,
		.vip = ip_from4(IP_VIP),
		.port = 80,
		.protocol = DP_TCP,
		.backends = &b,
		.nbackends = 1,
		.rejects = true};
	struct dp_err err;

	assert_int_equal(dp_service_put(rig.dp, &spec, &rig.tcp_service, &err), 0);
	assert_ptr_equal(rig_open_connection(1234), &rig.b);
	spec.backends = &dead;
	assert_int_equal(dp_service_put(rig.dp, &spec, &rig.tcp_service, &err), 0);
	assert_null(send(rig_to_vip(buf, TCP, 1234, ACK, 10), "no-backend"));
	spec.backends = &b;
	assert_int_equal(dp_service_put(rig.dp, &spec, &rig.tcp_service, &err), 0);
	assert_ptr_equal(rig_client_reaches(1234, ACK), &rig.b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_REFUSED(a_syn_is_reset),
		TEST_REFUSED(data_in_a_syn_is_acknowledged),
		TEST_REFUSED(a_syn_that_lies_about_its_header),
		TEST_REFUSED(a_port_without_a_service_is_reset),
		TEST_REFUSED(what_opens_nothing_is_dropped_in_silence),
		TEST_REFUSED(a_datagram_is_told_unreachable),
		TEST_REFUSED(icmp_errors_have_a_rate),
		TEST_REFUSED(other_protocols_and_fragments_are_told_nothing),
		TEST_REFUSED(a_vip_that_drops_tells_nothing),
		TEST_REFUSED(one_service_of_a_vip_tells_for_all_other_ports),
		TEST_REFUSED(a_connection_outlives_its_backends_absence),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}

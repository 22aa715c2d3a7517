/* SCTP through a vip: its checksum, its states, and what of it is not carried. */
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum {
	SCTP = 132,
	L4 = 34,
	CRC = 42,
	CHUNK = 46,
	INIT = 1,
	INIT_ACK = 2,
	ABORT = 6,
	SHUTDOWN_ACK = 8,
	COMPLETE = 14
};
enum { VIP_PORT = 80, PORT = 3868, CLIENT_PORT = 1234 };

static uint8_t buf[2048];
static uint32_t id;

/* CRC32c bit by bit, over an SCTP packet whose own field counts as 0. */
static uint32_t crc_of(const uint8_t *l4, size_t len)
{
	uint32_t crc = UINT32_MAX;

	for (size_t i = 0; i < len; i++) {
		crc ^= i >= 8 && i < 12 ? 0 : l4[i];
		for (int bit = 0; bit < 8; bit++)
			crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
	}
	return ~crc;
}

static bool crc_right(const uint8_t *frame)
{
	size_t len = (size_t)(frame[16] << 8 | frame[17]) - 20;
	uint32_t crc = crc_of(frame + L4, len), is;

	memcpy(&is, frame + CRC, 4);
	return is == crc;
}

static void sum_ip(uint8_t *ip)
{
	uint32_t sum = 0;

	memset(ip + 10, 0, 2);
	for (size_t i = 0; i < 20; i += 2)
		sum += (uint32_t)(ip[i] << 8 | ip[i + 1]);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = ~(sum + (sum >> 16));
	ip[10] = (uint8_t)(sum >> 8);
	ip[11] = (uint8_t)sum;
}

/* What UDP's header would be becomes the first half of SCTP's; `payload` bytes are behind the whole of it. */
static size_t make(const struct packet *p, uint8_t chunk, size_t payload)
{
	struct packet udp = *p;
	size_t len;
	uint32_t crc;

	udp.proto = UDP;
	udp.payload = 4 + payload;
	len = packet_ip4(buf, &udp);
	buf[23] = SCTP;
	sum_ip(buf + 14);
	memset(buf + L4 + 4, 0x5a, 8);
	buf[CHUNK] = chunk;
	crc = crc_of(buf + L4, 12 + payload);
	memcpy(buf + CRC, &crc, 4);
	return len;
}

static size_t to_vip(uint8_t chunk, size_t payload)
{
	return make(&(struct packet){.dst = dp_router_mac,
			    .src = MAC_A,
			    .from = IP_A,
			    .to = IP_VIP,
			    .from_port = CLIENT_PORT,
			    .to_port = VIP_PORT},
		chunk, payload);
}

static size_t from_backend(bool is_b, uint16_t port, uint8_t chunk, size_t payload)
{
	return make(&(struct packet){.dst = MAC_A,
			    .src = is_b ? MAC_B : MAC_C,
			    .from = is_b ? IP_B : IP_C,
			    .to = IP_A,
			    .from_port = port,
			    .to_port = CLIENT_PORT},
		chunk, payload);
}

static void put(uint16_t to, unsigned n)
{
	const struct dp_backend backends[] = {{ip_from4(IP_B), to, 1, false}, {ip_from4(IP_C), to, 1, false}};
	const struct dp_service spec = {.net = rig.net,
		.vip = ip_from4(IP_VIP),
		.port = VIP_PORT,
		.protocol = DP_SCTP,
		.backends = backends,
		.nbackends = n,
		.rejects = true};
	struct dp_err err;

	assert_int_equal(dp_service_put(rig.dp, &spec, &id, &err), 0);
}

/* On the port that TCP has a service of its own on. */
static int setup(void **state)
{
	rig_setup(state);
	id = DP_SERVICE_NONE;
	put(PORT, 2);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(dp_service_del(rig.dp, id), 0);
	return rig_teardown(state);
}

static void send(struct test_port *from, size_t len)
{
	rig.a.count = 0;
	harness_send(rig.dp, from, buf, len, RIG_PLAIN, 0);
}

/* The client sends this; which backend did it reach, with which frame? */
static struct test_port *reaches(uint8_t chunk, size_t payload, const struct received **got)
{
	struct test_port *to;

	send(&rig.a, to_vip(chunk, payload));
	to = rig_reached();
	assert_non_null(to);
	*got = &to->got[0];
	return to;
}

static void ports_are_translated_and_the_checksum_follows(void **state)
{
	const size_t payloads[] = {4, 5, 11, 12, 60, 1000, 1401};
	const struct received *got;

	for (size_t i = 0; i < sizeof(payloads) / sizeof(payloads[0]); i++) {
		struct test_port *to = reaches(i ? 0 : INIT, payloads[i], &got);

		assert_int_equal(rig_field16(got, L4 + 2), PORT);
		rig_assert_ip(got, 30, to == &rig.b ? IP_B : IP_C);
		assert_true(crc_right(got->data));
		send(to, from_backend(to == &rig.b, PORT, i ? 0 : INIT_ACK, payloads[i]));
		assert_int_equal(rig.a.count, 1);
		rig_assert_ip(&rig.a.got[0], 26, IP_VIP);
		assert_int_equal(rig_field16(&rig.a.got[0], L4), VIP_PORT);
		assert_true(crc_right(rig.a.got[0].data));
	}
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

/* A packet that was damaged on its way is not made right. */
static void what_is_broken_stays_broken(void **state)
{
	const struct received *got;
	size_t len;

	reaches(INIT, 100, &got);
	len = to_vip(0, 100);
	buf[CHUNK + 50] ^= 1;
	send(&rig.a, len);
	got = rig.b.count ? &rig.b.got[0] : &rig.c.got[0];
	assert_false(crc_right(got->data));
	rig.b.count = rig.c.count = 0;
}

static void the_same_port_leaves_the_checksum(void **state)
{
	const struct received *got;
	uint8_t crc[4];

	put(VIP_PORT, 2);
	reaches(INIT, 100, &got);
	memcpy(crc, buf + CRC, 4);
	assert_memory_equal(got->data + CRC, crc, 4);
}

static bool see(void *arg, const struct dp_conn *conn)
{
	*(struct dp_conn *)arg = *conn;
	return true;
}

static enum dp_conn_state state_now(void)
{
	struct dp_conn conn = {.state = DP_CONN_CLOSING};
	uint64_t at = 0;

	assert_int_equal(dp_conn_count(rig.dp), 1);
	dp_conn_walk_part(rig.dp, &at, see, &conn);
	assert_int_equal(conn.protocol, DP_SCTP);
	return conn.state;
}

static bool begin(void)
{
	const struct received *got;
	bool is_b = reaches(INIT, 20, &got) == &rig.b;

	assert_int_equal(state_now(), DP_CONN_NEW);
	send(is_b ? &rig.b : &rig.c, from_backend(is_b, PORT, INIT_ACK, 20));
	reaches(10, 20, &got); /* COOKIE ECHO */
	assert_int_equal(state_now(), DP_CONN_ESTABLISHED);
	return is_b;
}

static void an_association_is_shut_down(void **state)
{
	const struct received *got;
	bool is_b = begin();

	send(is_b ? &rig.b : &rig.c, from_backend(is_b, PORT, SHUTDOWN_ACK, 4));
	assert_int_equal(state_now(), DP_CONN_ESTABLISHED);
	reaches(COMPLETE, 4, &got);
	assert_int_equal(state_now(), DP_CONN_CLOSING);
}

static void an_association_is_aborted(void **state)
{
	bool is_b = begin();

	send(is_b ? &rig.b : &rig.c, from_backend(is_b, PORT, ABORT, 4));
	assert_int_equal(state_now(), DP_CONN_CLOSING);
}

static void nobody_serves(void **state)
{
	uint64_t before = harness_drops(rig.dp, "no-backend");

	put(PORT, 0);
	send(&rig.a, to_vip(INIT, 20));
	assert_int_equal(harness_drops(rig.dp, "no-backend"), before + 1);
	assert_int_equal(rig.a.count, 1);
	assert_int_equal(rig_field16(&rig.a.got[0], L4), 0x0302); /* protocol unreachable */
	rig_assert_ip(&rig.a.got[0], 26, IP_VIP);
}

/* One byte less than the first chunk's type, and fragments. */
static void what_is_not_all_there_is_dropped(void **state)
{
	uint64_t cut = harness_drops(rig.dp, "malformed"), piece = harness_drops(rig.dp, "fragment");
	size_t len = to_vip(INIT, 0);

	send(&rig.a, len);
	assert_int_equal(harness_drops(rig.dp, "malformed"), cut + 1);
	len = to_vip(INIT, 40);
	buf[20] |= 0x20; /* more to come */
	sum_ip(buf + 14);
	send(&rig.a, len);
	len = to_vip(INIT, 40);
	buf[21] = 5; /* not the first */
	sum_ip(buf + 14);
	send(&rig.a, len);
	assert_int_equal(harness_drops(rig.dp, "fragment"), piece + 2);
	assert_null(rig_reached());
	assert_int_equal(dp_conn_count(rig.dp), 0);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

static void tcp_on_the_same_port_is_another_service(void **state)
{
	const struct received *got;

	reaches(INIT, 20, &got);
	assert_int_equal(rig_field16(got, L4 + 2), PORT);
	rig_open_connection(CLIENT_PORT);
	assert_int_equal(dp_conn_count(rig.dp), 2);
}

#define TEST_SCTP(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_SCTP(ports_are_translated_and_the_checksum_follows),
		TEST_SCTP(what_is_broken_stays_broken),
		TEST_SCTP(the_same_port_leaves_the_checksum),
		TEST_SCTP(an_association_is_shut_down),
		TEST_SCTP(an_association_is_aborted),
		TEST_SCTP(nobody_serves),
		TEST_SCTP(what_is_not_all_there_is_dropped),
		TEST_SCTP(tcp_on_the_same_port_is_another_service),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}

/* SCTP through a vip: its checksum, its states, and what of it is not carried. */
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { SCTP = 132, INIT = 1, INIT_ACK = 2, ABORT = 6, SHUTDOWN_ACK = 8, COMPLETE = 14 };
enum { VIP_PORT = 80, PORT = 3868, CLIENT_PORT = 1234 };

/* Where things are in a frame of the family that is tested. */
static bool six;
static const uint8_t *extension; /* of IPv6; eight bytes, NULL: none */
#define L4 (six ? (extension ? 62u : 54u) : 34u)
#define CRC (L4 + 8)
#define CHUNK (L4 + 12)

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
	size_t end =
		six ? 54 + (size_t)(frame[18] << 8 | frame[19]) : 14 + (size_t)(frame[16] << 8 | frame[17]);
	size_t len = end - L4;
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

/* fd00::5 of 10.0.0.5. */
static struct ip_addr address(uint32_t ip)
{
	return six ? RIG_IP6((uint8_t)(be32toh(ip) & 255)) : ip_from4(ip);
}

/* What UDP's header would be becomes the first half of SCTP's; `payload` bytes are behind the whole of it. */
static size_t make(const struct packet *p, uint8_t chunk, size_t payload)
{
	struct ip_addr from = address(p->from), to = address(p->to);
	struct packet udp = *p;
	size_t len;
	uint32_t crc;

	udp.proto = UDP;
	udp.payload = 4 + payload;
	if (six) {
		len = packet6_write(buf, &udp, from.b, to.b, 60, extension, extension ? 8 : 0);
		buf[extension ? 54 : 20] = SCTP;
	} else {
		len = packet_ip4(buf, &udp);
		buf[23] = SCTP;
		sum_ip(buf + 14);
	}
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
	const struct dp_backend backends[] = {{address(IP_B), to, 1, false}, {address(IP_C), to, 1, false}};
	const struct dp_service spec = {.net = rig.net,
		.vip = address(IP_VIP),
		.port = VIP_PORT,
		.protocol = DP_SCTP,
		.backends = backends,
		.nbackends = n,
		.rejects = true};
	struct dp_err err;

	assert_int_equal(dp_service_put(rig.dp, &spec, &id, &err), 0);
}

/* On the port that TCP has a service of its own on. */
static int setup_of(void **state, bool is6)
{
	six = is6;
	extension = NULL;
	rig_setup(state);
	id = DP_SERVICE_NONE;
	put(PORT, 2);
	return 0;
}

static int setup(void **state)
{
	return setup_of(state, false);
}

static int setup6(void **state)
{
	return setup_of(state, true);
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

static uint32_t load(const uint8_t *at)
{
	uint32_t ip;

	memcpy(&ip, at, sizeof(ip));
	return ip;
}

static void assert_source(const struct received *r, uint32_t ip)
{
	struct ip_addr is = six ? ip_from6(r->data + 22) : ip_from4(load(r->data + 26));

	assert_true(ip_equal(is, address(ip)));
}

static void assert_destination(const struct received *r, uint32_t ip)
{
	struct ip_addr is = six ? ip_from6(r->data + 38) : ip_from4(load(r->data + 30));

	assert_true(ip_equal(is, address(ip)));
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
		assert_destination(got, to == &rig.b ? IP_B : IP_C);
		assert_true(crc_right(got->data));
		send(to, from_backend(to == &rig.b, PORT, i ? 0 : INIT_ACK, payloads[i]));
		assert_int_equal(rig.a.count, 1);
		assert_source(&rig.a.got[0], IP_VIP);
		assert_int_equal(rig_field16(&rig.a.got[0], L4), VIP_PORT);
		assert_true(crc_right(rig.a.got[0].data));
	}
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

static void behind_an_extension_header_it_is_the_same(void **state)
{
	static const uint8_t options[8] = {SCTP, 0, 1, 4};

	extension = options;
	ports_are_translated_and_the_checksum_follows(state);
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
	/* protocol unreachable, or the next header is unknown */
	assert_int_equal(rig_field16(&rig.a.got[0], L4), six ? 0x0401 : 0x0302);
	assert_int_equal(rig_field16(&rig.a.got[0], L4 + 6), six ? 6 : 0);
	assert_source(&rig.a.got[0], IP_VIP);
}

/* The part of a packet to the vip that is at 8 * `offset`. */
static size_t fragment(uint8_t offset, bool more)
{
	const uint8_t header[8] = {SCTP, 0, 0, (uint8_t)(offset << 3 | more), 0, 0, 0, 7};
	size_t len;

	if (six) {
		extension = header;
		len = to_vip(INIT, 40);
		buf[20] = 44;
		extension = NULL;
	} else {
		len = to_vip(INIT, 40);
		buf[20] = more ? 0x20 : 0;
		buf[21] = offset;
		sum_ip(buf + 14);
	}
	return len;
}

/* What is in the way of an association's packets is told to who sent them: what TCP's errors are, RFC 9260, 10. */
static void an_error_finds_its_association(void **state)
{
	bool is_b;
	uint8_t quote[56];
	const size_t ip = six ? 40 : 20, n = ip + 8;
	size_t len;

	is_b = begin();
	send(is_b ? &rig.b : &rig.c, from_backend(is_b, PORT, 0, 400));
	assert_int_equal(rig.a.count, 1);
	memcpy(quote, rig.a.got[0].data + 14, n); /* what the client got, it says is too big */
	if (six) {
		const struct packet p = {dp_router_mac, MAC_A, 0, 0, 58, 0, 0, 0, n};
		struct ip_addr from = address(IP_A), to = address(IP_VIP);

		len = packet6_write(buf, &p, from.b, to.b, 0, NULL, 0);
		buf[54] = 2;
		memcpy(buf + 62, quote, n);
		packet6_checksum(buf, len, 54, 58);
	} else {
		len = packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, IP_A, IP_VIP, 1, 0, 0, 0, n});
		memcpy(buf + 42, quote, n);
		buf[34] = 3;
		buf[35] = 4;
	}
	rig.b.count = rig.c.count = 0;
	send(&rig.a, len);
	{
		struct test_port *to = is_b ? &rig.b : &rig.c;

		assert_int_equal(to->count, 1);
		assert_destination(&to->got[0], is_b ? IP_B : IP_C);
		assert_int_equal(rig_field16(&to->got[0], L4 + 8 + ip), PORT);
		assert_true(!six || packet6_checksum_right(to->got[0].data, to->got[0].len, 54));
	}
	rig.b.count = rig.c.count = 0;
}

/* One byte less than the first chunk's type, and fragments. */
static void what_is_not_all_there_is_dropped(void **state)
{
	uint64_t cut = harness_drops(rig.dp, "malformed"), piece = harness_drops(rig.dp, "fragment");
	size_t len = to_vip(INIT, 0);

	send(&rig.a, len);
	assert_int_equal(harness_drops(rig.dp, "malformed"), cut + 1);
	send(&rig.a, fragment(0, true));
	send(&rig.a, fragment(5, false));
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

#define TEST_SCTP(name)                                                                                      \
	cmocka_unit_test_setup_teardown(name, setup, teardown),                                              \
	{                                                                                                    \
#name " over IPv6", name, setup6, teardown, NULL                                             \
	}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_SCTP(ports_are_translated_and_the_checksum_follows),
		cmocka_unit_test_setup_teardown(behind_an_extension_header_it_is_the_same, setup6, teardown),
		TEST_SCTP(what_is_broken_stays_broken),
		TEST_SCTP(the_same_port_leaves_the_checksum),
		TEST_SCTP(an_association_is_shut_down),
		TEST_SCTP(an_association_is_aborted),
		TEST_SCTP(an_error_finds_its_association),
		TEST_SCTP(nobody_serves),
		TEST_SCTP(what_is_not_all_there_is_dropped),
		cmocka_unit_test_setup_teardown(tcp_on_the_same_port_is_another_service, setup, teardown),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}

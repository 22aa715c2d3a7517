/* Services over IPv6: what test_service.c and its neighbours ask of IPv4. */
#include <linux/virtio_net.h>
#include <rte_cycles.h>
#include <stdlib.h>
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { ICMP6 = 58, L4 = 54, SOURCE = 22, DESTINATION = 38, FUZZ_ROUNDS = 20000 };

static uint8_t buf[2048];
static const uint8_t OPTIONS[8] = {TCP, 0, 1, 4}; /* one header of padding before TCP */

static void put(uint16_t port, enum dp_protocol protocol, const struct dp_backend *backends, size_t n,
	uint32_t *id, bool rejects, uint32_t affinity_s)
{
	const struct dp_service spec = {
		rig.net, IP6_VIP, port, protocol, backends, n, rejects, .affinity_s = affinity_s};
	struct dp_err err = {""};

	if (dp_service_put(rig.dp, &spec, id, &err))
		fail_msg("%s", err.text);
}

static void weigh(int weight_b, int weight_c)
{
	const struct dp_backend backends[] = {
		{IP6_B, 8080, (uint16_t)(weight_b < 0 ? 1 : weight_b), weight_b < 0},
		{IP6_C, 8080, (uint16_t)(weight_c < 0 ? 1 : weight_c), weight_c < 0},
	};

	put(80, DP_TCP, backends, 2, &rig.tcp_service, false, 0);
}

static int setup(void **state)
{
	const struct dp_backend udp[] = {{IP6_B, 5353, 1, false}, {IP6_C, 5353, 1, false}};

	rig.a.count = rig.b.count = rig.c.count = 0;
	rig.tcp_service = rig.udp_service = DP_SERVICE_NONE;
	weigh(1, 1);
	put(53, DP_UDP, udp, 2, &rig.udp_service, false, 0);
	return 0;
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

static size_t write6(const uint8_t *mac_to, const uint8_t *mac, struct ip_addr from, struct ip_addr to,
	uint8_t proto, uint16_t from_port, uint16_t to_port, uint8_t flags, size_t payload)
{
	return packet6_write(buf,
		&(struct packet){mac_to, mac, 0, 0, proto, from_port, to_port, flags, payload}, from.b, to.b,
		0, NULL, 0);
}

static size_t to_vip(uint8_t proto, uint16_t client_port, uint8_t flags, size_t payload)
{
	return write6(dp_router_mac, MAC_A, IP6_A, IP6_VIP, proto, client_port, proto == TCP ? 80 : 53, flags,
		payload);
}

static size_t from_backend(uint8_t proto, bool is_b, uint16_t client_port, uint8_t flags, size_t payload)
{
	return write6(MAC_A, is_b ? MAC_B : MAC_C, is_b ? IP6_B : IP6_C, IP6_A, proto,
		proto == TCP ? 8080 : 5353, client_port, flags, payload);
}

static void send(struct test_port *from, size_t len)
{
	harness_send(rig.dp, from, buf, len, RIG_PLAIN, 0);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

static struct test_port *client_reaches(uint16_t client_port, uint8_t flags)
{
	send(&rig.a, to_vip(TCP, client_port, flags, 10));
	return rig_reached();
}

static struct test_port *open_connection(uint16_t client_port)
{
	struct test_port *to = client_reaches(client_port, SYN);

	assert_non_null(to);
	rig.a.count = 0;
	send(to, from_backend(TCP, to == &rig.b, client_port, SYN | ACK, 0));
	assert_int_equal(rig.a.count, 1);
	rig.a.count = 0;
	assert_ptr_equal(client_reaches(client_port, ACK), to);
	return to;
}

static void assert_at(const struct received *r, size_t at, struct ip_addr ip)
{
	assert_memory_equal(r->data + at, ip.b, 16);
}

static void assert_packet(const struct received *r, size_t len, struct ip_addr from, struct ip_addr to,
	uint16_t from_port, uint16_t to_port)
{
	assert_int_equal(r->len, len);
	assert_at(r, SOURCE, from);
	assert_at(r, DESTINATION, to);
	assert_int_equal(rig_field16(r, L4), from_port);
	assert_int_equal(rig_field16(r, L4 + 2), to_port);
	assert_true(packet6_checksum_right(r->data, r->len, L4));
}

static void round_trip(uint8_t proto, size_t payload, size_t span)
{
	struct test_port *to;
	size_t len = to_vip(proto, 1234, SYN, payload);

	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, span);
	to = rig.b.count ? &rig.b : &rig.c;
	assert_ptr_equal(rig_reached(), to);
	assert_packet(
		&to->got[0], len, IP6_A, to == &rig.b ? IP6_B : IP6_C, 1234, proto == TCP ? 8080 : 5353);
	assert_memory_equal(to->got[0].data, to == &rig.b ? MAC_B : MAC_C, 6);
	assert_int_equal(to->got[0].data[21], 64); /* hop limit: the same segment */

	len = from_backend(proto, to == &rig.b, 1234, SYN | ACK, payload);
	harness_send(rig.dp, to, buf, len, RIG_PLAIN, span);
	assert_int_equal(rig.a.count, 1);
	assert_packet(&rig.a.got[0], len, IP6_VIP, IP6_A, proto == TCP ? 80 : 53, 1234);
	assert_memory_equal(rig.a.got[0].data + 6, dp_router_mac, 6);
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

static bool look(void *arg, const struct dp_conn *conn)
{
	*(struct dp_conn *)arg = *conn;
	return false;
}

static void test_a_connection_is_shown(void **state)
{
	struct test_port *to = open_connection(1234);
	struct dp_conn conn;

	dp_conn_walk_part(rig.dp, &(uint64_t){0}, look, &conn);
	assert_true(ip_equal(conn.client, IP6_A));
	assert_true(ip_equal(conn.vip, IP6_VIP));
	assert_true(ip_equal(conn.backend, to == &rig.b ? IP6_B : IP6_C));
	assert_int_equal(conn.client_port, 1234);
	assert_int_equal(conn.vip_port, 80);
	assert_int_equal(conn.backend_port, 8080);
	assert_int_equal(conn.state, DP_CONN_ESTABLISHED);
}

static void test_connections_spread_and_stay(void **state)
{
	struct test_port *to[100];
	unsigned to_b = 0;

	for (uint16_t i = 0; i < 100; i++) {
		to[i] = open_connection((uint16_t)(2000 + i));
		to_b += to[i] == &rig.b;
	}
	assert_in_range(to_b, 30, 70);
	assert_int_equal(dp_conn_count(rig.dp), 100);
	weigh(1, 0);
	for (uint16_t i = 0; i < 100; i++)
		assert_ptr_equal(client_reaches((uint16_t)(2000 + i), ACK), to[i]);
	for (uint16_t i = 0; i < 100; i++)
		assert_ptr_equal(client_reaches((uint16_t)(3000 + i), SYN), &rig.b);
	weigh(1, -1);
	for (uint16_t i = 0; i < 100; i++)
		assert_ptr_equal(client_reaches((uint16_t)(2000 + i), ACK), &rig.b);
}

static void test_clients_that_differ_in_one_bit_spread(void **state)
{
	unsigned to_b = 0;

	for (unsigned bit = 8; bit < 128; bit++) {
		struct ip_addr client = IP6_A;

		client.b[bit / 8] ^= (uint8_t)(1 << bit % 8);
		send(&rig.a, write6(dp_router_mac, MAC_A, client, IP6_VIP, TCP, 1234, 80, SYN, 0));
		to_b += rig_reached() == &rig.b;
	}
	assert_in_range(to_b, 36, 84);
	assert_int_equal(dp_conn_count(rig.dp), 120);
}

static void test_a_client_keeps_its_backend(void **state)
{
	const struct dp_backend backends[] = {{IP6_B, 8080, 1, false}, {IP6_C, 8080, 1, false}};
	struct test_port *first;

	put(80, DP_TCP, backends, 2, &rig.tcp_service, false, 60);
	first = open_connection(2000);
	for (uint16_t i = 1; i < 30; i++)
		assert_ptr_equal(open_connection((uint16_t)(2000 + i)), first);
}

/* Both families at once, on one table: each finds its own. */
static void test_both_families_share_the_table(void **state)
{
	const struct dp_backend four[] = {{ip_from4(IP_B), 8080, 1, false}};
	uint32_t service = DP_SERVICE_NONE;

	assert_int_equal(rig_put(rig.net, 80, DP_TCP, four, 1, &service), 0);
	assert_ptr_equal(rig_client_reaches(1234, SYN), &rig.b);
	open_connection(1234);
	assert_int_equal(dp_conn_count(rig.dp), 2);
	assert_ptr_equal(rig_client_reaches(1234, ACK), &rig.b);
	assert_int_equal(dp_service_del(rig.dp, service), 0);
	open_connection(1235);
	assert_null(rig_client_reaches(1236, SYN));
}

/* `port` takes less than `from` sends in `buf`: the answer quotes what `from` sent. */
static void assert_told(struct test_port *from, struct test_port *port, size_t len)
{
	const struct received *r = &from->got[0];

	from->count = 0;
	atomic_store(&port->port->mtu, 1280);
	send(from, len);
	atomic_store(&port->port->mtu, 1500);
	assert_int_equal(from->count, 1);
	assert_int_equal(r->data[L4], 2);
	assert_int_equal(rig_field16(r, L4 + 6), 1280);
	assert_true(packet6_checksum_right(r->data, r->len, L4));
	assert_memory_equal(r->data + L4 + 8, buf + 14, 1280 - 48);
}

static void test_too_big_is_told_in_the_senders_terms(void **state)
{
	struct test_port *to = open_connection(1234);

	assert_told(&rig.a, to, to_vip(TCP, 1234, ACK, 1350));
	assert_told(to, &rig.a, from_backend(TCP, to == &rig.b, 1234, ACK, 1350));
}

static void drops(const char *reason, size_t len)
{
	uint64_t before = harness_drops(rig.dp, reason);

	rig.a.count = 0;
	send(&rig.a, len);
	rig_give_up_waiting();
	if (harness_drops(rig.dp, reason) != before + 1)
		fail_msg("not dropped as %s", reason);
	assert_int_equal(rig.b.count + rig.c.count, 0);
}

static size_t with_extensions(const uint8_t *exts, uint8_t first, size_t n, uint8_t proto)
{
	return packet6_write(buf,
		&(struct packet){dp_router_mac, MAC_A, 0, 0, proto, 1234, proto == TCP ? 80 : 53, SYN, 10},
		IP6_A.b, IP6_VIP.b, first, exts, n);
}

static void test_what_is_dropped(void **state)
{
	const struct dp_backend silent = {RIG_IP6(0x77), 8080, 1, false};
	static const uint8_t fragment[8] = {TCP, 0, 0, 8}, routed[8] = {TCP, 0, 0, 1};

	drops("vip-miss", write6(dp_router_mac, MAC_A, IP6_A, IP6_VIP, TCP, 1234, 81, SYN, 0));
	drops("vip-miss", write6(dp_router_mac, MAC_A, IP6_A, IP6_VIP, 47, 1234, 80, SYN, 0));
	drops("fragment", with_extensions(fragment, 44, 8, TCP));
	drops("vip-miss", with_extensions(routed, 43, 8, TCP));
	weigh(0, 0);
	drops("no-backend", to_vip(TCP, 1234, SYN, 0));
	weigh(-1, -1);
	drops("no-backend", to_vip(TCP, 1234, SYN, 0));
	put(80, DP_TCP, &silent, 1, &rig.tcp_service, false, 0);
	drops("neighbour", to_vip(TCP, 1234, SYN, 0));
}

static void test_cut_headers_are_malformed(void **state)
{
	to_vip(TCP, 1234, SYN, 0);
	buf[19] = 12; /* of TCP's 20 bytes */
	drops("malformed", 66);
	with_extensions(OPTIONS, 60, 8, TCP);
	buf[19] = 16;
	drops("malformed", 70);
	with_extensions(OPTIONS, 60, 8, TCP);
	buf[19] = 4;
	drops("malformed", 58);
}

static void trust(bool trusted)
{
	struct dp_port spec = rig.a.port->spec;
	struct dp_err err;

	spec.trusted = trusted;
	assert_int_equal(dp_port_set(rig.dp, rig.a.port->id, &spec, &err), 0);
}

/* More headers than the private copy holds, and one that says it is longer than all of it. The guard refuses what
 * may hide a router's words, so only a trusted port's come as far as the service. */
static void test_endless_chains_are_malformed(void **state)
{
	uint8_t chain[80] = {0};

	for (unsigned i = 0; i < 10; i++)
		chain[i * 8] = i < 9 ? 60 : ICMP6;
	drops("rogue-server", with_extensions(chain, 0, 80, TCP));
	trust(true);
	drops("malformed", with_extensions(chain, 0, 80, TCP));
	chain[1] = 255;
	drops("malformed", with_extensions(chain, 0, 8, TCP));
	trust(false);
}

static void test_headers_behind_extensions(void **state)
{
	uint8_t three[24] = {60, 0, 1, 4, [8] = 43, 0, 1, 4, [16] = TCP, 0, 0, 0};
	size_t len = with_extensions(OPTIONS, 60, 8, TCP);
	struct test_port *to;

	send(&rig.a, len);
	to = rig_reached();
	assert_non_null(to);
	assert_at(&to->got[0], DESTINATION, to == &rig.b ? IP6_B : IP6_C);
	assert_int_equal(rig_field16(&to->got[0], L4 + 10), 8080);
	assert_true(packet6_checksum_right(to->got[0].data, len, L4 + 8));
	send(&rig.a, with_extensions(three, 0, 24, TCP));
	assert_ptr_equal(rig_reached(), to);
	assert_int_equal(rig_field16(&to->got[0], L4 + 26), 8080);
}

static void test_direct_traffic_is_left_alone(void **state)
{
	size_t len = from_backend(TCP, true, 4321, ACK, 10);

	send(&rig.b, len);
	assert_int_equal(rig.a.count, 1);
	assert_memory_equal(rig.a.got[0].data, buf, len);
}

static void test_ping_to_the_vip_is_answered(void **state)
{
	size_t len = write6(dp_router_mac, MAC_A, IP6_A, IP6_VIP, ICMP6, 7, 1, 0, 30);

	send(&rig.a, len);
	assert_int_equal(rig.a.count, 1);
	assert_int_equal(rig.a.got[0].data[L4], 129);
	assert_at(&rig.a.got[0], SOURCE, IP6_VIP);
	assert_at(&rig.a.got[0], DESTINATION, IP6_A);
	assert_memory_equal(rig.a.got[0].data, MAC_A, 6);
	assert_true(packet6_checksum_right(rig.a.got[0].data, len, L4));
}

static void test_refusal_is_told(void **state)
{
	const struct received *r = &rig.a.got[0];

	put(80, DP_TCP, NULL, 0, &rig.tcp_service, true, 0);
	put(53, DP_UDP, NULL, 0, &rig.udp_service, true, 0);
	drops("no-backend", to_vip(TCP, 1234, SYN, 10));
	assert_int_equal(rig.a.count, 1);
	assert_packet(r, 74, IP6_VIP, IP6_A, 80, 1234);
	assert_int_equal(r->data[L4 + 13], RST | ACK);
	assert_int_equal(rig_field16(r, L4 + 10), 11); /* the SYN and its data */
	drops("no-backend", with_extensions(OPTIONS, 60, 8, TCP));
	assert_int_equal(rig.a.count, 1);
	assert_packet(r, 74, IP6_VIP, IP6_A, 80, 1234);
	assert_int_equal(rig_field16(r, L4 + 10), 11);
	drops("vip-miss", write6(dp_router_mac, MAC_A, IP6_A, IP6_VIP, UDP, 1234, 99, 0, 10));
	assert_int_equal(rig.a.count, 1);
	assert_int_equal(r->data[L4], 1);
	assert_int_equal(r->data[L4 + 1], 4);
	assert_true(packet6_checksum_right(r->data, r->len, L4));
	assert_memory_equal(r->data + L4 + 8, buf + 14, 58);
	drops("no-backend", to_vip(TCP, 1234, ACK, 10));
	assert_int_equal(rig.a.count, 0);
}

/* An IPv4 address that is written as IPv6 is nobody's in a packet (RFC 4291, 2.5.5.2): its answer would be IPv4. */
static void test_a_mapped_sender(void **state)
{
	const struct ip_addr mapped = ip_from4(IP_A);

	put(80, DP_TCP, NULL, 0, &rig.tcp_service, true, 0);
	drops("malformed", write6(dp_router_mac, MAC_A, mapped, IP6_VIP, TCP, 1234, 80, SYN, 10));
	weigh(1, 1);
	drops("malformed", write6(dp_router_mac, MAC_A, mapped, IP6_VIP, TCP, 1234, 80, SYN, 10));
	assert_int_equal(rig.a.count, 0);
	assert_int_equal(dp_conn_count(rig.dp), 0);
}

static void test_the_only_backend_asks_itself(void **state)
{
	const struct dp_backend self = {IP6_A, 8080, 1, false};

	put(80, DP_TCP, &self, 1, &rig.tcp_service, false, 0);
	for (int i = 0; i < 3; i++) {
		size_t len = to_vip(TCP, 1234, i ? ACK : SYN, 10);

		rig.a.count = 0;
		send(&rig.a, len);
		assert_int_equal(rig.a.count, 1);
		assert_packet(&rig.a.got[0], len, IP6_VIP, IP6_A, 1234, 8080);
		len = write6(dp_router_mac, MAC_A, IP6_A, IP6_VIP, TCP, 8080, 1234, ACK, 10);
		rig.a.count = 0;
		send(&rig.a, len);
		assert_int_equal(rig.a.count, 1);
		assert_packet(&rig.a.got[0], len, IP6_VIP, IP6_A, 80, 1234);
	}
	assert_int_equal(dp_conn_count(rig.dp), 1);
}

/* An error of `type` that quotes `n` bytes of an IP packet, into buf. */
static size_t write_error(const uint8_t *mac_to, const uint8_t *mac, struct ip_addr from, struct ip_addr to,
	uint8_t type, const uint8_t *quote, size_t n)
{
	size_t len = write6(mac_to, mac, from, to, ICMP6, 0, 1300, 0, n);

	memcpy(buf + L4 + 8, quote, n);
	buf[L4] = type;
	packet6_checksum(buf, len, L4, ICMP6);
	return len;
}

static void errors_both_ways(uint8_t proto, size_t quoted)
{
	uint8_t sent[2048], got[2048];
	struct test_port *to;
	size_t len = to_vip(proto, 1234, SYN, 200), n;
	struct ip_addr backend;

	memcpy(sent, buf, len);
	send(&rig.a, len);
	to = rig.b.count ? &rig.b : &rig.c;
	memcpy(got, to->got[0].data, len);
	assert_ptr_equal(rig_reached(), to);
	backend = to == &rig.b ? IP6_B : IP6_C;

	/* the backend complains of the request */
	rig.a.count = 0;
	n = write_error(MAC_A, to == &rig.b ? MAC_B : MAC_C, backend, IP6_A, 2, got + 14, quoted);
	send(to, n);
	assert_int_equal(rig.a.count, 1);
	assert_at(&rig.a.got[0], SOURCE, IP6_VIP);
	assert_true(packet6_checksum_right(rig.a.got[0].data, n, L4));
	assert_memory_equal(rig.a.got[0].data + L4 + 8, sent + 14, quoted);

	len = from_backend(proto, to == &rig.b, 1234, ACK, 200);
	memcpy(sent, buf, len);
	rig.a.count = 0;
	send(to, len);
	memcpy(got, rig.a.got[0].data, len);
	/* a router on the client's side complains of the answer */
	n = write_error(dp_router_mac, MAC_A, RIG_IP6(0x99), IP6_VIP, 2, got + 14, quoted);
	send(&rig.a, n);
	assert_ptr_equal(rig_reached(), to);
	assert_at(&to->got[0], SOURCE, RIG_IP6(0x99));
	assert_at(&to->got[0], DESTINATION, backend);
	assert_true(packet6_checksum_right(to->got[0].data, n, L4));
	assert_memory_equal(to->got[0].data + L4 + 8, sent + 14, quoted);
}

static void test_errors_are_translated_both_ways(void **state)
{
	static const size_t quoted[] = {48, 50, 56, 58, 59, 60, 200};

	for (size_t i = 0; i < sizeof(quoted) / sizeof(quoted[0]); i++) {
		errors_both_ways(TCP, quoted[i]);
		errors_both_ways(UDP, quoted[i]);
	}
}

static void test_errors_about_no_connection(void **state)
{
	uint8_t quote[200] = {0x60, [6] = TCP};

	drops("vip-miss", write_error(dp_router_mac, MAC_A, IP6_A, IP6_VIP, 2, quote, sizeof(quote)));
	drops("vip-miss", write_error(dp_router_mac, MAC_A, IP6_A, IP6_VIP, 1, quote, 20));
	drops("vip-miss", write_error(dp_router_mac, MAC_A, IP6_A, IP6_VIP, 1, quote, 0));
}

/* The field holds the sum of the pseudo header: it stays so on the way. */
static void test_partial_checksum_stays_partial(void **state)
{
	const struct offload off = {.flags = NEEDS_CSUM, .csum_start = L4, .csum_offset = 16};
	size_t len = to_vip(TCP, 1234, SYN, 100);
	struct test_port *to;
	uint8_t copy[2048];

	memset(buf + L4, 0, len - L4);
	buf[L4] = 1234 >> 8;
	buf[L4 + 1] = 1234 & 255;
	buf[L4 + 3] = 80;
	buf[L4 + 12] = 0x50;
	buf[L4 + 13] = SYN;
	memcpy(copy, buf, len);
	packet6_checksum(copy, len, L4, TCP); /* of all: what the receiver is to come to */
	memset(copy + L4, 0, len - L4);
	packet6_checksum(copy, len, L4, TCP); /* of the pseudo header alone, complemented */
	buf[L4 + 16] = (uint8_t)~copy[L4 + 16];
	buf[L4 + 17] = (uint8_t)~copy[L4 + 17];
	harness_send(rig.dp, &rig.a, buf, len, off, 0);
	to = rig_reached();
	assert_non_null(to);
	assert_true(packet6_checksum_right(to->got[0].data, len, L4)); /* the port takes no partial ones */
}

/* Packets of all sorts with bytes changed at random: nothing leaves the books, whatever they are. */
static void test_hostile_packets(void **state)
{
	static const uint8_t proto[] = {TCP, UDP, ICMP6};
	uint8_t exts[24] = {60, 0, 1, 4, [8] = 0, 0, 1, 4, [16] = TCP};

	srand(1);
	open_connection(1234);
	for (int round = 0; round < FUZZ_ROUNDS; round++) {
		size_t len = round % 2 ? with_extensions(exts, 60, (size_t)(round % 4) * 8, proto[round % 3])
				       : to_vip(proto[round % 3], 1234, ACK, (size_t)(round % 90));

		if (round % 7 == 0)
			memcpy(buf + DESTINATION, IP6_A.b, 16);
		if (round % 5 == 0)
			memcpy(buf + SOURCE, IP6_B.b, 16);
		for (int i = round % 3; i >= 0; i--)
			buf[14 + (size_t)rand() % (len - 14)] = (uint8_t)rand();
		rig.a.count = rig.b.count = rig.c.count = 0;
		harness_send(rig.dp, &rig.a, buf, round % 11 ? len : 14 + (size_t)rand() % (len - 14),
			RIG_PLAIN, (size_t)(round % 13) * 16);
	}
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tcp_goes_both_ways),
		TEST(test_udp_goes_both_ways),
		TEST(test_payload_in_many_pieces),
		TEST(test_a_connection_is_shown),
		TEST(test_connections_spread_and_stay),
		TEST(test_clients_that_differ_in_one_bit_spread),
		TEST(test_a_client_keeps_its_backend),
		TEST(test_both_families_share_the_table),
		TEST(test_too_big_is_told_in_the_senders_terms),
		TEST(test_what_is_dropped),
		TEST(test_cut_headers_are_malformed),
		TEST(test_endless_chains_are_malformed),
		TEST(test_headers_behind_extensions),
		TEST(test_direct_traffic_is_left_alone),
		TEST(test_ping_to_the_vip_is_answered),
		TEST(test_refusal_is_told),
		TEST(test_a_mapped_sender),
		TEST(test_the_only_backend_asks_itself),
		TEST(test_errors_are_translated_both_ways),
		TEST(test_errors_about_no_connection),
		TEST(test_partial_checksum_stays_partial),
		TEST(test_hostile_packets),
	};

	return cmocka_run_group_tests_name("service over IPv6", tests, rig_group_setup, rig_group_teardown);
}

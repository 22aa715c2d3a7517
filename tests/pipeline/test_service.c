/*
 * Packets to and from services: packet in, verdict and packet out. Client a (10.0.0.5) and backends b
 * (10.0.0.11) and c (10.0.0.12) are guests of one network; the vip is 10.0.0.100. A second network has the
 * same addresses.
 */
#include <errno.h>
#include <string.h>

#include "dataplane/conn.h"
#include "dataplane/lb.h"
#include "dataplane/service.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { TCP = 6, UDP = 17, FIN = 1, SYN = 2, RST = 4, ACK = 16, NEEDS_CSUM = 1 };

static struct dp *dp;
static uint16_t net, other_net;
static struct test_port a, b, c, other_a, other_b, other_c;
static uint32_t tcp_service, udp_service; /* 10.0.0.100:80 and :53, towards ports 8080 and 5353 of b and c */
static const struct offload PLAIN;

static uint32_t A, B, C, VIP;

static uint16_t make_network(struct test_port *pa, struct test_port *pb, struct test_port *pc)
{
	struct dp_network spec = {.mode = DP_BRIDGE, .subnet = ip4("10.0.0.0"), .prefix = 24};
	uint16_t id = harness_network(dp, &spec);

	harness_port(dp, pa, id, &(struct dp_port){.mac = {2, 0, 0, 0, 0, 0xa}, .ips = {A}, .nips = 1});
	harness_port(dp, pb, id, &(struct dp_port){.mac = {2, 0, 0, 0, 0, 0xb}, .ips = {B}, .nips = 1});
	harness_port(dp, pc, id, &(struct dp_port){.mac = {2, 0, 0, 0, 0, 0xc}, .ips = {C}, .nips = 1});
	return id;
}

/* Everybody says something, so that the switch knows where everybody is. */
static void learn_all(struct test_port *pa, struct test_port *pb, struct test_port *pc)
{
	struct test_port *port[] = {pa, pb, pc};
	const uint8_t *mac[] = {MAC_A, MAC_B, MAC_C};
	uint8_t buf[2048];

	for (int i = 0; i < 3; i++)
		harness_send(dp, port[i], buf, packet_eth(buf, MAC_BROADCAST, mac[i], 46), PLAIN, 0);
}

static int group_setup(void **state)
{
	A = ip4("10.0.0.5");
	B = ip4("10.0.0.11");
	C = ip4("10.0.0.12");
	VIP = ip4("10.0.0.100");
	dp = harness_open();
	net = make_network(&a, &b, &c);
	other_net = make_network(&other_a, &other_b, &other_c);
	learn_all(&a, &b, &c);
	learn_all(&other_a, &other_b, &other_c);
	return 0;
}

static int group_teardown(void **state)
{
	assert_int_equal(harness_balance(dp, net), 0);
	assert_int_equal(harness_balance(dp, other_net), 0);
	harness_close(dp);
	return 0;
}

static int put(uint16_t in, uint16_t port, enum dp_protocol protocol, const struct dp_backend *backends,
	size_t n, uint32_t *id)
{
	const struct dp_service spec = {in, VIP, port, protocol, backends, n};
	struct dp_err err;
	int rc = dp_service_put(dp, &spec, id, &err);

	if (rc)
		print_message("%s\n", err.text);
	return rc;
}

/* Gives service 10.0.0.100:80 these weights; a negative one is a dead backend's. */
static void weigh(int weight_b, int weight_c)
{
	const struct dp_backend backends[] = {
		{B, 8080, (uint16_t)(weight_b < 0 ? 1 : weight_b), weight_b < 0},
		{C, 8080, (uint16_t)(weight_c < 0 ? 1 : weight_c), weight_c < 0},
	};

	assert_int_equal(put(net, 80, DP_TCP, backends, 2, &tcp_service), 0);
}

static int setup(void **state)
{
	const struct dp_backend udp[] = {{B, 5353, 1, false}, {C, 5353, 1, false}};

	a.count = b.count = c.count = other_a.count = other_b.count = other_c.count = 0;
	tcp_service = udp_service = DP_SERVICE_NONE;
	weigh(1, 1);
	assert_int_equal(put(net, 53, DP_UDP, udp, 2, &udp_service), 0);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(dp_service_del(dp, tcp_service), 0);
	assert_int_equal(dp_service_del(dp, udp_service), 0);
	lb_tick(dp);
	assert_int_equal(dp_conn_count(dp), 0);
	return 0;
}

/* --- packets -------------------------------------------------------------------------------------------- */

static size_t to_vip(uint8_t *buf, uint8_t proto, uint16_t client_port, uint8_t tcp_flags, size_t payload)
{
	return packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, A, VIP, proto, client_port,
				       proto == TCP ? 80 : 53, tcp_flags, payload});
}

static size_t from_backend(
	uint8_t *buf, uint8_t proto, bool is_b, uint16_t client_port, uint8_t tcp_flags, size_t payload)
{
	return packet_ip4(buf, &(struct packet){MAC_A, is_b ? MAC_B : MAC_C, is_b ? B : C, A, proto,
				       proto == TCP ? 8080 : 5353, client_port, tcp_flags, payload});
}

static void client_says(uint8_t proto, uint16_t client_port, uint8_t tcp_flags)
{
	uint8_t buf[2048];

	harness_send(dp, &a, buf, to_vip(buf, proto, client_port, tcp_flags, 10), PLAIN, 0);
}

static void backend_says(uint8_t proto, bool is_b, uint16_t client_port, uint8_t tcp_flags)
{
	uint8_t buf[2048];

	harness_send(dp, is_b ? &b : &c, buf, from_backend(buf, proto, is_b, client_port, tcp_flags, 10),
		PLAIN, 0);
}

/* The backend that client_port's packet reached, by its port; NULL when it was dropped. Forgets the packet.
 */
static struct test_port *reached(void)
{
	struct test_port *to = b.count ? &b : c.count ? &c : NULL;

	assert_in_range(b.count + c.count, 0, 1);
	b.count = c.count = 0;
	return to;
}

static struct test_port *client_reaches(uint16_t client_port, uint8_t tcp_flags)
{
	client_says(TCP, client_port, tcp_flags);
	return reached();
}

/* Opens a connection from client_port all the way. */
static struct test_port *open_connection(uint16_t client_port)
{
	struct test_port *to = client_reaches(client_port, SYN);

	assert_non_null(to);
	backend_says(TCP, to == &b, client_port, SYN | ACK);
	assert_ptr_equal(client_reaches(client_port, ACK), to);
	return to;
}

static uint16_t field16(const struct received *r, size_t at)
{
	return (uint16_t)(r->data[at] << 8 | r->data[at + 1]);
}

static void assert_ip(const struct received *r, size_t at, uint32_t ip)
{
	assert_memory_equal(r->data + at, &ip, 4);
}

/* --- both ways ------------------------------------------------------------------------------------------ */

static void round_trip(uint8_t proto, size_t payload, size_t span)
{
	uint8_t buf[2048];
	struct test_port *to;
	const struct received *r;
	size_t len = to_vip(buf, proto, 1234, SYN, payload);

	harness_send(dp, &a, buf, len, PLAIN, span);
	assert_int_equal(a.count, 0);
	assert_int_equal(b.count + c.count, 1);
	to = b.count ? &b : &c;
	r = &to->got[0];
	assert_int_equal(r->len, len);
	assert_memory_equal(r->data, to == &b ? MAC_B : MAC_C, 6);
	assert_memory_equal(r->data + 6, MAC_A, 6);
	assert_ip(r, 26, A);
	assert_ip(r, 30, to == &b ? B : C);
	assert_int_equal(field16(r, 34), 1234);
	assert_int_equal(field16(r, 36), proto == TCP ? 8080 : 5353);
	assert_int_equal(r->data[22], 64); /* TTL: the same segment */
	assert_true(packet_checksums_right(r->data, r->len));

	len = from_backend(buf, proto, to == &b, 1234, SYN | ACK, payload);
	harness_send(dp, to, buf, len, PLAIN, span);
	assert_int_equal(a.count, 1);
	r = &a.got[0];
	assert_int_equal(r->len, len);
	assert_memory_equal(r->data, MAC_A, 6);
	assert_memory_equal(r->data + 6, dp_router_mac, 6);
	assert_ip(r, 26, VIP);
	assert_ip(r, 30, A);
	assert_int_equal(field16(r, 34), proto == TCP ? 80 : 53);
	assert_int_equal(field16(r, 36), 1234);
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
		to[i] = open_connection((uint16_t)(2000 + i));
		to_b += to[i] == &b;
	}
	assert_in_range(to_b, 30, 70);
	assert_int_equal(dp_conn_count(dp), 100);
	for (uint16_t i = 0; i < 100; i++)
		assert_ptr_equal(client_reaches((uint16_t)(2000 + i), ACK), to[i]);
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
	harness_send(dp, from, buf, len, PLAIN, 0);
	atomic_store(&port->port->mtu, 1500);
	assert_int_equal(from->count, 1);
	assert_memory_equal(r->data, mac, 6);
	assert_memory_equal(r->data + 6, dp_router_mac, 6);
	assert_int_equal(r->data[34], 3);
	assert_int_equal(field16(r, 40), 500);
	assert_true(packet_checksums_right(r->data, r->len));
	assert_memory_equal(r->data + 42, buf + 14, 548);
}

static void test_too_big_is_told_in_the_senders_terms(void **state)
{
	uint8_t buf[2048];
	struct test_port *to = open_connection(1234);

	assert_told(&a, to, MAC_A, buf, to_vip(buf, TCP, 1234, ACK, 600));
	assert_told(to, &a, to == &b ? MAC_B : MAC_C, buf, from_backend(buf, TCP, to == &b, 1234, ACK, 600));
}

/* --- checksums ------------------------------------------------------------------------------------------ */

static uint16_t pseudo_sum(const uint8_t *buf, size_t l4_len)
{
	uint32_t sum = buf[23] + (uint32_t)l4_len;

	for (size_t i = 26; i < 34; i += 2)
		sum += (uint32_t)(buf[i] << 8 | buf[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

/* Leaves the checksum of the packet to the receiver: the field gets the sum of the pseudo header. */
static void make_partial(uint8_t *buf, size_t len, size_t at)
{
	uint16_t sum = pseudo_sum(buf, len - 34);

	buf[at] = (uint8_t)(sum >> 8);
	buf[at + 1] = (uint8_t)sum;
}

static void assert_partial(const struct received *r, size_t at)
{
	assert_int_equal(r->off.flags, NEEDS_CSUM);
	assert_int_equal(field16(r, at), pseudo_sum(r->data, r->len - 34));
}

static void partial_round_trip(uint8_t proto, uint8_t csum_offset)
{
	const struct offload off = {.flags = NEEDS_CSUM, .csum_start = 34, .csum_offset = csum_offset};
	size_t at = 34 + csum_offset, len;
	uint8_t buf[2048];
	struct test_port *to;

	a.port->offloads = b.port->offloads = c.port->offloads = PORT_CSUM;
	len = to_vip(buf, proto, 1234, SYN, 100);
	make_partial(buf, len, at);
	harness_send(dp, &a, buf, len, off, 0);
	to = b.count ? &b : &c;
	assert_int_equal(to->count, 1);
	assert_partial(&to->got[0], at);

	len = from_backend(buf, proto, to == &b, 1234, SYN | ACK, 100);
	make_partial(buf, len, at);
	harness_send(dp, to, buf, len, off, 0);
	assert_int_equal(a.count, 1);
	assert_partial(&a.got[0], at);
	a.port->offloads = b.port->offloads = c.port->offloads = 0;
}

static void test_partial_tcp_checksum_stays_partial(void **state)
{
	partial_round_trip(TCP, 16);
}

static void test_partial_udp_checksum_stays_partial(void **state)
{
	partial_round_trip(UDP, 6);
}

/* For a receiver that takes no partial checksums the switch completes what NAT has changed. */
static void test_partial_checksum_is_completed(void **state)
{
	const struct offload off = {.flags = NEEDS_CSUM, .csum_start = 34, .csum_offset = 16};
	uint8_t buf[2048];
	size_t len = to_vip(buf, TCP, 1234, SYN, 100);
	const struct received *r;

	make_partial(buf, len, 50);
	harness_send(dp, &a, buf, len, off, 0);
	assert_int_equal(b.count + c.count, 1);
	r = b.count ? &b.got[0] : &c.got[0];
	assert_int_equal(r->off.flags & NEEDS_CSUM, 0);
	assert_true(packet_checksums_right(r->data, r->len));
}

static void test_udp_without_checksum_stays_without(void **state)
{
	uint8_t buf[2048];
	size_t len = to_vip(buf, UDP, 1234, 0, 10);

	buf[40] = buf[41] = 0;
	harness_send(dp, &a, buf, len, PLAIN, 0);
	assert_int_equal(field16(b.count ? &b.got[0] : &c.got[0], 40), 0);
}

/* Tries payloads until the rewritten checksum is one's complement zero. */
static void test_udp_checksum_is_never_sent_as_none(void **state)
{
	uint8_t buf[2048];
	struct test_port *to = NULL;

	for (uint32_t word = 0; word <= 0xffff; word++) {
		size_t len = to_vip(buf, UDP, 1234, 0, 2);
		uint32_t sum = (uint32_t)(buf[40] << 8 | buf[41]) + 1 +
			       (~word & 0xffff); /* payload 0x0001 to word */

		sum = (sum & 0xffff) + (sum >> 16);
		buf[40] = (uint8_t)(sum >> 8);
		buf[41] = (uint8_t)sum;
		buf[42] = (uint8_t)(word >> 8);
		buf[43] = (uint8_t)word;
		if (!buf[40] && !buf[41])
			continue;
		b.count = c.count = 0;
		harness_send(dp, &a, buf, len, PLAIN, 0);
		to = b.count ? &b : &c;
		assert_int_not_equal(field16(&to->got[0], 40), 0);
		if (field16(&to->got[0], 40) == 0xffff)
			return;
	}
	fail();
}

static void test_a_corrupted_packet_stays_corrupted(void **state)
{
	uint8_t buf[2048];
	size_t len = to_vip(buf, TCP, 1234, SYN, 10);

	buf[60] ^= 0x40;
	harness_send(dp, &a, buf, len, PLAIN, 0);
	assert_false(packet_checksums_right((b.count ? &b : &c)->got[0].data, len));
}

/* --- what is dropped, and what is left alone
 * ----------------------------------------------------------------- */

static void edit_nothing(uint8_t *buf) {}

static void edit_port(uint8_t *buf)
{
	buf[37] = 81;
}

static void edit_icmp(uint8_t *buf)
{
	buf[23] = 47;
}

static void edit_first_fragment(uint8_t *buf)
{
	buf[20] = 0x20;
}

static void edit_later_fragment(uint8_t *buf)
{
	buf[21] = 3;
}

static void edit_no_backends(uint8_t *buf)
{
	weigh(0, 0);
}

static void edit_dead_backends(uint8_t *buf)
{
	weigh(-1, -1);
}

static void edit_only_the_client(uint8_t *buf)
{
	const struct dp_backend self = {A, 8080, 1, false};

	assert_int_equal(put(net, 80, DP_TCP, &self, 1, &tcp_service), 0);
}

static void edit_unknown_neighbour(uint8_t *buf)
{
	const struct dp_backend silent = {ip4("10.0.0.77"), 8080, 1, false};

	assert_int_equal(put(net, 80, DP_TCP, &silent, 1, &tcp_service), 0);
}

static void test_what_is_dropped(void **state)
{
	static const struct {
		const char *reason;
		void (*edit)(uint8_t *buf);
	} cases[] = {
		{"vip-miss", edit_port},
		{"vip-miss", edit_icmp},
		{"fragment", edit_first_fragment},
		{"fragment", edit_later_fragment},
		{"no-backend", edit_no_backends},
		{"no-backend", edit_dead_backends},
		{"hairpin", edit_only_the_client},
		{"neighbour", edit_unknown_neighbour},
		{NULL, edit_nothing},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint8_t buf[2048];
		size_t len = to_vip(buf, TCP, (uint16_t)(100 + i), SYN, 10);
		uint64_t before = cases[i].reason ? harness_drops(dp, cases[i].reason) : 0;

		cases[i].edit(buf);
		harness_send(dp, &a, buf, len, PLAIN, 0);
		if (cases[i].reason && harness_drops(dp, cases[i].reason) != before + 1)
			fail_msg("case %u: not dropped as %s", i, cases[i].reason);
		assert_int_equal(a.count, 0);
		assert_int_equal(b.count + c.count, cases[i].reason ? 0 : 1);
		weigh(1, 1);
	}
}

/* A TCP header that the packet cuts off. */
static void test_cut_header_is_malformed(void **state)
{
	uint8_t buf[2048];
	uint64_t before = harness_drops(dp, "malformed");

	to_vip(buf, TCP, 1234, SYN, 0);
	buf[17] = 36;
	harness_send(dp, &a, buf, 50, PLAIN, 0);
	assert_int_equal(harness_drops(dp, "malformed"), before + 1);
	assert_int_equal(b.count + c.count, 0);
}

/* IP options that push the TCP header out of the private copy. */
static void test_header_behind_options(void **state)
{
	uint8_t plain[2048], buf[2048];
	size_t len = to_vip(plain, TCP, 1234, SYN, 10);
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
	harness_send(dp, &a, buf, len + 40, PLAIN, 0);
	assert_int_equal(b.count + c.count, 1);
	r = b.count ? &b.got[0] : &c.got[0];
	assert_ip(r, 30, b.count ? B : C);
	assert_int_equal(field16(r, 76), 8080);
	sum = 0;
	for (size_t i = 14; i < 74; i += 2)
		sum += field16(r, i);
	sum = (sum & 0xffff) + (sum >> 16);
	assert_int_equal((sum & 0xffff) + (sum >> 16), 0xffff);
}

static void test_direct_traffic_is_left_alone(void **state)
{
	uint8_t buf[2048];
	size_t len = from_backend(buf, TCP, true, 4321, ACK, 10);

	harness_send(dp, &b, buf, len, PLAIN, 0);
	assert_int_equal(a.count, 1);
	assert_memory_equal(a.got[0].data, buf, len);
}

static void test_fragments_of_direct_traffic_are_left_alone(void **state)
{
	uint8_t buf[2048];
	size_t len = from_backend(buf, UDP, true, 4321, 0, 10);

	buf[20] = 0x20;
	harness_send(dp, &b, buf, len, PLAIN, 0);
	assert_int_equal(a.count, 1);
	assert_memory_equal(a.got[0].data, buf, len);
}

static void test_hairpin_takes_another(void **state)
{
	struct test_port *to;
	uint8_t buf[2048];

	for (uint16_t port = 3000; port < 3032; port++) {
		size_t len = packet_ip4(
			buf, &(struct packet){dp_router_mac, MAC_B, B, VIP, TCP, port, 80, SYN, 0});

		harness_send(dp, &b, buf, len, PLAIN, 0);
		to = reached();
		assert_ptr_equal(to, &c);
	}
}

/* --- backends that go and come
 * ------------------------------------------------------------------------------- */

static void test_a_dead_backend_loses_its_connections(void **state)
{
	struct test_port *to = open_connection(1234), *elsewhere = to == &b ? &c : &b;
	struct dp_backend_info info;

	weigh(to == &b ? -1 : 1, to == &c ? -1 : 1);
	assert_ptr_equal(client_reaches(1234, ACK), elsewhere);
	a.count = 0;
	backend_says(TCP, elsewhere == &b, 1234, RST);
	assert_int_equal(a.count, 1);
	assert_ip(&a.got[0], 26, VIP); /* so the client knows at once */
	assert_int_equal(dp_backend_info(dp, tcp_service, to == &b ? B : C, 8080, &info), 0);
	assert_int_equal(info.connections, 0);
	for (uint16_t port = 3000; port < 3032; port++)
		assert_ptr_equal(open_connection(port), elsewhere);
}

static void test_a_drained_backend_keeps_its_connections(void **state)
{
	struct test_port *to = open_connection(1234), *elsewhere = to == &b ? &c : &b;

	weigh(to != &b, to != &c);
	assert_ptr_equal(client_reaches(1234, ACK), to);
	for (uint16_t port = 3000; port < 3032; port++)
		assert_ptr_equal(open_connection(port), elsewhere);
	assert_ptr_equal(client_reaches(1234, ACK), to);
	assert_ptr_equal(client_reaches(1234, SYN), elsewhere); /* the client begins anew */
}

static void test_a_deleted_backend_is_forgotten(void **state)
{
	struct test_port *to = open_connection(1234), *elsewhere = to == &b ? &c : &b;
	const struct dp_backend left = {elsewhere == &b ? B : C, 8080, 1, false};
	struct dp_backend_info info;

	assert_int_equal(put(net, 80, DP_TCP, &left, 1, &tcp_service), 0);
	backend_says(TCP, to == &b, 1234, ACK);
	assert_ip(&a.got[a.count - 1], 26, to == &b ? B : C); /* its packets are its own now */
	assert_ptr_equal(client_reaches(1234, ACK), elsewhere);
	lb_tick(dp);
	assert_int_equal(dp_conn_count(dp), 1);
	assert_int_equal(dp_backend_info(dp, tcp_service, to == &b ? B : C, 8080, &info), -ENOENT);
}

static void test_a_healthy_backend_is_not_touched(void **state)
{
	struct test_port *to[100];

	for (uint16_t i = 0; i < 100; i++)
		to[i] = open_connection((uint16_t)(2000 + i));
	for (int change = 0; change < 4; change++) {
		weigh(change & 1 ? 1 : -1, 1);
		for (uint16_t i = 0; i < 100; i++)
			if (to[i] == &c)
				assert_ptr_equal(client_reaches((uint16_t)(2000 + i), ACK), &c);
	}
}

static void test_ids_are_used_again(void **state)
{
	const struct dp_backend first = {B, 8080, 1, false}, second = {C, 8080, 1, false};
	uint8_t buf[2048];

	for (unsigned i = 0; i < MAX_BACKENDS + 10; i++) {
		assert_int_equal(put(net, 80, DP_TCP, i & 1 ? &first : &second, 1, &tcp_service), 0);
		if (i % 1000 == 0) {
			harness_send(dp, &a, buf, to_vip(buf, TCP, 1234, ACK, 0), PLAIN, 0);
			assert_ptr_equal(reached(), i & 1 ? &b : &c);
			lb_tick(dp);
		}
	}
}

/* --- connections
 * -------------------------------------------------------------------------------------------- */

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

	dp_conn_walk(dp, see, &seen);
	assert_int_equal(seen.count, 1);
	return seen.last;
}

static void test_connection_is_shown(void **state)
{
	struct test_port *to = open_connection(1234);
	struct dp_conn conn = only_connection();

	assert_int_equal(conn.service, tcp_service);
	assert_int_equal(conn.client, A);
	assert_int_equal(conn.vip, VIP);
	assert_int_equal(conn.backend, to == &b ? B : C);
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
	bool is_b = client_reaches(1234, SYN) == &b;

	assert_int_equal(only_connection().state, DP_CONN_NEW);
	backend_says(TCP, is_b, 1234, SYN | ACK);
	assert_int_equal(only_connection().state, DP_CONN_NEW);
	client_says(TCP, 1234, ACK);
	assert_int_equal(only_connection().state, DP_CONN_ESTABLISHED);
	client_says(TCP, 1234, FIN | ACK);
	assert_int_equal(only_connection().state, DP_CONN_ESTABLISHED);
	backend_says(TCP, is_b, 1234, FIN | ACK);
	assert_int_equal(only_connection().state, DP_CONN_CLOSING);
	client_says(TCP, 1234, SYN); /* the client uses its port again */
	assert_int_equal(only_connection().state, DP_CONN_NEW);
	assert_int_equal(only_connection().packets, 1);
}

static void test_a_stray_reset_makes_no_connection(void **state)
{
	assert_non_null(client_reaches(1234, RST | ACK));
	assert_int_equal(dp_conn_count(dp), 0);
}

static void test_backend_counts(void **state)
{
	struct test_port *to = open_connection(1234);
	struct dp_backend_info info;

	assert_int_equal(dp_backend_info(dp, tcp_service, to == &b ? B : C, 8080, &info), 0);
	assert_int_equal(info.packets, 3);
	assert_int_equal(info.bytes, 3 * 64);
	assert_int_equal(info.connections, 1);
	assert_true(info.resolved);
	assert_int_equal(dp_backend_info(dp, tcp_service, to == &b ? C : B, 8080, &info), 0);
	assert_int_equal(info.packets, 0);
	assert_int_equal(dp_backend_info(dp, tcp_service, A, 8080, &info), -ENOENT);
}

/* Client 10.1.0.0 + n opens a connection; returns the backend's port that it reached. */
static struct test_port *crowd_opens(uint16_t n)
{
	uint32_t client = __builtin_bswap32(0x0a010000u + n);
	uint8_t buf[2048];
	struct test_port *to;

	harness_send(dp, &a, buf,
		packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, client, VIP, TCP, 999, 80, SYN, 0}),
		PLAIN, 0);
	to = reached();
	assert_non_null(to);
	a.count = 0;
	harness_send(dp, to, buf,
		packet_ip4(buf, &(struct packet){MAC_A, to == &b ? MAC_B : MAC_C, to == &b ? B : C, client,
					TCP, 8080, 999, SYN | ACK, 0}),
		PLAIN, 0);
	assert_int_equal(a.count, 1);
	assert_ip(&a.got[0], 26, VIP);
	harness_send(dp, &a, buf,
		packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, client, VIP, TCP, 999, 80, ACK, 0}),
		PLAIN, 0);
	assert_ptr_equal(reached(), to);
	return to;
}

/* The table (1024) is full of established connections: new ones work without an entry, both ways. */
static void test_full_table_drops_nothing(void **state)
{
	static struct test_port *to[3000];

	for (uint16_t i = 0; i < 3000; i++)
		to[i] = crowd_opens(i);
	assert_in_range(dp_conn_count(dp), 1000, 1024);
	for (uint16_t i = 0; i < 3000; i++)
		assert_ptr_equal(crowd_opens(i), to[i]);
}

/* Backends tell connections apart by the client's address and port: through two vips they would be one. */
static void test_same_client_port_through_two_vips(void **state)
{
	const struct dp_backend both[] = {{B, 8080, 1, false}, {C, 8080, 1, false}},
				one = {B, 8080, 1, false};
	uint32_t second = DP_SERVICE_NONE;
	uint64_t before = harness_drops(dp, "clash");
	uint8_t buf[2048];

	assert_int_equal(put(net, 81, DP_TCP, both, 2, &second), 0);
	for (uint16_t port = 4000; port < 4032; port++) {
		struct test_port *first = open_connection(port), *elsewhere;

		harness_send(dp, &a, buf,
			packet_ip4(
				buf, &(struct packet){dp_router_mac, MAC_A, A, VIP, TCP, port, 81, SYN, 0}),
			PLAIN, 0);
		elsewhere = reached();
		if (elsewhere) /* else it was not found in a few tries, and counted */
			assert_ptr_not_equal(elsewhere, first);
	}
	assert_in_range(harness_drops(dp, "clash") - before, 0, 8);
	assert_int_equal(put(net, 81, DP_TCP, &one, 1, &second), 0);
	for (uint16_t port = 5000; port < 5032; port++) {
		struct test_port *first = open_connection(port);

		before = harness_drops(dp, "clash");
		harness_send(dp, &a, buf,
			packet_ip4(
				buf, &(struct packet){dp_router_mac, MAC_A, A, VIP, TCP, port, 81, SYN, 0}),
			PLAIN, 0);
		assert_ptr_equal(reached(), first == &b ? NULL : &b);
		assert_int_equal(harness_drops(dp, "clash"), before + (first == &b));
	}
	assert_int_equal(dp_service_del(dp, second), 0);
}

/* --- networks
 * ----------------------------------------------------------------------------------------------- */

static void test_networks_do_not_mix(void **state)
{
	const struct dp_backend only_b = {B, 8080, 1, false}, only_c = {C, 8080, 1, false};
	uint32_t there = DP_SERVICE_NONE;
	uint8_t buf[2048];
	size_t len = to_vip(buf, TCP, 1234, SYN, 0);
	uint64_t before = harness_drops(dp, "router");

	harness_send(dp, &other_a, buf, len, PLAIN, 0); /* no service there: nobody has the router MAC */
	assert_int_equal(harness_drops(dp, "router"), before + 1);
	assert_int_equal(put(net, 80, DP_TCP, &only_b, 1, &tcp_service), 0);
	assert_int_equal(put(other_net, 80, DP_TCP, &only_c, 1, &there), 0);
	harness_send(dp, &a, buf, len, PLAIN, 0);
	assert_int_equal(b.count, 1);
	len = to_vip(buf, TCP, 1234, SYN, 0);
	harness_send(dp, &other_a, buf, len, PLAIN, 0);
	assert_int_equal(other_c.count, 1);
	assert_int_equal(a.count + b.count + c.count + other_a.count + other_b.count + other_c.count, 2);
	assert_int_equal(dp_conn_count(dp), 2);
	assert_int_equal(dp_service_del(dp, there), 0);
}

static void test_vips_of_the_network(void **state)
{
	const struct lb_view *view = dp_get_net(dp, net)->lb;

	assert_true(lb_is_vip(view, VIP));
	for (uint32_t i = 0; i < 100000; i++)
		assert_false(lb_is_vip(view, __builtin_bswap32(0x0b000000 + i)));
	assert_null(dp_get_net(dp, other_net)->lb);
}

/* --- changes that are refused ------------------------------------------------------------------------------
 */

static void test_bad_services_are_refused(void **state)
{
	const struct dp_backend twice[] = {{B, 1, 1, false}, {B, 1, 2, false}}, zero = {B, 0, 1, false};
	const struct {
		struct dp_service spec;
		uint32_t id;
		int rc;
		const char *says;
	} cases[] = {
		{{net, VIP, 80, DP_TCP, NULL, 0}, DP_SERVICE_NONE, -EEXIST, "vip"},
		{{net, VIP, 53, DP_UDP, NULL, 0}, tcp_service, -EEXIST, "vip"},
		{{net, 0, 82, DP_TCP, NULL, 0}, DP_SERVICE_NONE, -EINVAL, "vip"},
		{{net, VIP, 0, DP_TCP, NULL, 0}, DP_SERVICE_NONE, -EINVAL, "port"},
		{{net, VIP, 82, 1, NULL, 0}, DP_SERVICE_NONE, -EINVAL, "protocol"},
		{{999, VIP, 82, DP_TCP, NULL, 0}, DP_SERVICE_NONE, -ENOENT, "network"},
		{{other_net, VIP, 80, DP_TCP, NULL, 0}, tcp_service, -EINVAL, "network"},
		{{net, VIP, 82, DP_TCP, NULL, 0}, 4000, -ENOENT, "service"},
		{{net, VIP, 82, DP_TCP, twice, 2}, DP_SERVICE_NONE, -EINVAL, "backends"},
		{{net, VIP, 82, DP_TCP, &zero, 1}, DP_SERVICE_NONE, -EINVAL, "backends"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t id = cases[i].id;
		struct dp_err err = {""};

		assert_int_equal(dp_service_put(dp, &cases[i].spec, &id, &err), cases[i].rc);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_int_equal(id, cases[i].id);
	}
	assert_non_null(open_connection(1234)); /* nothing was half-applied */
	assert_int_equal(dp_service_del(dp, 4000), -ENOENT);
	assert_int_equal(dp_network_del(dp, net), -EBUSY);
}

static void test_a_service_may_move_to_another_port(void **state)
{
	const struct dp_backend both[] = {{B, 8080, 1, false}, {C, 8080, 1, false}};
	uint64_t before = harness_drops(dp, "vip-miss");
	uint8_t buf[2048];

	open_connection(1234);
	assert_int_equal(put(net, 8000, DP_TCP, both, 2, &tcp_service), 0);
	assert_null(client_reaches(1234, ACK));
	assert_int_equal(harness_drops(dp, "vip-miss"), before + 1);
	harness_send(dp, &a, buf,
		packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, A, VIP, TCP, 1234, 8000, SYN, 0}),
		PLAIN, 0);
	assert_non_null(reached());
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_tcp_goes_both_ways),
		TEST(test_udp_goes_both_ways),
		TEST(test_payload_in_many_pieces),
		TEST(test_connections_spread_and_stay),
		TEST(test_too_big_is_told_in_the_senders_terms),
		TEST(test_partial_tcp_checksum_stays_partial),
		TEST(test_partial_udp_checksum_stays_partial),
		TEST(test_partial_checksum_is_completed),
		TEST(test_udp_without_checksum_stays_without),
		TEST(test_udp_checksum_is_never_sent_as_none),
		TEST(test_a_corrupted_packet_stays_corrupted),
		TEST(test_what_is_dropped),
		TEST(test_cut_header_is_malformed),
		TEST(test_header_behind_options),
		TEST(test_direct_traffic_is_left_alone),
		TEST(test_fragments_of_direct_traffic_are_left_alone),
		TEST(test_hairpin_takes_another),
		TEST(test_a_dead_backend_loses_its_connections),
		TEST(test_a_drained_backend_keeps_its_connections),
		TEST(test_a_deleted_backend_is_forgotten),
		TEST(test_a_healthy_backend_is_not_touched),
		TEST(test_ids_are_used_again),
		TEST(test_connection_is_shown),
		TEST(test_states_follow_the_packets),
		TEST(test_a_stray_reset_makes_no_connection),
		TEST(test_backend_counts),
		TEST(test_full_table_drops_nothing),
		TEST(test_same_client_port_through_two_vips),
		TEST(test_networks_do_not_mix),
		TEST(test_vips_of_the_network),
		TEST(test_bad_services_are_refused),
		TEST(test_a_service_may_move_to_another_port),
	};

	return cmocka_run_group_tests_name("service", tests, group_setup, group_teardown);
}

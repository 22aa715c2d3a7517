/* Guests and the world outside, by an uplink's address: who gets which port, and what is nobody's. */
#include <linux/virtio_net.h>
#include <string.h>

#include "addr/ip_text.h"
#include "tests/pipeline/egress/egress_rig.h"
#include "tests/unit/unit.h"

static struct ip_addr ip6(const char *text)
{
	struct ip_addr ip = {0};

	ip_parse(text, &ip);
	return ip;
}

static void test_a_packet_and_its_answer(void **state)
{
	static const uint8_t protos[] = {TCP, UDP};

	for (unsigned i = 0; i < 2; i++) {
		const struct received *out = &rig.uplink.got[0], *in = &rig.a.got[0];
		uint16_t port;

		egress_leave(&rig.a, MAC_A, "10.0.0.1", protos[i], 4000, SYN);
		assert_int_equal(rig.uplink.count, 1);
		assert_memory_equal(out->data, EGRESS_HOP, 6);
		assert_memory_equal(out->data + 6, EGRESS_UP, 6);
		assert_memory_equal(out->data + 26, (&(uint32_t){ip4("192.0.2.1")}), 4);
		assert_memory_equal(out->data + 30, (&(uint32_t){ip4("203.0.113.9")}), 4);
		assert_int_equal(out->data[22], 63);
		assert_true(packet_checksums_right(out->data, out->len));
		port = egress_field(out, 34);
		assert_in_range(port, EGRESS_PORT_FIRST, EGRESS_PORT_END - 1);
		egress_answer(protos[i], port, SYN | ACK);
		assert_int_equal(rig.a.count, 1);
		assert_int_equal(rig.b.count, 0);
		assert_memory_equal(in->data, MAC_A, 6);
		assert_memory_equal(in->data + 6, dp_router_mac, 6);
		assert_memory_equal(in->data + 30, (&(uint32_t){ip4("10.0.0.1")}), 4);
		assert_int_equal(egress_field(in, 36), 4000);
		assert_true(packet_checksums_right(in->data, in->len));
		egress_leave(&rig.a, MAC_A, "10.0.0.1", protos[i], 4000, ACK);
		assert_int_equal(egress_field(out, 34), port);
	}
}

static void test_what_is_of_no_connection_stays_out(void **state)
{
	uint64_t before = harness_drops(rig.dp, "not-for-us");
	uint16_t port;

	egress_leave(&rig.a, MAC_A, "10.0.0.1", UDP, 4000, 0);
	port = egress_field(&rig.uplink.got[0], 34);
	egress_answer(UDP, port ^ 1, 0);
	egress_answer(TCP, port, SYN | ACK);
	assert_int_equal(rig.a.count + rig.b.count, 0);
	assert_int_equal(harness_drops(rig.dp, "not-for-us"), before + 2);
	egress_answer(UDP, port, 0);
	assert_int_equal(rig.a.count, 1);
}

static void test_errors_are_believed_for_connections_alone(void **state)
{
	uint8_t buf[2048], quote[64];
	size_t len;

	egress_leave(&rig.a, MAC_A, "10.0.0.1", UDP, 4000, 0);
	memcpy(quote, rig.uplink.got[0].data + 14, 28);
	rig.a.count = rig.b.count = 0;
	len = egress_error(buf, quote, 28);
	harness_send(rig.dp, &rig.uplink, buf, len, EGRESS_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	assert_memory_equal(rig.a.got[0].data + 30, (&(uint32_t){ip4("10.0.0.1")}), 4);
	assert_memory_equal(rig.a.got[0].data + 42 + 12, (&(uint32_t){ip4("10.0.0.1")}), 4);
	assert_int_equal(egress_field(&rig.a.got[0], 62), 4000);
	buf[22] = 0; /* would begin anew with 255 hops */
	harness_send(rig.dp, &rig.uplink, buf, len, EGRESS_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	/* one bit of what is quoted is another: addresses, protocol, ports */
	for (unsigned at = 9; at < 24; at++) {
		if (at == 10 || at == 11)
			continue;
		quote[at] ^= 1;
		len = egress_error(buf, quote, 28);
		harness_send(rig.dp, &rig.uplink, buf, len, EGRESS_PLAIN, 0);
		quote[at] ^= 1;
	}
	for (size_t n = 0; n < 28; n++) {
		len = egress_error(buf, quote, n);
		harness_send(rig.dp, &rig.uplink, buf, len, EGRESS_PLAIN, 0);
	}
	assert_int_equal(rig.a.count, 1);
	assert_int_equal(rig.b.count, 0);
}

static void test_what_may_not_leave(void **state)
{
	static const struct {
		const char *from, *to;
		uint8_t proto;
		uint16_t port;
	} wrong[] = {
		{"10.0.1.1", "203.0.113.9", UDP, 80}, /* not of the network */
		{"10.0.0.1", "127.0.0.1", UDP, 80},
		{"10.0.0.1", "0.0.0.1", UDP, 80},
		{"10.0.0.1", "224.0.0.9", UDP, 80},
		{"10.0.0.1", "192.0.2.255", UDP, 80}, /* all on the uplink's link */
		{"10.0.0.1", "192.0.2.0", UDP, 80},
		{"10.0.0.1", "192.0.2.1", UDP, 80},	/* the uplink itself */
		{"10.0.0.1", "203.0.113.9", UDP, 4789}, /* a tunnel under the host's own name */
		{"10.0.0.1", "203.0.113.9", UDP, 3784}, /* what says that this host is dead */
		{"10.0.0.1", "203.0.113.9", UDP, 4784},
		{"10.0.0.1", "203.0.113.9", 47, 80},
	};

	uint64_t before = harness_drops(rig.dp, "egress");

	rig.uplink.count = 0;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t buf[2048];
		size_t len = packet_ip4(
			buf, &(struct packet){dp_router_mac, MAC_A, ip4(wrong[i].from), ip4(wrong[i].to),
				     wrong[i].proto, 4000, wrong[i].port, 0, 10});

		harness_send(rig.dp, &rig.a, buf, len, EGRESS_PLAIN, 0);
		assert_int_equal(rig.uplink.count, 0);
		assert_int_equal(harness_drops(rig.dp, "egress"), before + i + 1);
	}
}

/* Over IPv6, from a network of that family alone. */
static void test_what_may_not_leave_over_ip6(void **state)
{
	static const struct {
		const char *from, *to;
		uint8_t proto, first;
		const char *reason;
	} wrong[] = {
		{"fd00:2::1", "2001:db8:9::9", UDP, 0, "egress"}, /* not of the network */
		{"fd00:1::1", "::1", UDP, 0, "egress"},
		{"fd00:1::1", "::", UDP, 0, "egress"},
		{"fd00:1::1", "::ffff:203.0.113.9", UDP, 0,
			NULL}, /* what stands for IPv4 inside means nothing */
		{"::ffff:10.0.0.1", "2001:db8:9::9", UDP, 0, "egress"},
		{"fd00:1::1", "2001:db8:9::9", UDP, 60, "egress"},    /* behind options */
		{"fd00:1::1", "2001:db8:9::9", UDP, 44, "no-uplink"}, /* a fragment that is all of it */
		{"fd00:1::1", "2001:db8:9::9", 47, 0, "egress"},
		{"fd00:1::1", "2001:db8:9::9", ICMP, 0, "egress"}, /* IPv4's */
		{"fd00:1::1", "2001:db8:9::9", UDP, 0, "no-uplink"},
	};
	struct dp_network spec = {.mode = DP_BRIDGE, .age_s = 300, .egress = DP_EGRESS_OUT};
	uint16_t six;
	struct test_port guest;

	spec.subnet6.len = 64;
	spec.subnet6.address = ip6("fd00:1::");
	spec.gateway6 = ip6("fd00:1::fe");
	six = harness_network(rig.dp, &spec);
	harness_port(rig.dp, &guest, six, NULL);
	rig.uplink.count = 0;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		static const uint8_t options[8] = {UDP};
		uint64_t before = wrong[i].reason ? harness_drops(rig.dp, wrong[i].reason) : 0;
		struct ip_addr from = ip6(wrong[i].from), to = ip6(wrong[i].to);
		struct packet p = {dp_router_mac, MAC_A, 0, 0, wrong[i].proto, 4000, 80, 0, 10};
		uint8_t buf[2048];
		size_t len = packet6_write(
			buf, &p, from.b, to.b, wrong[i].first, options, wrong[i].first ? sizeof(options) : 0);

		harness_send(rig.dp, &guest, buf, len, EGRESS_PLAIN, 0);
		assert_int_equal(rig.uplink.count, 0);
		if (wrong[i].reason)
			assert_int_equal(harness_drops(rig.dp, wrong[i].reason), before + 1);
	}
	assert_int_equal(dp_egress_count_of(rig.dp, six), 0);
	assert_int_equal(harness_balance(rig.dp, six), 0);
	dp_port_del(rig.dp, guest.port->id);
	assert_int_equal(dp_network_del(rig.dp, six), 0);
}

static void test_all_lengths_of_a_packet(void **state)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, ip4("10.0.0.1"),
					     ip4("203.0.113.9"), TCP, 4000, 80, SYN, 10});

	for (size_t n = 14; n < len; n++) {
		harness_send(rig.dp, &rig.a, buf, n, EGRESS_PLAIN, 0);
		memcpy(buf, EGRESS_UP, 6);
		memcpy(buf + 6, EGRESS_HOP, 6);
		harness_send(rig.dp, &rig.uplink, buf, n, EGRESS_PLAIN, 0);
		memcpy(buf, dp_router_mac, 6);
		memcpy(buf + 6, MAC_A, 6);
	}
	for (uint8_t n = 20; n < 40;
		n++) { /* by its own word it ends inside its headers, and the frame does not */
		buf[16] = 0;
		buf[17] = n;
		harness_send(rig.dp, &rig.a, buf, len, EGRESS_PLAIN, 0);
	}
	assert_int_equal(dp_egress_count_of(rig.dp, rig.net), 0);
}

/* Its share is a fourth of the table. */
static void test_a_guest_has_its_share_and_no_more(void **state)
{
	enum { MOST = CONNS / 4 };
	uint8_t taken[EGRESS_PORT_END] = {0};

	for (unsigned i = 0; i < MOST; i++) {
		egress_leave(&rig.a, MAC_A, "10.0.0.1", UDP, (uint16_t)(1000 + i), 0);
		assert_int_equal(rig.uplink.count, 1);
		assert_int_equal(taken[egress_field(&rig.uplink.got[0], 34)]++, 0);
		egress_answer(UDP, egress_field(&rig.uplink.got[0], 34), 0);
	}
	assert_int_equal(dp_egress_count_of(rig.dp, rig.net), MOST);
	for (unsigned i = MOST; i < MOST + 10; i++) {
		egress_leave(&rig.a, MAC_A, "10.0.0.1", UDP, (uint16_t)(1000 + i), 0);
		assert_int_equal(rig.uplink.count, 0);
	}
	assert_int_equal(harness_drops(rig.dp, "nat-ports"), 10);
	egress_leave(&rig.a, MAC_A, "10.0.0.1", UDP, 1000, 0); /* those that it has go on */
	assert_int_equal(rig.uplink.count, 1);
	egress_leave(&rig.b, MAC_B, "10.0.0.2", UDP, 1000, 0);
	assert_int_equal(rig.uplink.count, 1);
}

static void test_a_closed_connection_is_begun_anew(void **state)
{
	uint16_t port;

	egress_leave(&rig.a, MAC_A, "10.0.0.1", TCP, 4000, SYN);
	port = egress_field(&rig.uplink.got[0], 34);
	egress_answer(TCP, port, SYN | ACK);
	egress_leave(&rig.a, MAC_A, "10.0.0.1", TCP, 4000, FIN | ACK);
	egress_answer(TCP, port, FIN | ACK);
	assert_int_equal(rig.a.count, 1);
	egress_leave(&rig.a, MAC_A, "10.0.0.1", TCP, 4000, ACK);
	assert_int_equal(egress_field(&rig.uplink.got[0], 34), port);
	assert_int_equal(dp_egress_count_of(rig.dp, rig.net), 1);
	egress_leave(&rig.a, MAC_A, "10.0.0.1", TCP, 4000, SYN);
	assert_int_equal(rig.uplink.count, 1);
	assert_int_equal(dp_egress_count_of(rig.dp, rig.net), 1);
}

/* A packet of SCTP from the guest, or from outside, whose first chunk is this. Its checksum is nobody's here. */
static void associate(bool out, uint16_t port, uint8_t chunk)
{
	uint8_t buf[2048];
	struct packet p = {dp_router_mac, MAC_A, ip4("10.0.0.1"), ip4("203.0.113.9"), UDP, 4000, 80, 0, 10};
	size_t len;

	if (!out)
		p = (struct packet){
			EGRESS_UP, EGRESS_HOP, ip4("203.0.113.9"), ip4("192.0.2.1"), UDP, 80, port, 0, 10};
	len = packet_ip4(buf, &p);
	buf[23] = 132;
	buf[46] = chunk;
	rig.a.count = rig.uplink.count = 0;
	harness_send(rig.dp, out ? &rig.a : &rig.uplink, buf, len, EGRESS_PLAIN, 0);
	assert_int_equal(out ? rig.uplink.count : rig.a.count, 1);
}

static bool see_state(void *arg, const struct dp_egress_conn *conn)
{
	*(enum dp_conn_state *)arg = conn->state;
	return true;
}

static enum dp_conn_state state_now(void)
{
	enum dp_conn_state state = DP_CONN_NEW;
	uint64_t at = 0;

	assert_int_equal(dp_egress_count_of(rig.dp, rig.net), 1);
	while (dp_egress_walk_part(rig.dp, &at, see_state, &state))
		;
	return state;
}

/* It does not stay until it has been idle for two hours. */
static void test_an_association_that_was_answered_closes(void **state)
{
	enum { INIT = 1, INIT_ACK = 2, SHUTDOWN_ACK = 8, COMPLETE = 14 };
	uint16_t port;

	associate(true, 0, INIT);
	port = egress_field(&rig.uplink.got[0], 34);
	assert_int_equal(state_now(), DP_CONN_NEW);
	associate(false, port, INIT_ACK);
	associate(true, 0, 10); /* COOKIE ECHO */
	assert_int_equal(state_now(), DP_CONN_ESTABLISHED);
	associate(false, port, SHUTDOWN_ACK);
	assert_int_equal(state_now(), DP_CONN_ESTABLISHED);
	associate(true, 0, COMPLETE);
	assert_int_equal(state_now(), DP_CONN_CLOSING);
	associate(true, 0, INIT); /* begins another */
	assert_int_equal(state_now(), DP_CONN_NEW);
}

/* Of a datagram of the guest's to 203.0.113.9, or, of the same id, of one from there. */
static void send_part(bool out, uint8_t proto, uint16_t port, uint16_t id, bool more, uint8_t offset)
{
	uint8_t buf[2048];
	struct packet p = {
		dp_router_mac, MAC_A, ip4("10.0.0.1"), ip4("203.0.113.9"), proto, 4000, 80, SYN, 40};
	size_t len;

	if (!out)
		p = (struct packet){EGRESS_UP, EGRESS_HOP, ip4("203.0.113.9"), ip4("192.0.2.1"), proto, 80,
			port, SYN | ACK, 40};
	len = packet_ip4(buf, &p);
	buf[18] = (uint8_t)(id >> 8);
	buf[19] = (uint8_t)id;
	buf[20] = more ? 0x20 : 0;
	buf[21] = offset;
	rig.a.count = rig.b.count = rig.uplink.count = 0;
	harness_send(rig.dp, out ? &rig.a : &rig.uplink, buf, len, EGRESS_PLAIN, 0);
}

static void test_fragments_go_by_their_first_one(void **state)
{
	static const uint8_t protos[] = {TCP, UDP};
	uint64_t before = harness_drops(rig.dp, "fragment");

	for (unsigned i = 0; i < 2; i++) {
		uint16_t id = (uint16_t)(7 + i), port;

		send_part(true, protos[i], 0, id, false, 9);
		assert_int_equal(rig.uplink.count, 0);
		send_part(true, protos[i], 0, id, true, 0);
		assert_int_equal(rig.uplink.count, 1);
		assert_memory_equal(rig.uplink.got[0].data + 26, (&(uint32_t){ip4("192.0.2.1")}), 4);
		port = egress_field(&rig.uplink.got[0], 34);
		send_part(true, protos[i], 0, id, true, 9);
		assert_int_equal(rig.uplink.count, 1);
		assert_memory_equal(rig.uplink.got[0].data + 26, (&(uint32_t){ip4("192.0.2.1")}), 4);
		assert_memory_equal(rig.uplink.got[0].data, EGRESS_HOP, 6);
		assert_int_equal(
			egress_field(&rig.uplink.got[0], 34), 4000); /* what looks like a port is payload */
		send_part(true, protos[i], 0, id ^ 64, false, 9);    /* of another */
		assert_int_equal(rig.uplink.count, 0);

		send_part(false, protos[i], port, id, false, 9);
		assert_int_equal(rig.a.count, 0);
		send_part(false, protos[i], port, id, true, 0);
		assert_int_equal(rig.a.count, 1);
		assert_int_equal(egress_field(&rig.a.got[0], 36), 4000);
		send_part(false, protos[i], port, id, false, 9);
		assert_int_equal(rig.a.count, 1);
		assert_int_equal(rig.b.count, 0);
		assert_memory_equal(rig.a.got[0].data, MAC_A, 6);
		assert_memory_equal(rig.a.got[0].data + 30, (&(uint32_t){ip4("10.0.0.1")}), 4);
		assert_int_equal(egress_field(&rig.a.got[0], 36), port);
	}
	send_part(true, 132, 0, 99, true, 0); /* its checksum is of all of it */
	assert_int_equal(rig.uplink.count, 0);
	assert_int_equal(harness_drops(rig.dp, "fragment"), before + 3 * 2 + 1);
	/* the connection is gone, and what the table remembers is not another's */
	dp_port_del(rig.dp, rig.a.port->id);
	rig.a.port = rig.b.port;
	send_part(false, UDP, 0, 8, false, 9);
	assert_int_equal(rig.a.count + rig.b.count, 0);
}

static void test_a_guest_that_goes_takes_its_connections_along(void **state)
{
	uint16_t port;

	egress_leave(&rig.a, MAC_A, "10.0.0.1", UDP, 4000, 0);
	port = egress_field(&rig.uplink.got[0], 34);
	dp_port_del(rig.dp, rig.a.port->id);
	rig.a.port = rig.b.port; /* it is freed */
	egress_answer(UDP, port, 0);
	assert_int_equal(rig.a.count + rig.b.count, 0);
	assert_int_equal(dp_egress_count_of(rig.dp, rig.net), 0);
}

static void test_the_last_hop_is_told(void **state)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, ip4("10.0.0.1"),
					     ip4("203.0.113.9"), UDP, 4000, 80, 0, 10});

	buf[22] = 1;
	rig.a.count = rig.uplink.count = 0;
	harness_send(rig.dp, &rig.a, buf, len, EGRESS_PLAIN, 0);
	assert_int_equal(rig.uplink.count, 0);
	assert_int_equal(rig.a.count, 1);
	assert_int_equal(rig.a.got[0].data[34], 11);
	assert_memory_equal(rig.a.got[0].data + 26, (&(uint32_t){ip4("10.0.0.254")}), 4);
	assert_true(packet_checksums_right(rig.a.got[0].data, rig.a.got[0].len));
}

/* How many hosts of the uplink's link are asked for when a guest sends to n of them, from 192.0.2.`first` on. */
static unsigned asks_for(
	struct test_port *tp, const uint8_t *mac, const char *from, unsigned first, unsigned n)
{
	uint8_t seen[256] = {0};
	unsigned asked = 0;

	rig.uplink.count = 0;
	for (unsigned i = 0; i < n; i++) {
		uint8_t buf[2048];
		size_t len = packet_ip4(
			buf, &(struct packet){dp_router_mac, mac, ip4(from),
				     __builtin_bswap32(0xc0000200 + first + i), UDP, 4000, 80, 0, 10});

		atomic_store(&tp->port->punts_full, 0); /* as if some time went by */
		harness_send(rig.dp, tp, buf, len, EGRESS_PLAIN, 0);
		if (i % 8 == 7)
			harness_tick(rig.dp);
	}
	harness_tick(rig.dp);
	for (unsigned i = 0; i < rig.uplink.count; i++) {
		uint8_t last = rig.uplink.got[i].data[41]; /* of the address; some are asked for again */

		if (egress_field(&rig.uplink.got[i], 12) == 0x0806 && last >= first && last < first + n)
			asked += !seen[last]++;
	}
	return asked;
}

static void test_a_guest_asks_for_so_many_that_are_silent(void **state)
{
	assert_int_equal(asks_for(&rig.a, MAC_A, "10.0.0.1", 10, 60), 32);
	assert_int_equal(asks_for(&rig.b, MAC_B, "10.0.0.2", 100, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EGRESS_TEST(test_a_packet_and_its_answer),
		EGRESS_TEST(test_what_is_of_no_connection_stays_out),
		EGRESS_TEST(test_errors_are_believed_for_connections_alone),
		EGRESS_TEST(test_what_may_not_leave),
		EGRESS_TEST(test_what_may_not_leave_over_ip6),
		EGRESS_TEST(test_all_lengths_of_a_packet),
		EGRESS_TEST(test_a_guest_has_its_share_and_no_more),
		EGRESS_TEST(test_a_closed_connection_is_begun_anew),
		EGRESS_TEST(test_fragments_go_by_their_first_one),
		EGRESS_TEST(test_an_association_that_was_answered_closes),
		EGRESS_TEST(test_a_guest_that_goes_takes_its_connections_along),
		EGRESS_TEST(test_the_last_hop_is_told),
		EGRESS_TEST(test_a_guest_asks_for_so_many_that_are_silent),
	};

	return cmocka_run_group_tests(tests, egress_open_all, egress_close_all);
}

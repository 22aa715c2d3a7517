/* Guests and the world outside, by an uplink's address: who gets which port, and what is nobody's. */
#include <linux/virtio_net.h>
#include <string.h>

#include "addr/ip_text.h"
#include "dataplane/egress/slice.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { SYN = 2, ACK = 16, RST = 4, FIN = 1, TCP = 6, UDP = 17, ICMP = 1, CONNS = 1024 };

static struct dp *dp;
static struct test_port a, b, uplink;
static uint16_t net;
static const struct offload PLAIN;
static const mac_t MAC_UP = {2, 0, 0, 0, 0, 1}, MAC_HOP = {2, 0, 0, 0, 0, 2};

static struct ip_addr ip6(const char *text)
{
	struct ip_addr ip = {0};

	ip_parse(text, &ip);
	return ip;
}

static void answer_arp(void)
{
	uint8_t buf[2048];

	harness_send(dp, &uplink, buf,
		packet_arp(buf, MAC_UP, MAC_HOP, 2, ip4("192.0.2.254"), ip4("192.0.2.1")), PLAIN, 0);
	harness_tick(dp);
}

static int setup(void **state)
{
	struct dp_port up = {.mac = {2, 0, 0, 0, 0, 1},
		.address = {ip_from4(ip4("192.0.2.1")), IP_PREFIX4 + 24},
		.next_hop = ip_from4(ip4("192.0.2.254")),
		.vxlan_port = 4789,
		.mtu = 1500};
	struct dp_network spec = {.mode = DP_BRIDGE,
		.subnet = ip4("10.0.0.0"),
		.prefix = 24,
		.gateway = ip4("10.0.0.254"),
		.age_s = 300,
		.egress = DP_EGRESS_OUT | DP_EGRESS_IN};

	net = harness_network(dp, &spec);
	harness_port(dp, &a, net, NULL);
	harness_port(dp, &b, net, NULL);
	harness_port(dp, &uplink, DP_NET_NONE, &up);
	answer_arp();
	a.count = b.count = uplink.count = 0;
	return 0;
}

static int teardown(void **state)
{
	struct test_port *ports[] = {&a, &b, &uplink};

	assert_int_equal(harness_balance(dp, net), 0);
	for (unsigned i = 0; i < 3; i++)
		if (i == 1 || ports[i]->port != b.port)
			dp_port_del(dp, ports[i]->port->id);
	for (unsigned i = 0; i < 4; i++) /* a second: what was theirs ends */
		harness_tick(dp);
	assert_int_equal(dp_egress_count_of(dp, net), 0);
	assert_int_equal(dp_network_del(dp, net), 0);
	return 0;
}

static int open_all(void **state)
{
	dp = harness_open();
	return 0;
}

static int close_all(void **state)
{
	harness_close(dp);
	return 0;
}

static uint16_t field(const struct received *r, unsigned at)
{
	return (uint16_t)(r->data[at] << 8 | r->data[at + 1]);
}

/* A packet of the guest behind `tp` to 203.0.113.9:80. */
static void leave(struct test_port *tp, const uint8_t *mac, const char *from, uint8_t proto, uint16_t port,
	uint8_t flags)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){dp_router_mac, mac, ip4(from), ip4("203.0.113.9"),
					     proto, port, 80, flags, 10});

	uplink.count = 0;
	harness_send(dp, tp, buf, len, PLAIN, 0);
}

static void answer(uint8_t proto, uint16_t port, uint8_t flags)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){MAC_UP, MAC_HOP, ip4("203.0.113.9"), ip4("192.0.2.1"),
					     proto, 80, port, flags, 10});

	a.count = b.count = 0;
	harness_send(dp, &uplink, buf, len, PLAIN, 0);
}

static void test_a_packet_and_its_answer(void **state)
{
	static const uint8_t protos[] = {TCP, UDP};

	for (unsigned i = 0; i < 2; i++) {
		const struct received *out = &uplink.got[0], *in = &a.got[0];
		uint16_t port;

		leave(&a, MAC_A, "10.0.0.1", protos[i], 4000, SYN);
		assert_int_equal(uplink.count, 1);
		assert_memory_equal(out->data, MAC_HOP, 6);
		assert_memory_equal(out->data + 6, MAC_UP, 6);
		assert_memory_equal(out->data + 26, (&(uint32_t){ip4("192.0.2.1")}), 4);
		assert_memory_equal(out->data + 30, (&(uint32_t){ip4("203.0.113.9")}), 4);
		assert_int_equal(out->data[22], 63);
		assert_true(packet_checksums_right(out->data, out->len));
		port = field(out, 34);
		assert_in_range(port, EGRESS_PORT_FIRST, EGRESS_PORT_END - 1);
		answer(protos[i], port, SYN | ACK);
		assert_int_equal(a.count, 1);
		assert_int_equal(b.count, 0);
		assert_memory_equal(in->data, MAC_A, 6);
		assert_memory_equal(in->data + 6, dp_router_mac, 6);
		assert_memory_equal(in->data + 30, (&(uint32_t){ip4("10.0.0.1")}), 4);
		assert_int_equal(field(in, 36), 4000);
		assert_true(packet_checksums_right(in->data, in->len));
		leave(&a, MAC_A, "10.0.0.1", protos[i], 4000, ACK);
		assert_int_equal(field(out, 34), port);
	}
}

static void test_what_is_of_no_connection_stays_out(void **state)
{
	uint64_t before = harness_drops(dp, "not-for-us");
	uint16_t port;

	leave(&a, MAC_A, "10.0.0.1", UDP, 4000, 0);
	port = field(&uplink.got[0], 34);
	answer(UDP, port ^ 1, 0);
	answer(TCP, port, SYN | ACK);
	assert_int_equal(a.count + b.count, 0);
	assert_int_equal(harness_drops(dp, "not-for-us"), before + 2);
	answer(UDP, port, 0);
	assert_int_equal(a.count, 1);
}

/* An error that quotes n bytes of what went out, from a router outside. */
static size_t write_error(uint8_t *buf, const uint8_t *quote, size_t n)
{
	size_t len = packet_ip4(buf,
		&(struct packet){MAC_UP, MAC_HOP, ip4("198.51.100.1"), ip4("192.0.2.1"), ICMP, 0, 0, 0, n});

	memcpy(buf + 42, quote, n);
	buf[34] = 3; /* unreachable */
	buf[35] = 1;
	return len;
}

static void test_errors_are_believed_for_connections_alone(void **state)
{
	uint8_t buf[2048], quote[64];
	size_t len;

	leave(&a, MAC_A, "10.0.0.1", UDP, 4000, 0);
	memcpy(quote, uplink.got[0].data + 14, 28);
	a.count = b.count = 0;
	len = write_error(buf, quote, 28);
	harness_send(dp, &uplink, buf, len, PLAIN, 0);
	assert_int_equal(a.count, 1);
	assert_memory_equal(a.got[0].data + 30, (&(uint32_t){ip4("10.0.0.1")}), 4);
	assert_memory_equal(a.got[0].data + 42 + 12, (&(uint32_t){ip4("10.0.0.1")}), 4);
	assert_int_equal(field(&a.got[0], 62), 4000);
	buf[22] = 0; /* would begin anew with 255 hops */
	harness_send(dp, &uplink, buf, len, PLAIN, 0);
	assert_int_equal(a.count, 1);
	/* one bit of what is quoted is another: addresses, protocol, ports */
	for (unsigned at = 9; at < 24; at++) {
		if (at == 10 || at == 11)
			continue;
		quote[at] ^= 1;
		len = write_error(buf, quote, 28);
		harness_send(dp, &uplink, buf, len, PLAIN, 0);
		quote[at] ^= 1;
	}
	for (size_t n = 0; n < 28; n++) {
		len = write_error(buf, quote, n);
		harness_send(dp, &uplink, buf, len, PLAIN, 0);
	}
	assert_int_equal(a.count, 1);
	assert_int_equal(b.count, 0);
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

	uint64_t before = harness_drops(dp, "egress");

	uplink.count = 0;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		uint8_t buf[2048];
		size_t len = packet_ip4(
			buf, &(struct packet){dp_router_mac, MAC_A, ip4(wrong[i].from), ip4(wrong[i].to),
				     wrong[i].proto, 4000, wrong[i].port, 0, 10});

		harness_send(dp, &a, buf, len, PLAIN, 0);
		assert_int_equal(uplink.count, 0);
		assert_int_equal(harness_drops(dp, "egress"), before + i + 1);
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
	six = harness_network(dp, &spec);
	harness_port(dp, &guest, six, NULL);
	uplink.count = 0;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		static const uint8_t options[8] = {UDP};
		uint64_t before = wrong[i].reason ? harness_drops(dp, wrong[i].reason) : 0;
		struct ip_addr from = ip6(wrong[i].from), to = ip6(wrong[i].to);
		struct packet p = {dp_router_mac, MAC_A, 0, 0, wrong[i].proto, 4000, 80, 0, 10};
		uint8_t buf[2048];
		size_t len = packet6_write(
			buf, &p, from.b, to.b, wrong[i].first, options, wrong[i].first ? sizeof(options) : 0);

		harness_send(dp, &guest, buf, len, PLAIN, 0);
		assert_int_equal(uplink.count, 0);
		if (wrong[i].reason)
			assert_int_equal(harness_drops(dp, wrong[i].reason), before + 1);
	}
	assert_int_equal(dp_egress_count_of(dp, six), 0);
	assert_int_equal(harness_balance(dp, six), 0);
	dp_port_del(dp, guest.port->id);
	assert_int_equal(dp_network_del(dp, six), 0);
}

static void test_all_lengths_of_a_packet(void **state)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, ip4("10.0.0.1"),
					     ip4("203.0.113.9"), TCP, 4000, 80, SYN, 10});

	for (size_t n = 14; n < len; n++) {
		harness_send(dp, &a, buf, n, PLAIN, 0);
		memcpy(buf, MAC_UP, 6);
		memcpy(buf + 6, MAC_HOP, 6);
		harness_send(dp, &uplink, buf, n, PLAIN, 0);
		memcpy(buf, dp_router_mac, 6);
		memcpy(buf + 6, MAC_A, 6);
	}
	for (uint8_t n = 20; n < 40;
		n++) { /* by its own word it ends inside its headers, and the frame does not */
		buf[16] = 0;
		buf[17] = n;
		harness_send(dp, &a, buf, len, PLAIN, 0);
	}
	assert_int_equal(dp_egress_count_of(dp, net), 0);
}

/* Its share is a fourth of the table. */
static void test_a_guest_has_its_share_and_no_more(void **state)
{
	enum { MOST = CONNS / 4 };
	uint8_t taken[EGRESS_PORT_END] = {0};

	for (unsigned i = 0; i < MOST; i++) {
		leave(&a, MAC_A, "10.0.0.1", UDP, (uint16_t)(1000 + i), 0);
		assert_int_equal(uplink.count, 1);
		assert_int_equal(taken[field(&uplink.got[0], 34)]++, 0);
		answer(UDP, field(&uplink.got[0], 34), 0);
	}
	assert_int_equal(dp_egress_count_of(dp, net), MOST);
	for (unsigned i = MOST; i < MOST + 10; i++) {
		leave(&a, MAC_A, "10.0.0.1", UDP, (uint16_t)(1000 + i), 0);
		assert_int_equal(uplink.count, 0);
	}
	assert_int_equal(harness_drops(dp, "nat-ports"), 10);
	leave(&a, MAC_A, "10.0.0.1", UDP, 1000, 0); /* those that it has go on */
	assert_int_equal(uplink.count, 1);
	leave(&b, MAC_B, "10.0.0.2", UDP, 1000, 0);
	assert_int_equal(uplink.count, 1);
}

static void test_a_closed_connection_is_begun_anew(void **state)
{
	uint16_t port;

	leave(&a, MAC_A, "10.0.0.1", TCP, 4000, SYN);
	port = field(&uplink.got[0], 34);
	answer(TCP, port, SYN | ACK);
	leave(&a, MAC_A, "10.0.0.1", TCP, 4000, FIN | ACK);
	answer(TCP, port, FIN | ACK);
	assert_int_equal(a.count, 1);
	leave(&a, MAC_A, "10.0.0.1", TCP, 4000, ACK);
	assert_int_equal(field(&uplink.got[0], 34), port);
	assert_int_equal(dp_egress_count_of(dp, net), 1);
	leave(&a, MAC_A, "10.0.0.1", TCP, 4000, SYN);
	assert_int_equal(uplink.count, 1);
	assert_int_equal(dp_egress_count_of(dp, net), 1);
}

/* A packet of SCTP from the guest, or from outside, whose first chunk is this. Its checksum is nobody's here. */
static void associate(bool out, uint16_t port, uint8_t chunk)
{
	uint8_t buf[2048];
	struct packet p = {dp_router_mac, MAC_A, ip4("10.0.0.1"), ip4("203.0.113.9"), UDP, 4000, 80, 0, 10};
	size_t len;

	if (!out)
		p = (struct packet){
			MAC_UP, MAC_HOP, ip4("203.0.113.9"), ip4("192.0.2.1"), UDP, 80, port, 0, 10};
	len = packet_ip4(buf, &p);
	buf[23] = 132;
	buf[46] = chunk;
	a.count = uplink.count = 0;
	harness_send(dp, out ? &a : &uplink, buf, len, PLAIN, 0);
	assert_int_equal(out ? uplink.count : a.count, 1);
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

	assert_int_equal(dp_egress_count_of(dp, net), 1);
	while (dp_egress_walk_part(dp, &at, see_state, &state))
		;
	return state;
}

/* It does not stay until it has been idle for two hours. */
static void test_an_association_that_was_answered_closes(void **state)
{
	enum { INIT = 1, INIT_ACK = 2, SHUTDOWN_ACK = 8, COMPLETE = 14 };
	uint16_t port;

	associate(true, 0, INIT);
	port = field(&uplink.got[0], 34);
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
		p = (struct packet){MAC_UP, MAC_HOP, ip4("203.0.113.9"), ip4("192.0.2.1"), proto, 80, port,
			SYN | ACK, 40};
	len = packet_ip4(buf, &p);
	buf[18] = (uint8_t)(id >> 8);
	buf[19] = (uint8_t)id;
	buf[20] = more ? 0x20 : 0;
	buf[21] = offset;
	a.count = b.count = uplink.count = 0;
	harness_send(dp, out ? &a : &uplink, buf, len, PLAIN, 0);
}

static void test_fragments_go_by_their_first_one(void **state)
{
	static const uint8_t protos[] = {TCP, UDP};
	uint64_t before = harness_drops(dp, "fragment");

	for (unsigned i = 0; i < 2; i++) {
		uint16_t id = (uint16_t)(7 + i), port;

		send_part(true, protos[i], 0, id, false, 9);
		assert_int_equal(uplink.count, 0);
		send_part(true, protos[i], 0, id, true, 0);
		assert_int_equal(uplink.count, 1);
		assert_memory_equal(uplink.got[0].data + 26, (&(uint32_t){ip4("192.0.2.1")}), 4);
		port = field(&uplink.got[0], 34);
		send_part(true, protos[i], 0, id, true, 9);
		assert_int_equal(uplink.count, 1);
		assert_memory_equal(uplink.got[0].data + 26, (&(uint32_t){ip4("192.0.2.1")}), 4);
		assert_memory_equal(uplink.got[0].data, MAC_HOP, 6);
		assert_int_equal(field(&uplink.got[0], 34), 4000); /* what looks like a port is payload */
		send_part(true, protos[i], 0, id ^ 64, false, 9);  /* of another */
		assert_int_equal(uplink.count, 0);

		send_part(false, protos[i], port, id, false, 9);
		assert_int_equal(a.count, 0);
		send_part(false, protos[i], port, id, true, 0);
		assert_int_equal(a.count, 1);
		assert_int_equal(field(&a.got[0], 36), 4000);
		send_part(false, protos[i], port, id, false, 9);
		assert_int_equal(a.count, 1);
		assert_int_equal(b.count, 0);
		assert_memory_equal(a.got[0].data, MAC_A, 6);
		assert_memory_equal(a.got[0].data + 30, (&(uint32_t){ip4("10.0.0.1")}), 4);
		assert_int_equal(field(&a.got[0], 36), port);
	}
	send_part(true, 132, 0, 99, true, 0); /* its checksum is of all of it */
	assert_int_equal(uplink.count, 0);
	assert_int_equal(harness_drops(dp, "fragment"), before + 3 * 2 + 1);
	/* the connection is gone, and what the table remembers is not another's */
	dp_port_del(dp, a.port->id);
	a.port = b.port;
	send_part(false, UDP, 0, 8, false, 9);
	assert_int_equal(a.count + b.count, 0);
}

static void test_a_guest_that_goes_takes_its_connections_along(void **state)
{
	uint16_t port;

	leave(&a, MAC_A, "10.0.0.1", UDP, 4000, 0);
	port = field(&uplink.got[0], 34);
	dp_port_del(dp, a.port->id);
	a.port = b.port; /* it is freed */
	answer(UDP, port, 0);
	assert_int_equal(a.count + b.count, 0);
	assert_int_equal(dp_egress_count_of(dp, net), 0);
}

static void test_the_last_hop_is_told(void **state)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, ip4("10.0.0.1"),
					     ip4("203.0.113.9"), UDP, 4000, 80, 0, 10});

	buf[22] = 1;
	a.count = uplink.count = 0;
	harness_send(dp, &a, buf, len, PLAIN, 0);
	assert_int_equal(uplink.count, 0);
	assert_int_equal(a.count, 1);
	assert_int_equal(a.got[0].data[34], 11);
	assert_memory_equal(a.got[0].data + 26, (&(uint32_t){ip4("10.0.0.254")}), 4);
	assert_true(packet_checksums_right(a.got[0].data, a.got[0].len));
}

/* A port of the network that others may reach by port 8000 of the uplink. */
static void publish(void)
{
	struct dp_port inside = {.mac = {2, 0, 0, 0, 0, 0x51}, .nips = 1, .ips = {ip_from4(ip4("10.0.0.1"))}};
	struct dp_published list[] = {
		{.protocol = DP_TCP, .port = 8000, .to = inside.ips[0], .to_port = 80},
		{.protocol = DP_UDP, .port = 8000, .to = inside.ips[0], .to_port = 80},
	};

	dp_port_del(dp, a.port->id);
	harness_port(dp, &a, net, &inside);
	list[0].net = list[1].net = net;
	assert_int_equal(dp_publish(dp, list, 2, NULL), 0);
}

/* From outside to port 8000. */
static void open_from(const char *peer, uint8_t proto, uint16_t port, uint8_t flags)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf,
		&(struct packet){MAC_UP, MAC_HOP, ip4(peer), ip4("192.0.2.1"), proto, port, 8000, flags, 10});

	a.count = b.count = 0;
	harness_send(dp, &uplink, buf, len, PLAIN, 0);
}

static void test_no_host_of_the_underlay_is_answered_by_a_guest(void **state)
{
	static const uint16_t ports[] = {4789, 3784, 4784};
	uint64_t before = harness_drops(dp, "egress");

	publish();
	for (unsigned i = 0; i < 3; i++) {
		open_from("203.0.113.9", UDP, ports[i], 0);
		assert_int_equal(a.count, 0);
		assert_int_equal(harness_drops(dp, "egress"), before + i + 1);
	}
	open_from("203.0.113.9", TCP, 4789, SYN);
	assert_int_equal(a.count, 1);
}

static void test_a_peer_is_a_host_outside(void **state)
{
	static const char *const wrong[] = {
		"10.0.0.2", "10.0.0.254", "0.0.0.1", "127.0.0.1", "224.0.0.9", "255.255.255.255"};
	uint8_t buf[2048], quote[28];
	uint64_t before;
	size_t len;

	publish();
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		before = harness_drops(dp, "egress");
		open_from(wrong[i], TCP, 999, SYN);
		open_from(wrong[i], UDP, 999, 0);
		assert_int_equal(a.count + b.count, 0);
		assert_int_equal(harness_drops(dp, "egress"), before + 2);
	}
	assert_int_equal(dp_egress_count_of(dp, net), 0);
	leave(&a, MAC_A, "10.0.0.1", UDP, 4000, 0);
	memcpy(quote, uplink.got[0].data + 14, 28);
	len = write_error(buf, quote, 28);
	memcpy(buf + 26, (&(uint32_t){ip4("10.0.0.2")}), 4);
	a.count = 0;
	before = harness_drops(dp, "egress");
	harness_send(dp, &uplink, buf, len, PLAIN, 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(harness_drops(dp, "egress"), before + 1);
}

/* Guests reach what is published under the uplink's address. From outside nothing comes under that one. */
static void test_nobody_outside_has_our_address(void **state)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){dp_router_mac, MAC_B, ip4("10.0.0.2"), ip4("192.0.2.1"),
					     TCP, 4000, 8000, SYN, 10});
	uint64_t before = harness_drops(dp, "not-for-us");
	uint16_t port;

	publish();
	harness_send(dp, &b, buf, len, PLAIN, 0);
	assert_int_equal(a.count, 1);
	assert_memory_equal(a.got[0].data + 26, (&(uint32_t){ip4("192.0.2.1")}), 4);
	port = field(&a.got[0], 34);
	open_from("192.0.2.1", TCP, port, ACK);
	open_from("192.0.2.1", TCP, port ^ 1, SYN);
	open_from("192.0.2.1", UDP, port, 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(harness_drops(dp, "not-for-us"), before + 3);
}

/* What goes to a vip of another network is that network's, also where it ends there. */
static void test_the_books_of_both_networks_balance(void **state)
{
	struct dp_network spec = {.mode = DP_BRIDGE,
		.subnet = ip4("10.9.0.0"),
		.prefix = 24,
		.gateway = ip4("10.9.0.254"),
		.age_s = 300,
		.egress = DP_EGRESS_IN};
	struct dp_service service = {.vip = ip_from4(ip4("10.9.0.100")), .port = 80, .protocol = DP_TCP};
	struct dp_published one = {
		.protocol = DP_TCP, .port = 8000, .to = service.vip, .to_port = 80, .vip = true};
	uint16_t other = harness_network(dp, &spec);
	uint32_t id = DP_SERVICE_NONE;
	uint64_t before = harness_drops(dp, "no-backend");
	uint8_t buf[2048];

	service.net = one.net = other;
	assert_int_equal(dp_service_put(dp, &service, &id, NULL), 0);
	assert_int_equal(dp_publish(dp, &one, 1, NULL), 0);
	harness_send(dp, &a, buf,
		packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, ip4("10.0.0.1"), ip4("192.0.2.1"), TCP,
					4000, 8000, SYN, 10}),
		PLAIN, 0);
	assert_int_equal(harness_drops(dp, "no-backend"), before + 1);
	assert_int_equal(harness_balance(dp, net), 0);
	assert_int_equal(harness_balance(dp, other), 0);
	assert_int_equal(dp_publish(dp, NULL, 0, NULL), 0);
	assert_int_equal(dp_service_del(dp, id), 0);
	assert_int_equal(dp_network_del(dp, other), 0);
}

/* Twice as many begin as may be, and none goes on; one that does, and another that did before, are served. */
static void test_what_is_never_answered_keeps_nobody_out(void **state)
{
	enum { MOST = CONNS / 4 };
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, ip4("10.0.0.1"),
					     ip4("203.0.113.9"), TCP, 80, 999, SYN | ACK, 0});

	publish();
	open_from("203.0.113.9", TCP, 999, SYN);
	harness_send(dp, &a, buf, len, PLAIN, 0);
	open_from("203.0.113.9", TCP, 999, ACK);
	for (unsigned i = 0; i < 2 * MOST; i++) {
		open_from("203.0.113.8", TCP, (uint16_t)(10000 + i), SYN);
		assert_int_equal(a.count, 1);
	}
	assert_int_equal(dp_egress_count_of(dp, net), MOST);
	open_from("203.0.113.10", TCP, 999, SYN);
	assert_int_equal(a.count, 1);
	for (unsigned i = 0; i < MOST / 2; i++)
		open_from("203.0.113.8", TCP, (uint16_t)(20000 + i), SYN);
	open_from("203.0.113.10", TCP, 999, ACK);
	assert_int_equal(a.count, 1);
	open_from("203.0.113.9", TCP, 999, ACK);
	assert_int_equal(a.count, 1);
	assert_int_equal(dp_egress_count_of(dp, net), MOST);
	leave(&b, MAC_B, "10.0.0.2", UDP, 1000, 0);
	assert_int_equal(uplink.count, 1);
}

/* How many hosts of the uplink's link are asked for when a guest sends to n of them, from 192.0.2.`first` on. */
static unsigned asks_for(
	struct test_port *tp, const uint8_t *mac, const char *from, unsigned first, unsigned n)
{
	uint8_t seen[256] = {0};
	unsigned asked = 0;

	uplink.count = 0;
	for (unsigned i = 0; i < n; i++) {
		uint8_t buf[2048];
		size_t len = packet_ip4(
			buf, &(struct packet){dp_router_mac, mac, ip4(from),
				     __builtin_bswap32(0xc0000200 + first + i), UDP, 4000, 80, 0, 10});

		atomic_store(&tp->port->punts_full, 0); /* as if some time went by */
		harness_send(dp, tp, buf, len, PLAIN, 0);
		if (i % 8 == 7)
			harness_tick(dp);
	}
	harness_tick(dp);
	for (unsigned i = 0; i < uplink.count; i++) {
		uint8_t last = uplink.got[i].data[41]; /* of the address; some are asked for again */

		if (field(&uplink.got[i], 12) == 0x0806 && last >= first && last < first + n)
			asked += !seen[last]++;
	}
	return asked;
}

static void test_a_guest_asks_for_so_many_that_are_silent(void **state)
{
	assert_int_equal(asks_for(&a, MAC_A, "10.0.0.1", 10, 60), 32);
	assert_int_equal(asks_for(&b, MAC_B, "10.0.0.2", 100, 1), 1);
}

/* A broadcast of another host's, in VXLAN from 192.0.2.9. */
static size_t wrap_broadcast(uint8_t *buf, uint8_t vni)
{
	uint8_t inner[256], header[8] = {8, 0, 0, 0, 0, 0, vni, 0};
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_C, 100),
	       total = packet_ip4(buf, &(struct packet){MAC_UP, MAC_HOP, ip4("192.0.2.9"), ip4("192.0.2.1"),
					       UDP, 50000, 4789, 0, 8 + len});

	memcpy(buf + 42, header, 8);
	memcpy(buf + 50, inner, len);
	return total;
}

/* A guest's link is down, so that what comes for it is flooded: not to other hosts, and nothing of theirs back to them. */
static void test_what_comes_from_outside_stays_on_this_host(void **state)
{
	enum { VNI = 77 };
	struct dp_network spec = {.mode = DP_OVERLAY,
		.vni = VNI,
		.subnet = ip4("10.9.0.0"),
		.prefix = 24,
		.gateway = ip4("10.9.0.254"),
		.age_s = 300,
		.egress = DP_EGRESS_IN};
	struct dp_port inside = {.mac = {2, 0, 0, 0, 0, 0x52}, .nips = 1, .ips = {ip_from4(ip4("10.9.0.1"))}};
	struct dp_published one = {.protocol = DP_UDP, .port = 8000, .to = inside.ips[0], .to_port = 80};
	static struct test_port guest, beside;
	uint16_t vtep, overlay = harness_network(dp, &spec);
	uint8_t first[2048], second[2048], arp[2048];
	size_t len;

	harness_port(dp, &guest, overlay, &inside);
	harness_port(dp, &beside, overlay, NULL);
	one.net = overlay;
	assert_int_equal(dp_publish(dp, &one, 1, NULL), 0);
	assert_int_equal(dp_vtep_add(dp, overlay, ip_from4(ip4("192.0.2.9")), &vtep, NULL), 0);
	harness_tick(dp);
	harness_send(dp, &uplink, arp,
		packet_arp(arp, MAC_UP, MAC_HOP, 2, ip4("192.0.2.9"), ip4("192.0.2.1")), PLAIN, 0);
	harness_tick(dp);
	open_from("203.0.113.9", UDP, 999, 0);
	assert_int_equal(guest.count, 1);

	atomic_store(&guest.port->up, false);
	uplink.count = beside.count = 0;
	len = packet_ip4(first, &(struct packet){MAC_UP, MAC_HOP, ip4("203.0.113.9"), ip4("192.0.2.1"), UDP,
					999, 8000, 0, 10});
	harness_begin(dp, &uplink);
	assert_true(harness_add(dp, first, len, PLAIN, 0));
	assert_true(harness_add(dp, second, wrap_broadcast(second, VNI), PLAIN, 0));
	harness_run(dp);
	assert_int_equal(beside.count, 2);
	assert_int_equal(uplink.count, 0);
	open_from("203.0.113.9", UDP, 1000, 0); /* nothing begins with a guest that is down */
	assert_int_equal(beside.count, 2);

	assert_int_equal(harness_balance(dp, overlay), 0);
	dp_vtep_del(dp, vtep);
	dp_port_del(dp, guest.port->id);
	dp_port_del(dp, beside.port->id);
	for (unsigned i = 0; i < 4; i++)
		harness_tick(dp);
	assert_int_equal(dp_network_del(dp, overlay), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_a_packet_and_its_answer),
		TEST(test_what_is_of_no_connection_stays_out),
		TEST(test_errors_are_believed_for_connections_alone),
		TEST(test_what_may_not_leave),
		TEST(test_what_may_not_leave_over_ip6),
		TEST(test_all_lengths_of_a_packet),
		TEST(test_a_guest_has_its_share_and_no_more),
		TEST(test_a_closed_connection_is_begun_anew),
		TEST(test_fragments_go_by_their_first_one),
		TEST(test_an_association_that_was_answered_closes),
		TEST(test_a_guest_that_goes_takes_its_connections_along),
		TEST(test_the_last_hop_is_told),
		TEST(test_no_host_of_the_underlay_is_answered_by_a_guest),
		TEST(test_what_comes_from_outside_stays_on_this_host),
		TEST(test_a_guest_asks_for_so_many_that_are_silent),
		TEST(test_a_peer_is_a_host_outside),
		TEST(test_nobody_outside_has_our_address),
		TEST(test_the_books_of_both_networks_balance),
		TEST(test_what_is_never_answered_keeps_nobody_out),
	};

	return cmocka_run_group_tests(tests, open_all, close_all);
}

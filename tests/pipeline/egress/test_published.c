/* What of a network others reach by an uplink's address: who may, and what stays on this host. */
#include <string.h>

#include "tests/pipeline/egress/egress_rig.h"
#include "tests/unit/unit.h"

/* A port of the network that others may reach by port 8000 of the uplink. */
static void publish(void)
{
	struct dp_port inside = {.mac = {2, 0, 0, 0, 0, 0x51}, .nips = 1, .ips = {ip_from4(ip4("10.0.0.1"))}};
	struct dp_published list[] = {
		{.protocol = DP_TCP, .port = 8000, .to = inside.ips[0], .to_port = 80},
		{.protocol = DP_UDP, .port = 8000, .to = inside.ips[0], .to_port = 80},
	};

	dp_port_del(rig.dp, rig.a.port->id);
	harness_port(rig.dp, &rig.a, rig.net, &inside);
	list[0].net = list[1].net = rig.net;
	assert_int_equal(dp_publish(rig.dp, list, 2, NULL), 0);
}

/* From outside to port 8000. */
static void open_from(const char *peer, uint8_t proto, uint16_t port, uint8_t flags)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){EGRESS_UP, EGRESS_HOP, ip4(peer), ip4("192.0.2.1"),
					     proto, port, 8000, flags, 10});

	rig.a.count = rig.b.count = 0;
	harness_send(rig.dp, &rig.uplink, buf, len, EGRESS_PLAIN, 0);
}

static void test_no_host_of_the_underlay_is_answered_by_a_guest(void **state)
{
	static const uint16_t ports[] = {4789, 3784, 4784};
	uint64_t before = harness_drops(rig.dp, "egress");

	publish();
	for (unsigned i = 0; i < 3; i++) {
		open_from("203.0.113.9", UDP, ports[i], 0);
		assert_int_equal(rig.a.count, 0);
		assert_int_equal(harness_drops(rig.dp, "egress"), before + i + 1);
	}
	open_from("203.0.113.9", TCP, 4789, SYN);
	assert_int_equal(rig.a.count, 1);
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
		before = harness_drops(rig.dp, "egress");
		open_from(wrong[i], TCP, 999, SYN);
		open_from(wrong[i], UDP, 999, 0);
		assert_int_equal(rig.a.count + rig.b.count, 0);
		assert_int_equal(harness_drops(rig.dp, "egress"), before + 2);
	}
	assert_int_equal(dp_egress_count_of(rig.dp, rig.net), 0);
	egress_leave(&rig.a, MAC_A, "10.0.0.1", UDP, 4000, 0);
	memcpy(quote, rig.uplink.got[0].data + 14, 28);
	len = egress_error(buf, quote, 28);
	memcpy(buf + 26, (&(uint32_t){ip4("10.0.0.2")}), 4);
	rig.a.count = 0;
	before = harness_drops(rig.dp, "egress");
	harness_send(rig.dp, &rig.uplink, buf, len, EGRESS_PLAIN, 0);
	assert_int_equal(rig.a.count, 0);
	assert_int_equal(harness_drops(rig.dp, "egress"), before + 1);
}

/* Guests reach what is published under the uplink's address. From outside nothing comes under that one. */
static void test_nobody_outside_has_our_address(void **state)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){dp_router_mac, MAC_B, ip4("10.0.0.2"), ip4("192.0.2.1"),
					     TCP, 4000, 8000, SYN, 10});
	uint64_t before = harness_drops(rig.dp, "not-for-us");
	uint16_t port;

	publish();
	harness_send(rig.dp, &rig.b, buf, len, EGRESS_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	assert_memory_equal(rig.a.got[0].data + 26, (&(uint32_t){ip4("192.0.2.1")}), 4);
	port = egress_field(&rig.a.got[0], 34);
	open_from("192.0.2.1", TCP, port, ACK);
	open_from("192.0.2.1", TCP, port ^ 1, SYN);
	open_from("192.0.2.1", UDP, port, 0);
	assert_int_equal(rig.a.count, 0);
	assert_int_equal(harness_drops(rig.dp, "not-for-us"), before + 3);
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
	uint16_t other = harness_network(rig.dp, &spec);
	uint32_t id = DP_SERVICE_NONE;
	uint64_t before = harness_drops(rig.dp, "no-backend");
	uint8_t buf[2048];

	service.net = one.net = other;
	assert_int_equal(dp_service_put(rig.dp, &service, &id, NULL), 0);
	assert_int_equal(dp_publish(rig.dp, &one, 1, NULL), 0);
	harness_send(rig.dp, &rig.a, buf,
		packet_ip4(buf, &(struct packet){dp_router_mac, MAC_A, ip4("10.0.0.1"), ip4("192.0.2.1"), TCP,
					4000, 8000, SYN, 10}),
		EGRESS_PLAIN, 0);
	assert_int_equal(harness_drops(rig.dp, "no-backend"), before + 1);
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
	assert_int_equal(harness_balance(rig.dp, other), 0);
	assert_int_equal(dp_publish(rig.dp, NULL, 0, NULL), 0);
	assert_int_equal(dp_service_del(rig.dp, id), 0);
	assert_int_equal(dp_network_del(rig.dp, other), 0);
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
	harness_send(rig.dp, &rig.a, buf, len, EGRESS_PLAIN, 0);
	open_from("203.0.113.9", TCP, 999, ACK);
	for (unsigned i = 0; i < 2 * MOST; i++) {
		open_from("203.0.113.8", TCP, (uint16_t)(10000 + i), SYN);
		assert_int_equal(rig.a.count, 1);
	}
	assert_int_equal(dp_egress_count_of(rig.dp, rig.net), MOST);
	open_from("203.0.113.10", TCP, 999, SYN);
	assert_int_equal(rig.a.count, 1);
	for (unsigned i = 0; i < MOST / 2; i++)
		open_from("203.0.113.8", TCP, (uint16_t)(20000 + i), SYN);
	open_from("203.0.113.10", TCP, 999, ACK);
	assert_int_equal(rig.a.count, 1);
	open_from("203.0.113.9", TCP, 999, ACK);
	assert_int_equal(rig.a.count, 1);
	assert_int_equal(dp_egress_count_of(rig.dp, rig.net), MOST);
	egress_leave(&rig.b, MAC_B, "10.0.0.2", UDP, 1000, 0);
	assert_int_equal(rig.uplink.count, 1);
}

/* A broadcast of another host's, in VXLAN from 192.0.2.9. */
static size_t wrap_broadcast(uint8_t *buf, uint8_t vni)
{
	uint8_t inner[256], header[8] = {8, 0, 0, 0, 0, 0, vni, 0};
	size_t len = packet_eth(inner, MAC_BROADCAST, MAC_C, 100),
	       total = packet_ip4(buf, &(struct packet){EGRESS_UP, EGRESS_HOP, ip4("192.0.2.9"),
					       ip4("192.0.2.1"), UDP, 50000, 4789, 0, 8 + len});

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
	uint16_t vtep, overlay = harness_network(rig.dp, &spec);
	uint8_t first[2048], second[2048], arp[2048];
	size_t len;

	harness_port(rig.dp, &guest, overlay, &inside);
	harness_port(rig.dp, &beside, overlay, NULL);
	one.net = overlay;
	assert_int_equal(dp_publish(rig.dp, &one, 1, NULL), 0);
	assert_int_equal(dp_vtep_add(rig.dp, overlay, ip_from4(ip4("192.0.2.9")), &vtep, NULL), 0);
	harness_tick(rig.dp);
	harness_send(rig.dp, &rig.uplink, arp,
		packet_arp(arp, EGRESS_UP, EGRESS_HOP, 2, ip4("192.0.2.9"), ip4("192.0.2.1")), EGRESS_PLAIN,
		0);
	harness_tick(rig.dp);
	open_from("203.0.113.9", UDP, 999, 0);
	assert_int_equal(guest.count, 1);

	atomic_store(&guest.port->up, false);
	rig.uplink.count = beside.count = 0;
	len = packet_ip4(first, &(struct packet){EGRESS_UP, EGRESS_HOP, ip4("203.0.113.9"), ip4("192.0.2.1"),
					UDP, 999, 8000, 0, 10});
	harness_begin(rig.dp, &rig.uplink);
	assert_true(harness_add(rig.dp, first, len, EGRESS_PLAIN, 0));
	assert_true(harness_add(rig.dp, second, wrap_broadcast(second, VNI), EGRESS_PLAIN, 0));
	harness_run(rig.dp);
	assert_int_equal(beside.count, 2);
	assert_int_equal(rig.uplink.count, 0);
	open_from("203.0.113.9", UDP, 1000, 0); /* nothing begins with a guest that is down */
	assert_int_equal(beside.count, 2);

	assert_int_equal(harness_balance(rig.dp, overlay), 0);
	dp_vtep_del(rig.dp, vtep);
	dp_port_del(rig.dp, guest.port->id);
	dp_port_del(rig.dp, beside.port->id);
	for (unsigned i = 0; i < 4; i++)
		harness_tick(rig.dp);
	assert_int_equal(dp_network_del(rig.dp, overlay), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		EGRESS_TEST(test_no_host_of_the_underlay_is_answered_by_a_guest),
		EGRESS_TEST(test_what_comes_from_outside_stays_on_this_host),
		EGRESS_TEST(test_a_peer_is_a_host_outside),
		EGRESS_TEST(test_nobody_outside_has_our_address),
		EGRESS_TEST(test_the_books_of_both_networks_balance),
		EGRESS_TEST(test_what_is_never_answered_keeps_nobody_out),
	};

	return cmocka_run_group_tests(tests, egress_open_all, egress_close_all);
}

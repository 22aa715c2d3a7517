/* Whose a MAC and an address are, whatever comes from vteps, uplinks and ports without security; and who is sent
 * what is for others. */
#include <string.h>

#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { VNI = 77 };

static struct dp *dp;
static struct test_port a, b, open, gateway, uplink, other_uplink;
static uint16_t net, vtep, second;
static uint32_t service;
static const struct offload PLAIN;
static const mac_t MAC_UP = {2, 0, 0, 0, 0, 1}, MAC_UP2 = {2, 0, 0, 0, 0, 3}, MAC_HOP = {2, 0, 0, 0, 0, 2},
		   MAC_OPEN = {2, 0, 0, 0, 0, 0xe}, MAC_FAR = {2, 0, 0, 0, 0, 0xf},
		   MAC_NOBODY = {2, 0, 0, 0, 9, 9}, MAC_ALLOWED = {2, 0, 0, 0, 1, 1},
		   MAC_GROUP = {1, 0, 0x5e, 0, 0, 5};
static struct dp_backend backend = {.port = 80, .weight = 1};

#define VIP "10.0.0.100"
#define GATEWAY "10.0.0.1"

static int setup(void **state)
{
	dp = harness_open();
	return 0;
}

static int teardown(void **state)
{
	harness_close(dp);
	return 0;
}

/* a and b with full security, `open` without, a gateway, two uplinks and a vtep behind each. */
static int make(void **state)
{
	struct dp_network spec = {.mode = DP_OVERLAY,
		.vni = VNI,
		.mtu = 1450,
		.age_s = 300,
		.subnet = ip4("10.0.0.0"),
		.prefix = 24,
		.gateway = ip4(GATEWAY)};
	struct dp_port pa = {.mac = {2, 0, 0, 0, 0, 0xa},
		.ips = {ip_from4(ip4("10.0.0.5"))},
		.nips = 1,
		.security = DP_SECURITY_FULL,
		.nallow = 1,
		.allow = {{.mac = {2, 0, 0, 0, 1, 1}}}};
	struct dp_port pb = {.mac = {2, 0, 0, 0, 0, 0xb},
		.ips = {ip_from4(ip4("10.0.0.6"))},
		.nips = 1,
		.security = DP_SECURITY_FULL};
	struct dp_port po = {.mac = {2, 0, 0, 0, 0, 0xe}, .ips = {ip_from4(ip4("10.0.0.7"))}, .nips = 1};
	struct dp_port pg = {.gateway = true};
	struct dp_port up = {.mac = {2, 0, 0, 0, 0, 1},
		.address = {ip_from4(ip4("192.0.2.1")), IP_PREFIX4 + 24},
		.vxlan_port = 4789};
	struct dp_port up2 = {.mac = {2, 0, 0, 0, 0, 3},
		.address = {ip_from4(ip4("198.51.100.1")), IP_PREFIX4 + 24},
		.vxlan_port = 4789};

	memcpy(pg.mac, dp_router_mac, 6);
	net = harness_network(dp, &spec);
	harness_port(dp, &a, net, &pa);
	harness_port(dp, &b, net, &pb);
	harness_port(dp, &open, net, &po);
	harness_port(dp, &gateway, net, &pg);
	harness_port(dp, &uplink, DP_NET_NONE, &up);
	harness_port(dp, &other_uplink, DP_NET_NONE, &up2);
	assert_int_equal(dp_vtep_add(dp, net, ip_from4(ip4("192.0.2.2")), &vtep, NULL), 0);
	assert_int_equal(dp_vtep_add(dp, net, ip_from4(ip4("198.51.100.3")), &second, NULL), 0);
	service = DP_SERVICE_NONE;
	backend.address = ip_from4(ip4("10.0.0.6"));
	assert_int_equal(
		dp_service_put(dp, &(struct dp_service){net, ip_from4(ip4(VIP)), 80, DP_TCP, &backend, 1},
			&service, NULL),
		0);
	return 0;
}

static int unmake(void **state)
{
	assert_int_equal(harness_balance(dp, net), 0);
	dp_service_del(dp, service);
	dp_vtep_del(dp, vtep);
	dp_vtep_del(dp, second);
	dp_port_del(dp, a.port->id);
	dp_port_del(dp, b.port->id);
	dp_port_del(dp, open.port->id);
	dp_port_del(dp, gateway.port->id);
	dp_port_del(dp, uplink.port->id);
	dp_port_del(dp, other_uplink.port->id);
	assert_int_equal(dp_network_del(dp, net), 0);
	return 0;
}

/* Sends a frame from a port: was it dropped for this reason? */
static bool refused(struct test_port *from, const uint8_t *frame, size_t len, const char *reason)
{
	uint64_t before = harness_drops(dp, reason);

	harness_send(dp, from, frame, len, PLAIN, 0);
	return harness_drops(dp, reason) == before + 1;
}

/* An inner frame in VXLAN that comes by `in`, to its address, from `remote`. */
static size_t wrap(
	uint8_t *buf, const struct test_port *in, const char *remote, const uint8_t *inner, size_t len)
{
	static const uint8_t header[8] = {8, 0, 0, 0, 0, 0, VNI, 0};
	struct packet p = {.dst = in == &uplink ? MAC_UP : MAC_UP2,
		.src = MAC_HOP,
		.from = ip4(remote),
		.to = ip4(in == &uplink ? "192.0.2.1" : "198.51.100.1"),
		.proto = 17,
		.from_port = 50000,
		.to_port = 4789,
		.payload = 8 + len};
	size_t total = packet_ip4(buf, &p);

	memcpy(buf + 42, header, 8);
	memcpy(buf + 50, inner, len);
	return total;
}

static bool tunnel_refused(
	struct test_port *in, const char *remote, const uint8_t *inner, size_t len, const char *reason)
{
	uint8_t buf[2048];
	size_t total = wrap(buf, in, remote, inner, len);

	return refused(in, buf, total, reason);
}

static bool eth_refused_by_tunnel(
	struct test_port *in, const char *remote, const mac_t src, const char *reason)
{
	uint8_t inner[2048];

	return tunnel_refused(in, remote, inner, packet_eth(inner, MAC_BROADCAST, src, 100), reason);
}

/* Nobody there has the MAC of a machine that is here, whatever the security of its port. */
static void test_a_local_mac_from_a_vtep(void **state)
{
	uint8_t buf[2048];

	assert_true(eth_refused_by_tunnel(&uplink, "192.0.2.2", MAC_B, "spoofed-mac"));
	assert_true(eth_refused_by_tunnel(&uplink, "192.0.2.2", MAC_OPEN, "spoofed-mac"));
	assert_int_equal(a.count + b.count + open.count, 0);
	harness_send(dp, &a, buf, packet_eth(buf, MAC_B, MAC_A, 100), PLAIN, 0);
	assert_int_equal(b.count, 1);
	a.count = open.count = 0;
	assert_false(eth_refused_by_tunnel(&uplink, "192.0.2.2", MAC_FAR, "spoofed-mac"));
	assert_int_equal(a.count, 1);
	assert_int_equal(open.count, 1);
}

/* A port that is down: the machine may have moved to the other host. */
static void test_a_local_mac_from_a_vtep_after_it_moved(void **state)
{
	atomic_store(&b.port->up, false);
	assert_false(eth_refused_by_tunnel(&uplink, "192.0.2.2", MAC_B, "spoofed-mac"));
	assert_int_equal(a.count, 1);
	atomic_store(&b.port->up, true);
	assert_true(eth_refused_by_tunnel(&uplink, "192.0.2.2", MAC_B, "spoofed-mac"));
	assert_int_equal(a.count, 1);
}

/* What an operator put behind one vtep is not behind another, nor what is put at a port. */
static void test_static_entries_from_another_vtep(void **state)
{
	struct dp_fdb_entry there = {.net = net, .port = UINT16_MAX, .vtep = vtep},
			    here = {.net = net, .port = open.port->id, .vtep = UINT16_MAX};

	memcpy(there.mac, MAC_FAR, 6);
	memcpy(here.mac, MAC_NOBODY, 6);
	assert_int_equal(dp_fdb_add(dp, &there), 0);
	assert_int_equal(dp_fdb_add(dp, &here), 0);
	assert_true(eth_refused_by_tunnel(&other_uplink, "198.51.100.3", MAC_FAR, "spoofed-mac"));
	assert_true(eth_refused_by_tunnel(&other_uplink, "198.51.100.3", MAC_NOBODY, "spoofed-mac"));
	assert_int_equal(a.count, 0);
	assert_false(eth_refused_by_tunnel(&uplink, "192.0.2.2", MAC_FAR, "spoofed-mac"));
	assert_int_equal(a.count, 1);
}

/* Each vtep's address is behind the uplink that reaches it. */
static void test_vxlan_by_another_uplink(void **state)
{
	assert_true(eth_refused_by_tunnel(&other_uplink, "192.0.2.2", MAC_FAR, "unknown-vtep"));
	assert_true(eth_refused_by_tunnel(&uplink, "198.51.100.3", MAC_FAR, "unknown-vtep"));
	assert_int_equal(a.count, 0);
	assert_false(eth_refused_by_tunnel(&other_uplink, "198.51.100.3", MAC_FAR, "unknown-vtep"));
	assert_int_equal(a.count, 1);
}

static void send_to(const mac_t dst)
{
	uint8_t buf[2048];

	a.count = b.count = open.count = 0;
	harness_send(dp, &open, buf, packet_eth(buf, dst, MAC_OPEN, 100), PLAIN, 0);
}

/* A guarded port is sent what is for it and for all, and nothing of others'. */
static void test_what_a_guarded_port_is_sent(void **state)
{
	struct dp_fdb_entry wrong = {.net = net, .port = a.port->id, .vtep = UINT16_MAX};
	struct dp_port spec = a.port->spec;

	send_to(MAC_NOBODY);
	assert_int_equal(a.count + b.count, 0);
	send_to(MAC_A);
	assert_int_equal(a.count, 1);
	assert_int_equal(b.count, 0);
	send_to(MAC_ALLOWED); /* where it is was not learned yet */
	assert_int_equal(a.count, 1);
	assert_int_equal(b.count, 0);
	send_to(MAC_GROUP);
	assert_int_equal(a.count + b.count, 2);
	send_to(MAC_BROADCAST);
	assert_int_equal(a.count + b.count, 2);
	memcpy(wrong.mac, MAC_FAR, 6); /* an operator's entry is an operator's word */
	assert_int_equal(dp_fdb_add(dp, &wrong), 0);
	send_to(MAC_FAR);
	assert_int_equal(b.count, 0);
	spec.security = DP_SECURITY_OFF;
	assert_int_equal(dp_port_set(dp, a.port->id, &spec, NULL), 0);
	send_to(MAC_NOBODY);
	assert_int_equal(a.count, 1);
	assert_int_equal(b.count, 0);
	spec.security = DP_SECURITY_MAC;
	assert_int_equal(dp_port_set(dp, a.port->id, &spec, NULL), 0);
	send_to(MAC_NOBODY);
	assert_int_equal(a.count, 0);
}

/* The same of what comes through a tunnel. */
static void test_unknown_unicast_from_a_vtep(void **state)
{
	uint8_t inner[2048];
	size_t len = packet_eth(inner, MAC_NOBODY, MAC_FAR, 100);

	assert_false(tunnel_refused(&uplink, "192.0.2.2", inner, len, "spoofed-mac"));
	assert_int_equal(a.count + b.count, 0);
	assert_int_equal(open.count, 1);
	len = packet_eth(inner, MAC_A, MAC_FAR, 100);
	assert_false(tunnel_refused(&uplink, "192.0.2.2", inner, len, "spoofed-mac"));
	assert_int_equal(a.count, 1);
}

static bool answer_refused(struct test_port *from, const mac_t src, const char *ip)
{
	uint8_t buf[2048];
	size_t len = packet_arp(buf, dp->probe_mac, src, 2, ip4(ip), 0);

	return refused(from, buf, len, "spoofed-arp");
}

/* The daemon asks who has a backend's address: whose it is answers, and nobody else. */
static void test_answers_to_the_daemon(void **state)
{
	uint8_t inner[2048];
	size_t len;

	assert_true(answer_refused(&open, MAC_OPEN, "10.0.0.6"));
	assert_true(answer_refused(&open, MAC_OPEN, "10.0.0.5"));
	assert_true(answer_refused(&a, MAC_A, "10.0.0.6"));
	assert_false(answer_refused(&b, MAC_B, "10.0.0.6"));
	assert_false(answer_refused(&open, MAC_OPEN, "10.0.0.7"));
	assert_false(answer_refused(&open, MAC_OPEN, "10.0.0.77")); /* nobody's here */
	len = packet_arp(inner, dp->probe_mac, MAC_FAR, 2, ip4("10.0.0.6"), 0);
	assert_true(tunnel_refused(&uplink, "192.0.2.2", inner, len, "spoofed-arp"));
	atomic_store(&b.port->up, false);
	assert_false(tunnel_refused(&uplink, "192.0.2.2", inner, len, "spoofed-arp"));
	assert_true(answer_refused(&open, MAC_OPEN, "10.0.0.6")); /* it has not moved to another port */
	atomic_store(&b.port->up, true);
}

/* From any port and any host, as request and as answer, to all and to one. */
static void test_who_claims_gateway_and_vip(void **state)
{
	static const char *const claimed[] = {GATEWAY, VIP};
	uint8_t buf[2048];
	size_t len;

	for (unsigned i = 0; i < 2; i++)
		for (uint16_t op = 1; op <= 2; op++) {
			uint32_t ip = ip4(claimed[i]);

			len = packet_arp(buf, MAC_BROADCAST, MAC_A, op, ip, ip);
			assert_true(refused(&a, buf, len, "spoofed-arp"));
			len = packet_arp(buf, MAC_BROADCAST, MAC_OPEN, op, ip, ip4("10.0.0.6"));
			assert_true(refused(&open, buf, len, "spoofed-arp"));
			len = packet_arp(buf, MAC_B, MAC_OPEN, op, ip, ip4("10.0.0.6"));
			assert_true(refused(&open, buf, len, "spoofed-arp"));
			len = packet_arp(buf, MAC_BROADCAST, MAC_FAR, op, ip, ip);
			assert_true(tunnel_refused(&uplink, "192.0.2.2", buf, len, "spoofed-arp"));
		}
	assert_int_equal(a.count + b.count + open.count, 0);
	len = packet_arp(buf, MAC_BROADCAST, dp_router_mac, 1, ip4(GATEWAY), ip4("10.0.0.6"));
	assert_false(refused(&gateway, buf, len, "spoofed-arp"));
	assert_int_equal(b.count, 1);
}

/* No security is no licence to take the MAC of a port that has it; one without may be taken. */
static void test_a_guarded_mac_from_a_port_without_security(void **state)
{
	uint8_t buf[2048];

	assert_true(refused(&open, buf, packet_eth(buf, MAC_BROADCAST, MAC_B, 100), "spoofed-mac"));
	assert_int_equal(a.count, 0);
	harness_send(dp, &a, buf, packet_eth(buf, MAC_B, MAC_A, 100), PLAIN, 0);
	assert_int_equal(b.count, 1);
	atomic_store(&b.port->up, false);
	assert_false(refused(&open, buf, packet_eth(buf, MAC_BROADCAST, MAC_B, 100), "spoofed-mac"));
	assert_int_equal(a.count, 1);
	atomic_store(&b.port->up, true);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_a_local_mac_from_a_vtep, make, unmake),
		cmocka_unit_test_setup_teardown(test_a_local_mac_from_a_vtep_after_it_moved, make, unmake),
		cmocka_unit_test_setup_teardown(test_static_entries_from_another_vtep, make, unmake),
		cmocka_unit_test_setup_teardown(test_vxlan_by_another_uplink, make, unmake),
		cmocka_unit_test_setup_teardown(test_what_a_guarded_port_is_sent, make, unmake),
		cmocka_unit_test_setup_teardown(test_unknown_unicast_from_a_vtep, make, unmake),
		cmocka_unit_test_setup_teardown(test_answers_to_the_daemon, make, unmake),
		cmocka_unit_test_setup_teardown(test_who_claims_gateway_and_vip, make, unmake),
		cmocka_unit_test_setup_teardown(
			test_a_guarded_mac_from_a_port_without_security, make, unmake),
	};

	return cmocka_run_group_tests_name("guard_net", tests, setup, teardown);
}

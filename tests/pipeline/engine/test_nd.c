/* Neighbour discovery inside a network: what the switch answers, asks and refuses; the IPv6 twin of test_local.c. */
#include <arpa/inet.h>
#include <string.h>

#include "addr/ip_text.h"
#include "dataplane/frame/nd.h"
#include "dataplane/l2/neigh.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

enum { VNI = 78, TYPE = 54, HOP_LIMIT = 21, FLAGS = 58, TARGET = 62, OPTION = 78 };

static struct dp *dp;
static struct test_port a, b, gateway, uplink;
static uint16_t net, vtep;
static const struct offload PLAIN;
static const mac_t MAC_UP = {2, 0, 0, 0, 0, 1}, MAC_HOP = {2, 0, 0, 0, 0, 2}, MAC_FAR = {2, 0, 0, 0, 0, 0xf},
		   MAC_GROUP = {0x33, 0x33, 0xff, 0, 0, 1}, MAC_ALL6 = {0x33, 0x33, 0, 0, 0, 1};

#define GATEWAY "fd00::1"

static struct ip_addr ip(const char *text)
{
	struct ip_addr address;

	assert_true(ip_parse(text, &address));
	return address;
}

static int setup(void **state)
{
	struct dp_port gw = {.gateway = true};
	struct dp_port up = {
		.mac = {2, 0, 0, 0, 0, 1}, .address = {ip("192.0.2.1"), IP_PREFIX4 + 24}, .vxlan_port = 4789};
	struct dp_port pb = {.mac = {2, 0, 0, 0, 0, 0xb}, .ips = {ip("fd00::b")}, .nips = 1};
	struct dp_network spec = {.mode = DP_OVERLAY,
		.vni = VNI,
		.mtu = 1450,
		.subnet6 = {ip("fd00::"), 64},
		.gateway6 = ip(GATEWAY)};
	uint8_t arp[64];

	memcpy(gw.mac, dp_router_mac, 6);
	dp = harness_open();
	net = harness_network(dp, &spec);
	harness_port(dp, &a, net, NULL);
	harness_port(dp, &b, net, &pb);
	harness_port(dp, &gateway, net, &gw);
	harness_port(dp, &uplink, DP_NET_NONE, &up);
	assert_int_equal(dp_vtep_add(dp, net, ip("192.0.2.2"), &vtep, NULL), 0);
	harness_tick(dp);
	harness_send(dp, &uplink, arp,
		packet_arp(arp, MAC_UP, MAC_HOP, 2, ip4("192.0.2.2"), ip4("192.0.2.1")), PLAIN, 0);
	harness_tick(dp);
	return 0;
}

static int teardown(void **state)
{
	assert_int_equal(harness_balance(dp, net), 0);
	harness_close(dp);
	return 0;
}

static int clear(void **state)
{
	a.count = b.count = gateway.count = uplink.count = 0;
	return 0;
}

/* A message of neighbour discovery with `src` in its option. */
static size_t write_nd(uint8_t *buf, const uint8_t *dst, const uint8_t *src, uint8_t type, const char *from,
	const char *target)
{
	nd_write_solicit(buf, src, NULL, ip(target));
	memcpy(buf, dst, 6);
	memcpy(buf + 22, ip(from).b, 16);
	buf[TYPE] = type;
	buf[OPTION] = type == ND_ADVERT ? 2 : 1;
	return ND_FRAME_LEN;
}

/* The same in VXLAN from the other host. */
static size_t write_tunnelled(uint8_t *buf, const uint8_t *inner, size_t len)
{
	struct packet outer = {.dst = MAC_UP,
		.src = MAC_HOP,
		.from = ip4("192.0.2.2"),
		.to = ip4("192.0.2.1"),
		.proto = 17,
		.from_port = 50000,
		.to_port = 4789,
		.payload = 8 + len};
	size_t n = packet_ip4(buf, &outer);

	memcpy(buf + 42, (uint8_t[8]){8, 0, 0, 0, 0, 0, VNI}, 8);
	memcpy(buf + 50, inner, len);
	return n;
}

static bool checksum_right(const uint8_t *frame, size_t len)
{
	uint32_t sum = 58 + (uint32_t)(len - 54);

	for (size_t at = 22; at < len; at += 2)
		sum += (uint32_t)frame[at] << 8 | frame[at + 1];
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return sum == 0xffff;
}

static void check_answer(const uint8_t *to_mac, const char *to, uint8_t flags)
{
	const uint8_t *got = a.got[0].data;

	assert_int_equal(a.count, 1);
	assert_int_equal(b.count + gateway.count + uplink.count, 0);
	assert_int_equal(a.got[0].len, ND_FRAME_LEN);
	assert_memory_equal(got, to_mac, 6);
	assert_memory_equal(got + 6, dp_router_mac, 6);
	assert_memory_equal(got + 22, ip(GATEWAY).b, 16);
	assert_memory_equal(got + 38, ip(to).b, 16);
	assert_int_equal(got[HOP_LIMIT], 255);
	assert_int_equal(got[TYPE], ND_ADVERT);
	assert_int_equal(got[FLAGS], flags);
	assert_memory_equal(got + TARGET, ip(GATEWAY).b, 16);
	assert_int_equal(got[OPTION], 2);
	assert_memory_equal(got + OPTION + 2, dp_router_mac, 6);
	assert_true(checksum_right(got, ND_FRAME_LEN));
}

static void test_gateway_is_answered_at_the_port(void **state)
{
	uint8_t buf[2048];

	write_nd(buf, MAC_GROUP, MAC_A, ND_SOLICIT, "fd00::5", GATEWAY);
	harness_send(dp, &a, buf, ND_FRAME_LEN, PLAIN, 0);
	check_answer(MAC_A, "fd00::5", 0xe0);
}

/* A neighbour that is asked again is asked by its MAC, and maybe without an option. */
static void test_a_question_to_the_router_mac(void **state)
{
	uint8_t buf[2048];

	write_nd(buf, dp_router_mac, MAC_A, ND_SOLICIT, "fd00::5", GATEWAY);
	buf[19] = ND_LEN;
	harness_send(dp, &a, buf, ND_FRAME_LEN - 8, PLAIN, 7);
	check_answer(MAC_A, "fd00::5", 0xe0);
}

/* Who is about to take the gateway's address hears that it is taken (RFC 4862, 5.4). */
static void test_taking_the_gateways_address(void **state)
{
	uint8_t buf[2048];

	write_nd(buf, MAC_GROUP, MAC_A, ND_SOLICIT, "::", GATEWAY);
	buf[19] = ND_LEN;
	harness_send(dp, &a, buf, ND_FRAME_LEN - 8, PLAIN, 0);
	check_answer(MAC_ALL6, "ff02::1", 0xa0);
}

static void test_other_questions_are_flooded(void **state)
{
	uint8_t buf[2048];

	write_nd(buf, MAC_GROUP, MAC_A, ND_SOLICIT, "fd00::5", "fd00::6");
	harness_send(dp, &a, buf, ND_FRAME_LEN, PLAIN, 0);
	assert_int_equal(a.count, 0);
	assert_int_equal(b.count, 1);
	assert_int_equal(gateway.count, 1);
	assert_int_equal(uplink.count, 1);
}

/* The gateway's kernel asks for others; nobody but itself answers for it. */
static void test_the_gateway_asks(void **state)
{
	uint8_t buf[2048];

	write_nd(buf, MAC_GROUP, dp_router_mac, ND_SOLICIT, GATEWAY, "fd00::5");
	harness_send(dp, &gateway, buf, ND_FRAME_LEN, PLAIN, 0);
	assert_int_equal(a.count, 1);
	assert_int_equal(uplink.count, 0);
	write_nd(buf, MAC_GROUP, dp_router_mac, ND_SOLICIT, "::", GATEWAY);
	harness_send(dp, &gateway, buf, ND_FRAME_LEN, PLAIN, 0);
	assert_int_equal(gateway.count, 0);
}

/* What no receiver may take for a question is not answered; it is for whoever it was sent to. */
static void test_what_is_no_question(void **state)
{
	uint8_t buf[2048];

	for (unsigned i = 0; i < 5; i++) {
		write_nd(buf, MAC_GROUP, MAC_A, ND_SOLICIT, "fd00::5", GATEWAY);
		if (i == 0)
			buf[HOP_LIMIT] = 64; /* from beyond the link */
		else if (i == 1)
			buf[TYPE + 1] = 1; /* another code */
		else if (i == 2)
			buf[19] = ND_LEN - 1;
		else if (i == 3)
			buf[19] = 200; /* more than there is */
		else
			buf[14] = 0x40;
		clear(NULL);
		harness_send(dp, &a, buf, ND_FRAME_LEN, PLAIN, 0);
		assert_int_equal(a.count, 0);
	}
	for (size_t len = 14; len < ND_FRAME_LEN - 8; len++) {
		clear(NULL);
		write_nd(buf, MAC_GROUP, MAC_A, ND_SOLICIT, "fd00::5", GATEWAY);
		harness_send(dp, &a, buf, len, PLAIN, 0);
		assert_int_equal(a.count, 0);
	}
}

/* Every host answers its own guests, so a question from another is for nobody here. */
static void test_a_question_from_a_vtep(void **state)
{
	uint8_t buf[2048], inner[128];
	struct dp_net_info before, after;

	dp_network_info(dp, net, &before);
	write_nd(inner, MAC_GROUP, MAC_FAR, ND_SOLICIT, "fd00::f", GATEWAY);
	harness_send(dp, &uplink, buf, write_tunnelled(buf, inner, ND_FRAME_LEN), PLAIN, 0);
	assert_int_equal(a.count + b.count + gateway.count + uplink.count, 0);
	dp_network_info(dp, net, &after);
	assert_int_equal(after.consumed - before.consumed, 1);
	write_nd(inner, MAC_GROUP, MAC_FAR, ND_SOLICIT, "fd00::f", "fd00::b");
	harness_send(dp, &uplink, buf, write_tunnelled(buf, inner, ND_FRAME_LEN), PLAIN, 0);
	assert_int_equal(b.count, 1);
}

/* Whatever a port's security, it is not the gateway. */
static void test_claims_of_the_gateway(void **state)
{
	uint64_t before = harness_drops(dp, "spoofed-arp");
	uint8_t buf[2048], inner[128];

	write_nd(buf, MAC_ALL6, MAC_A, ND_ADVERT, "fd00::5", GATEWAY);
	harness_send(dp, &a, buf, ND_FRAME_LEN, PLAIN, 0);
	write_nd(buf, MAC_GROUP, MAC_A, ND_SOLICIT, GATEWAY, "fd00::b");
	harness_send(dp, &a, buf, ND_FRAME_LEN, PLAIN, 0);
	write_nd(inner, MAC_ALL6, MAC_FAR, ND_ADVERT, "fd00::f", GATEWAY);
	harness_send(dp, &uplink, buf, write_tunnelled(buf, inner, ND_FRAME_LEN), PLAIN, 0);
	assert_int_equal(harness_drops(dp, "spoofed-arp") - before, 3);
	assert_int_equal(a.count + b.count + gateway.count + uplink.count, 0);
}

/* Whoever asks for routers tells them who it is, too: a kernel that forwards believes it. */
static void test_a_router_solicitation_claims(void **state)
{
	uint64_t before = harness_drops(dp, "spoofed-arp");
	uint8_t buf[2048];

	for (int i = 0; i < 2; i++) {
		write_nd(buf, MAC_ALL6, MAC_A, 133, i ? "fd00::5" : GATEWAY, "::");
		buf[19] = 16;
		memcpy(buf + TYPE + 8, buf + OPTION, 8);
		harness_send(dp, &a, buf, ND_FRAME_LEN - 16, PLAIN, 0);
	}
	assert_int_equal(harness_drops(dp, "spoofed-arp") - before, 1);
	assert_int_equal(gateway.count, 1);
}

/* Behind an extension header it is refused as well: receivers look behind those. */
static void test_a_claim_behind_an_extension_header(void **state)
{
	uint64_t before = harness_drops(dp, "spoofed-arp");
	uint8_t buf[2048];

	write_nd(buf, MAC_ALL6, MAC_A, ND_ADVERT, "fd00::5", GATEWAY);
	memmove(buf + TYPE + 8, buf + TYPE, ND_FRAME_LEN - TYPE);
	memcpy(buf + TYPE, (uint8_t[8]){58, 0, 1, 4}, 8);
	buf[19] += 8;
	buf[20] = 60; /* destination options */
	harness_send(dp, &a, buf, ND_FRAME_LEN + 8, PLAIN, 0);
	assert_int_equal(harness_drops(dp, "spoofed-arp") - before, 1);
	assert_int_equal(b.count, 0);
}

/* Wherever it begins: receivers look behind any number of options, the switch as far as its copy goes. */
static void test_a_claim_behind_long_options(void **state)
{
	for (size_t options = 8; options <= 120; options += 8) {
		uint64_t before = harness_drops(dp, "spoofed-arp") + harness_drops(dp, "rogue-server");
		uint8_t buf[2048];

		for (unsigned type = ND_SOLICIT; type <= ND_ADVERT; type++) {
			write_nd(buf, MAC_ALL6, MAC_A, type, type == ND_SOLICIT ? GATEWAY : "fd00::5",
				GATEWAY);
			memmove(buf + TYPE + options, buf + TYPE, ND_FRAME_LEN - TYPE);
			memset(buf + TYPE, 0, options);
			buf[TYPE] = 58;
			buf[TYPE + 1] = (uint8_t)(options / 8 - 1);
			buf[19] += (uint8_t)options;
			buf[20] = 60;
			harness_send(dp, &a, buf, ND_FRAME_LEN + options, PLAIN, 0);
		}
		assert_int_equal(
			harness_drops(dp, "spoofed-arp") + harness_drops(dp, "rogue-server") - before, 2);
	}
	assert_int_equal(a.count + b.count + gateway.count + uplink.count, 0);
}

/* The switch answers for a vip at its own ports alone: an answer to the other host would be on the underlay as it is. */
static void test_ping_through_a_tunnel(void **state)
{
	const struct dp_backend backends[] = {{ip("fd00::b"), 80, 1, false}},
				backends4[] = {{ip("10.0.0.11"), 80, 1, false}};
	const struct dp_service spec = {net, ip("fd00::64"), 80, DP_TCP, backends, 1, false, 0},
				spec4 = {net, ip("10.0.0.100"), 80, DP_TCP, backends4, 1, false, 0};
	const struct packet ping = {.dst = dp_router_mac,
				    .src = MAC_FAR,
				    .from = ip4("10.0.0.5"),
				    .to = ip4("10.0.0.100"),
				    .proto = 1},
			    ping6 = {.dst = dp_router_mac, .src = MAC_FAR, .proto = 58};
	uint32_t id = DP_SERVICE_NONE, id4 = DP_SERVICE_NONE;
	uint8_t buf[2048], inner[2048];
	size_t len;

	assert_int_equal(dp_service_put(dp, &spec, &id, NULL), 0);
	assert_int_equal(dp_service_put(dp, &spec4, &id4, NULL), 0);
	harness_tick(dp);
	clear(NULL);
	len = packet6_write(inner, &ping6, ip("fd00::f").b, ip("fd00::64").b, 0, NULL, 0);
	harness_send(dp, &uplink, buf, write_tunnelled(buf, inner, len), PLAIN, 0);
	len = packet_ip4(inner, &ping);
	harness_send(dp, &uplink, buf, write_tunnelled(buf, inner, len), PLAIN, 0);
	assert_int_equal(a.count + b.count + gateway.count + uplink.count, 0);
	assert_int_equal(dp_service_del(dp, id), 0);
	assert_int_equal(dp_service_del(dp, id4), 0);
	harness_tick(dp);
}

struct heard {
	unsigned calls;
	mac_t mac;
};

static void on_mac(void *arg, struct ip_addr address, const uint8_t *mac)
{
	struct heard *heard = arg;

	heard->calls++;
	if (mac)
		memcpy(heard->mac, mac, 6);
}

static void test_neighbour_is_asked_and_heard(void **state)
{
	struct neigh_scope scope = {.net = net, .uplink = UINT16_MAX};
	struct heard heard = {0};
	uint8_t buf[2048];

	assert_int_equal(neigh_want(dp, scope, ip("fd00::7"), on_mac, &heard), 0);
	harness_tick(dp);
	assert_int_equal(heard.calls, 0);
	assert_int_equal(b.count, 1);
	assert_int_equal(b.got[0].len, ND_FRAME_LEN);
	assert_memory_equal(b.got[0].data, "\x33\x33\xff\0\0\7", 6);
	assert_memory_equal(b.got[0].data + 6, dp->probe_mac, 6);
	assert_memory_equal(b.got[0].data + 22, "\xfe\x80", 2); /* from an address that is no guest's */
	assert_true(checksum_right(b.got[0].data, ND_FRAME_LEN));
	clear(NULL);

	write_nd(buf, dp->probe_mac, MAC_B, ND_ADVERT, "fd00::7", "fd00::7");
	harness_send(dp, &b, buf, ND_FRAME_LEN, PLAIN, 0);
	harness_tick(dp);
	assert_int_equal(heard.calls, 1);
	assert_memory_equal(heard.mac, MAC_B, 6);

	/* it asks who asked, by MAC: nobody else is to see that */
	clear(NULL);
	write_nd(buf, dp->probe_mac, MAC_B, ND_SOLICIT, "fd00::7", "fe80::1");
	harness_send(dp, &b, buf, ND_FRAME_LEN, PLAIN, 0);
	assert_int_equal(a.count + gateway.count + uplink.count, 0);
	neigh_release(dp, scope, ip("fd00::7"), on_mac, &heard);
}

/* The port that lists an address has it; another's answer to control is refused. */
static void test_a_listed_neighbour(void **state)
{
	struct neigh_scope scope = {.net = net, .uplink = UINT16_MAX};
	uint64_t before = harness_drops(dp, "spoofed-arp");
	struct heard heard = {0};
	uint8_t buf[2048];

	assert_int_equal(neigh_want(dp, scope, ip("fd00::b"), on_mac, &heard), 0);
	assert_int_equal(heard.calls, 1);
	assert_memory_equal(heard.mac, b.port->mac, 6);
	write_nd(buf, dp->probe_mac, MAC_A, ND_ADVERT, "fd00::b", "fd00::b");
	harness_send(dp, &a, buf, ND_FRAME_LEN, PLAIN, 0);
	harness_tick(dp);
	assert_int_equal(harness_drops(dp, "spoofed-arp") - before, 1);
	assert_int_equal(heard.calls, 1);
	neigh_release(dp, scope, ip("fd00::b"), on_mac, &heard);
}

/* A guest that answers what nobody asked: control hears of some, and another port's answer comes through. */
static void test_a_flood_of_answers_is_bounded(void **state)
{
	struct neigh_scope scope = {.net = net, .uplink = UINT16_MAX};
	struct dp_port_info before, after;
	struct heard heard = {0};
	uint8_t buf[2048];

	dp_port_info(dp, a.port->id, &before);
	assert_int_equal(neigh_want(dp, scope, ip("fd00::8"), on_mac, &heard), 0);
	write_nd(buf, dp->probe_mac, MAC_A, ND_ADVERT, "fd00::9", "fd00::9");
	for (unsigned i = 0; i < 5000; i++)
		harness_send(dp, &a, buf, ND_FRAME_LEN, PLAIN, 0);
	dp_port_info(dp, a.port->id, &after);
	assert_true(after.punts_left_out - before.punts_left_out >= 4000);
	write_nd(buf, dp->probe_mac, MAC_B, ND_ADVERT, "fd00::8", "fd00::8");
	harness_send(dp, &b, buf, ND_FRAME_LEN, PLAIN, 0);
	for (unsigned i = 0; i < 4 && !heard.calls; i++) /* 64 at a time */
		harness_tick(dp);
	assert_int_equal(heard.calls, 1);
	assert_memory_equal(heard.mac, MAC_B, 6);
	neigh_release(dp, scope, ip("fd00::8"), on_mac, &heard);
}

/* Answers that are cut off, whose options have no length or go on beyond their end, or that tell a group's MAC. */
static void test_answers_that_lie(void **state)
{
	struct neigh_scope scope = {.net = net, .uplink = UINT16_MAX};
	struct heard heard = {0};
	uint8_t buf[2048];

	assert_int_equal(neigh_want(dp, scope, ip("fd00::9"), on_mac, &heard), 0);
	for (unsigned i = 0; i < 5; i++) {
		uint16_t len = ND_FRAME_LEN;

		write_nd(buf, dp->probe_mac, MAC_B, ND_ADVERT, "fd00::9", "fd00::9");
		if (i == 0)
			buf[OPTION + 1] = 0;
		else if (i == 1)
			buf[OPTION + 1] = 2;
		else if (i == 2)
			buf[OPTION + 2] |= 1;
		else if (i == 3)
			buf[TARGET] = 0xff;
		else
			len -= 9;
		neigh_input(dp, net, b.port->id, buf, len);
		assert_int_equal(heard.calls, 0);
	}
	for (unsigned len = 0; len < ND_FRAME_LEN - 8; len++)
		neigh_input(dp, net, b.port->id, buf, len);
	assert_int_equal(heard.calls, 0);
	write_nd(buf, dp->probe_mac, MAC_B, ND_ADVERT, "fd00::9", "fd00::9");
	neigh_input(dp, net, b.port->id, buf, ND_FRAME_LEN);
	assert_int_equal(heard.calls, 1);
	neigh_release(dp, scope, ip("fd00::9"), on_mac, &heard);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_gateway_is_answered_at_the_port, clear),
		cmocka_unit_test_setup(test_a_question_to_the_router_mac, clear),
		cmocka_unit_test_setup(test_taking_the_gateways_address, clear),
		cmocka_unit_test_setup(test_other_questions_are_flooded, clear),
		cmocka_unit_test_setup(test_the_gateway_asks, clear),
		cmocka_unit_test_setup(test_what_is_no_question, clear),
		cmocka_unit_test_setup(test_a_question_from_a_vtep, clear),
		cmocka_unit_test_setup(test_claims_of_the_gateway, clear),
		cmocka_unit_test_setup(test_a_router_solicitation_claims, clear),
		cmocka_unit_test_setup(test_a_claim_behind_an_extension_header, clear),
		cmocka_unit_test_setup(test_a_claim_behind_long_options, clear),
		cmocka_unit_test_setup(test_ping_through_a_tunnel, clear),
		cmocka_unit_test_setup(test_neighbour_is_asked_and_heard, clear),
		cmocka_unit_test_setup(test_a_listed_neighbour, clear),
		cmocka_unit_test_setup(test_a_flood_of_answers_is_bounded, clear),
		cmocka_unit_test_setup(test_answers_that_lie, clear),
	};

	return cmocka_run_group_tests_name("nd", tests, setup, teardown);
}

/* What a port may send by its security: each kind of honest packet, each kind of lie, in each disguise. */
#include <arpa/inet.h>
#include <string.h>

#include "dataplane/pipeline.h"
#include "dataplane/private.h"
#include "tests/pipeline/harness.h"
#include "tests/pipeline/packets.h"
#include "tests/unit/unit.h"

static struct dp *dp;
static struct test_port a, b;
static uint16_t net;
static const struct offload PLAIN;

static const mac_t MAC_V = {0, 0, 0x5e, 0, 1, 1}, MAC_NEST = {2, 0, 0, 0, 1, 1},
		   MAC_ALL6 = {0x33, 0x33, 0, 0, 0, 1};

#define OWN "10.0.0.5"
#define OTHER "10.0.0.6"
#define GATEWAY "10.0.0.1"
#define LINK_A "fe80::ff:fe00:a"
#define LINK_B "fe80::ff:fe00:b"
#define OTHER_LINK "fe80::1234"
#define NODES "ff02::1"

/* --- writers: each returns the frame's length --- */

static size_t udp(uint8_t *buf, const uint8_t *src, const char *from, uint16_t from_port, uint16_t to_port)
{
	struct packet p = {.dst = MAC_B,
		.src = src,
		.from = ip4(from),
		.to = ip4("255.255.255.255"),
		.proto = 17,
		.from_port = from_port,
		.to_port = to_port,
		.payload = 120};

	return packet_ip4(buf, &p);
}

static size_t arp(uint8_t *buf, const uint8_t *src, const uint8_t *sender, uint16_t op, const char *from,
	const char *to)
{
	size_t len = packet_arp(buf, MAC_BROADCAST, src, op, ip4(from), ip4(to));

	memcpy(buf + 22, sender, 6);
	return len;
}

static size_t rarp(uint8_t *buf, const uint8_t *sender, const uint8_t *target, uint16_t op)
{
	size_t len = arp(buf, MAC_A, sender, op, "0.0.0.0", "0.0.0.0");

	buf[12] = 0x80;
	buf[13] = 0x35;
	memcpy(buf + 32, target, 6);
	return len;
}

static size_t ip6(uint8_t *buf, const uint8_t *src, const char *from, const char *to, uint8_t next,
	const void *payload, size_t len)
{
	memcpy(buf, MAC_ALL6, 6);
	memcpy(buf + 6, src, 6);
	buf[12] = 0x86;
	buf[13] = 0xdd;
	memset(buf + 14, 0, 40);
	buf[14] = 0x60;
	buf[18] = (uint8_t)(len >> 8);
	buf[19] = (uint8_t)len;
	buf[20] = next;
	buf[21] = 255;
	inet_pton(AF_INET6, from, buf + 22);
	inet_pton(AF_INET6, to, buf + 38);
	memcpy(buf + 54, payload, len);
	return 54 + len;
}

/* Neighbour discovery with one option of a link-layer address, none when `mac` is NULL. */
static size_t nd(
	uint8_t *buf, const char *from, uint8_t type, const char *target, uint8_t option, const uint8_t *mac)
{
	uint8_t message[32] = {type};
	size_t len = type == 133 ? 8 : 24;

	if (type != 133)
		inet_pton(AF_INET6, target, message + 8);
	if (mac) {
		message[len] = option;
		message[len + 1] = 1;
		memcpy(message + len + 2, mac, 6);
		len += 8;
	}
	return ip6(buf, MAC_A, from, NODES, 58, message, len);
}

/* A router advertisement behind `n` empty destination options of 8 bytes; in pieces, as a first fragment. */
static size_t advert(uint8_t *buf, const char *from, unsigned n, bool in_pieces)
{
	uint8_t chain[256] = {0}, first = in_pieces ? 44 : n ? 60 : 58;
	size_t at = 0;

	if (in_pieces) {
		chain[0] = n ? 60 : 58;
		chain[3] = 1; /* more fragments */
		at = 8;
	}
	for (unsigned i = 0; i < n; i++, at += 8)
		chain[at] = i + 1 < n ? 60 : 58;
	chain[at] = 134;
	return ip6(buf, MAC_A, from, NODES, first, chain, at + 16);
}

/* --- honest packets --- */

static size_t own_udp(uint8_t *buf)
{
	return udp(buf, MAC_A, OWN, 1000, 2000);
}

static size_t second_address(uint8_t *buf)
{
	return udp(buf, MAC_A, "10.0.0.15", 1000, 2000);
}

static size_t with_options(uint8_t *buf)
{
	size_t len = own_udp(buf);

	memmove(buf + 38, buf + 34, len - 34);
	memset(buf + 34, 1, 4);
	buf[14] = 0x46;
	buf[17] += 4;
	return len + 4;
}

static size_t later_fragment(uint8_t *buf)
{
	size_t len = own_udp(buf);

	buf[21] = 10;
	return len;
}

static size_t dhcp_discover(uint8_t *buf)
{
	return udp(buf, MAC_A, "0.0.0.0", 68, 67);
}

static size_t own_arp(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 1, OWN, OTHER);
}

static size_t own_gratuitous(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 2, OWN, OWN);
}

static size_t own_probe(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 1, "0.0.0.0", OWN);
}

static size_t own_rarp(uint8_t *buf)
{
	return rarp(buf, MAC_A, MAC_A, 3);
}

static size_t virtual_router(uint8_t *buf)
{
	return arp(buf, MAC_V, MAC_V, 1, "10.0.0.50", "10.0.0.50");
}

static size_t nested(uint8_t *buf)
{
	return udp(buf, MAC_NEST, OWN, 1000, 2000);
}

static size_t allowed_range(uint8_t *buf)
{
	return udp(buf, MAC_A, "10.9.3.7", 1000, 2000);
}

static size_t unknown_type(uint8_t *buf)
{
	return packet_eth(buf, MAC_BROADCAST, MAC_A, 46);
}

static size_t link_local(uint8_t *buf)
{
	return ip6(buf, MAC_A, LINK_A, NODES, 17, (uint8_t[16]){0x10, 0, 0x20, 0}, 16);
}

static size_t allowed_ip6(uint8_t *buf)
{
	return ip6(buf, MAC_A, "fd00:1::77", NODES, 6, (uint8_t[20]){0x10, 0, 0x20, 0}, 20);
}

static size_t dad(uint8_t *buf)
{
	return nd(buf, "::", 135, LINK_A, 0, NULL);
}

static size_t own_solicit(uint8_t *buf)
{
	return nd(buf, LINK_A, 135, LINK_B, 1, MAC_A);
}

static size_t own_neighbour_advert(uint8_t *buf)
{
	return nd(buf, LINK_A, 136, LINK_A, 2, MAC_A);
}

static size_t router_solicit(uint8_t *buf)
{
	return nd(buf, LINK_A, 133, NULL, 1, MAC_A);
}

static size_t first_router_solicit(uint8_t *buf)
{
	return nd(buf, "::", 133, NULL, 0, NULL);
}

/* MLDv2 of a machine that has no address yet, behind the router alert. */
static size_t mld_report(uint8_t *buf)
{
	uint8_t packet[16] = {58, 0, 5, 2, 0, 0, 1, 0, 143};

	return ip6(buf, MAC_A, "::", "ff02::16", 0, packet, sizeof(packet));
}

/* --- lies --- */

static size_t other_mac(uint8_t *buf)
{
	return udp(buf, MAC_C, OWN, 1000, 2000);
}

static size_t other_mac_unknown_type(uint8_t *buf)
{
	return packet_eth(buf, MAC_BROADCAST, MAC_C, 46);
}

static size_t other_ip(uint8_t *buf)
{
	return udp(buf, MAC_A, OTHER, 1000, 2000);
}

static size_t other_ip_with_options(uint8_t *buf)
{
	size_t len = with_options(buf);
	uint32_t ip = ip4(OTHER);

	memcpy(buf + 26, &ip, 4);
	return len;
}

static size_t other_ip_later_fragment(uint8_t *buf)
{
	size_t len = other_ip(buf);

	buf[21] = 10;
	return len;
}

static size_t other_version(uint8_t *buf)
{
	size_t len = own_udp(buf);

	buf[14] = 0x65;
	return len;
}

static size_t short_header(uint8_t *buf)
{
	size_t len = other_ip(buf);

	buf[14] = 0x41;
	return len;
}

static size_t no_ip(uint8_t *buf)
{
	return udp(buf, MAC_A, "0.0.0.0", 1000, 2000);
}

static size_t broadcast_ip(uint8_t *buf)
{
	return udp(buf, MAC_A, "255.255.255.255", 1000, 2000);
}

/* Allowed from the virtual MAC only. */
static size_t virtual_ip_by_own_mac(uint8_t *buf)
{
	return udp(buf, MAC_A, "10.0.0.50", 1000, 2000);
}

static size_t own_ip_by_virtual_mac(uint8_t *buf)
{
	return udp(buf, MAC_V, OWN, 1000, 2000);
}

static size_t beyond_range(uint8_t *buf)
{
	return udp(buf, MAC_A, "10.9.4.1", 1000, 2000);
}

static size_t other_arp(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 2, OTHER, OWN);
}

static size_t other_arp_request(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 1, OTHER, "10.0.0.9");
}

static size_t arp_for_other_mac(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_B, 2, OWN, OTHER);
}

static size_t other_probe(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 1, "0.0.0.0", OTHER);
}

static size_t odd_arp(uint8_t *buf)
{
	size_t len = other_arp(buf);

	buf[15] = 6; /* IEEE 802: Linux takes it on Ethernet */
	return len;
}

static size_t gateway_arp(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 2, GATEWAY, OWN);
}

static size_t odd_gateway_arp(uint8_t *buf)
{
	size_t len = gateway_arp(buf);

	buf[15] = 6;
	return len;
}

static size_t vip_arp(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 1, "10.0.0.100", "10.0.0.100");
}

static size_t other_rarp(uint8_t *buf)
{
	return rarp(buf, MAC_B, MAC_B, 3);
}

static size_t rarp_for_other(uint8_t *buf)
{
	return rarp(buf, MAC_A, MAC_B, 3);
}

static size_t rarp_answer(uint8_t *buf)
{
	return rarp(buf, MAC_A, MAC_A, 4);
}

static size_t other_link_local(uint8_t *buf)
{
	return ip6(buf, MAC_A, LINK_B, NODES, 17, (uint8_t[16]){0x10, 0, 0x20, 0}, 16);
}

static size_t private_link_local(uint8_t *buf)
{
	return ip6(buf, MAC_A, OTHER_LINK, NODES, 17, (uint8_t[16]){0x10, 0, 0x20, 0}, 16);
}

static size_t global_ip6(uint8_t *buf)
{
	return ip6(buf, MAC_A, "fd00:2::1", NODES, 6, (uint8_t[20]){0x10, 0, 0x20, 0}, 20);
}

static size_t no_ip6(uint8_t *buf)
{
	return ip6(buf, MAC_A, "::", NODES, 17, (uint8_t[16]){0x10, 0, 0x20, 0}, 16);
}

static size_t echo_from_nobody(uint8_t *buf)
{
	return ip6(buf, MAC_A, "::", NODES, 58, (uint8_t[8]){128}, 8);
}

static size_t other_dad(uint8_t *buf)
{
	return nd(buf, "::", 135, LINK_B, 0, NULL);
}

static size_t other_neighbour_advert(uint8_t *buf)
{
	return nd(buf, LINK_A, 136, LINK_B, 2, MAC_A);
}

static size_t advert_without_option(uint8_t *buf)
{
	return nd(buf, LINK_A, 136, LINK_B, 0, NULL);
}

static size_t advert_of_other_mac(uint8_t *buf)
{
	return nd(buf, LINK_A, 136, LINK_A, 2, MAC_B);
}

static size_t solicit_by_other_mac(uint8_t *buf)
{
	return nd(buf, LINK_A, 135, LINK_B, 1, MAC_B);
}

static size_t router_solicit_by_other_mac(uint8_t *buf)
{
	return nd(buf, LINK_A, 133, NULL, 1, MAC_B);
}

static size_t redirect(uint8_t *buf)
{
	return nd(buf, LINK_A, 137, LINK_A, 2, MAC_A);
}

static size_t empty_option(uint8_t *buf)
{
	size_t len = own_solicit(buf);

	buf[len - 7] = 0;
	return len;
}

/* The lie is in an option behind what is private. */
static size_t late_option(uint8_t *buf)
{
	uint8_t message[24 + 80 + 8] = {136};

	inet_pton(AF_INET6, LINK_A, message + 8);
	message[24] = 200;
	message[25] = 10;
	message[104] = 2;
	message[105] = 1;
	memcpy(message + 106, MAC_B, 6);
	return ip6(buf, MAC_A, LINK_A, NODES, 58, message, sizeof(message));
}

static size_t advert_in_pieces(uint8_t *buf)
{
	uint8_t packet[40] = {58, 0, 0, 1, 0, 0, 0, 7, 136};

	inet_pton(AF_INET6, LINK_A, packet + 16);
	return ip6(buf, MAC_A, LINK_A, NODES, 44, packet, sizeof(packet));
}

static size_t other_advert_behind_options(uint8_t *buf)
{
	uint8_t packet[40] = {58, 0, 1, 4, 0, 0, 0, 0, 136};

	inet_pton(AF_INET6, LINK_B, packet + 16);
	return ip6(buf, MAC_A, LINK_A, NODES, 60, packet, sizeof(packet));
}

static size_t dhcp_answer(uint8_t *buf)
{
	return udp(buf, MAC_A, OWN, 67, 68);
}

static size_t dhcp_from_any_port(uint8_t *buf)
{
	return udp(buf, MAC_A, OWN, 1067, 68);
}

static size_t dhcp_with_options(uint8_t *buf)
{
	size_t len = with_options(buf);

	buf[40] = 0;
	buf[41] = 68;
	return len;
}

static size_t dhcp_first_fragment(uint8_t *buf)
{
	size_t len = dhcp_answer(buf);

	buf[20] = 0x20;
	return len;
}

static size_t tcp_on_its_port(uint8_t *buf)
{
	size_t len = dhcp_answer(buf);

	buf[23] = 6;
	return len;
}

static size_t dhcp6_answer(uint8_t *buf)
{
	return ip6(buf, MAC_A, LINK_A, NODES, 17, (uint8_t[16]){2, 0x23, 2, 0x22}, 16);
}

static size_t dhcp6_request(uint8_t *buf)
{
	return ip6(buf, MAC_A, LINK_A, "ff02::1:2", 17, (uint8_t[16]){2, 0x22, 2, 0x23}, 16);
}

static size_t router_advert(uint8_t *buf)
{
	return advert(buf, LINK_A, 0, false);
}

static size_t router_advert_behind_options(uint8_t *buf)
{
	return advert(buf, LINK_A, 3, false);
}

static size_t router_advert_far_behind(uint8_t *buf)
{
	return advert(buf, LINK_A, 16, false);
}

static size_t router_advert_first_fragment(uint8_t *buf)
{
	return advert(buf, LINK_A, 1, true);
}

/* RFC 7113: the chain of headers goes on in the next fragment. */
static size_t chain_in_pieces(uint8_t *buf)
{
	uint8_t packet[16] = {60, 0, 0, 1, 0, 0, 0, 7, 58, 1};

	return ip6(buf, MAC_A, LINK_A, NODES, 44, packet, sizeof(packet));
}

/* What a port that is off, mac and full may send: NULL passes, else the reason. */
static const struct row {
	const char *what;
	size_t (*make)(uint8_t *buf);
	const char *off, *mac, *full;
} rows[] = {
	{"own udp", own_udp},
	{"its second address", second_address},
	{"ip options", with_options},
	{"later fragment", later_fragment},
	{"dhcp discover", dhcp_discover},
	{"own arp", own_arp},
	{"gratuitous arp", own_gratuitous},
	{"arp probe", own_probe},
	{"rarp", own_rarp},
	{"virtual router", virtual_router},
	{"nested", nested},
	{"allowed range", allowed_range},
	{"unknown ethertype", unknown_type},
	{"link-local", link_local},
	{"allowed ipv6", allowed_ip6},
	{"dad", dad},
	{"solicitation", own_solicit},
	{"advertisement", own_neighbour_advert},
	{"router solicitation", router_solicit},
	{"router solicitation from ::", first_router_solicit},
	{"mld report from ::", mld_report},
	{"dhcpv6 request", dhcp6_request},
	{"tcp on dhcp's ports", tcp_on_its_port},

	{"other mac", other_mac, NULL, "spoofed-mac", "spoofed-mac"},
	{"other mac, unknown type", other_mac_unknown_type, NULL, "spoofed-mac", "spoofed-mac"},
	{"other ip", other_ip, NULL, NULL, "spoofed-ip"},
	{"other ip with options", other_ip_with_options, NULL, NULL, "spoofed-ip"},
	{"other ip, later fragment", other_ip_later_fragment, NULL, NULL, "spoofed-ip"},
	{"ipv6 in ipv4's ethertype", other_version, NULL, NULL, "spoofed-ip"},
	{"header too short", short_header, NULL, NULL, "spoofed-ip"},
	{"no source", no_ip, NULL, NULL, "spoofed-ip"},
	{"broadcast as source", broadcast_ip, NULL, NULL, "spoofed-ip"},
	{"virtual ip by own mac", virtual_ip_by_own_mac, NULL, NULL, "spoofed-ip"},
	{"own ip by virtual mac", own_ip_by_virtual_mac, NULL, NULL, "spoofed-ip"},
	{"beyond the range", beyond_range, NULL, NULL, "spoofed-ip"},
	{"other arp", other_arp, NULL, NULL, "spoofed-arp"},
	{"other arp request", other_arp_request, NULL, NULL, "spoofed-arp"},
	{"arp for other mac", arp_for_other_mac, NULL, NULL, "spoofed-arp"},
	{"probe for other", other_probe, NULL, NULL, "spoofed-arp"},
	{"odd arp", odd_arp, NULL, NULL, "spoofed-arp"},
	{"gateway's arp", gateway_arp, "spoofed-arp", "spoofed-arp", "spoofed-arp"},
	{"odd gateway's arp", odd_gateway_arp, "spoofed-arp", "spoofed-arp", "spoofed-arp"},
	{"vip's arp", vip_arp, "spoofed-arp", "spoofed-arp", "spoofed-arp"},
	{"other rarp", other_rarp, NULL, NULL, "spoofed-arp"},
	{"rarp for other", rarp_for_other, NULL, NULL, "spoofed-arp"},
	{"rarp answer", rarp_answer, NULL, NULL, "spoofed-arp"},
	{"other's link-local", other_link_local, NULL, NULL, "spoofed-ip"},
	{"link-local of no mac", private_link_local, NULL, NULL, "spoofed-ip"},
	{"global ipv6", global_ip6, NULL, NULL, "spoofed-ip"},
	{"udp from ::", no_ip6, NULL, NULL, "spoofed-ip"},
	{"echo from ::", echo_from_nobody, NULL, NULL, "spoofed-ip"},
	{"dad for other", other_dad, NULL, NULL, "spoofed-arp"},
	{"advertisement for other", other_neighbour_advert, NULL, NULL, "spoofed-arp"},
	{"advertisement without option", advert_without_option, NULL, NULL, "spoofed-arp"},
	{"advertisement of other mac", advert_of_other_mac, NULL, NULL, "spoofed-arp"},
	{"solicitation by other mac", solicit_by_other_mac, NULL, NULL, "spoofed-arp"},
	{"router solicitation by other mac", router_solicit_by_other_mac, NULL, NULL, "spoofed-arp"},
	{"redirect", redirect, NULL, NULL, "spoofed-arp"},
	{"empty option", empty_option, NULL, NULL, "spoofed-arp"},
	{"late option", late_option, NULL, NULL, "spoofed-arp"},
	{"advertisement in pieces", advert_in_pieces, NULL, NULL, "spoofed-arp"},
	{"advertisement behind options", other_advert_behind_options, NULL, NULL, "spoofed-arp"},

	{"dhcp answer", dhcp_answer, "rogue-server", "rogue-server", "rogue-server"},
	{"dhcp from any port", dhcp_from_any_port, "rogue-server", "rogue-server", "rogue-server"},
	{"dhcp with ip options", dhcp_with_options, "rogue-server", "rogue-server", "rogue-server"},
	{"dhcp, first fragment", dhcp_first_fragment, "rogue-server", "rogue-server", "rogue-server"},
	{"dhcpv6 answer", dhcp6_answer, "rogue-server", "rogue-server", "rogue-server"},
	{"router advertisement", router_advert, "rogue-server", "rogue-server", "rogue-server"},
	{"ra behind options", router_advert_behind_options, "rogue-server", "rogue-server", "rogue-server"},
	{"ra far behind", router_advert_far_behind, "rogue-server", "rogue-server", "rogue-server"},
	{"ra, first fragment", router_advert_first_fragment, "rogue-server", "rogue-server", "rogue-server"},
	{"chain in pieces", chain_in_pieces, "rogue-server", "rogue-server", "rogue-server"},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static const struct {
	enum drop_reason reason;
	const char *name;
} reasons[] = {{DROP_SPOOFED_MAC, "spoofed-mac"}, {DROP_SPOOFED_IP, "spoofed-ip"},
	{DROP_SPOOFED_ARP, "spoofed-arp"}, {DROP_ROGUE_SERVER, "rogue-server"}};
enum { REASONS = 4 };

static const struct dp_backend backend = {.address = 0x0600000a, .port = 80, .weight = 1}; /* 10.0.0.6 */
static uint32_t service;

static struct dp_port guarded(enum dp_security security)
{
	struct dp_port spec = {.mac = {2, 0, 0, 0, 0, 0xa},
		.ips = {ip4(OWN), ip4("10.0.0.15")},
		.nips = 2,
		.mtu = 1500,
		.security = security,
		.nallow = 5,
		.allow = {{.family = 4, .len = 32, .ip = {10, 0, 0, 50}}, {.family = 0},
			{.family = 4, .len = 22, .ip = {10, 9, 0, 0}},
			{.family = 6, .len = 64, .ip = {0xfd, 0, 0, 1}},
			{.family = 6, .len = 128, .ip = {0xfd, 0, 0, 3, [15] = 1}}}};

	memcpy(spec.allow[0].mac, MAC_V, 6);
	memcpy(spec.allow[1].mac, MAC_NEST, 6);
	for (unsigned i = 2; i < 5; i++)
		memcpy(spec.allow[i].mac, MAC_A, 6);
	return spec;
}

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

/* a, of the security that a test sets, and b, which takes everything. */
static int make(void **state)
{
	struct dp_network spec = {.mode = DP_BRIDGE,
		.subnet = ip4("10.0.0.0"),
		.prefix = 24,
		.gateway = ip4(GATEWAY),
		.age_s = 300};
	struct dp_port off = {.mac = {2, 0, 0, 0, 0, 0xb}, .ips = {ip4(OTHER)}, .nips = 1};
	struct dp_port first = guarded(DP_SECURITY_OFF);

	net = harness_network(dp, &spec);
	harness_port(dp, &a, net, &first);
	harness_port(dp, &b, net, &off);
	service = DP_SERVICE_NONE;
	assert_int_equal(
		dp_service_put(dp, &(struct dp_service){net, ip4("10.0.0.100"), 80, DP_TCP, &backend, 1},
			&service, NULL),
		0);
	return 0;
}

static int unmake(void **state)
{
	assert_int_equal(harness_balance(dp, net), 0);
	dp_service_del(dp, service);
	dp_port_del(dp, a.port->id);
	dp_port_del(dp, b.port->id);
	assert_int_equal(dp_network_del(dp, net), 0);
	return 0;
}

static void secure(enum dp_security security, bool trusted)
{
	struct dp_port spec = guarded(security);

	spec.trusted = trusted;
	assert_int_equal(dp_port_set(dp, a.port->id, &spec, NULL), 0);
}

/* Why a frame of a's was dropped, NULL: it came to b. */
static const char *outcome(const uint8_t *frame, size_t len, size_t span)
{
	static const char *const none = "neither delivered nor refused";
	const struct port_stats *counters = &dp->worker[0]->port_stats[a.port->id];
	uint64_t before[REASONS];
	const char *why = none;

	b.count = 0;
	for (unsigned i = 0; i < REASONS; i++)
		before[i] = stat_read(&counters->drop[reasons[i].reason]);
	harness_send(dp, &a, frame, len, PLAIN, span);
	for (unsigned i = 0; i < REASONS; i++)
		if (stat_read(&counters->drop[reasons[i].reason]) == before[i] + 1)
			why = reasons[i].name;
	return b.count ? NULL : why;
}

static bool same(const char *x, const char *y)
{
	return x == y || (x && y && strcmp(x, y) == 0);
}

static const char *expected(const struct row *row, enum dp_security security)
{
	return security == DP_SECURITY_OFF ? row->off : security == DP_SECURITY_MAC ? row->mac : row->full;
}

static unsigned wrong;

static void hold(const char *in, const struct row *row, enum dp_security security, const char *want,
	const uint8_t *frame, size_t len)
{
	static const char *const names[] = {"off", "mac", "full"};
	const char *got = outcome(frame, len, 5);

	if (same(got, want))
		return;
	wrong++;
	print_error("%s, %s, %s: %s, expected %s\n", row->what, names[security], in, got ? got : "passes",
		want ? want : "passes");
}

static void test_each_packet(void **state)
{
	uint8_t buf[2048];

	wrong = 0;
	for (enum dp_security security = DP_SECURITY_OFF; security <= DP_SECURITY_FULL; security++) {
		secure(security, false);
		for (const struct row *row = rows; row < rows + ROWS; row++)
			hold("bare", row, security, expected(row, security), buf, row->make(buf));
	}
	assert_int_equal(wrong, 0);
}

/* `n` tags of VLAN 0, which receivers take off, or LLC/SNAP. */
static size_t disguise(uint8_t *buf, size_t len, unsigned tags, bool snap)
{
	static const uint8_t llc[6] = {0xaa, 0xaa, 3};
	size_t more = 4 * tags + (snap ? 8 : 0);
	uint8_t *at = buf + 12;

	memmove(buf + 12 + more, buf + 12, len - 12);
	for (unsigned i = 0; i < tags; i++, at += 4)
		memcpy(at, i & 1 ? (uint8_t[]){0x88, 0xa8, 0, 0} : (uint8_t[]){0x81, 0, 0, 0}, 4);
	if (snap) {
		at[0] = (uint8_t)((len - 6) >> 8);
		at[1] = (uint8_t)(len - 6);
		memcpy(at + 2, llc, 6);
	}
	return len + more;
}

/* Tags and LLC change nothing: not what is a lie, and not what is none. */
static void test_disguised(void **state)
{
	uint8_t buf[2048];

	wrong = 0;
	for (enum dp_security security = DP_SECURITY_OFF; security <= DP_SECURITY_FULL; security++) {
		secure(security, false);
		for (const struct row *row = rows; row < rows + ROWS; row++) {
			const char *want = expected(row, security);

			for (unsigned tags = 1; tags <= 2; tags++)
				hold("tagged", row, security, want, buf,
					disguise(buf, row->make(buf), tags, false));
			if (row->make != late_option) /* tells by its length what it is */
				hold("snap", row, security, want, buf,
					disguise(buf, row->make(buf), 1, true));
		}
	}
	assert_int_equal(wrong, 0);
}

/* Under many tags only the port's own that fits into what is looked at passes, and no lie. */
static void test_under_many_tags(void **state)
{
	uint8_t buf[2048];

	wrong = 0;
	secure(DP_SECURITY_FULL, false);
	for (const struct row *row = rows; row < rows + ROWS; row++)
		for (unsigned tags = 3; tags <= 12; tags++) {
			size_t len = disguise(buf, row->make(buf), tags, false);

			if (tags > 8)
				hold("many tags", row, DP_SECURITY_FULL,
					same(row->full, "spoofed-mac") ? "spoofed-mac" : "rogue-server", buf,
					len);
			else if (row->full && !outcome(buf, len, 5)) {
				wrong++;
				print_error("%s passes under %u tags\n", row->what, tags);
			}
		}
	assert_int_equal(wrong, 0);
}

/* Cut off anywhere, a lie is either refused or so short that nothing of it is left. */
static void test_cut_off(void **state)
{
	uint8_t buf[2048];

	wrong = 0;
	secure(DP_SECURITY_FULL, false);
	for (const struct row *row = rows; row < rows + ROWS; row++)
		for (size_t len = 14, whole = row->make(buf); len < whole; len++) {
			const char *got = outcome(buf, len, 3);

			if (got || !row->full || same(row->full, "rogue-server"))
				continue;
			wrong++;
			print_error("%s passes with %zu bytes\n", row->what, len);
		}
	assert_int_equal(wrong, 0);
}

/* Whatever bytes a guest sends: from full, nothing with another's MAC or IPv4 source gets through. */
static void test_noise(void **state)
{
	uint32_t random = 12345, own[2] = {ip4(OWN), ip4("10.0.0.15")};
	unsigned passed = 0, dropped = 0;
	uint8_t buf[2048];

	secure(DP_SECURITY_FULL, false);
	for (unsigned i = 0; i < 50000; i++) {
		size_t len = rows[i % ROWS].make(buf);
		uint32_t from;

		for (unsigned change = 0; change < 3; change++) {
			random = random * 1664525 + 1013904223;
			buf[12 + (random >> 8) % (len - 12)] = (uint8_t)(random >> 24);
		}
		if (outcome(buf, len, 3)) {
			dropped++;
			continue;
		}
		passed++;
		assert_false(memcmp(buf + 6, MAC_B, 6) == 0 || memcmp(buf + 6, MAC_C, 6) == 0);
		memcpy(&from, buf + 26, 4);
		if (buf[12] == 8 && buf[13] == 0 && from != own[0] && from != own[1])
			assert_true(from == 0 || buf[26] == 10);
		if (buf[12] == 8 && buf[13] == 0)
			assert_true(from != ip4(OTHER));
		if (buf[12] == 8 && buf[13] == 6)
			assert_true(memcmp(buf + 28, "\x0a\0\0\x06", 4) != 0);
	}
	assert_true(passed > 1000); /* else this says nothing */
	assert_true(dropped > 1000);
}

/* A trusted port may serve; it lies no better than others. */
static void test_trusted(void **state)
{
	uint8_t buf[2048];

	wrong = 0;
	for (enum dp_security security = DP_SECURITY_OFF; security <= DP_SECURITY_FULL; security++) {
		secure(security, true);
		for (const struct row *row = rows; row < rows + ROWS; row++) {
			const char *want = expected(row, security);

			if (same(want, "rogue-server") || row->make == redirect)
				want = NULL;
			hold("trusted", row, security, want, buf, row->make(buf));
		}
	}
	assert_int_equal(wrong, 0);
}

/* A port with no address and security full may say only who it is. */
static void test_without_address(void **state)
{
	struct dp_port spec = {.mac = {2, 0, 0, 0, 0, 0xa}, .mtu = 1500, .security = DP_SECURITY_FULL};
	uint8_t buf[2048];

	assert_int_equal(dp_port_set(dp, a.port->id, &spec, NULL), 0);
	assert_string_equal(outcome(buf, own_udp(buf), 0), "spoofed-ip");
	assert_string_equal(outcome(buf, no_ip(buf), 0), "spoofed-ip");
	assert_string_equal(outcome(buf, own_arp(buf), 0), "spoofed-arp");
	assert_null(outcome(buf, dhcp_discover(buf), 0));
	assert_null(outcome(buf, link_local(buf), 0));
}

/* The first of all is the last that a burst of good frames hides. */
static void test_among_others(void **state)
{
	struct worker *w = dp->worker[0];
	struct burst *burst = &w->burst;

	secure(DP_SECURITY_FULL, false);
	b.count = 0;
	burst->in = a.port;
	burst->count = BURST_MAX;
	burst->nspan = 0;
	for (unsigned i = 0; i < BURST_MAX; i++) {
		struct frame *f = &burst->frame[i];
		uint8_t buf[2048];
		size_t len = i == 17   ? other_ip(buf)
			     : i == 31 ? dhcp_answer(buf)
			     : i == 5  ? other_mac(buf)
				       : own_udp(buf);

		frame_init(f);
		memcpy(frame_data(f), buf, 64);
		f->hdr_len = 64;
		f->span = &burst->span[burst->nspan];
		f->nspan = 1;
		f->len = 64 + 60;
		burst->span[burst->nspan++] = (struct span){w->scratch, 60};
		(void)len;
	}
	pipeline_run(w, burst);
	assert_int_equal(b.count, BURST_MAX - 3);
	b.count = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_each_packet, make, unmake),
		cmocka_unit_test_setup_teardown(test_disguised, make, unmake),
		cmocka_unit_test_setup_teardown(test_under_many_tags, make, unmake),
		cmocka_unit_test_setup_teardown(test_cut_off, make, unmake),
		cmocka_unit_test_setup_teardown(test_noise, make, unmake),
		cmocka_unit_test_setup_teardown(test_trusted, make, unmake),
		cmocka_unit_test_setup_teardown(test_without_address, make, unmake),
		cmocka_unit_test_setup_teardown(test_among_others, make, unmake),
	};

	return cmocka_run_group_tests_name("guard", tests, setup, teardown);
}

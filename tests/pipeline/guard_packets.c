#include "tests/pipeline/guard_packets.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

const mac_t GUARD_MAC_VIRTUAL = {0, 0, 0x5e, 0, 1, 1}, GUARD_MAC_NESTED = {2, 0, 0, 0, 1, 1};
static const mac_t MAC_ALL6 = {0x33, 0x33, 0, 0, 0, 1};

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

size_t guard_packets_own_udp(uint8_t *buf)
{
	return udp(buf, MAC_A, GUARD_OWN, 1000, 2000);
}

static size_t second_address(uint8_t *buf)
{
	return udp(buf, MAC_A, "10.0.0.15", 1000, 2000);
}

static size_t with_options(uint8_t *buf)
{
	size_t len = guard_packets_own_udp(buf);

	memmove(buf + 38, buf + 34, len - 34);
	memset(buf + 34, 1, 4);
	buf[14] = 0x46;
	buf[17] += 4;
	return len + 4;
}

static size_t later_fragment(uint8_t *buf)
{
	size_t len = guard_packets_own_udp(buf);

	buf[21] = 10;
	return len;
}

size_t guard_packets_dhcp_discover(uint8_t *buf)
{
	return udp(buf, MAC_A, "0.0.0.0", 68, 67);
}

size_t guard_packets_own_arp(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 1, GUARD_OWN, GUARD_OTHER);
}

static size_t own_gratuitous(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 2, GUARD_OWN, GUARD_OWN);
}

static size_t own_probe(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 1, "0.0.0.0", GUARD_OWN);
}

static size_t own_rarp(uint8_t *buf)
{
	return rarp(buf, MAC_A, MAC_A, 3);
}

static size_t virtual_router(uint8_t *buf)
{
	return arp(buf, GUARD_MAC_VIRTUAL, GUARD_MAC_VIRTUAL, 1, "10.0.0.50", "10.0.0.50");
}

static size_t nested(uint8_t *buf)
{
	return udp(buf, GUARD_MAC_NESTED, GUARD_OWN, 1000, 2000);
}

static size_t allowed_range(uint8_t *buf)
{
	return udp(buf, MAC_A, "10.9.3.7", 1000, 2000);
}

static size_t unknown_type(uint8_t *buf)
{
	return packet_eth(buf, MAC_BROADCAST, MAC_A, 46);
}

size_t guard_packets_link_local(uint8_t *buf)
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

size_t guard_packets_other_mac(uint8_t *buf)
{
	return udp(buf, MAC_C, GUARD_OWN, 1000, 2000);
}

static size_t other_mac_unknown_type(uint8_t *buf)
{
	return packet_eth(buf, MAC_BROADCAST, MAC_C, 46);
}

size_t guard_packets_other_ip(uint8_t *buf)
{
	return udp(buf, MAC_A, GUARD_OTHER, 1000, 2000);
}

static size_t other_ip_with_options(uint8_t *buf)
{
	size_t len = with_options(buf);
	uint32_t ip = ip4(GUARD_OTHER);

	memcpy(buf + 26, &ip, 4);
	return len;
}

static size_t other_ip_later_fragment(uint8_t *buf)
{
	size_t len = guard_packets_other_ip(buf);

	buf[21] = 10;
	return len;
}

static size_t other_version(uint8_t *buf)
{
	size_t len = guard_packets_own_udp(buf);

	buf[14] = 0x65;
	return len;
}

static size_t short_header(uint8_t *buf)
{
	size_t len = guard_packets_other_ip(buf);

	buf[14] = 0x41;
	return len;
}

size_t guard_packets_no_ip(uint8_t *buf)
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
	return udp(buf, GUARD_MAC_VIRTUAL, GUARD_OWN, 1000, 2000);
}

static size_t beyond_range(uint8_t *buf)
{
	return udp(buf, MAC_A, "10.9.4.1", 1000, 2000);
}

static size_t other_arp(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 2, GUARD_OTHER, GUARD_OWN);
}

static size_t other_arp_request(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 1, GUARD_OTHER, "10.0.0.9");
}

static size_t arp_for_other_mac(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_B, 2, GUARD_OWN, GUARD_OTHER);
}

static size_t other_probe(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 1, "0.0.0.0", GUARD_OTHER);
}

static size_t odd_arp(uint8_t *buf)
{
	size_t len = other_arp(buf);

	buf[15] = 6; /* IEEE 802: Linux takes it on Ethernet */
	return len;
}

static size_t gateway_arp(uint8_t *buf)
{
	return arp(buf, MAC_A, MAC_A, 2, GUARD_GATEWAY, GUARD_OWN);
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

size_t guard_packets_redirect(uint8_t *buf)
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
size_t guard_packets_late_option(uint8_t *buf)
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

size_t guard_packets_dhcp_answer(uint8_t *buf)
{
	return udp(buf, MAC_A, GUARD_OWN, 67, 68);
}

static size_t dhcp_from_any_port(uint8_t *buf)
{
	return udp(buf, MAC_A, GUARD_OWN, 1067, 68);
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
	size_t len = guard_packets_dhcp_answer(buf);

	buf[20] = 0x20;
	return len;
}

static size_t tcp_on_its_port(uint8_t *buf)
{
	size_t len = guard_packets_dhcp_answer(buf);

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

const struct guard_row guard_rows[] = {
	{"own udp", guard_packets_own_udp},
	{"its second address", second_address},
	{"ip options", with_options},
	{"later fragment", later_fragment},
	{"dhcp discover", guard_packets_dhcp_discover},
	{"own arp", guard_packets_own_arp},
	{"gratuitous arp", own_gratuitous},
	{"arp probe", own_probe},
	{"rarp", own_rarp},
	{"virtual router", virtual_router},
	{"nested", nested},
	{"allowed range", allowed_range},
	{"unknown ethertype", unknown_type},
	{"link-local", guard_packets_link_local},
	{"allowed ipv6", allowed_ip6},
	{"dad", dad},
	{"solicitation", own_solicit},
	{"advertisement", own_neighbour_advert},
	{"router solicitation", router_solicit},
	{"router solicitation from ::", first_router_solicit},
	{"mld report from ::", mld_report},
	{"dhcpv6 request", dhcp6_request},
	{"tcp on dhcp's ports", tcp_on_its_port},

	{"other mac", guard_packets_other_mac, NULL, "spoofed-mac", "spoofed-mac"},
	{"other mac, unknown type", other_mac_unknown_type, NULL, "spoofed-mac", "spoofed-mac"},
	{"other ip", guard_packets_other_ip, NULL, NULL, "spoofed-ip"},
	{"other ip with options", other_ip_with_options, NULL, NULL, "spoofed-ip"},
	{"other ip, later fragment", other_ip_later_fragment, NULL, NULL, "spoofed-ip"},
	{"ipv6 in ipv4's ethertype", other_version, NULL, NULL, "spoofed-ip"},
	{"header too short", short_header, NULL, NULL, "spoofed-ip"},
	{"no source", guard_packets_no_ip, NULL, NULL, "spoofed-ip"},
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
	{"redirect", guard_packets_redirect, NULL, NULL, "spoofed-arp"},
	{"empty option", empty_option, NULL, NULL, "spoofed-arp"},
	{"late option", guard_packets_late_option, NULL, NULL, "spoofed-arp"},
	{"advertisement in pieces", advert_in_pieces, NULL, NULL, "spoofed-arp"},
	{"advertisement behind options", other_advert_behind_options, NULL, NULL, "spoofed-arp"},

	{"dhcp answer", guard_packets_dhcp_answer, "rogue-server", "rogue-server", "rogue-server"},
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

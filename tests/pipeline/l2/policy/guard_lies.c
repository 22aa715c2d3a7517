/* guard_lies.c: what a port sends in the name of another. */
#include <arpa/inet.h>
#include <string.h>

#include "tests/pipeline/l2/policy/guard_packets.h"
#include "tests/pipeline/l2/policy/guard_write.h"

size_t guard_packets_other_mac(uint8_t *buf)
{
	return guard_write_udp(buf, MAC_C, GUARD_OWN, 1000, 2000);
}

static size_t other_mac_unknown_type(uint8_t *buf)
{
	return packet_eth(buf, MAC_BROADCAST, MAC_C, 46);
}

size_t guard_packets_other_ip(uint8_t *buf)
{
	return guard_write_udp(buf, MAC_A, GUARD_OTHER, 1000, 2000);
}

static size_t other_ip_with_options(uint8_t *buf)
{
	size_t len = guard_packets_with_options(buf);
	uint32_t ip = ip4(GUARD_OTHER);

	memcpy(buf + 26, &ip, 4);
	return len;
}

static size_t other_ip_later_fragment(uint8_t *buf)
{
	size_t len = guard_packets_other_ip(buf);

	buf[21] = 10;
	buf[29] = 7; /* no backend's address: a backend's later fragments wait for the first one */
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
	return guard_write_udp(buf, MAC_A, "0.0.0.0", 1000, 2000);
}

static size_t broadcast_ip(uint8_t *buf)
{
	return guard_write_udp(buf, MAC_A, "255.255.255.255", 1000, 2000);
}

/* Allowed from the virtual MAC only. */
static size_t virtual_ip_by_own_mac(uint8_t *buf)
{
	return guard_write_udp(buf, MAC_A, "10.0.0.50", 1000, 2000);
}

static size_t own_ip_by_virtual_mac(uint8_t *buf)
{
	return guard_write_udp(buf, GUARD_MAC_VIRTUAL, GUARD_OWN, 1000, 2000);
}

static size_t beyond_range(uint8_t *buf)
{
	return guard_write_udp(buf, MAC_A, "10.9.4.1", 1000, 2000);
}

static size_t other_arp(uint8_t *buf)
{
	return guard_write_arp(buf, MAC_A, MAC_A, 2, GUARD_OTHER, GUARD_OWN);
}

static size_t other_arp_request(uint8_t *buf)
{
	return guard_write_arp(buf, MAC_A, MAC_A, 1, GUARD_OTHER, "10.0.0.9");
}

static size_t arp_for_other_mac(uint8_t *buf)
{
	return guard_write_arp(buf, MAC_A, MAC_B, 2, GUARD_OWN, GUARD_OTHER);
}

static size_t other_probe(uint8_t *buf)
{
	return guard_write_arp(buf, MAC_A, MAC_A, 1, "0.0.0.0", GUARD_OTHER);
}

static size_t odd_arp(uint8_t *buf)
{
	size_t len = other_arp(buf);

	buf[15] = 6; /* IEEE 802: Linux takes it on Ethernet */
	return len;
}

static size_t gateway_arp(uint8_t *buf)
{
	return guard_write_arp(buf, MAC_A, MAC_A, 2, GUARD_GATEWAY, GUARD_OWN);
}

static size_t odd_gateway_arp(uint8_t *buf)
{
	size_t len = gateway_arp(buf);

	buf[15] = 6;
	return len;
}

static size_t vip_arp(uint8_t *buf)
{
	return guard_write_arp(buf, MAC_A, MAC_A, 1, "10.0.0.100", "10.0.0.100");
}

static size_t other_rarp(uint8_t *buf)
{
	return guard_write_rarp(buf, MAC_B, MAC_B, 3);
}

static size_t rarp_for_other(uint8_t *buf)
{
	return guard_write_rarp(buf, MAC_A, MAC_B, 3);
}

static size_t rarp_answer(uint8_t *buf)
{
	return guard_write_rarp(buf, MAC_A, MAC_A, 4);
}

static size_t other_link_local(uint8_t *buf)
{
	return guard_write_ip6(
		buf, MAC_A, GUARD_LINK_B, GUARD_NODES, 17, (uint8_t[16]){0x10, 0, 0x20, 0}, 16);
}

static size_t private_link_local(uint8_t *buf)
{
	return guard_write_ip6(
		buf, MAC_A, GUARD_OTHER_LINK, GUARD_NODES, 17, (uint8_t[16]){0x10, 0, 0x20, 0}, 16);
}

static size_t near_own_ip6(uint8_t *buf)
{
	return guard_write_ip6(buf, MAC_A, "fd00:5::2", GUARD_NODES, 6, (uint8_t[20]){0x10, 0, 0x20, 0}, 20);
}

/* The port's own, of a MAC that may have another address alone. */
static size_t own_ip6_of_virtual(uint8_t *buf)
{
	return guard_write_ip6(
		buf, GUARD_MAC_VIRTUAL, "fd00:5::1", GUARD_NODES, 6, (uint8_t[20]){0x10, 0, 0x20, 0}, 20);
}

/* IPv4 addresses that are the port's, as IPv6: some stacks would take them for IPv4. */
static size_t mapped_own(uint8_t *buf)
{
	return guard_write_ip6(
		buf, MAC_A, "::ffff:" GUARD_OWN, GUARD_NODES, 6, (uint8_t[20]){0x10, 0, 0x20, 0}, 20);
}

static size_t mapped_allowed(uint8_t *buf)
{
	return guard_write_ip6(
		buf, MAC_A, "::ffff:10.9.0.1", GUARD_NODES, 6, (uint8_t[20]){0x10, 0, 0x20, 0}, 20);
}

static size_t advert_near_own_ip6(uint8_t *buf)
{
	return guard_write_nd(buf, "fd00:5::1", 136, "fd00:5::2", 2, MAC_A);
}

static size_t global_ip6(uint8_t *buf)
{
	return guard_write_ip6(buf, MAC_A, "fd00:2::1", GUARD_NODES, 6, (uint8_t[20]){0x10, 0, 0x20, 0}, 20);
}

static size_t no_ip6(uint8_t *buf)
{
	return guard_write_ip6(buf, MAC_A, "::", GUARD_NODES, 17, (uint8_t[16]){0x10, 0, 0x20, 0}, 16);
}

static size_t echo_from_nobody(uint8_t *buf)
{
	return guard_write_ip6(buf, MAC_A, "::", GUARD_NODES, 58, (uint8_t[8]){128}, 8);
}

static size_t other_dad(uint8_t *buf)
{
	return guard_write_nd(buf, "::", 135, GUARD_LINK_B, 0, NULL);
}

static size_t other_neighbour_advert(uint8_t *buf)
{
	return guard_write_nd(buf, GUARD_LINK_A, 136, GUARD_LINK_B, 2, MAC_A);
}

static size_t advert_without_option(uint8_t *buf)
{
	return guard_write_nd(buf, GUARD_LINK_A, 136, GUARD_LINK_B, 0, NULL);
}

static size_t advert_of_other_mac(uint8_t *buf)
{
	return guard_write_nd(buf, GUARD_LINK_A, 136, GUARD_LINK_A, 2, MAC_B);
}

static size_t solicit_by_other_mac(uint8_t *buf)
{
	return guard_write_nd(buf, GUARD_LINK_A, 135, GUARD_LINK_B, 1, MAC_B);
}

static size_t router_solicit_by_other_mac(uint8_t *buf)
{
	return guard_write_nd(buf, GUARD_LINK_A, 133, NULL, 1, MAC_B);
}

size_t guard_packets_redirect(uint8_t *buf)
{
	return guard_write_nd(buf, GUARD_LINK_A, 137, GUARD_LINK_A, 2, MAC_A);
}

static size_t empty_option(uint8_t *buf)
{
	size_t len = guard_packets_own_solicit(buf);

	buf[len - 7] = 0;
	return len;
}

/* The lie is in an option behind what is private. */
size_t guard_packets_late_option(uint8_t *buf)
{
	uint8_t message[24 + 80 + 8] = {136};

	inet_pton(AF_INET6, GUARD_LINK_A, message + 8);
	message[24] = 200;
	message[25] = 10;
	message[104] = 2;
	message[105] = 1;
	memcpy(message + 106, MAC_B, 6);
	return guard_write_ip6(buf, MAC_A, GUARD_LINK_A, GUARD_NODES, 58, message, sizeof(message));
}

static size_t advert_in_pieces(uint8_t *buf)
{
	uint8_t packet[40] = {58, 0, 0, 1, 0, 0, 0, 7, 136};

	inet_pton(AF_INET6, GUARD_LINK_A, packet + 16);
	return guard_write_ip6(buf, MAC_A, GUARD_LINK_A, GUARD_NODES, 44, packet, sizeof(packet));
}

static size_t other_advert_behind_options(uint8_t *buf)
{
	uint8_t packet[40] = {58, 0, 1, 4, 0, 0, 0, 0, 136};

	inet_pton(AF_INET6, GUARD_LINK_B, packet + 16);
	return guard_write_ip6(buf, MAC_A, GUARD_LINK_A, GUARD_NODES, 60, packet, sizeof(packet));
}

const struct guard_row guard_lies[] = {
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
	{"ipv6 beside the port's", near_own_ip6, NULL, NULL, "spoofed-ip"},
	{"the port's ipv6 of another mac", own_ip6_of_virtual, NULL, NULL, "spoofed-ip"},
	{"the port's ipv4 as ipv6", mapped_own, NULL, NULL, "spoofed-ip"},
	{"allowed ipv4 as ipv6", mapped_allowed, NULL, NULL, "spoofed-ip"},
	{"advertisement beside the port's ipv6", advert_near_own_ip6, NULL, NULL, "spoofed-arp"},
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
};
const unsigned guard_lies_count = sizeof(guard_lies) / sizeof(guard_lies[0]);

/* guard_honest.c: what a port may send by any security. */
#include <arpa/inet.h>
#include <string.h>

#include "tests/pipeline/l2/policy/guard_packets.h"
#include "tests/pipeline/l2/policy/guard_write.h"

size_t guard_packets_own_udp(uint8_t *buf)
{
	return guard_write_udp(buf, MAC_A, GUARD_OWN, 1000, 2000);
}

static size_t second_address(uint8_t *buf)
{
	return guard_write_udp(buf, MAC_A, "10.0.0.15", 1000, 2000);
}

size_t guard_packets_with_options(uint8_t *buf)
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
	return guard_write_udp(buf, MAC_A, "0.0.0.0", 68, 67);
}

size_t guard_packets_own_arp(uint8_t *buf)
{
	return guard_write_arp(buf, MAC_A, MAC_A, 1, GUARD_OWN, GUARD_OTHER);
}

static size_t own_gratuitous(uint8_t *buf)
{
	return guard_write_arp(buf, MAC_A, MAC_A, 2, GUARD_OWN, GUARD_OWN);
}

static size_t own_probe(uint8_t *buf)
{
	return guard_write_arp(buf, MAC_A, MAC_A, 1, "0.0.0.0", GUARD_OWN);
}

static size_t own_rarp(uint8_t *buf)
{
	return guard_write_rarp(buf, MAC_A, MAC_A, 3);
}

static size_t virtual_router(uint8_t *buf)
{
	return guard_write_arp(buf, GUARD_MAC_VIRTUAL, GUARD_MAC_VIRTUAL, 1, "10.0.0.50", "10.0.0.50");
}

static size_t nested(uint8_t *buf)
{
	return guard_write_udp(buf, GUARD_MAC_NESTED, GUARD_OWN, 1000, 2000);
}

static size_t allowed_range(uint8_t *buf)
{
	return guard_write_udp(buf, MAC_A, "10.9.3.7", 1000, 2000);
}

static size_t unknown_type(uint8_t *buf)
{
	return packet_eth(buf, MAC_BROADCAST, MAC_A, 46);
}

size_t guard_packets_link_local(uint8_t *buf)
{
	return guard_write_ip6(
		buf, MAC_A, GUARD_LINK_A, GUARD_NODES, 17, (uint8_t[16]){0x10, 0, 0x20, 0}, 16);
}

static size_t own_ip6(uint8_t *buf)
{
	return guard_write_ip6(buf, MAC_A, "fd00:5::1", GUARD_NODES, 6, (uint8_t[20]){0x10, 0, 0x20, 0}, 20);
}

/* From a MAC that has the port's addresses. */
static size_t nested_ip6(uint8_t *buf)
{
	return guard_write_ip6(
		buf, GUARD_MAC_NESTED, "fd00:5::1", GUARD_NODES, 6, (uint8_t[20]){0x10, 0, 0x20, 0}, 20);
}

static size_t own_ip6_advert(uint8_t *buf)
{
	return guard_write_nd(buf, "fd00:5::1", 136, "fd00:5::1", 2, MAC_A);
}

static size_t allowed_ip6(uint8_t *buf)
{
	return guard_write_ip6(buf, MAC_A, "fd00:1::77", GUARD_NODES, 6, (uint8_t[20]){0x10, 0, 0x20, 0}, 20);
}

static size_t dad(uint8_t *buf)
{
	return guard_write_nd(buf, "::", 135, GUARD_LINK_A, 0, NULL);
}

size_t guard_packets_own_solicit(uint8_t *buf)
{
	return guard_write_nd(buf, GUARD_LINK_A, 135, GUARD_LINK_B, 1, MAC_A);
}

static size_t own_neighbour_advert(uint8_t *buf)
{
	return guard_write_nd(buf, GUARD_LINK_A, 136, GUARD_LINK_A, 2, MAC_A);
}

static size_t router_solicit(uint8_t *buf)
{
	return guard_write_nd(buf, GUARD_LINK_A, 133, NULL, 1, MAC_A);
}

static size_t first_router_solicit(uint8_t *buf)
{
	return guard_write_nd(buf, "::", 133, NULL, 0, NULL);
}

/* MLDv2 of a machine that has no address yet, behind the router alert. */
static size_t mld_report(uint8_t *buf)
{
	uint8_t packet[16] = {58, 0, 5, 2, 0, 0, 1, 0, 143};

	return guard_write_ip6(buf, MAC_A, "::", "ff02::16", 0, packet, sizeof(packet));
}

const struct guard_row guard_honest[] = {
	{"own udp", guard_packets_own_udp},
	{"its second address", second_address},
	{"ip options", guard_packets_with_options},
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
	{"own ipv6", own_ip6},
	{"own ipv6 of a nested mac", nested_ip6},
	{"advertisement of own ipv6", own_ip6_advert},
	{"allowed ipv6", allowed_ip6},
	{"dad", dad},
	{"solicitation", guard_packets_own_solicit},
	{"advertisement", own_neighbour_advert},
	{"router solicitation", router_solicit},
	{"router solicitation from ::", first_router_solicit},
	{"mld report from ::", mld_report},
};
const unsigned guard_honest_count = sizeof(guard_honest) / sizeof(guard_honest[0]);

/* guard_servers.c: what only a trusted port may send, and what looks like it. */
#include <arpa/inet.h>
#include <stdbool.h>
#include <string.h>

#include "tests/pipeline/l2/policy/guard_packets.h"
#include "tests/pipeline/l2/policy/guard_write.h"

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
	return guard_write_ip6(buf, MAC_A, from, GUARD_NODES, first, chain, at + 16);
}

size_t guard_packets_dhcp_answer(uint8_t *buf)
{
	return guard_write_udp(buf, MAC_A, GUARD_OWN, 67, 68);
}

static size_t dhcp_from_any_port(uint8_t *buf)
{
	return guard_write_udp(buf, MAC_A, GUARD_OWN, 1067, 68);
}

static size_t dhcp_with_options(uint8_t *buf)
{
	size_t len = guard_packets_with_options(buf);

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
	return guard_write_ip6(
		buf, MAC_A, GUARD_LINK_A, GUARD_NODES, 17, (uint8_t[16]){2, 0x23, 2, 0x22}, 16);
}

static size_t dhcp6_request(uint8_t *buf)
{
	return guard_write_ip6(
		buf, MAC_A, GUARD_LINK_A, "ff02::1:2", 17, (uint8_t[16]){2, 0x22, 2, 0x23}, 16);
}

static size_t router_advert(uint8_t *buf)
{
	return advert(buf, GUARD_LINK_A, 0, false);
}

static size_t router_advert_behind_options(uint8_t *buf)
{
	return advert(buf, GUARD_LINK_A, 3, false);
}

static size_t router_advert_far_behind(uint8_t *buf)
{
	return advert(buf, GUARD_LINK_A, 16, false);
}

static size_t router_advert_first_fragment(uint8_t *buf)
{
	return advert(buf, GUARD_LINK_A, 1, true);
}

/* RFC 7113: the chain of headers goes on in the next fragment. */
static size_t chain_in_pieces(uint8_t *buf)
{
	uint8_t packet[16] = {60, 0, 0, 1, 0, 0, 0, 7, 58, 1};

	return guard_write_ip6(buf, MAC_A, GUARD_LINK_A, GUARD_NODES, 44, packet, sizeof(packet));
}

const struct guard_row guard_servers[] = {
	{"dhcpv6 request", dhcp6_request},
	{"tcp on dhcp's ports", tcp_on_its_port},
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
const unsigned guard_servers_count = sizeof(guard_servers) / sizeof(guard_servers[0]);

#include "control/host/addr.h"

#include <arpa/inet.h>
#include <net/ethernet.h>
#include <netinet/ether.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

bool addr_ip4(const char *text, uint32_t *ip)
{
	struct in_addr in;

	if (!text || inet_pton(AF_INET, text, &in) != 1)
		return false;
	*ip = in.s_addr;
	return true;
}

bool addr_prefix(const char *text, struct addr_prefix *prefix)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	char ip[ADDR_IP4_TEXT];
	unsigned long len;
	char *end;

	if (!slash || (size_t)(slash - text) >= sizeof(ip) || slash[1] < '0' || slash[1] > '9')
		return false;
	len = strtoul(slash + 1, &end, 10);
	if (*end != '\0' || len > 32)
		return false;
	memcpy(ip, text, (size_t)(slash - text));
	ip[slash - text] = '\0';
	if (!addr_ip4(ip, &prefix->address))
		return false;
	prefix->len = (uint8_t)len;
	return true;
}

bool addr_ip_prefix(const char *text, struct ip_prefix *prefix)
{
	const char *slash = text ? strchr(text, '/') : NULL;
	struct ip_prefix found;
	unsigned long len, most;
	char *end;

	if (!slash || slash[1] < '0' || slash[1] > '9' ||
		!ip_parse_part(text, (size_t)(slash - text), &found.address))
		return false;
	len = strtoul(slash + 1, &end, 10);
	most = ip_is4(found.address) ? 32 : 128;
	if (*end != '\0' || len > most)
		return false;
	found.len = (uint8_t)(128 - most + len);
	*prefix = found;
	return true;
}

bool addr_prefix_has_host_bits(const struct ip_prefix *prefix)
{
	for (unsigned bit = prefix->len; bit < 128; bit++)
		if (prefix->address.b[bit / 8] & 0x80 >> bit % 8)
			return true;
	return false;
}

bool addr_mac(const char *text, uint8_t mac[6])
{
	struct ether_addr ether;

	if (!text || !ether_aton_r(text, &ether))
		return false;
	memcpy(mac, ether.ether_addr_octet, 6);
	return true;
}

/* "10.1.0.9/32", "fd00::/64", or without a length. */
static bool source_prefix(const char *text, struct addr_source *source)
{
	source->has_prefix = true;
	source->prefix.len = 128;
	return ip_parse(text, &source->prefix.address) || addr_ip_prefix(text, &source->prefix);
}

bool addr_source(const char *text, struct addr_source *source)
{
	const char *space = text ? strchr(text, ' ') : NULL;
	char mac[ADDR_MAC_TEXT];
	size_t n = space ? (size_t)(space - text) : text ? strlen(text) : 0;
	struct addr_source found = {.has_prefix = false};

	if (!n || n >= sizeof(mac))
		return false;
	memcpy(mac, text, n);
	mac[n] = '\0';
	if (!addr_mac(mac, found.mac) || (space && !source_prefix(space + 1, &found)))
		return false;
	*source = found;
	return true;
}

const char *addr_ip4_text(uint32_t ip, char buf[ADDR_IP4_TEXT])
{
	return inet_ntop(AF_INET, &ip, buf, ADDR_IP4_TEXT);
}

const char *addr_prefix_text(struct addr_prefix prefix, char buf[ADDR_PREFIX_TEXT])
{
	char ip[ADDR_IP4_TEXT];

	snprintf(buf, ADDR_PREFIX_TEXT, "%s/%u", addr_ip4_text(prefix.address, ip), prefix.len);
	return buf;
}

const char *addr_ip_prefix_text(struct ip_prefix prefix, char buf[ADDR_IP_PREFIX_TEXT])
{
	unsigned len = ip_is4(prefix.address) ? prefix.len - IP_PREFIX4 : prefix.len;
	char ip[IP_TEXT];

	snprintf(buf, ADDR_IP_PREFIX_TEXT, "%s/%u", ip_text(prefix.address, ip), len);
	return buf;
}

const char *addr_mac_text(const uint8_t mac[6], char buf[ADDR_MAC_TEXT])
{
	snprintf(buf, ADDR_MAC_TEXT, "%02x:%02x:%02x:%02x:%02x:%02x", mac[0], mac[1], mac[2], mac[3], mac[4],
		mac[5]);
	return buf;
}

/* Host byte order. */
static uint32_t host_bits(uint8_t len)
{
	return len == 0 ? UINT32_MAX : (uint32_t)((UINT64_C(1) << (32 - len)) - 1);
}

bool addr_inside(struct addr_prefix subnet, uint32_t ip)
{
	return ((ntohl(ip) ^ ntohl(subnet.address)) & ~host_bits(subnet.len)) == 0;
}

bool addr_is_host(struct addr_prefix subnet, uint32_t ip)
{
	uint32_t all = host_bits(subnet.len), host = ntohl(ip) & all;

	return addr_inside(subnet, ip) && (subnet.len >= 31 || (host != 0 && host != all));
}

/* Is each bit beyond the prefix like `one`? */
static bool host_bits_are(struct ip_prefix subnet, struct ip_addr ip, bool one)
{
	for (unsigned bit = subnet.len; bit < 128; bit++)
		if (!(ip.b[bit / 8] & 0x80 >> bit % 8) == one)
			return false;
	return true;
}

bool addr_is_host_of(struct ip_prefix subnet, struct ip_addr ip)
{
	if (!ip_inside(ip, subnet))
		return false;
	return subnet.len >= 127 ||
	       (!host_bits_are(subnet, ip, false) && !(ip_is4(ip) && host_bits_are(subnet, ip, true)));
}

static int by_address(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip_addr));
}

/* The next number; after the last one the first. */
static struct ip_addr next_of(struct ip_addr ip)
{
	for (unsigned i = sizeof(ip.b); i-- > 0 && ++ip.b[i] == 0;)
		;
	return ip;
}

struct ip_addr addr_next_free(struct ip_prefix subnet, struct ip_addr *taken, size_t n)
{
	struct ip_addr ip = subnet.address;

	for (unsigned bit = subnet.len; bit < 128; bit++)
		ip.b[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
	if (subnet.len < 127)
		ip = next_of(ip);
	if (n > 0)
		qsort(taken, n, sizeof(*taken), by_address);
	for (size_t i = 0; i < n; i++)
		if (ip_equal(taken[i], ip))
			ip = next_of(ip);
	return addr_is_host_of(subnet, ip) ? ip : (struct ip_addr){0};
}

void addr_mac_of_name(const char *name, unsigned attempt, uint8_t mac[6])
{
	uint64_t hash = XXH64(name, strlen(name), attempt);

	mac[0] = 0x02;
	for (int i = 5; i >= 1; i--, hash >>= 8)
		mac[i] = (uint8_t)hash;
}

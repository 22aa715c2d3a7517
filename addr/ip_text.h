/*
 * ip_text.h: addresses (ip.h) as people write them, and as sockets take them. Pure functions, any thread.
 */
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "addr/ip.h"

enum {
	IP_TEXT = INET6_ADDRSTRLEN,
	IP_PORT_TEXT = IP_TEXT + sizeof("[]:65535"),
};

/** False, and nothing written, when `text` is NULL or no address: a name, a prefix, one with a zone ("fe80::1%eth0",
 * which means nothing on another host). */
static inline bool ip_parse(const char *text, struct ip_addr *address)
{
	struct ip_addr found;
	uint32_t ip4;

	if (!text)
		return false;
	if (inet_pton(AF_INET, text, &ip4) == 1)
		found = ip_from4(ip4);
	else if (inet_pton(AF_INET6, text, found.b) != 1)
		return false;
	*address = found;
	return true;
}

/** The same of the `len` bytes at `text`. */
static inline bool ip_parse_part(const char *text, size_t len, struct ip_addr *address)
{
	char part[IP_TEXT];

	if (len >= sizeof(part))
		return false;
	memcpy(part, text, len);
	part[len] = '\0';
	return ip_parse(part, address);
}

/** The host of "HOST:PORT" or of a URL, `len` bytes: an IPv6 address stands in brackets there. */
static inline bool ip_parse_host(const char *text, size_t len, struct ip_addr *address)
{
	if (len >= 2 && text[0] == '[' && text[len - 1] == ']')
		return memchr(text, ':', len) && ip_parse_part(text + 1, len - 2, address);
	return !memchr(text, ':', len) && ip_parse_part(text, len, address);
}

/** Into `text`, which is returned: as RFC 5952 has it, and an IPv4 address as such. */
static inline const char *ip_text(struct ip_addr address, char text[IP_TEXT])
{
	if (ip_is4(address))
		return inet_ntop(AF_INET, &address.w[3], text, IP_TEXT);
	return inet_ntop(AF_INET6, address.b, text, IP_TEXT);
}

/** "10.1.0.1:80", "[fd00::1]:80". */
static inline const char *ip_port_text(struct ip_addr address, uint16_t port, char text[IP_PORT_TEXT])
{
	char ip[IP_TEXT];

	snprintf(text, IP_PORT_TEXT, ip_is4(address) ? "%s:%u" : "[%s]:%u", ip_text(address, ip), port);
	return text;
}

/** AF_INET or AF_INET6. */
static inline int ip_family(struct ip_addr address)
{
	return ip_is4(address) ? AF_INET : AF_INET6;
}

/** What a socket of its family connects to. Returns the length. */
static inline socklen_t ip_sockaddr(struct ip_addr address, uint16_t port, struct sockaddr_storage *to)
{
	struct sockaddr_in *to4 = (struct sockaddr_in *)to;
	struct sockaddr_in6 *to6 = (struct sockaddr_in6 *)to;

	memset(to, 0, sizeof(*to));
	if (ip_is4(address)) {
		*to4 = (struct sockaddr_in){
			.sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = address.w[3]};
		return sizeof(*to4);
	}
	*to6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = htons(port)};
	memcpy(&to6->sin6_addr, address.b, sizeof(address.b));
	return sizeof(*to6);
}

/*
 * host.c: for which host a request is meant. A page in a browser of this host can make a name of its own point to
 * 127.0.0.1 and then read the API as if it were its own site (DNS rebinding); but the browser sends that name. So a
 * server on the loopback answers only to the loopback's names, the address that it listens on, and names that the
 * configuration lists. A request without a Host is no browser's.
 */
#include <arpa/inet.h>
#include <string.h>

#include "registry/http/server.h"

enum { HOST_MAX = 255 };

static bool is_loopback(const char *host)
{
	struct in6_addr six;
	struct in_addr four;

	if (strcasecmp(host, "localhost") == 0)
		return true;
	if (inet_pton(AF_INET, host, &four) == 1)
		return ntohl(four.s_addr) >> 24 == 127;
	return inet_pton(AF_INET6, host, &six) == 1 && IN6_IS_ADDR_LOOPBACK(&six);
}

/* "NAME", "NAME:PORT", "[::1]:PORT" without the port and the brackets. False: it is too long, or none of these. */
static bool host_of(const char *text, char host[HOST_MAX + 1])
{
	bool bracket = text[0] == '[';
	size_t len = bracket ? strcspn(text + 1, "]") : strcspn(text, ":");
	const char *rest = text + len + (bracket ? 2 : 0);

	if (len > HOST_MAX || (bracket && text[1 + len] != ']') || (*rest && *rest != ':') ||
		(*rest && strspn(rest + 1, "0123456789") != strlen(rest + 1)))
		return false;
	memcpy(host, text + bracket, len);
	host[len] = '\0';
	return true;
}

static bool is_allowed(const struct http *http, const char *text)
{
	char host[HOST_MAX + 1];

	if (!host_of(text, host))
		return false;
	for (unsigned i = 0; http->hosts[i]; i++)
		if (strcasecmp(http->hosts[i], host) == 0)
			return true;
	return is_loopback(host);
}

bool http_host_allowed(const struct http *http, struct evhttp_request *raw)
{
	const struct evkeyvalq *headers = evhttp_request_get_input_headers(raw);
	const struct evhttp_uri *uri = evhttp_request_get_evhttp_uri(raw);
	const char *named = uri ? evhttp_uri_get_host(uri) : NULL;
	const struct evkeyval *header;

	if (!http->checks_host)
		return true;
	if (named && *named && !is_allowed(http, named))
		return false;
	for (header = headers->tqh_first; header; header = header->next.tqe_next)
		if (strcasecmp(header->key, "Host") == 0 && !is_allowed(http, header->value))
			return false;
	return true;
}

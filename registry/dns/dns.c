/*
 * dns.c: opens and closes the server, and the places where it listens.
 */
#include "registry/dns/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <syslog.h>
#include <unistd.h>

#include "registry/base/accept.h"
#include "registry/base/listen.h"
#include "registry/dns/inside.h"

enum { PORT = 53, BACKLOG = 128, RECEIVE_BYTES = 1 << 20, ANY_ATTEMPTS = 16 };

uint32_t dns_random(struct dns *dns)
{
	uint64_t x = dns->random; /* xorshift64* (Vigna, 2016) */

	x ^= x >> 12;
	x ^= x << 25;
	x ^= x >> 27;
	dns->random = x;
	return (uint32_t)((x * 0x2545f4914f6cdd1du) >> 32);
}

uint16_t dns_secret_id(void)
{
	uint16_t id = 0;

	getentropy(&id, sizeof(id));
	return id;
}

bool dns_same_host(const struct sockaddr *a, const struct sockaddr *b)
{
	const struct sockaddr_in *a4 = (const struct sockaddr_in *)a, *b4 = (const struct sockaddr_in *)b;
	const struct sockaddr_in6 *a6 = (const struct sockaddr_in6 *)a, *b6 = (const struct sockaddr_in6 *)b;

	if (a->sa_family != b->sa_family)
		return false;
	return a->sa_family == AF_INET ? a4->sin_addr.s_addr == b4->sin_addr.s_addr
				       : memcmp(&a6->sin6_addr, &b6->sin6_addr, sizeof(a6->sin6_addr)) == 0;
}

ssize_t dns_serve(struct dns_place *place, const uint8_t *data, size_t len, bool tcp, struct dns_query *query,
	uint8_t *out)
{
	struct dns *dns = place->dns;
	const struct dns_answer *answer;
	struct dns_query target;
	int rcode;

	*query = (struct dns_query){.place = place, .tcp = tcp};
	rcode = dns_query_read(query, data, len);
	if (rcode < 0)
		return 0;
	if (rcode != LDNS_RCODE_NOERROR)
		return (ssize_t)dns_reply_code(dns, query, rcode, out);
	answer = dns_cache_get(dns, query);
	if (!answer)
		return (ssize_t)dns_reply_code(dns, query, LDNS_RCODE_SERVFAIL, out);
	query->chases = dns_chase_question(query, answer, &target);
	if (query->chases)
		return dns_chase(dns, query, &target, out);
	if (!answer->forward)
		return (ssize_t)dns_reply(dns, query, answer, out);
	if (!dns->nrecursors || !query->recurse)
		return (ssize_t)dns_reply_code(dns, query, LDNS_RCODE_REFUSED, out);
	return -EAGAIN;
}

static int open_socket(
	struct dns *dns, const char *network, int type, const struct sockaddr *address, socklen_t len)
{
	const struct registry_sink *sink = &dns->reg->sink;
	int on = 1, size = RECEIVE_BYTES, rc;
	int fd = sink->socket(sink->ctx, network, address->sa_family, type);

	if (fd < 0)
		return fd;
	if (type == SOCK_STREAM)
		setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
	else if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &size, sizeof(size)) <
		 0) /* past the system's limit */
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));
	if (bind(fd, address, len) == 0 && (type == SOCK_DGRAM || listen(fd, BACKLOG) == 0))
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

static void place_close(struct dns_place *place)
{
	dns_tcp_close(place);
	dns_forward_drop(place, NULL);
	accept_unguard(place->guard);
	if (place->udp)
		event_free(place->udp);
	if (place->tcp)
		evconnlistener_free(place->tcp);
	if (place->fd >= 0)
		close(place->fd);
	TAILQ_REMOVE(&place->dns->places, place, link);
	free(place);
}

static void say(void *arg, const char *line)
{
	const struct dns_place *place = arg;
	const struct registry_sink *sink = &place->dns->reg->sink;

	sink->log(sink->ctx, LOG_WARNING, "DNS by TCP", line);
}

static int place_listen(struct dns_place *place, const struct sockaddr *address, socklen_t len)
{
	struct dns *dns = place->dns;
	struct sockaddr_in6 bound = {0}; /* or an IPv4 address, its port at the same place */
	socklen_t size = sizeof(bound);
	int fd;

	place->fd = open_socket(dns, place->network, SOCK_DGRAM, address, len);
	if (place->fd < 0)
		return place->fd;
	getsockname(place->fd, (struct sockaddr *)&bound, &size); /* the same port by TCP */
	fd = open_socket(dns, place->network, SOCK_STREAM, (struct sockaddr *)&bound, size);
	if (fd < 0)
		return fd;
	place->tcp = evconnlistener_new(dns->base, dns_tcp_accept, place, LEV_OPT_CLOSE_ON_FREE, 0, fd);
	if (!place->tcp) {
		close(fd);
		return -ENOMEM;
	}
	place->guard = accept_guard(dns->base, place->tcp, "DNS by TCP", dns_tcp_may_accept, say, place);
	if (!place->guard)
		return -ENOMEM;
	place->udp = event_new(dns->base, place->fd, EV_READ | EV_PERSIST, dns_udp_ready, place);
	if (!place->udp || event_add(place->udp, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int place_open(struct dns *dns, const char *network, const struct sockaddr *address, socklen_t len)
{
	struct dns_place *place = calloc(1, sizeof(*place));
	int rc;

	if (!place)
		return -ENOMEM;
	place->dns = dns;
	place->fd = -1;
	LIST_INIT(&place->conns);
	LIST_INIT(&place->forwards);
	snprintf(place->network, sizeof(place->network), "%s", network);
	place->id = network[0] ? ++dns->next_place : 0;
	TAILQ_INSERT_TAIL(&dns->places, place, link);
	rc = place_listen(place, address, len);
	if (rc < 0)
		place_close(place);
	return rc;
}

int dns_join(struct dns *dns, const char *network, uint32_t gateway, struct reg_err *err)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET, .sin_port = htons(PORT), .sin_addr.s_addr = gateway};
	int rc = place_open(dns, network, (struct sockaddr *)&address, sizeof(address));

	return rc < 0 ? reg_fail(err, rc, "network %s, port 53: %s", network, strerror(-rc)) : 0;
}

void dns_leave(struct dns *dns, const char *network)
{
	struct dns_place *place;

	TAILQ_FOREACH (place, &dns->places, link)
		if (place->network[0] && strcmp(place->network, network) == 0) {
			place_close(place);
			return;
		}
}

static int read_recursors(struct dns *dns, struct reg_err *err)
{
	for (size_t i = 0; i < dns->config.nrecursors; i++) {
		const char *text = dns->config.recursors[i];
		struct sockaddr_storage *to = &dns->recursors[i];
		int len = sizeof(*to);

		if (i == DNS_RECURSORS)
			return reg_fail(err, -EINVAL, "recursors: at most %u", DNS_RECURSORS);
		if (evutil_parse_sockaddr_port(text, (struct sockaddr *)to, &len) < 0)
			return reg_fail(err, -EINVAL, "recursors: %s: must be ADDRESS or ADDRESS:PORT", text);
		if (!((struct sockaddr_in6 *)to)->sin6_port) /* in both families there */
			((struct sockaddr_in6 *)to)->sin6_port = htons(PORT);
		dns->recursor_len[i] = (socklen_t)len;
		dns->nrecursors++;
	}
	return 0;
}

int dns_listen(struct dns *dns, const char *text, struct reg_err *err)
{
	struct sockaddr_storage address;
	int rc = -EADDRINUSE;
	socklen_t len;
	bool any;

	if (!listen_read(text, &address, &len, &any))
		return reg_fail(err, -EINVAL, "%s: must be ADDRESS:PORT", text);
	/* a port that is free by UDP may not be by TCP */
	for (unsigned attempt = 0; rc == -EADDRINUSE && attempt < (any ? ANY_ATTEMPTS : 1); attempt++)
		rc = place_open(dns, "", (struct sockaddr *)&address, len);
	return rc < 0 ? reg_fail(err, rc, "%s: %s", text, strerror(-rc)) : 0;
}

/* A domain is labels of lower-case letters, digits and hyphens. */
static bool is_domain(const char *text)
{
	ldns_rdf *name = ldns_dname_new_frm_str(text);
	size_t len = strlen(text);
	bool good = name && len && len < 128 && text[0] != '.' && text[len - 1] != '.' &&
		    strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.") == len;

	ldns_rdf_deep_free(name);
	return good;
}

static int check_domain(const char *domain, struct reg_err *err)
{
	return is_domain(domain)
		       ? 0
		       : reg_fail(err, -EINVAL, "domain: %s is none (a-z, 0-9, - and dots)", domain);
}

int dns_check(const struct dns_config *config, struct reg_err *err)
{
	struct dns *dns = calloc(1, sizeof(*dns));
	struct sockaddr_storage address;
	socklen_t len;
	bool any;
	int rc;

	if (!dns)
		return reg_fail(err, -ENOMEM, "out of memory");
	dns->config = *config;
	rc = check_domain(config->domain ? config->domain : "consul", err);
	if (rc == 0)
		rc = read_recursors(dns, err);
	free(dns);
	if (rc < 0 || !config->listen || !config->listen[0])
		return rc;
	if (!listen_read(config->listen, &address, &len, &any))
		return reg_fail(err, -EINVAL, "%s: must be ADDRESS:PORT", config->listen);
	rc = listen_try(&address, len, SOCK_DGRAM);
	if (rc == 0)
		rc = listen_try(&address, len, SOCK_STREAM);
	return rc < 0 ? reg_fail(err, rc, "%s: %s", config->listen, strerror(-rc)) : 0;
}

static int start(struct dns *dns, struct reg_err *err)
{
	uint64_t seed[2];
	int rc;

	if (!dns->domain || !dns->datacenter || getentropy(seed, sizeof(seed)) < 0)
		return reg_fail(err, -ENOMEM, "out of memory");
	dns->random = seed[0] | 1;
	dns_cache_open(&dns->cache, seed[1]);
	rc = check_domain(dns->domain, err);
	if (rc == 0)
		rc = read_recursors(dns, err);
	if (rc == 0 && dns->config.listen && dns->config.listen[0])
		rc = dns_listen(dns, dns->config.listen, err);
	dns->config.recursors = NULL; /* the caller's, as the next */
	dns->config.listen = NULL;
	return rc;
}

int dns_open(const struct dns_config *config, struct dns **out, struct reg_err *err)
{
	struct dns *dns = calloc(1, sizeof(*dns));
	int rc;

	if (!dns)
		return reg_fail(err, -ENOMEM, "out of memory");
	TAILQ_INIT(&dns->places);
	dns_cache_open(&dns->cache, 0);
	dns->base = config->base;
	dns->reg = config->reg;
	dns->config = *config;
	if (!dns->config.network_conns)
		dns->config.network_conns = DNS_NETWORK_CONNS;
	if (!dns->config.network_forwards)
		dns->config.network_forwards = DNS_NETWORK_FORWARDS;
	dns->ports = 1;
	dns->domain = strdup(config->domain ? config->domain : "consul");
	dns->datacenter = strdup(config->datacenter ? config->datacenter : "dc1");
	rc = start(dns, err);
	if (rc < 0) {
		dns_close(dns);
		return rc;
	}
	*out = dns;
	return 0;
}

void dns_close(struct dns *dns)
{
	struct dns_place *place, *next;

	if (!dns)
		return;
	for (place = TAILQ_FIRST(&dns->places); place; place = next) {
		next = TAILQ_NEXT(place, link);
		place_close(place);
	}
	dns_cache_close(&dns->cache);
	free(dns->domain);
	free(dns->datacenter);
	free(dns);
}

const struct dns_info *dns_info(const struct dns *dns)
{
	return &dns->info;
}

void dns_places(const struct dns *dns, void (*fn)(void *arg, const struct dns_place_info *info), void *arg)
{
	const struct dns_place *place;

	TAILQ_FOREACH (place, &dns->places, link) {
		struct dns_place_info info = {.network = place->network,
			.connections = place->nconns,
			.forwards = place->nforwards,
			.closed = place->closed,
			.waited = place->waited,
			.refused = place->refused};

		fn(arg, &info);
	}
}

void dns_ports_changed(struct dns *dns)
{
	dns->ports++;
}

/*
 * dns.c: opens and closes the server, and the listeners where it listens.
 */
#include "registry/dns/dns.h"

#include <arpa/inet.h>
#include <errno.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <syslog.h>
#include <unistd.h>

#include "addr/ip_text.h"
#include "registry/base/accept.h"
#include "registry/base/listen.h"
#include "registry/dns/inside.h"

enum { PORT = 53, BACKLOG = 128, ANY_ATTEMPTS = 16 };

/*
 * For what comes while the control thread is at something else, and no more than it answers soon: the kernel counts some 800
 * bytes for a query, and twice as many may lie there: 10,000 of them, or 40 ms of answers. A network, of which there are
 * many, has a quarter.
 */
enum { RECEIVE_BYTES = 4 << 20, RECEIVE_NETWORK_BYTES = 1 << 20 };

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

ssize_t dns_serve(struct dns_listener *listener, const uint8_t *data, size_t len, bool tcp,
	struct dns_query *query, uint8_t *out)
{
	struct dns *dns = listener->dns;
	const struct dns_answer *answer;
	struct dns_query target;
	int rcode;

	memset(query, 0, offsetof(struct dns_query, wire)); /* the rest is no longer than is said there */
	query->name[0] = '\0';
	query->listener = listener;
	query->tcp = tcp;
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
	int on = 1, size = network[0] ? RECEIVE_NETWORK_BYTES : RECEIVE_BYTES, rc;
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

static void listener_close(struct dns_listener *listener)
{
	dns_tcp_close(listener);
	dns_udp_leave(listener);
	dns_forward_drop(listener, NULL);
	accept_unguard(listener->guard);
	if (listener->udp)
		event_free(listener->udp);
	if (listener->tcp)
		evconnlistener_free(listener->tcp);
	if (listener->fd >= 0)
		close(listener->fd);
	TAILQ_REMOVE(&listener->dns->listeners, listener, link);
	free(listener);
}

static void say(void *arg, const char *line)
{
	const struct dns_listener *listener = arg;
	const struct registry_sink *sink = &listener->dns->reg->sink;

	sink->log(sink->ctx, LOG_WARNING, "DNS by TCP", line);
}

static int start_listening(struct dns_listener *listener, const struct sockaddr *address, socklen_t len)
{
	struct dns *dns = listener->dns;
	struct sockaddr_in6 bound = {0}; /* or an IPv4 address, its port at the same listener */
	socklen_t size = sizeof(bound);
	int fd;

	listener->fd = open_socket(dns, listener->network, SOCK_DGRAM, address, len);
	if (listener->fd < 0)
		return listener->fd;
	getsockname(listener->fd, (struct sockaddr *)&bound, &size); /* the same port by TCP */
	fd = open_socket(dns, listener->network, SOCK_STREAM, (struct sockaddr *)&bound, size);
	if (fd < 0)
		return fd;
	listener->tcp = evconnlistener_new(dns->base, dns_tcp_accept, listener, LEV_OPT_CLOSE_ON_FREE, 0, fd);
	if (!listener->tcp) {
		close(fd);
		return -ENOMEM;
	}
	listener->guard =
		accept_guard(dns->base, listener->tcp, "DNS by TCP", dns_tcp_may_accept, say, listener);
	if (!listener->guard)
		return -ENOMEM;
	listener->udp = event_new(dns->base, listener->fd, EV_READ | EV_PERSIST, dns_udp_ready, listener);
	if (!listener->udp || event_add(listener->udp, NULL) < 0)
		return -ENOMEM;
	return 0;
}

static int listener_open(struct dns *dns, const char *network, const struct sockaddr *address, socklen_t len)
{
	struct dns_listener *listener = calloc(1, sizeof(*listener));
	int rc;

	if (!listener)
		return -ENOMEM;
	listener->dns = dns;
	listener->fd = -1;
	LIST_INIT(&listener->conns);
	LIST_INIT(&listener->forwards);
	snprintf(listener->network, sizeof(listener->network), "%s", network);
	listener->id = network[0] ? ++dns->next_listener : 0;
	TAILQ_INSERT_TAIL(&dns->listeners, listener, link);
	rc = start_listening(listener, address, len);
	if (rc < 0)
		listener_close(listener);
	return rc;
}

int dns_join(struct dns *dns, const char *network, struct ip_addr gateway, struct reg_err *err)
{
	struct sockaddr_storage address;
	socklen_t len = ip_sockaddr(gateway, PORT, &address);
	int rc = listener_open(dns, network, (struct sockaddr *)&address, len);

	return rc < 0 ? reg_fail(err, rc, "network %s, port 53: %s", network, strerror(-rc)) : 0;
}

void dns_leave(struct dns *dns, const char *network)
{
	struct dns_listener *listener, *next;

	for (listener = TAILQ_FIRST(&dns->listeners); listener; listener = next) {
		next = TAILQ_NEXT(listener, link);
		if (listener->network[0] && strcmp(listener->network, network) == 0)
			listener_close(listener);
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
		rc = listener_open(dns, "", (struct sockaddr *)&address, len);
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

int dns_check(const struct dns_config *config, const char *text, struct reg_err *err)
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
	if (rc < 0 || !text[0])
		return rc;
	if (!listen_read(text, &address, &len, &any))
		return reg_fail(err, -EINVAL, "%s: must be ADDRESS:PORT", text);
	rc = listen_try(&address, len, SOCK_DGRAM);
	if (rc == 0)
		rc = listen_try(&address, len, SOCK_STREAM);
	return rc < 0 ? reg_fail(err, rc, "%s: %s", text, strerror(-rc)) : 0;
}

static void set_zone(struct dns *dns)
{
	ldns_rdf *name = ldns_dname_new_frm_str(dns->domain);

	if (name)
		memcpy(dns->zone, ldns_rdf_data(name), dns->nzone = ldns_rdf_size(name));
	ldns_rdf_deep_free(name);
}

static int start(struct dns *dns, struct reg_err *err)
{
	uint64_t seed[2];
	int rc;

	if (!dns->batch || !dns->record || !dns->domain || !dns->datacenter ||
		getentropy(seed, sizeof(seed)) < 0)
		return reg_fail(err, -ENOMEM, "out of memory");
	dns->random = seed[0] | 1;
	dns_cache_open(&dns->cache, seed[1]);
	rc = check_domain(dns->domain, err);
	if (rc == 0)
		set_zone(dns);
	if (rc == 0 && !dns->nzone)
		rc = reg_fail(err, -ENOMEM, "out of memory");
	if (rc == 0)
		rc = read_recursors(dns, err);
	dns->config.recursors = NULL; /* the caller's */
	return rc;
}

int dns_open(const struct dns_config *config, struct dns **out, struct reg_err *err)
{
	struct dns *dns = calloc(1, sizeof(*dns));
	int rc;

	if (!dns)
		return reg_fail(err, -ENOMEM, "out of memory");
	TAILQ_INIT(&dns->listeners);
	TAILQ_INIT(&dns->waiting);
	TAILQ_INIT(&dns->asking);
	dns->batch = dns_batch_new();
	dns->record = ldns_buffer_new(512);
	dns_cache_open(&dns->cache, 0);
	dns->base = config->base;
	dns_turn_open(dns);
	evtimer_assign(&dns->resume, dns->base, dns_tcp_resume, dns);
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
	struct dns_listener *listener, *next;

	if (!dns)
		return;
	for (listener = TAILQ_FIRST(&dns->listeners); listener; listener = next) {
		next = TAILQ_NEXT(listener, link);
		listener_close(listener);
	}
	dns_cache_close(&dns->cache);
	dns_index_close(&dns->index);
	dns_batch_free(dns->batch);
	ldns_buffer_free(dns->record);
	dns_turn_close(dns);
	event_del(&dns->resume);
	free(dns->domain);
	free(dns->datacenter);
	free(dns);
}

struct dns_info dns_info(const struct dns *dns)
{
	struct dns_info info = dns->info;

	info.kept = dns->cache.count;
	info.kept_bytes = dns->cache.bytes;
	return info;
}

/* Counted by the kernel: what SO_RXQ_OVFL would tell with each datagram. */
static uint64_t dropped(const struct dns_listener *listener)
{
	uint32_t counters[SK_MEMINFO_VARS] = {0};
	socklen_t size = sizeof(counters);

	getsockopt(listener->fd, SOL_SOCKET, SO_MEMINFO, counters, &size);
	return counters[SK_MEMINFO_DROPS];
}

void dns_listeners(
	const struct dns *dns, void (*fn)(void *arg, const struct dns_listener_info *info), void *arg)
{
	const struct dns_listener *listener;

	TAILQ_FOREACH (listener, &dns->listeners, link) {
		struct dns_listener_info info = {.network = listener->network,
			.connections = listener->nconns,
			.forwards = listener->nforwards,
			.closed = listener->closed,
			.waited = listener->waited,
			.refused = listener->refused,
			.dropped = dropped(listener)};

		fn(arg, &info);
	}
}

void dns_ports_changed(struct dns *dns)
{
	dns->ports++;
}

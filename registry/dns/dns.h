/*
 * dns.h: the registry's DNS server. Answers for Consul's domain from the service table, on a local address
 * and at the gateways of networks, where it also knows the network's own names. UDP and TCP; control thread
 * only.
 *
 * Nobody can hold the daemon: messages, connections, forwarded queries and the cache are bounded, in all, by network
 * and by client, and a client that is slow is cut off. An answer is encoded once and kept while what it was made of is unchanged.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "registry/registry.h"

struct dns;
struct event_base;

enum {
	DNS_UDP_MAX = 4096,	    /* bytes of an answer by UDP, whatever the client offers */
	DNS_QUERY_MAX = 4096,	    /* of a query; a longer one is not answered */
	DNS_CONNS = 1024,	    /* TCP connections; more wait in the kernel */
	DNS_NETWORK_CONNS = 128,    /* at the gateway of one network, unless configured */
	DNS_CLIENT_CONNS = 16,	    /* and of one address there; more are closed */
	DNS_SLOW_S = 10,	    /* a TCP client that neither asks nor takes its answer is cut off */
	DNS_FORWARDS = 1024,	    /* queries at recursors; more are answered SERVFAIL */
	DNS_NETWORK_FORWARDS = 256, /* of one network, unless configured */
	DNS_CLIENT_FORWARDS = 64,   /* of one address there */
	DNS_LEAST = 8, /* connections, and forwarded queries, that a network may have however many all have */
	DNS_RECURSORS = 4,
	DNS_PORT_IPS = 16, /* addresses told of one port */
};

/* Strings are copied. */
struct dns_config {
	struct event_base *base;
	struct registry *reg;
	const char *domain;	/* NULL: "consul" */
	const char *datacenter; /* NULL: "dc1" */
	bool only_passing;	/* instances whose health is warning are left out too */
	bool unmarked;		/* answers that are cut short say nothing of it (no TC) */
	uint16_t udp_answers;	/* at most, by UDP without EDNS; 0: what fits */
	uint32_t ttl_s, node_ttl_s, negative_ttl_s;
	const char *const *recursors;		  /* "ADDRESS[:PORT]", asked in this order */
	size_t nrecursors;			  /* 0: other names are refused */
	uint32_t recursor_timeout_ms;		  /* for each */
	unsigned network_conns, network_forwards; /* at most at one gateway, 0: as above */
	/** The addresses, at most `max`, of the port called so in `network`; 0: there is none, or it is down.
	 */
	size_t (*port_ips)(void *ctx, const char *network, const char *name, struct ip_addr *ips, size_t max);
	/** The name of the port of `network` that has `address`; NULL: none. */
	const char *(*port_name)(void *ctx, const char *network, struct ip_addr address);
	void *ctx;
};

/**
 * Answers nowhere yet: dns_listen(), dns_join(). Errors, with a line in `err`: -EINVAL (a recursor, the domain), -ENOMEM.
 */
int dns_open(const struct dns_config *config, struct dns **out, struct reg_err *err);
/**
 * Answers at `address` ("127.0.0.1:8600"; port 0: any free one). Errors: -EINVAL, -ENOMEM, -EADDRINUSE and others of bind.
 */
int dns_listen(struct dns *dns, const char *address, struct reg_err *err);
/**
 * Would dns_open() refuse `config` (base and reg are not needed), or dns_listen() `address` ("": it is not to be called)? As
 * http_check().
 */
int dns_check(const struct dns_config *config, const char *address, struct reg_err *err);
/** NULL is allowed. Before registry_free(). */
void dns_close(struct dns *dns);

/* Codes of answers by their number (RFC 1035), the last: any other. */
enum { DNS_CODES = 7, DNS_TRANSPORTS = 2 };

/* Since the start. */
struct dns_info {
	uint64_t answers[DNS_TRANSPORTS][DNS_CODES]; /* our own; transports: udp, tcp */
	uint64_t cached;			     /* of them, not made anew */
	uint64_t cut;				     /* of them, without all that there was */
	uint64_t forwarded;			     /* queries passed on to recursors */
	size_t kept, kept_bytes;		     /* answers, now; bounded */
};
struct dns_info dns_info(const struct dns *dns);

/* One listener where it listens. */
struct dns_listener_info {
	const char *network;		/* "": the local address */
	unsigned connections, forwards; /* now */
	uint64_t closed;		/* connections of a client that had enough, since the start */
	uint64_t waited;		/* times that new connections had to wait for others to end */
	uint64_t refused; /* queries not forwarded, for want of room for the client, the network or all */
	uint64_t dropped; /* datagrams that came faster than they were read, and found the socket full */
};
void dns_listeners(
	const struct dns *dns, void (*fn)(void *arg, const struct dns_listener_info *info), void *arg);

/**
 * Answers at `gateway`, port 53, inside `network` too, and at each other gateway that it was given. Errors: as dns_listen().
 */
int dns_join(struct dns *dns, const char *network, struct ip_addr gateway, struct reg_err *err);
/** At none of them any longer. A network that was not joined is allowed. */
void dns_leave(struct dns *dns, const char *network);

/** A port came, went, or its link changed: what was said of port names no longer holds. */
void dns_ports_changed(struct dns *dns);

/*
 * inside.h: the inside of the DNS server, for its own files.
 *
 *   dns.c           opens and closes; the listeners where it listens
 *   udp.c       datagrams, a batch a turn
 *   tcp.c       connections
 *   query.c     from a message to what is asked
 *   reply.c     from an answer to a message: order, truncation, EDNS
 *   cache.c     answers that still hold
 *   chase.c     what stands behind a CNAME
 *   name.c      what a name stands for
 *   resolve.c   from a name to an answer: nodes, addresses, the zone itself
 *   reverse.c   who has an address
 *   service.c   the instances of a service
 *   record.c    records in wire format, by ldns
 *   forward.c   other names, at recursors
 */
#pragma once

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <event2/listener.h>
#include <ldns/ldns.h>
#include <sys/queue.h>
#include <sys/socket.h>

#include "registry/dns/dns.h"
#include "registry/table/table.h"

enum {
	DNS_HEADER = 12,
	DNS_NAME_MAX = 255, /* bytes on the wire; as text always shorter */
	DNS_OPT = 11,	    /* bytes of our OPT record */
	DNS_TCP_MAX = 65535,
	DNS_UDP_BATCH = 64,
	DNS_RECORDS = 4096, /* of an answer, more than a message holds */
};

/* Where it listens: on the local address, or inside a network. */
struct dns_listener {
	struct dns *dns;
	char network[REG_NAME_MAX + 1]; /* "": the local address */
	uint32_t id;			/* of a network's names in the cache; 0: the local address */
	int fd;				/* UDP; -1 */
	struct event *udp;
	struct evconnlistener *tcp;
	struct accept_guard *guard;
	LIST_HEAD(, dns_conn) conns;
	LIST_HEAD(, dns_forward) forwards;
	unsigned nconns, nforwards;
	uint64_t closed, waited, refused; /* see dns_listener_info */
	TAILQ_ENTRY(dns_listener) link;
};

struct dns_query {
	struct dns_listener *listener;
	uint16_t id, type, klass;
	uint8_t opcode;
	bool recurse, no_check; /* RD, CD */
	bool edns, tcp;
	bool inside;			/* asked by ourselves: counts for nobody */
	bool chases;			/* the answer is an alias that is followed */
	uint16_t size;			/* that the answer may have */
	char name[DNS_NAME_MAX + 1];	/* as text in lower case, without the last dot; "": the root */
	uint16_t nwire;			/* bytes of the question */
	uint8_t wire[DNS_NAME_MAX + 4]; /* the question as it came, with the name's case */
};

struct dns_record {
	uint32_t at;
	uint16_t len;
	uint16_t extra; /* 1 + the index of the additional record that goes with it; 0: none */
};

struct dns_records {
	struct dns_record *item;
	size_t count, room;
};

/* What an answer was made of. It holds while all of it is unchanged. */
struct dns_basis {
	char service[REG_SERVICE_MAX + 1]; /* "": none */
	uint64_t service_generation;
	uint64_t names, nodes; /* generations */
	uint64_t whole;	       /* the registry's generation, 0: does not depend on all of it */
	uint64_t ports;	       /* dns->ports, 0: not on ports */
};

/* Records in wire format that stand wherever they are put: owners are the question's or whole names. */
struct dns_answer {
	uint8_t rcode;
	bool forward;			       /* not ours: for the recursors, or refused */
	struct dns_records answer, extra, soa; /* soa: none or one */
	ldns_buffer *wire;
	struct dns_basis basis;
	/* cache.c */
	UT_hash_handle hh;
	TAILQ_ENTRY(dns_answer) used;
	size_t bytes;
	uint16_t nkey;
	uint8_t key[];
};

TAILQ_HEAD(dns_answers, dns_answer);

struct dns_cache {
	struct dns_answer *by_key;
	struct dns_answers used; /* the last used at the end */
	size_t count, bytes;
	uint64_t seed;
};

struct dns_conn;
struct dns_forward;

struct dns {
	struct event_base *base;
	struct registry *reg;
	struct dns_config config; /* its strings are its own */
	char *domain, *datacenter;
	struct sockaddr_storage recursors[DNS_RECURSORS];
	socklen_t recursor_len[DNS_RECURSORS];
	unsigned nrecursors;
	TAILQ_HEAD(, dns_listener) listeners;
	uint32_t next_listener;
	uint64_t ports;	 /* counts changes of ports */
	uint64_t random; /* state of dns_random() */
	struct dns_cache cache;
	struct dns_info info;
	unsigned nconns, nforwards;
	/* space for one batch of datagrams and their answers, and for one message by TCP */
	uint8_t in[DNS_UDP_BATCH][DNS_QUERY_MAX];
	uint8_t out[DNS_UDP_BATCH][DNS_UDP_MAX];
	uint8_t message[2 + DNS_TCP_MAX];
};

/** Good enough to spread load; guessed by nobody who matters. */
uint32_t dns_random(struct dns *dns);
/** Unpredictable, for ids that an answer must repeat. */
uint16_t dns_secret_id(void);

/** Have both the same address, whatever the port? */
bool dns_same_host(const struct sockaddr *a, const struct sockaddr *b);

/* query.c */
/**
 * Reads a message. Returns a response code: NOERROR goes on, others are the answer. -1: not to be answered.
 * All of *query is set unless -1.
 */
int dns_query_read(struct dns_query *query, const uint8_t *data, size_t len);
/** The same question about another name, given as on the wire, not compressed. */
void dns_query_subject(
	struct dns_query *query, const struct dns_query *like, const uint8_t *name, size_t size);

/* reply.c */
/** Writes the reply to `out`, which has room for query->size bytes, at least 512. Returns its length. */
size_t dns_reply(
	struct dns *dns, const struct dns_query *query, const struct dns_answer *answer, uint8_t *out);
/** As dns_reply(), with the answers of `more` behind ours, and its response code; NULL: none. */
size_t dns_reply_with(struct dns *dns, const struct dns_query *query, const struct dns_answer *answer,
	const ldns_pkt *more, uint8_t *out);
size_t dns_reply_code(struct dns *dns, const struct dns_query *query, int rcode, uint8_t *out);

/* dns.c */
/** The reply to a message, or 0: none, or -EAGAIN: *query goes to the recursors. */
ssize_t dns_serve(struct dns_listener *listener, const uint8_t *data, size_t len, bool tcp,
	struct dns_query *query, uint8_t *out);

/* cache.c */
void dns_cache_open(struct dns_cache *cache, uint64_t seed);
void dns_cache_close(struct dns_cache *cache);
/** The answer, from the cache or made now; valid until the next call. NULL: no memory. */
const struct dns_answer *dns_cache_get(struct dns *dns, const struct dns_query *query);

/* chase.c */
/** Is the answer a CNAME that was not asked for itself? Then *target asks what the client wants to know of it. */
bool dns_chase_question(
	const struct dns_query *query, const struct dns_answer *answer, struct dns_query *target);
/** That question as a message for recursors. Returns its length. */
size_t dns_chase_message(const struct dns_query *target, uint8_t out[DNS_HEADER + DNS_NAME_MAX + 4]);
/** The reply with what is behind the alias, or -EAGAIN: *query goes to the recursors. */
ssize_t dns_chase(
	struct dns *dns, const struct dns_query *query, const struct dns_query *target, uint8_t *out);
/** The reply with the alias and the answers of the message `found` (len 0: none was found). */
size_t dns_chase_reply(
	struct dns *dns, const struct dns_query *query, const uint8_t *found, size_t len, uint8_t *out);

/* name.c */
enum dns_kind {
	DNS_OUTSIDE, /* not ours */
	DNS_NONE,    /* ours, and there can be no such name */
	DNS_APEX,    /* the domain itself */
	DNS_EMPTY,   /* above names of ours, with no record */
	DNS_SERVICE, /* name: [tag.]service */
	DNS_RFC2782, /* name: _service._tag */
	DNS_VIRTUAL,
	DNS_NODE,
	DNS_ADDR,
	DNS_REVERSE, /* address */
	DNS_LOCAL,   /* of the network: a service or a port */
};

struct dns_name {
	enum dns_kind kind;
	char name[DNS_NAME_MAX + 1]; /* what is before the kind */
	struct ip_addr address;	     /* of DNS_REVERSE */
};

void dns_name_read(const struct dns *dns, const struct dns_query *query, struct dns_name *name);
/** Can a node be called so in DNS? */
bool dns_name_fits(const struct dns *dns, const char *name);
/** Is it below, or itself, the domain? */
bool dns_name_ours(const struct dns *dns, const char *name);

/* resolve.c */
/** Fills a fresh answer. -ENOMEM. */
int dns_resolve(struct dns *dns, const struct dns_query *query, struct dns_answer *answer);

/* service.c */
/** The service and, in what precedes its name, the tag ("": none); NULL: there is none. */
struct service *dns_service_of(struct dns *dns, const struct dns_name *name, char tag[DNS_NAME_MAX + 1]);
struct service *dns_service_named(struct dns *dns, const char *name);

/* record.c */
struct dns_build {
	struct dns *dns;
	const struct dns_query *query;
	struct dns_answer *answer;
	bool failed; /* no memory */
};

enum dns_section { DNS_ANSWER, DNS_EXTRA, DNS_AUTHORITY };

/** Asked for this type, or for any. */
bool dns_wants(const struct dns_build *build, ldns_rr_type type);
/**
 * Adds a record, of the question's name when `owner` is NULL. A name that can be none is left out. Returns
 * 1 + its index, 0: left out.
 */
unsigned dns_put_a(
	struct dns_build *build, enum dns_section to, const char *owner, uint32_t ttl, uint32_t address);
unsigned dns_put_aaaa(struct dns_build *build, enum dns_section to, const char *owner, uint32_t ttl,
	const uint8_t address[16]);
/** As A or AAAA; left out of the answer when that was not asked for. Returns as above. */
unsigned dns_put_address(struct dns_build *build, enum dns_section to, const char *owner, uint32_t ttl,
	struct ip_addr address);
unsigned dns_put_name(struct dns_build *build, enum dns_section to, const char *owner, ldns_rr_type type,
	uint32_t ttl, const char *name);
unsigned dns_put_txt(struct dns_build *build, uint32_t ttl, const char *text);
unsigned dns_put_srv(struct dns_build *build, uint32_t ttl, uint16_t weight, uint16_t port,
	const char *target, unsigned extra);
unsigned dns_put_soa(struct dns_build *build, enum dns_section to, const char *zone);
/** `host` as A, AAAA or, when it is a name and the section is the answer, CNAME. Returns as above. */
unsigned dns_put_host(
	struct dns_build *build, enum dns_section to, const char *owner, uint32_t ttl, const char *host);
/** "NODE.node.DATACENTER.DOMAIN" */
void dns_node_name(const struct dns *dns, const char *node, char out[512]);
/** Every healthy instance that has the tag. NXDOMAIN when there is none. */
void dns_put_service(struct dns_build *build, struct service *service, const char *tag);

/* reverse.c */
/** The port, nodes and services that have the address; without any it is the recursors' or NXDOMAIN. */
void dns_put_reverse(struct dns_build *build, const struct dns_name *name);

/* udp.c */
void dns_udp_ready(evutil_socket_t fd, short what, void *listener);

/* tcp.c */
void dns_tcp_accept(
	struct evconnlistener *tcp, evutil_socket_t fd, struct sockaddr *peer, int len, void *listener);
/** Hangs up on every client of the listener. */
void dns_tcp_close(struct dns_listener *listener);
/** May the listener take another connection? */
bool dns_tcp_may_accept(void *listener);
/** Sends one message. */
void dns_tcp_send(struct dns_conn *conn, const uint8_t *data, size_t len);
/** Who is at its other end. */
void dns_tcp_peer(const struct dns_conn *conn, const struct sockaddr **peer, socklen_t *len);
/** A forwarded query of the connection was made or answered. */
void dns_tcp_forwarded(struct dns_conn *conn, int change);

/* forward.c */
/** Passes a query on; the answer goes to `peer`, or to `conn` unless that is NULL. */
void dns_forward(struct dns_query *query, const uint8_t *data, size_t len, const struct sockaddr *peer,
	socklen_t npeer, struct dns_conn *conn);
/** Gives up the queries of this connection of the listener, or (NULL) all of it. */
void dns_forward_drop(struct dns_listener *listener, const struct dns_conn *conn);

/*
 * inside.h: the inside of the DNS server, for its own files.
 *
 *   dns.c           opens and closes; the listeners where it listens
 *   udp.c       datagrams, batches within a turn's budget
 *   burst.c     answers that go to one client are one message to the kernel
 *   turn.c      how long it may take
 *   tcp.c       connections
 *   query.c     from a message to what is asked
 *   reply.c     from an answer to a message: order, truncation, EDNS
 *   cache.c     answers that still hold
 *   chase.c     what stands behind a CNAME
 *   name.c      what a name stands for
 *   resolve.c   from a name to an answer: nodes, addresses, the zone itself
 *   index.c     nodes by their address, and names that have capitals
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
	DNS_UDP_BATCH = 192,
	DNS_BURST_SLOTS = 512,
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
	bool single;			  /* answers go one by one: burst.c */
	bool is_waiting;		  /* in that list */
	TAILQ_ENTRY(dns_listener) waits;
	TAILQ_ENTRY(dns_listener) link;
};

struct dns_query {
	struct dns_listener *listener;
	uint16_t id, type, klass;
	uint8_t opcode;
	bool recurse, no_check; /* RD, CD */
	bool edns, dnssec, tcp; /* dnssec: DO, which is repeated */
	uint8_t version;	/* of EDNS */
	bool inside;		/* asked by ourselves: counts for nobody */
	bool chases;		/* the answer is an alias that is followed */
	bool ours;		/* the name is the domain or below it */
	uint16_t size;		/* that the answer may have */
	uint16_t nwire;		/* bytes of the question, 0: it could not be read */
	uint16_t nkey;
	uint8_t wire[DNS_NAME_MAX + 4]; /* the question as it came, with the name's case */
	uint8_t key[DNS_NAME_MAX + 6];	/* of the cache: what has the same answer has the same key */
	char name[DNS_NAME_MAX + 1];	/* see dns_query_name() */
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
	bool forward; /* not ours: for the recursors, or refused */
	bool brief; /* not worth to be kept: quick to make, and there are as many as a client can think of */
	bool flat;  /* the answers stand in `data` one after the other, and none has an additional record */
	struct dns_records answer, extra, soa; /* soa: none or one */
	const uint8_t *data;		       /* what the records are in */
	size_t ndata;
	struct dns_basis basis;
	/* cache.c */
	uint64_t verified; /* the registry's generation when it was last found to hold */
	bool used;	   /* since it was last considered for leaving */
	bool proven;	   /* in that list */
	UT_hash_handle hh;
	TAILQ_ENTRY(dns_answer) link;
	size_t bytes;
	uint16_t nkey;
	uint8_t *key;
};

TAILQ_HEAD(dns_answers, dns_answer);

struct dns_cache {
	struct dns_answer *by_key;
	struct dns_answers fresh, proven; /* proven: asked for again while fresh. The next to leave first */
	size_t count, nfresh, bytes;
	uint64_t seed;
	struct dns_answer made; /* the last one, and what it is made in */
	ldns_buffer *wire;
};

/* A record that says that something is not there, as it was last made. */
struct dns_soa {
	char zone[DNS_NAME_MAX + 1];
	uint64_t generation; /* the registry's; 0: none yet */
	uint16_t len;
	uint8_t wire[1024];
};
enum { DNS_SOA_DOMAIN, DNS_SOA_QUESTION, DNS_SOA_NETWORK, DNS_SOAS };

struct dns_node_address {
	struct ip_addr address;
	const struct reg_node *node;
};

/* Made anew when names or nodes have changed and it is asked. */
struct dns_index {
	uint64_t names, nodes;	  /* generations that it is of; 0: none */
	struct service **service; /* those with capitals, in order whatever the case */
	const struct reg_node **node;
	struct dns_node_address *address; /* in order */
	size_t nservice, nnode, naddress;
};

/* An answer on its way out, and the next, no longer one to the same client. */
struct dns_burst_item {
	const struct sockaddr *peer;
	socklen_t npeer;
	uint16_t len;
	uint8_t next;
	uint8_t *data;
};

struct dns_burst {
	struct dns_burst_item item[DNS_UDP_BATCH];
	unsigned count, nslots;
	uint8_t first[DNS_BURST_SLOTS]; /* of a client, by its address */
	uint16_t slot[DNS_UDP_BATCH];	/* of `first` that are in use */
	struct mmsghdr message[DNS_UDP_BATCH];
	struct iovec part[DNS_UDP_BATCH];
	union {
		struct cmsghdr header;
		uint8_t space[CMSG_SPACE(sizeof(uint16_t))];
	} control[DNS_UDP_BATCH];
};

/* UDP and TCP each have their time of a turn. */
enum dns_turn_of { DNS_TURN_UDP, DNS_TURN_TCP, DNS_TURNS };
struct dns_turn {
	uint64_t end; /* of its time, ns; 0: it has not begun */
};

enum { DNS_TAG_SLOTS = 64, DNS_TAG_WORDS = 64 };
struct dns_tags {
	char service[REG_NAME_MAX + 1];
	uint64_t generation; /* of the service; 0: of none */
	uint64_t bits[DNS_TAG_WORDS];
};

struct dns_batch;
struct dns_conn;
struct dns_forward;

struct dns {
	struct event_base *base;
	struct registry *reg;
	struct dns_config config; /* its strings are its own */
	char *domain, *datacenter;
	uint8_t zone[DNS_NAME_MAX]; /* the domain as on the wire */
	size_t nzone;
	struct sockaddr_storage recursors[DNS_RECURSORS];
	socklen_t recursor_len[DNS_RECURSORS];
	unsigned nrecursors;
	TAILQ_HEAD(, dns_listener) listeners;
	TAILQ_HEAD(, dns_listener) waiting; /* those with datagrams, the next to be served first */
	TAILQ_HEAD(, dns_conn) asking;	    /* connections with messages, likewise */
	struct dns_turn turn[DNS_TURNS];
	struct event turn_over;
	struct event resume; /* with the connections that did not come to their turn */
	uint32_t next_listener;
	uint64_t ports;	 /* counts changes of ports */
	uint64_t random; /* state of dns_random() */
	struct dns_cache cache;
	struct dns_soa soa[DNS_SOAS];
	ldns_buffer *record; /* what one is encoded in */
	struct dns_index index;
	struct dns_tags tags[DNS_TAG_SLOTS];
	struct dns_info info;
	unsigned nconns, nforwards;
	struct dns_batch *batch;
	/* space for one message by TCP and its answer */
	uint8_t in[DNS_QUERY_MAX];
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
/** Its name as text in lower case, without the last dot; "": the root. It stays in query->name. */
const char *dns_query_name(struct dns_query *query);
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
const struct dns_answer *dns_cache_get(struct dns *dns, struct dns_query *query);

/* chase.c */
/** Is the answer a CNAME that was not asked for itself? Then *target asks what the client wants to know of it. */
bool dns_chase_question(
	const struct dns_query *query, const struct dns_answer *answer, struct dns_query *target);
/** That question as a message for recursors. Returns its length. */
size_t dns_chase_message(const struct dns_query *target, uint8_t out[DNS_HEADER + DNS_NAME_MAX + 4]);
/** The reply with what is behind the alias, or -EAGAIN: *query goes to the recursors. */
ssize_t dns_chase(struct dns *dns, struct dns_query *query, const struct dns_query *target, uint8_t *out);
/** The reply with the alias and the answers of the message `found` (len 0: none was found). */
size_t dns_chase_reply(
	struct dns *dns, struct dns_query *query, const uint8_t *found, size_t len, uint8_t *out);

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

/* resolve.c */
/** Fills a fresh answer, of which the name is known (dns_query_name()), with records in `wire`. -ENOMEM. */
int dns_resolve(struct dns *dns, const struct dns_query *query, struct dns_answer *answer, ldns_buffer *wire);

/* index.c */
/** The node or service of this name in lower case, of those that have a capital in theirs; NULL: none. */
const struct reg_node *dns_index_node(struct dns *dns, const char *name);
struct service *dns_index_service(struct dns *dns, const char *name);
/** The nodes with this address, side by side; their number in *n. */
const struct dns_node_address *dns_index_at(struct dns *dns, struct ip_addr address, size_t *n);
void dns_index_close(struct dns_index *index);

/* service.c */
/** The service and, in what precedes its name, the tag ("": none); NULL: there is none. */
struct service *dns_service_of(struct dns *dns, const struct dns_name *name, char tag[DNS_NAME_MAX + 1]);
struct service *dns_service_named(struct dns *dns, const char *name);

/* record.c */
struct dns_build {
	struct dns *dns;
	const struct dns_query *query;
	struct dns_answer *answer;
	ldns_buffer *wire;
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

/* turn.c */
void dns_turn_open(struct dns *dns);
void dns_turn_close(struct dns *dns);
/** Is there any left of its time in this turn of the event loop? */
bool dns_turn_has_time(struct dns *dns, enum dns_turn_of of);

/* burst.c */
/** Takes in an answer, at most DNS_UDP_BATCH of them; all that is pointed to stays until they are sent. */
void dns_burst_add(
	struct dns_burst *burst, const struct sockaddr *peer, socklen_t npeer, uint8_t *data, size_t len);
void dns_burst_send(struct dns_burst *burst, struct dns_listener *listener);

/* udp.c */
/** Space for one batch of datagrams and their answers; NULL: no memory. */
struct dns_batch *dns_batch_new(void);
void dns_batch_free(struct dns_batch *batch);
/** The listener closes: it waits no longer. */
void dns_udp_leave(struct dns_listener *listener);
void dns_udp_ready(evutil_socket_t fd, short what, void *listener);

/* tcp.c */
void dns_tcp_resume(evutil_socket_t fd, short what, void *dns);
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

/*
 * lb.h: what the files of load balancing share: service.c (control changes services), publish.c (shows them to
 * workers), info.c (control looks), stage.c (packets), view.c (what workers see of a network's services).
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "dataplane/core/worker.h"
#include "dataplane/lb/backend.h"
#include "dataplane/lb/conn.h"
#include "dataplane/lb/maglev.h"
#include "dataplane/lb/recent.h"
#include "dataplane/lb/told.h"

enum {
	MAX_SERVICES = 32768,
	LB_VIP_ROWS = 8192,
	LB_BACKENDS = 16384, /* of a service */
	LB_FRAGMENTS = 64,
	LB_AFFINITIES = 1 << 16,
};

enum { LB_WHOLE = 1 << 16 };

/* A service: immutable, replaced as a whole. Workers reach it through a view. */
struct service {
	uint32_t id;
	uint32_t vip;  /* of IPv4, the same as `address`; 0: IPv6 */
	uint16_t port; /* network byte order */
	uint16_t more; /* ports that follow it */
	uint16_t net;
	uint8_t protocol;
	bool rejects;	      /* who asks in vain is told so */
	bool least;	      /* the table's choice is left for a backend that is less busy (least.h) */
	bool even;	      /* all active backends have the same weight */
	uint32_t first, last; /* ids of the active backends of the lowest and the highest address */
	uint32_t nbackends;
	uint64_t slow_start; /* cycles over which the share of a backend grows; 0: it has all at once */
	uint32_t affinity_s; /* a client's connections go to one backend; 0: each is chosen for itself */
	struct ip_addr address;
	struct maglev *table; /* NULL: no active backend */
	bool near;	      /* those at a distance are asked in its order; `table` has what is left */
	struct lb_near {
		struct maglev *table; /* of the active ones; NULL: none is */
		uint32_t part;	      /* of LB_WHOLE: connections that may go there */
	} at[DP_DISTANCES];
	uint32_t backend[]; /* [nbackends] ids, sorted by address, then port, in host byte order */
};

/* How far behind the service's first port is `port`? More than s->more: it is not the service's. */
static inline uint16_t lb_port_offset(const struct service *s, uint16_t port)
{
	return (uint16_t)(__builtin_bswap16(port) - __builtin_bswap16(s->port));
}

/* All ports in network byte order. */
static inline uint16_t lb_port_plus(uint16_t port, uint16_t offset)
{
	return __builtin_bswap16((uint16_t)(__builtin_bswap16(port) + offset));
}

/* A place of an open-addressed hash table in a view. */
struct lb_place {
	uint32_t ip;
	uint32_t backend; /* its id, in the table of backends */
	uint16_t port;	  /* network byte order; 0: of a service with several, whichever */
	uint8_t protocol; /* 0: the place is empty */
	const struct service *service;
};

struct lb_places {
	uint32_t mask; /* places - 1 */
	struct lb_place *place;
};

/* A vip that some service has, in an open-addressed table; 0 is none. */
struct lb_vip {
	uint32_t ip;
	bool rejects; /* one of its services tells who asks in vain */
};

/* A set of addresses that may say yes to others too: a bit for each, by a hash. */
struct lb_filter {
	uint32_t mask; /* bits - 1 */
	uint64_t *word;
};

/* The same three of IPv6, found by a hash under the view's key. */
struct lb_vip6 {
	struct ip_addr ip; /* none: the place is empty */
	bool rejects;
};

struct lb_place6 {
	struct ip_addr ip;
	uint32_t backend;
	uint16_t port;
	uint8_t protocol; /* 0: the place is empty */
	const struct service *service;
};

struct lb_places6 {
	uint32_t mask;
	struct lb_place6 *place;
};

/* A network's services of IPv6. */
struct lb_view6 {
	struct lb_filter vips, sources; /* by lb_fold6() */
	struct lb_vip6 *vip;
	uint32_t vip_mask;
	struct lb_places6 services, backends;
	bool ranges; /* some service has several ports */
	uint64_t key[2];
};

/* The services of one network as workers see them: immutable, replaced as a whole. */
struct lb_view {
	struct lb_filter sources; /* addresses of backends */
	struct lb_vip *vip;	  /* [vip_mask + 1], by address */
	uint32_t vip_mask;
	struct lb_places services; /* by vip, port, protocol: a vip may have thousands of services */
	struct lb_places backends; /* by address, port, protocol; one for each service that has it */
	bool ranges;		   /* some service has several ports, and is found by port 0 */
	uint64_t key[2];	   /* of the hashes of services and backends, which tenants choose */
	bool least;		   /* a service's policy is that: inbound.h */
	struct lb_view6 *ip6;	   /* NULL: it has none of IPv6 */
};

/* Written beside the entry that it belongs to, which has lb_fold6() of it. */
struct fragment_vip {
	_Atomic(uint64_t) q[2];
};

struct lb {
	struct dp *dp;
	struct conn_table *conns;
	uint64_t key[2];	 /* lb_view.key */
	struct backend *backend; /* [dp.config.backends], of `backends` */
	struct backend_table *backends;
	struct conn_table *inbound; /* inbound.h */
	struct told *told;	    /* [dp.config.backends] */
	struct told_host told_host[MAX_VTEPS];
	uint32_t told_fresh;	     /* ticks */
	uint32_t told_s;	     /* when anything was told; 0: never */
	_Atomic(uint32_t) seek_s;    /* when a backend was last looked for (seek.h), 0: never */
	_Atomic(uint32_t) seek_pass; /* how often all that look for one have had all of theirs asked */
	_Atomic(uint32_t) stray_s;   /* when an answer was nobody's (stray.h), 0: never */
	_Atomic(bool) restoring;     /* dp_restoring() */
	_Atomic(uint64_t)
		stray_full[MAX_PORTS]; /* bucket.h: of entries made for such answers, by the client's port */
	recent_t affinity[LB_AFFINITIES]; /* affinity.c */
	recent_t fragment[MAX_PORTS + MAX_NETS]
			 [LB_FRAGMENTS]; /* fragment.c: by port, behind a tunnel by network */
	struct fragment_vip vip6[MAX_PORTS + MAX_NETS]
				[LB_FRAGMENTS]; /* of answers over IPv6, at the same places */
	struct held_frame *held;		/* hold.c */
	_Atomic(uint32_t) held_parts;		/* with something in them */
	/* control only */
	bool balances, balances6,
		least;		    /* there is, or was, a vip of IPv4, of IPv6, one whose policy is that */
	uint64_t drain_at, seek_at; /* drain_ask(), service_seek_ask(): which connections are next */
	uint32_t seek_from;	    /* and which of its backends */
	bool seek_any, seek_found; /* does one look, by the last walk through all; and by this one, so far? */
	uint32_t seek_turn;
	struct service *service[MAX_SERVICES];
	uint32_t service_end, service_low;		       /* none from here on; none is free below */
	uint32_t vip_row[LB_VIP_ROWS], vip_next[MAX_SERVICES]; /* publish.c: by network and vip */
	struct lb_view *view[MAX_NETS];			       /* the ones in use */
	unsigned batch;					       /* depth */
	struct lb_change *changes, **last_change; /* that workers do not see yet, in their order */
	struct lb_view *fresh[MAX_NETS];	  /* while they are shown: the next ones, */
	bool renewed[MAX_NETS];			  /* of those that have changed */
};

/** Who may look at `s`. The service's backend at an address and port (host byte order). `s` may be NULL. -ENOENT.
 */
int lb_find_backend(
	const struct lb *lb, const struct service *s, struct ip_addr address, uint16_t port, uint32_t *id);

/** Any thread. The id in the slot of `hash`; `table` is one of the service's. */
static inline uint32_t lb_slot_backend(const struct service *s, const struct maglev *table, uint32_t slot)
{
	return s->backend[maglev_at(table, slot)];
}

/** A hash of an address that costs a packet next to nothing: anybody finds addresses that share theirs. 24 bits. */
static inline uint32_t lb_spread(uint32_t ip)
{
	return (uint32_t)((ip * UINT64_C(0x9e3779b97f4a7c15)) >> 40);
}

static inline bool lb_filter_has(const struct lb_filter *filter, uint32_t ip)
{
	uint32_t bit = lb_spread(ip) & filter->mask;

	return filter->word[bit / 64] >> (bit % 64) & 1;
}

/** The entry of the vip, or the empty one where it belongs. Asked for every packet, so the hash is a cheap one: only the
 * operator chooses vips. */
static inline struct lb_vip *lb_vip_at(const struct lb_view *view, uint32_t ip)
{
	uint32_t i = lb_spread(ip) & view->vip_mask;

	while (view->vip[i].ip && view->vip[i].ip != ip)
		i = (i + 1) & view->vip_mask;
	return &view->vip[i];
}

/** lb_is_vip(), to be inlined. */
static inline bool lb_view_has_vip(const struct lb_view *view, uint32_t vip)
{
	return lb_vip_at(view, vip)->ip;
}

/** Of an address what lb_filter_has() is asked about. */
static inline uint32_t lb_fold6(struct ip_addr ip)
{
	return (uint32_t)((ip.q[0] * UINT64_C(0x9e3779b97f4a7c15) ^ ip.q[1] * UINT64_C(0xd6e8feb86659fd93)) >>
			  32);
}

/** Control thread. What makes and fills a filter of about `n` addresses. -ENOMEM. */
int lb_filter_open(struct lb_filter *filter, uint32_t n);
void lb_filter_add(struct lb_filter *filter, uint32_t ip);
/** The size of an open-addressed table for `n`: a power of two, at most half full. */
uint32_t lb_table_size(uint32_t n);

/** Control thread. A view of network `net` with the services that lb has. Returns 0 or -ENOMEM; *view is NULL when the
 * network has no services. */
int lb_view_build(const struct lb *lb, uint16_t net, struct lb_view **view);
/** NULL is allowed. */
void lb_view_free(struct lb_view *view);

/** Worker. The service of a vip (port in network byte order), NULL when it has none there. */
const struct service *lb_view_service(
	const struct lb_view *view, uint32_t vip, uint16_t port, uint8_t protocol);

/** Worker. Is a client told that no service has the port that it asks this vip for? If one of the vip's services wants it. */
bool lb_view_rejects(const struct lb_view *view, uint32_t vip);

/**
 * Worker. Places of a backend, one for each service that has it: call with *at = 0 first, until NULL. Port in
 * network byte order; 0: those of services with several ports.
 */
const struct lb_place *lb_view_backend(
	const struct lb_view *view, uint32_t ip, uint16_t port, uint8_t protocol, uint32_t *at);

/* view6.c: the same for IPv6 */

/** Control thread. *view of `nservices` services of IPv6 with `nbackends` backends, none of them yet; freed with
 * lb_view6_free(). -ENOMEM. */
int lb_view6_open(const struct lb *lb, uint32_t nservices, uint32_t nbackends, struct lb_view6 **view);
void lb_view6_add(const struct lb *lb, struct lb_view6 *view, const struct service *s);
/** NULL is allowed. */
void lb_view6_free(struct lb_view6 *view);

const struct service *lb_view6_service(
	const struct lb_view6 *view, struct ip_addr vip, uint16_t port, uint8_t protocol);
bool lb_view6_rejects(const struct lb_view6 *view, struct ip_addr vip);
const struct lb_place6 *lb_view6_backend(
	const struct lb_view6 *view, struct ip_addr ip, uint16_t port, uint8_t protocol, uint32_t *at);

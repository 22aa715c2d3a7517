/*
 * dataplane.h: what control may do with the dataplane. The only header of dataplane/ that control includes.
 *
 * Everything here is called on the control thread, except where a function says otherwise. Functions return 0
 * or -errno; where a `struct dp_err` is given, a failure leaves one line for the user in it. A call either
 * takes effect whole or changes nothing. Names are control's business: the dataplane knows indices.
 *
 * Ports and VNIs are in host byte order. Addresses are of either family (addr/ip.h), but for a network's `subnet`
 * and `gateway`, which are IPv4 in network byte order and have their like of IPv6 beside them. What the workers cannot do for IPv6 yet (vips, their backends,
 * the underlay) is refused here, by field. Behind this header an IPv4 address is four bytes wherever workers read it:
 * the key of a connection is two words, so that each side of it is one cache line (lb/conn.h). With sixteen bytes an
 * address, each packet would touch another line, whichever family it is of.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr/ip.h"

struct dp;

struct dp_err {
	char text[200];
};

/** Writes a line into `err` (when not NULL) and returns `rc`, so that `return dp_fail(...)` reads well. */
int dp_fail(struct dp_err *err, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* The control thread's event loop, lent to the dataplane for vhost-user sockets and timers. */
enum { DP_READ = 1, DP_WRITE = 2 };
struct dp_loop {
	void *ctx;
	/** Watches fd, level-triggered, until fd_del. Returns a handle, NULL on failure. */
	void *(*fd_add)(
		void *ctx, int fd, unsigned events, void (*fn)(void *arg, unsigned events), void *arg);
	void (*fd_del)(void *ctx, void *handle);
	/** Calls fn every `ms` until timer_del. */
	void *(*timer_add)(void *ctx, unsigned ms, void (*fn)(void *arg), void *arg);
	void (*timer_del)(void *ctx, void *handle);
};

/* Where a MAC is: at a port or behind a vtep; the other is UINT16_MAX. */
struct dp_location {
	uint16_t port, vtep;
};

/* A MAC that was seen elsewhere than where it was. */
enum dp_move_what {
	DP_MOVED,
	DP_MOVE_HELD,	/* it has moved too often (dp_network.mac_moves), and stays at `from` for now */
	DP_MOVE_STICKY, /* it stays, for `from` lets none go (dp_port.mac_action) */
	DP_MOVE_OWNED,	/* it stays, for it is the port's own */
};

struct dp_move {
	uint16_t net;
	uint8_t mac[6];
	struct dp_location from, to;
	enum dp_move_what what;
	uint64_t left_out; /* further moves since the last one told */
};

/* Another host that BFD watches, by its address in the underlay; several networks may have vteps there. */
struct dp_peer {
	struct ip_addr remote;
	const char *state; /* admin-down, down, init, up (RFC 5880) */
	const char *why;   /* not up; "": nobody knows */
	bool up;
	bool lost; /* it was up */
	bool cut;  /* and nothing is sent to it */
	uint32_t interval_ms;
	uint8_t multiplier;
	uint32_t detect_ms; /* of silence, after which it is lost; 0: not up */
	uint64_t downs;	    /* times that it was lost */
};

enum dp_hugepages { DP_HUGE_AUTO, DP_HUGE_ON, DP_HUGE_OFF };
enum dp_idle { DP_IDLE_ADAPTIVE, DP_IDLE_POLL, DP_IDLE_INTERRUPT };

struct dp_config {
	int main_core;	  /* of the control thread; -1: wherever the scheduler puts it */
	const int *cores; /* one worker each */
	unsigned ncores;
	unsigned memory_mb; /* DPDK's memory, touched lazily without hugepages */
	enum dp_hugepages hugepages;
	enum dp_idle idle;
	uint32_t fdb_size;  /* entries */
	uint32_t conn_size; /* connections */
	uint32_t backends; /* of all services together, one for each port of a vip; DP_BACKENDS_MAX at most */
	struct dp_loop loop;
	void (*on_link)(void *ctx, uint16_t port, bool up); /* on the control loop */
	void (*on_move)(
		void *ctx, const struct dp_move *move); /* the same; a few a second; NULL: nobody cares */
	void (*on_peer)(void *ctx, const struct dp_peer *peer); /* the same; NULL: nobody cares */
	void *ctx;
};

/** Starts DPDK and the workers. One dataplane a process. Errors: -EINVAL, -ENOMEM, -EBUSY (already open). */
int dp_open(const struct dp_config *config, struct dp **dp, struct dp_err *err);
/**
 * Does the kernel lack the means to notify a guest without waiting for it (vhost/notify.h)? Then a hostile
 * guest can hold up its worker.
 */
bool dp_guests_can_block(const struct dp *dp);
/** May the workers read and write several frames of a TAP in one system call (core/uring.h)? 0, or the -errno that says why not. */
int dp_uring(const struct dp *dp);
/**
 * Would dp_open() refuse `config` (cores and sizes in range) for what this machine has? Touches nothing. -ENOMEM
 * (more memory than there is), -ENOENT (no huge pages) with a line in `err`.
 */
int dp_check(const struct dp_config *config, struct dp_err *err);
/** Stops the workers and frees everything. NULL is allowed. */
void dp_close(struct dp *dp);
/** Before the process ends in the middle of dp_open(): takes away what would stay. For a signal handler. */
void dp_abandon(void);

/* What goes between a network and the world outside by an uplink, under its address. */
enum dp_egress {
	DP_EGRESS_OUT = 1, /* what guests begin */
	DP_EGRESS_IN = 2,  /* what is begun with a published port (dp_publish()) */
};

enum dp_mode { DP_BRIDGE, DP_HOST, DP_OVERLAY, DP_P2P };

struct dp_network {
	enum dp_mode mode;
	uint32_t vni;	 /* overlay; of mode host, when it reaches over several hosts (dp_network_hosts()) */
	uint32_t subnet; /* 0: none */
	uint8_t prefix;
	uint32_t gateway;	  /* 0: none */
	struct ip_prefix subnet6; /* IPv6; its address none: none */
	struct ip_addr gateway6;  /* none: none */
	uint16_t mtu;
	uint32_t age_s;	    /* of a dynamic fdb entry; 0: never */
	uint32_t mac_limit; /* dynamic fdb entries; 0: its share of the table, and what others leave */
	uint8_t mac_moves;  /* that a MAC may make in a second; 0: any number */
	uint8_t egress;	    /* bits of enum dp_egress; with a subnet and a gateway of IPv4 */
};

/** The anycast MAC that answers for gateways and vips: never learned, never sent or taken over a vtep. */
extern const uint8_t dp_router_mac[6];

/** Errors: -ENOSPC (too many), -EEXIST (the VNI is taken). */
int dp_network_add(struct dp *dp, const struct dp_network *spec, uint16_t *id, struct dp_err *err);
/** The most that mac_moves may be. */
enum { DP_MAC_MOVES_MAX = 30 };

/** Changes mtu, age_s, mac_limit, mac_moves, egress (and the gateways); mode, vni, subnets stay. */
int dp_network_set(struct dp *dp, uint16_t id, const struct dp_network *spec, struct dp_err *err);
/** The network must have no ports, vteps and services left: -EBUSY. */
int dp_network_del(struct dp *dp, uint16_t id);

/* clang-format off */
/* The kinds of port there are: number, name in the API, operations (port/types.c). */
#define DP_PORT_TYPE_LIST(X) \
	X(DP_VHOST_USER, "vhost-user", port_vhost_ops) \
	X(DP_TAP, "tap", port_tap_ops) \
	X(DP_AF_PACKET, "af_packet", port_af_packet_ops) \
	X(DP_AF_XDP, "af_xdp", port_af_xdp_ops) \
	X(DP_NULL, "null", port_eth_ops) \
	X(DP_PCAP, "pcap", port_eth_ops) \
	X(DP_ETH, "eth", port_eth_ops)

enum dp_port_type {
#define X(id, name, ops) id,
	DP_PORT_TYPE_LIST(X)
#undef X
	DP_PORT_TYPES
};
/* clang-format on */

#define DP_NET_NONE UINT16_MAX
#define DP_IPS_MAX 8
#define DP_ALLOW_MAX 64

/* What a port may send from, and is sent (guard.h). */
enum dp_security {
	DP_SECURITY_OFF,  /* anything */
	DP_SECURITY_MAC,  /* from its own MACs, to its own MACs */
	DP_SECURITY_FULL, /* and from its own addresses, whatever carries them */
};

/* A source that a port has besides its own MAC and addresses. */
struct dp_allow {
	struct ip_addr address; /* with has_prefix: these from this MAC; else the port's own from this MAC */
	uint8_t len;		/* bits of the prefix, as in struct ip_prefix */
	bool has_prefix;
	uint8_t mac[6];
};
static_assert(sizeof(struct dp_allow) == 24, "compared as bytes");

/* The most of one direction of a port in a second, and at once. */
struct dp_rate {
	uint64_t bits;	  /* of Ethernet frames, without what a wire adds; 0: no limit, else 8,000 at least */
	uint64_t burst;	  /* bytes, up to 4 GB; 0: a quarter of a second's, 256 KB at least */
	uint32_t packets; /* 0: no limit */
	uint32_t packet_burst; /* up to a million; 0: a quarter of a second's, 32 at least */
};

/* What happens to a frame of a new MAC of a port that has as many as it may. */
enum dp_mac_action {
	DP_MAC_DROP,
	DP_MAC_FLOOD,  /* it goes on, and the MAC is not learned */
	DP_MAC_STICKY, /* as drop; besides, MACs learned at the port do not move away */
};

struct dp_port {
	enum dp_port_type type;
	uint16_t net; /* DP_NET_NONE: an uplink */
	bool gateway; /* the network's gateway port */
	uint8_t mac[6];
	struct ip_addr ips[DP_IPS_MAX]; /* of the guest behind a port; used to find a backend's MAC */
	unsigned nips;
	enum dp_security security;
	bool trusted; /* may answer DHCP and advertise itself as a router */
	struct dp_allow allow[DP_ALLOW_MAX];
	unsigned nallow;
	uint16_t mtu;
	uint16_t queues; /* vhost-user: queue pairs 1..8 */
	/* polled by the worker on `core`, one of dp_config.cores, which then polls no port that does not ask for it */
	bool pinned;
	int core;
	/* vhost-user */
	const char *socket;
	bool client;		   /* the switch connects, the guest listens */
	bool packed;		   /* offer packed rings */
	uint64_t mask;		   /* virtio feature bits not to offer */
	const char *owner, *group; /* of the socket; NULL: the daemon's */
	uint32_t socket_mode;	   /* 0660 */
	uint32_t memory_mb;	   /* that the guest may share; 0: 64 GB, or as much as the machine has */
	/* tap: one open /dev/net/tun fd a queue, IFF_VNET_HDR with a 12-byte header, non-blocking; the port
	 * owns them from here on, also when adding fails. None: they come later, by dp_port_plug() */
	int fds[8];
	unsigned nfds;
	/* af_packet, af_xdp */
	const char *device;
	/* eth, pcap */
	const char *devargs, *file;
	/* of a network's port */
	struct dp_rate in, out; /* what its guest sends; what is delivered to it */
	uint32_t storm_pps;	/* frames of its guest that are flooded, a second; 0: no limit */
	uint32_t mac_limit;	/* MACs learned at it; 0: no limit */
	enum dp_mac_action mac_action;
	/* uplink */
	struct ip_prefix address; /* its own, with the prefix of its link; none: none */
	struct ip_addr next_hop;  /* gateway; none: only the prefix is reached */
	uint16_t vxlan_port;	  /* 4789 */
	bool zero_checksum;	  /* VXLAN over IPv6 is sent without a UDP checksum */
};

/**
 * Adds a port or, with net = DP_NET_NONE, an uplink, while traffic flows. Strings are copied. Errors of `core`: -EINVAL
 * (not a worker's), -EBUSY (no worker would be left for ports that ask for none).
 */
int dp_port_add(struct dp *dp, const struct dp_port *spec, uint16_t *id, struct dp_err *err);
/** Would dp_port_add take pinned and core of `spec`? 0, or an error as it gives it. Control thread. */
int dp_port_core_check(struct dp *dp, const struct dp_port *spec, struct dp_err *err);
/** Changes mac, ips, mtu, in, out, storm_pps, pinned and core, mac_limit, mac_action, memory_mb (for what the guest
 * shares from then on), security, trusted, allow. */
int dp_port_set(struct dp *dp, uint16_t id, const struct dp_port *spec, struct dp_err *err);
int dp_port_del(struct dp *dp, uint16_t id);
/** Is it a TAP port that has no interface, or whose interface was deleted? */
bool dp_port_lost(struct dp *dp, uint16_t id);
/**
 * Gives a TAP port that has lost its interface another: one fd a queue, as when it
 * was added, the port's own from here on. Errors: -EINVAL (it has one), with the fds still the caller's.
 */
int dp_port_plug(struct dp *dp, uint16_t id, const int *fds);
/** A TAP port gives up its interface, which is gone with that. */
void dp_port_unplug(struct dp *dp, uint16_t id);

struct dp_port_info {
	bool up;
	uint16_t queues;
	uint64_t rx_packets, rx_bytes, tx_packets, tx_bytes;
	uint64_t rx_drops, tx_drops; /* of frames that came from it; of frames on their way to it */
	/* of those: over storm_pps, and over the rates of `in` and `out` */
	uint64_t storm_drops, rate_in_drops, rate_out_drops;
	uint64_t throttled; /* times that it was made to wait for the time that it had cost its worker */
	uint64_t mac_limit_drops; /* of rx_drops: of MACs over mac_limit */
	uint64_t unlearned;	  /* frames that went on though their MAC was over it (DP_MAC_FLOOD) */
	uint32_t macs;		  /* learned at it now */
	uint64_t punts_left_out;  /* ARP answers to the switch's own requests beyond 100 a second */
	uint64_t spoofed;	  /* of rx_drops: from or for an address that is not its own */
};
int dp_port_info(struct dp *dp, uint16_t id, struct dp_port_info *info);

/* What a vhost-user port's front-ends have done. */
struct dp_port_guest {
	uint64_t ends;	 /* connections that ended */
	uint64_t faults; /* of them by a front-end that broke the rules, or took its memory away */
	uint64_t memory, memory_limit; /* bytes that it shares now, and may share */
	char last_end[80];	       /* why the last one did; empty: none */
};
int dp_port_guest(struct dp *dp, uint16_t id, struct dp_port_guest *guest);

/** A remote tunnel end point of an overlay network. Errors: -EINVAL, -EEXIST, -ENOSPC. */
int dp_vtep_add(struct dp *dp, uint16_t net, struct ip_addr remote, uint16_t *id, struct dp_err *err);
int dp_vtep_del(struct dp *dp, uint16_t id);

enum dp_vtep_state { DP_VTEP_NO_UPLINK, DP_VTEP_RESOLVING, DP_VTEP_UP, DP_VTEP_DOWN /* BFD says so */ };
struct dp_vtep_info {
	enum dp_vtep_state state;
	uint16_t uplink; /* port id, UINT16_MAX: none */
	uint8_t mac[6];	 /* of the next hop, when up */
};
int dp_vtep_info(struct dp *dp, uint16_t id, struct dp_vtep_info *info);

enum { DP_BFD_MS_MIN = 10, DP_BFD_MS_MAX = 60000 };

/**
 * Watches the vtep's host by BFD (RFC 5880): a packet every interval_ms, and `multiplier` lost ones mean that it is dead. 0:
 * no longer. Of several vteps at one host the shortest interval counts, with its multiplier. -ENOENT, -ENOMEM.
 */
int dp_vtep_watch(struct dp *dp, uint16_t id, uint32_t interval_ms, uint8_t multiplier);

/** -ENOENT: nobody watches it. */
int dp_peer_info(struct dp *dp, struct ip_addr remote, struct dp_peer *peer);
/** Returns how many peers there are, fills at most `max`. */
size_t dp_peers(struct dp *dp, struct dp_peer *out, size_t max);

struct dp_peers_sum {
	unsigned peers, up, lost, cut;
	bool hold;	/* so many were lost together that none is cut */
	uint64_t holds; /* times that this began */
};
void dp_peers_sum(struct dp *dp, struct dp_peers_sum *sum);

/** The vtep behind which `ip` was last heard of in the network, by its neighbour entry there. -ENOENT: none, or not known. */
int dp_vtep_of(struct dp *dp, uint16_t net, struct ip_addr ip, uint16_t *vtep);
/** Calls fn for each address that dp_vtep_of() finds behind this vtep. */
void dp_vtep_walk(struct dp *dp, uint16_t vtep, void (*fn)(void *arg, struct ip_addr ip), void *arg);

/** Neighbours of an uplink (or, for backends, of a network). Returns how many there are, fills at most `max`.
 */
struct dp_neighbour {
	struct ip_addr ip;
	uint8_t mac[6];
	bool reachable;
};
size_t dp_neighbours(struct dp *dp, uint16_t uplink, struct dp_neighbour *out, size_t max);

struct dp_fdb_entry {
	uint16_t net;
	uint8_t mac[6];
	uint16_t port; /* UINT16_MAX when behind a vtep */
	uint16_t vtep; /* UINT16_MAX when on a port */
	bool is_static;
	uint32_t age_s;
};

/** Adds a static entry to a port or vtep of the network. Errors: -EINVAL, -EEXIST (static already), -ENOSPC.
 */
int dp_fdb_add(struct dp *dp, const struct dp_fdb_entry *entry);
/** Errors: -ENOENT. */
int dp_fdb_del(struct dp *dp, uint16_t net, const uint8_t mac[6]);
/** Forgets the dynamic entries of a network, DP_NET_NONE: of all. */
void dp_fdb_flush(struct dp *dp, uint16_t net);
/** Calls fn for each live entry; fn returns false to stop. */
void dp_fdb_walk(struct dp *dp, bool (*fn)(void *arg, const struct dp_fdb_entry *entry), void *arg);
/** The same for at most a thousand or two of them from *at on (0 at first), which it moves. False: that was
 * the end. What comes, goes or moves meanwhile may be missed or met twice. */
bool dp_fdb_walk_part(
	struct dp *dp, uint64_t *at, bool (*fn)(void *arg, const struct dp_fdb_entry *entry), void *arg);

/* An address of a guest on another host. */
struct dp_known {
	struct ip_addr ip;
	uint8_t mac[6];
};

/**
 * From now on ARP and neighbour solicitations for these addresses are answered in the network itself, at the port that
 * asks, and not flooded; the last of two that are the same counts. `closed`: frames to a MAC that the fdb does not have
 * are dropped, for all there are are known. n 0 and not closed: as any other network. Errors: -ENOENT, -ENOMEM (the old
 * ones stay).
 */
int dp_network_known(struct dp *dp, uint16_t net, const struct dp_known *known, size_t n, bool closed);

/** Control thread. The id of the port of the network that has the address; -ENOENT. By a table, however many ports there are. */
int dp_port_of_ip(struct dp *dp, uint16_t net, struct ip_addr ip);

/* A part of a network's subnet whose addresses are at another host, and the MAC that stands for that host. */
struct dp_range {
	struct ip_prefix prefix;
	uint8_t mac[6];
};

/**
 * The same by ranges, of a network of mode host: what is sent to another host goes to that host's MAC, which is to have an
 * entry of the fdb that leads to a vtep. This host is `own` to the others: what comes for that MAC goes to who has the
 * address, and the gateway sends from it through vteps. Nothing is flooded through them. The prefixes are sorted, have no
 * bits beyond their length, and none holds another. `own` NULL: no other host has a part. Instead of dp_network_known().
 * Errors: -ENOENT, -ENOMEM, -ENOSPC (the fdb; the old ones stay).
 */
int dp_network_hosts(
	struct dp *dp, uint16_t net, const uint8_t *own, const struct dp_range *ranges, size_t n);

enum dp_protocol { DP_TCP = 6, DP_UDP = 17, DP_SCTP = 132 };

/* How far a backend is from the clients of this host. */
enum dp_distance { DP_SAME_HOST, DP_SAME_ZONE, DP_FAR, DP_DISTANCES };

struct dp_backend {
	struct ip_addr address;
	uint16_t port;
	uint16_t weight; /* 0: no new connections (drained or critical); the ones it has go on */
	bool dead;	 /* its connections are lost: packets of them choose anew (port down) */
	bool draining; /* with weight 0: the connections that it has go on until drain_ms after this was first so */
	bool resets; /* TCP connections that are left then are reset, at both ends; else it is dead then */
	uint32_t drain_ms; /* 0: until they end */
	uint8_t distance;  /* enum dp_distance; with dp_service.near */
};

struct dp_service {
	uint16_t net;
	struct ip_addr vip;
	uint16_t port;
	enum dp_protocol protocol;
	const struct dp_backend *backends;
	size_t nbackends;
	bool rejects; /* a client that no backend can serve, or that asks the vip for another port, is told so */
	bool least; /* a new connection goes to another backend than the hash's where that is much busier */
	/* All connections of a client, by its address, go to one backend, which it keeps for so long after the last one
	 * was made when others come and go. 0: each is chosen for itself. DP_AFFINITY_MAX at most. */
	uint32_t affinity_s;
	/* The share of a backend that comes, or comes back, grows from nothing over so long. DP_SLOW_START_MAX_MS at
	 * most. */
	uint32_t slow_start_ms;
	/* So many ports that follow `port` are the service's too: each leads to the port as far behind a backend's. */
	uint16_t more_ports;
	/* New connections go to the nearest backends, by `distance`, while enough of those are active: with 1.4 times
	 * the share that is, at most all; the others to those beyond. */
	bool near;
};

#define DP_BACKENDS_MAX (1 << 20)
#define DP_AFFINITY_MAX 86400
#define DP_SLOW_START_MAX_MS 3600000

#define DP_SERVICE_NONE UINT32_MAX

/**
 * Makes or replaces a service; *id is DP_SERVICE_NONE to make one. When it returns, every worker runs on the
 * new backends. Connections to backends that stay go on. Errors: -EEXIST (vip, port, protocol taken),
 * -ENOSPC.
 */
int dp_service_put(struct dp *dp, const struct dp_service *spec, uint32_t *id, struct dp_err *err);
int dp_service_del(struct dp *dp, uint32_t id);
/**
 * What is put and deleted until the matching end is shown to workers by that, all of it at once; pairs may nest. When
 * there is no memory for that, they run on what they had until there is.
 */
void dp_services_begin(struct dp *dp);
void dp_services_end(struct dp *dp);

/**
 * While objects are restored (`yes`), as after a crash, services may not be there yet whose connections go on: TCP in the
 * middle of a connection to a vip waits (its sender sends again), and guests' refusals of segments of no connection are
 * dropped, for they may be of one that a vip hides.
 */
void dp_restoring(struct dp *dp, bool yes);

struct dp_backend_info {
	uint64_t packets, bytes, connections; /* connections: alive now */
	/* Connections that it was to answer, since it was made; those that got something else than a reset, and
	 * those that got one. Withdrawn: ended before an answer for another reason than time, so that they say
	 * nothing about the backend; of these only differences mean something. */
	uint64_t opened, answered, refused;
	uint32_t withdrawn;
	/* Of the connections made while the service's policy was `least`, as far as this host balances them. */
	uint64_t in_flight;  /* requests that wait for an answer, and connections that have not asked yet */
	uint64_t latency_us; /* from a request to the first of its answer, a moving average; 0: not known */
	/* What its own host's switch told of it: everybody's requests. `told`: there is something, and it is fresh. */
	uint64_t told_in_flight;
	uint32_t told_age_ms;
	bool told;
	bool resolved;		/* its MAC is known */
	bool drains;		/* until a deadline */
	uint32_t drain_left_ms; /* until then; 0: it is over */
};
int dp_backend_info(
	struct dp *dp, uint32_t service, struct ip_addr address, uint16_t port, struct dp_backend_info *info);

enum dp_conn_state { DP_CONN_NEW, DP_CONN_ESTABLISHED, DP_CONN_CLOSING };
struct dp_conn {
	uint32_t service;
	struct ip_addr client, vip, backend;
	uint16_t client_port, vip_port, backend_port;
	enum dp_protocol protocol;
	enum dp_conn_state state;
	uint64_t packets, bytes;
	uint32_t age_s, idle_s;
};
/** As dp_fdb_walk_part(). */
bool dp_conn_walk_part(
	struct dp *dp, uint64_t *at, bool (*fn)(void *arg, const struct dp_conn *conn), void *arg);
size_t dp_conn_count(struct dp *dp);
/** Those of one network (an id that dp_network_add() gave), and *share: how many it may always have. */
size_t dp_conn_count_of(struct dp *dp, uint16_t net, uint32_t *share);

/* A port of uplinks' own address that leads into a network. */
struct dp_published {
	enum dp_protocol protocol;
	struct ip_addr address; /* none, 0.0.0.0: that of any uplink, of the family of `to` */
	uint16_t port;
	uint16_t net; /* with DP_EGRESS_IN */
	struct ip_addr to;
	uint16_t to_port;
	bool vip; /* `to` is a vip of the network, else the address of a port on this host */
};
/** Publishes these and no others. Connections to those that go stay. -ENOMEM. */
int dp_publish(struct dp *dp, const struct dp_published *list, size_t n, struct dp_err *err);
/** Connections that the network has through uplinks now. */
size_t dp_egress_count_of(struct dp *dp, uint16_t net);
/* One of them. */
struct dp_egress_conn {
	uint16_t net;
	bool inward;				      /* the peer began it, with a port that is published */
	struct ip_addr guest, peer, outside;	      /* outside: the uplink's */
	uint16_t guest_port, peer_port, outside_port; /* of a ping its ids; peer_port 0 */
	uint8_t protocol;			      /* IPPROTO_ */
	enum dp_conn_state state;
	uint64_t packets, bytes;
	uint32_t age_s, idle_s;
};
/** As dp_fdb_walk_part(). */
bool dp_egress_walk_part(
	struct dp *dp, uint64_t *at, bool (*fn)(void *arg, const struct dp_egress_conn *conn), void *arg);

struct dp_drop {
	const char *reason;
	uint16_t port; /* UINT16_MAX: none */
	uint16_t net;  /* DP_NET_NONE: none */
	uint64_t packets;
};
/** Calls fn for every non-zero drop counter. */
void dp_drop_walk(struct dp *dp, void (*fn)(void *arg, const struct dp_drop *drop), void *arg);

struct dp_net_info {
	uint64_t rx, tx, generated, copies, consumed, drops;
	uint64_t mac_moves;	   /* MACs that went from one port or vtep to another */
	uint64_t mac_moves_held;   /* frames of MACs that stayed where they were instead */
	uint64_t unlearned;	   /* frames whose MAC found no room in the network's share of the table */
	uint32_t macs, macs_share; /* learned now; how many it may always have */
};
/** rx + generated + copies = tx + drops + consumed once traffic rests. */
int dp_network_info(struct dp *dp, uint16_t id, struct dp_net_info *info);

enum { DP_STAGES_MAX = 16 };
struct dp_stage_info {
	const char *name;
	double cycles_per_packet;
};
enum { DP_GAPS = 194 };
struct dp_worker_info {
	int core;
	bool asleep;
	double busy_pct;	  /* of the last one to two seconds */
	uint64_t packets;	  /* since the start */
	uint64_t busy_cycles;	  /* TSC cycles since the start: of polls that found frames */
	double cycles_per_packet; /* busy cycles, of the last one to two seconds; when nothing came, since the
				     start */
	uint32_t longest_gap_us;  /* between two polls while awake, in the last one to two seconds */
	uint64_t gap_ms[DP_GAPS]; /* milliseconds awake since the start, by the longest time between two polls
				     in each: dp_gap_us() */
	unsigned nstage;
	struct dp_stage_info stage[DP_STAGES_MAX];
};
/** The longest time that gap_ms[gap] counts, in microseconds; infinite for the last. */
double dp_gap_us(unsigned gap);
/** Returns -ENOENT when `worker` is past the last one. */
int dp_worker_info(struct dp *dp, unsigned worker, struct dp_worker_info *info);

/** Memory of the daemon's own in MB, resident. */
unsigned dp_memory_mb(struct dp *dp);

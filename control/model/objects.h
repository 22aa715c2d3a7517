/*
 * objects.h: the daemon's objects as the handlers of control/ see them. Control thread only.
 *
 * Services and backends live in the registry; here is only what ties a service to the dataplane. Dataplane
 * ids are small and dense, so what comes back from the dataplane finds its object by table.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <time.h>

/* A failed allocation leaves the element out of the table, its hh.tbl NULL, instead of ending the process. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#include "control/api/api.h"
#include "control/host/addr.h"
#include "control/host/forwarding.h"
#include "control/host/gateway.h"
#include "control/model/model.h"
#include "control/model/outage.h"
#include "control/model/port_wait.h"
#include "dataplane/dataplane.h"
#include "registry/registry.h"

enum { MODEL_NAME = 64, MODEL_SOURCE = 16, MODEL_IDS = 65536 };

/* The name shown for a network's gateway port; no other port may have it. */
#define MODEL_GATEWAY_PORT "gateway"

struct model_network {
	TAILQ_ENTRY(model_network) link;
	char name[MODEL_NAME], source[MODEL_SOURCE];
	uint16_t id; /* the dataplane's */
	struct dp_network spec;
	struct ip_prefix
		ranges[2]; /* of IPv4, IPv6: where ports get addresses from; none: the whole subnet */
	bool has_gateway;
	struct gateway gateway;
	enum egress egress;   /* as was asked for */
	bool forward_due;     /* model_publish_begin() */
	struct ip_addr *near; /* sorted: what leaves for these is not masqueraded */
	size_t nnear;
	uint16_t gateway_port; /* dataplane id, when has_gateway */
	unsigned nports;       /* of users */
	struct {
		int64_t second; /* of the monotonic clock */
		unsigned count;
		uint64_t left_out;
	} moves_reported; /* to who watches the fdb */
};

struct model_port {
	TAILQ_ENTRY(model_port) link;
	char name[MODEL_NAME], source[MODEL_SOURCE];
	uint16_t id;		       /* the dataplane's */
	struct model_network *network; /* NULL: an uplink */
	struct dp_port spec;	       /* strings point into `params` or `socket`; fds are the dataplane's */
	char *socket;		       /* vhost-user: the default path, when it names none */
	bool own_mtu;		       /* given; otherwise it follows the network's */
	bool own_security;	       /* given; otherwise it follows from having addresses */
	json_t *params;		       /* of add, as they took effect */
	struct port_waiting wait;      /* tap */
};

struct model_vtep {
	TAILQ_ENTRY(model_vtep) link;
	char source[MODEL_SOURCE];
	uint16_t id; /* the dataplane's */
	struct model_network *network;
	struct ip_addr remote;
	uint32_t bfd_ms; /* 0: it is not watched */
	uint8_t bfd_multiplier;
};

/* A static entry of the fdb. Exactly one of port and vtep is set. */
struct model_fdb {
	TAILQ_ENTRY(model_fdb) link;
	char source[MODEL_SOURCE];
	struct model_network *network;
	uint8_t mac[6];
	struct model_port *port;
	struct model_vtep *vtep;
};

/* A service that has a vip in the dataplane. */
/* A port of a vip is a service of its own to the dataplane. */
struct model_service_port {
	uint32_t id;	       /* the dataplane's */
	uint16_t port, target; /* target: the backends', 0: each has its own */
	uint16_t more;	       /* ports that follow it */
	enum reg_protocol protocol;
	bool ip6; /* of its vip of IPv6 */
};

struct model_service {
	UT_hash_handle hh; /* by name: asked for by each passive check at each of its turns */
	char name[REG_DEFINED_MAX + 1];
	uint16_t net;
	unsigned nport;
	struct model_service_port *ports; /* [nport] */
	uint32_t usual_us;		  /* usual.h */
	uint64_t usual_at_us;
};

struct fdb_watch;
struct model_peers;
struct model_publish;
LIST_HEAD(fdb_watches, fdb_watch);
TAILQ_HEAD(model_networks, model_network);
TAILQ_HEAD(model_ports, model_port);
TAILQ_HEAD(model_vteps, model_vtep);
TAILQ_HEAD(model_fdbs, model_fdb);
TAILQ_HEAD(model_published, model_publish);

struct model {
	struct dp *dp;
	struct registry *registry;
	char *vhost_dir, *socket; /* the second is control's own */
	struct netlink *routes;	  /* of the host; NULL: not asked yet */
	int scratch_netns;	  /* namespace in which the TAPs of containers are made (tap.h) */
	struct timespec started;  /* CLOCK_MONOTONIC */
	struct port_wait *wait;
	struct model_peers *peers; /* peer.h */
	bool replaying;		   /* what is made now was kept from an earlier run */
	unsigned publishing;	   /* model_publish_begin() */
	const char *tap_made_as;   /* port_tap.h; NULL: a TAP is made where it is to be */
	struct model_networks networks;
	struct model_ports ports; /* uplinks too */
	struct model_vteps vteps;
	struct model_fdbs fdbs;
	struct model_published published;
	struct fdb_watches fdb_watches;
	void (*tell_move)(
		struct model *model, const struct dp_move *move); /* tells those; NULL: there was none yet */
	struct model_service *services;
	const struct model_cluster *cluster; /* NULL: none */
	const struct scope_global *global;   /* scope.h; NULL: none */
	bool clustered;			     /* there is one, or will be */
	struct {
		void (*fn)(void *arg);
		void *arg;
	} again[MODEL_WAITERS];
	bool (*reserved)(void *arg, const struct model_network *network, struct ip_addr ip);
	void *reserved_arg;
	struct kubernetes *kubernetes; /* that `status` shows; NULL: none */
	struct dns *dns;	       /* told of networks and ports; NULL: none */
	struct model_network *network_by_id[MODEL_IDS];
	struct model_port *port_by_id[MODEL_IDS];
	struct model_vtep *vtep_by_id[MODEL_IDS];
	struct model_service *service_by_id[MODEL_IDS];
	bool applying;		 /* between balance_apply() and balance_applied() */
	struct dp_err apply_err; /* why the dataplane did not take the last service; "" when it did */
	struct outages outages;
	void (*on_change)(void *arg, const char *method, const char *source, const json_t *params);
	void *on_change_arg;
};

/* model.c */

/** By name; NULL when there is none. A port may be an uplink. */
struct model_network *model_network(struct model *model, const char *name);
struct model_port *model_port(struct model *model, const char *name);
struct model_vtep *model_vtep(
	struct model *model, const struct model_network *network, struct ip_addr remote);
struct model_fdb *model_fdb(struct model *model, const struct model_network *network, const uint8_t mac[6]);

/** As above, but says in `err` that the object `field` names does not exist. */
struct model_network *model_need_network(
	struct model *model, const json_t *params, const char *field, struct api_err *err);

/** The port of `network` that has `ip`, or NULL. */
struct model_port *model_port_of_ip(
	struct model *model, const struct model_network *network, struct ip_addr ip);

/** The name of a port by its dataplane id: MODEL_GATEWAY_PORT for a gateway's, NULL when unknown. */
const char *model_port_name(struct model *model, uint16_t id);

/**
 * Whose `ip` is in the network ("the gateway", "port c1", "service api"), in `who`; false when nobody's, or
 * of the port that is called like `except` (may be NULL).
 */
bool model_ip_taken(struct model *model, const struct model_network *network, struct ip_addr ip,
	const struct model_port *except, char who[96]);

/** Every address in use in the network, *n of them: gateways, ports, vips. To be freed; NULL: no memory. */
struct ip_addr *model_ips(struct model *model, const struct model_network *network, size_t *n);

/** The subnet of IPv4 of a network that has one. */
struct addr_prefix model_subnet(const struct model_network *network);

/** Tells whoever keeps the state that `method` took effect with `params`. */
void model_changed(struct model *model, const char *method, const char *source, const json_t *params);

/** Fills `err` for a refusal `rc` (-errno) of the dataplane or the registry, with its own line. Returns -1.
 */
int model_refused(struct api_err *err, int rc, const char *text);

/** Tells the registry of every address of the port: state 1 up, 0 down, -1 gone. */
void model_port_state(struct model *model, const struct model_port *port, int state);

/** The link of `port` now: 1 up, 0 down. */
int model_port_up(struct model *model, const struct model_port *port);

/** Takes away what the host has of the network's gateway, but for the port. */
void model_close_gateway(struct model_network *network);

/* dns.c */

/** The network has a gateway now, or is about to lose it: DNS is answered there, or no longer. */
void model_dns_join(struct model *model, const struct model_network *network);
void model_dns_leave(struct model *model, const struct model_network *network);

/* sink.c */

/** What the registry asks of the model and tells it. */
struct registry_sink model_sink(struct model *model);

/** The dataplane's service of that name or id, or NULL. */
struct model_service *model_service(struct model *model, const char *name);
struct model_service *model_service_by_id(struct model *model, uint32_t id);
/** What the dataplane knows of a backend (its address, and port of its own), over all ports of the vip. -ENOENT. */
int model_backend_info(struct model *model, const struct model_service *service, struct ip_addr address,
	uint16_t port, struct dp_backend_info *info);
/** Where the backend is, seen from this host; and its zone by its node's metadata, "": none. Control thread. */
enum dp_distance model_backend_distance(
	struct model *model, const struct reg_service *service, const struct reg_backend *backend);
const char *model_backend_zone(struct model *model, const struct reg_backend *backend);

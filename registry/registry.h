/*
 * registry.h: the service table. What services there are, who provides them, who is healthy.
 *
 * One thread (control's) calls everything here, and the registry runs on that thread's libevent base. It
 * knows nothing of DPDK or of the switch: what it decides goes out through struct registry_sink, and what it
 * cannot do itself (a socket inside a network) comes in through it.
 *
 * Functions return 0 or -errno; a failure leaves one line for the user in `err`. A call takes effect whole or
 * not at all. Each effective change is one commit: the generation rises by one and the sink hears of the
 * services that changed. Ports are in host byte order, addresses of either family (addr/ip.h).
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/queue.h>

#include "addr/ip.h"

struct event_base;
struct registry;

#define REG_NAME_MAX 63	    /* bytes of a name that is defined here, without the end */
#define REG_SERVICE_MAX 255 /* of a service's, which whoever registers chooses */
#define REG_DEFINED_MAX                                                                                      \
	191 /* of one that is defined, and maybe has a vip: three labels (RFC 1123) and their dots */
#define REG_ID_MAX 255	 /* with that of its node */
#define REG_HOST_MAX 253 /* of a host name */
#define REG_NODE_MAX 255
#define REG_PATH_MAX 255 /* of what a check asks for */
#define REG_CHECK_ID_MAX 255
#define REG_OUTPUT_MAX 4096 /* of what a check says */
#define REG_DEFINITION_MAX 8192

struct reg_err {
	char text[200];
};

/* Sources whose instances have ids that they were given, which others are told as they are. */
#define REG_CONSUL "consul"
#define REG_CLUSTER "cluster" /* another host of the cluster */
/* The check of a node that says whether it is there, where somebody knows; Consul's name for it. */
#define REG_SERF "serfHealth"

enum reg_health { REG_PASSING, REG_WARNING, REG_CRITICAL, REG_DRAINING };
/** "passing", "warning", "critical", "draining". */
const char *reg_health_name(enum reg_health health);

enum { REG_CHECKS_MAX = 64 }; /* of a backend or node */

#define REG_DRAIN_MAX_MS 86400000
#define REG_SLOW_START_MAX_MS 3600000

enum reg_protocol { REG_TCP = 6, REG_UDP = 17, REG_SCTP = 132 };
/** "tcp", "udp", "sctp"; NULL: none. */
const char *reg_protocol_name(enum reg_protocol protocol);

/* Types without a row in the table of check.c are refused as unsupported. */
enum reg_check_type {
	REG_CHECK_NONE,
	REG_CHECK_TTL,
	REG_CHECK_TCP,
	REG_CHECK_HTTP,
	REG_CHECK_GRPC,
	REG_CHECK_PORT,
	REG_CHECK_PASSIVE,
	REG_CHECK_ALIAS,
	REG_CHECK_TYPES
};
/** "none", "ttl", "tcp", ... */
const char *reg_check_type_name(enum reg_check_type type);

struct reg_pair {
	const char *key, *value;
};

/* The texts of a check that the registry is given are borrowed; it keeps copies of its own. */
struct reg_check {
	enum reg_check_type type;
	uint32_t
		interval_ms; /* 10..3600000; ttl up to a week, and 0: its word holds until the next; not used by
				 port and alias */
	uint32_t timeout_ms; /* 1..600000; only of those that probe */
	uint8_t rise, fall;  /* successes to become passing, failures to become critical; 1..100; of probes;
				 passive: connections in a row, `fall` from 3 on */
	uint8_t warn;	     /* failures to become warning, 0: never by failures; of probes */
	bool tls, tls_skip_verify; /* http and grpc: over TLS, with whatever certificate */
	bool has_initial;	   /* it is `initial` until it has found something, otherwise critical */
	enum reg_health initial;
	uint16_t port;		/* that is probed instead of the backend's, 0: that */
	struct ip_addr address; /* the same; on the loopback it is the host that is probed, not a network */
	uint32_t reap_ms;    /* how long the backend may be critical until it is deregistered, 0: for ever */
	uint16_t output_max; /* bytes of its output that are kept, up to REG_OUTPUT_MAX; 0: one short line */
	uint16_t nheader;
	const struct reg_pair *headers; /* http: besides the usual ones */
	const char *id;		   /* among the checks of its backend or node, NULL: it is the only one */
	const char *name, *notes;  /* NULL: none */
	const char *path;	   /* http: what is asked for, NULL: "/" */
	const char *method, *body; /* http: NULL: GET, nothing */
	const char *service;	   /* grpc: whose health is asked for, NULL: the server's */
	const char *alias;	   /* alias: the id of the instance whose health it is, NULL: that node's */
	const char *alias_node;	   /* alias: the node, NULL: this daemon's */
	const char
		*definition; /* ttl: what whoever makes the check says of it, shown and not looked at; NULL */
	const char *kind;    /* ttl: the type that it has there; NULL: none */
};

#define REG_PORTS_MAX 16 /* of a vip beside the first */
enum { REG_TOLD_SCALE = 100, REG_TOLD_TIMES = 4 };
#define REG_PORT_NAME_MAX 15 /* RFC 6335, 5.1 */

/* Another port of a vip. It leads to the same backends, at a port of its own there. */
struct reg_port {
	char name[REG_PORT_NAME_MAX + 1]; /* "": none */
	uint16_t port, target;		  /* target: the backends' */
	uint16_t
		end; /* the last of several ports, each of which leads as far behind the target; 0: it is one */
	enum reg_protocol protocol;
};

struct reg_service {
	char name[REG_SERVICE_MAX + 1];
	char network[REG_NAME_MAX + 1]; /* "": none */
	struct ip_addr vip;		/* none: only discoverable */
	struct ip_addr vip6;		/* of IPv6, beside a vip of IPv4; none: it has one vip */
	uint16_t port, end;		/* end: as of struct reg_port, behind each backend's own */
	enum reg_protocol protocol;	/* 0 only without a vip */
	uint16_t nport;
	struct reg_port ports[REG_PORTS_MAX]; /* beside `port` */
	char policy[16];		      /* "maglev" or "least"; "" on the way in: the first */
	uint32_t affinity_s; /* a client's connections go to one backend for so long; 0: each is balanced */
	bool drops;	     /* who asks the vip in vain is told nothing, and waits */
	uint32_t
		slow_start_ms; /* over which the share of a backend grows that came or came back; 0: at once */
	uint32_t drain_ms;     /* how long the connections of a draining backend go on; 0: until they end */
	bool drain_reset;      /* those that are left then are reset at both ends */
	bool near;     /* new connections go to backends of this host, then of its zone, before others */
	bool measured; /* clients are told weights by how soon each backend answers (registry_told_weight()) */
	bool critical_ends; /* a backend that turns critical loses its connections, as if its port were down */
	struct reg_check check; /* the default of its backends; REG_CHECK_NONE: they need none */
	bool discovered;	/* a registration made it, nobody defined it: goes with its last backend */
	char source[16];	/* "config", "api", ...: who made it */
};

/** Any thread. The vip that balances instances of IPv6, or those of IPv4; none: there is none. */
static inline struct ip_addr reg_service_vip(const struct reg_service *service, bool ip6)
{
	if (!ip_is_none(service->vip) && ip_is4(service->vip) != ip6)
		return service->vip;
	return ip6 ? service->vip6 : (struct ip_addr){0};
}

/** Any thread. How many ports follow `port`, up to `end`? */
static inline uint16_t reg_more_ports(uint16_t port, uint16_t end)
{
	return end > port ? (uint16_t)(end - port) : 0;
}

/** Any thread. Is a backend chosen by how busy it is? */
static inline bool reg_service_is_least(const struct reg_service *service)
{
	return strcmp(service->policy, "least") == 0;
}

/* Another address under which an instance or a node is known: "lan", "wan", "lan_ipv6", ... */
struct reg_tagged {
	const char *label, *address;
	uint16_t port;
};

/* What an instance says about itself. The registry keeps its own copy, which never changes while it lasts. */
struct reg_metadata {
	const char *host; /* where it is, if that is no address: a name, or "" (its node's address). Such an
			  instance is only discoverable, never balanced. With an address: how that was written.
			  NULL: reg_backend.address */
	const char *node; /* that it runs on; NULL: this daemon's. Its id begins with "NODE/" then */
	const char *const *tags; /* in the order given */
	const struct reg_pair *meta;
	const struct reg_tagged *tagged;
	uint16_t ntag, nmeta, ntagged;
	bool enable_tag_override;
};

struct reg_backend {
	char id[REG_ID_MAX + 1];	     /* key within the service. "": "address:port" */
	struct ip_addr address;		     /* none only with metadata->host */
	uint16_t port;			     /* 0 only if not given by the registration: never balanced */
	uint16_t weight;		     /* 0..65535; 0: no new connections */
	uint16_t warning_weight;	     /* instead of it while the health is warning */
	bool has_warning_weight;	     /* else `weight` holds then too */
	const struct reg_metadata *metadata; /* NULL: nothing */
	bool own_checks;		     /* these (maybe none) instead of the service's check */
	uint16_t ncheck;		     /* up to REG_CHECKS_MAX */
	const struct reg_check *checks;	     /* their ids differ */
	bool drained;			     /* by the user */
	bool has_drain_ms;		     /* else the service's holds */
	uint32_t drain_ms;		     /* from the begin of its draining */
	char source[16];
	/* told by the registry, ignored on the way in */
	enum reg_health health;
	bool port_down;	    /* the switch port that has its address is down */
	bool balanced;	    /* the vip's table holds it: its address is reached from the vip's network */
	const char *output; /* what the worst of its and its node's checks said last, "": it has none; changes
			     * without a commit */
	uint64_t created, modified; /* generations; modified: its definition or health. 0 before the commit */
};

/** Its weight for new connections: 0 unless passing or warning. The connections that it has go on at 0. */
uint16_t reg_backend_weight(const struct reg_backend *backend);
/** The id that its provider gave it: `id` without the node. */
const char *reg_backend_own_id(const struct reg_backend *backend);
/** The name of its node, "" for this daemon's: a key for registry_node_find(). */
const char *reg_backend_node(const struct reg_backend *backend);
bool reg_backend_has_tag(const struct reg_backend *backend, const char *tag);

/* A machine that instances run on. This daemon's own is always there. */
struct reg_node {
	char name[REG_NODE_MAX + 1];
	char id[37];			/* a UUID, or "" */
	char address[REG_HOST_MAX + 1]; /* IPv4, IPv6 or a name */
	const struct reg_pair *meta;	/* a copy of the registry's own, as are `tagged` */
	const struct reg_tagged *tagged;
	uint16_t nmeta, ntagged;
	char source[16];
	/* told by the registry, ignored on the way in */
	bool local;
	bool drained;
	const char *reason; /* for that, NULL: none was given */
	uint64_t created, modified;
};

/* A check and what it has found. */
struct reg_result {
	const struct reg_check *check;
	enum reg_health health;
	bool found; /* else its health is what it began with */
	const char *output;
};

/* What came of the connections that the switch gave to a backend, from some start on. */
struct reg_traffic {
	uint64_t opened;    /* that ask for an answer */
	uint64_t answered;  /* by something else than a reset */
	uint64_t refused;   /* by a reset */
	uint32_t withdrawn; /* ended before an answer, for no fault of the backend; may wrap around */
	/* How long answers take, its own and the median of its service, where that is measured; 0: not known. */
	uint32_t latency_us, usual_us;
};

/* What the registry needs of its owner. */
struct registry_sink {
	void *ctx;
	/**
	 * The service changed: bring the dataplane to it. Called once a commit for each service that changed,
	 * and then applied(). Backends come sorted by address and port, so that every
	 * host builds the same table of the same members. nbackend = 0 and gone = true: it was deleted. May
	 * read the registry, not change it.
	 */
	void (*apply)(void *ctx, const struct reg_service *service, const struct reg_backend *const *backends,
		size_t nbackend, bool gone, uint64_t generation);
	/** The commit has no other service: when it returns, the workers run on all that apply() was told. May be NULL:
	 * they do already. */
	void (*applied)(void *ctx);
	/** A non-blocking socket whose traffic starts inside `network` (at its gateway), or in the host when
	 * "". SOCK_RAW: of TCP's segments. Or -errno. */
	int (*socket)(void *ctx, const char *network, int domain, int type);
	/** Where such a socket's traffic starts now. While the number stays, one made before still starts there,
	 * and may be used again. 0: nowhere. May be NULL: then none is used twice. */
	uint64_t (*netns_id)(void *ctx, const char *network);
	/** Is `address` inside the subnet of `network`? Then a vip may balance it. */
	bool (*reaches)(void *ctx, const char *network, struct ip_addr address);
	/** The switch port that has `address` in `network`: 1 up, 0 down, -1 there is none. In any by "": 1 when one
	 * of them is up. */
	int (*port_state)(void *ctx, const char *network, struct ip_addr address);
	/** Syslog levels. `subject`: what the line is about, of which only so many lines are written at a time. */
	void (*log)(void *ctx, int level, const char *subject, const char *line);
	/** The traffic of a backend. -ENOENT: the switch gives it no connections. May be NULL: none at all. */
	int (*traffic)(void *ctx, const char *service, struct ip_addr address, uint16_t port,
		struct reg_traffic *traffic);
	/** The network that `address` is in: the only one with a port that has it. "": none has; NULL: several have.
	 * Borrowed until a port goes. May be NULL: none ever. */
	const char *(*home)(void *ctx, struct ip_addr address);
	/** Does what is sent to `address` from the host stay in it? May be NULL: then nothing does. */
	bool (*is_own)(void *ctx, struct ip_addr address);
	/** Changes are no longer kept in this file of the state directory, and why; NULL: all of them are again.
	 * May be NULL. */
	void (*kept)(void *ctx, const char *file, const char *why);
	/** Is the process to end? Then what takes long is not begun, or broken off. May be NULL: never. */
	bool (*ending)(void *ctx);
};

/** Turns and time-outs of checks are exact to a millisecond. `sink` is copied. Errors: -ENOMEM, -EMFILE. */
int registry_new(struct event_base *base, const struct registry_sink *sink, struct registry **out);
/*
 * Who registers services and wants to hear of them: Consul's API, another registry. Several may be there at once. The
 * configuration and control's API register too, by their names alone: they ask for nothing of this. Each function may
 * be NULL, and none may change the registry or the list of sources.
 */
struct registry_source {
	TAILQ_ENTRY(registry_source) link; /* the registry's */
	const char *name;		   /* what it registers has this `source` */
	void *arg;
	bool everywhere; /* every host hears of it by itself, and need not tell the others */
	/** One of its backends has left the table, by whomever. */
	void (*gone)(void *arg, const char *service, const struct reg_backend *backend);
	/** The service of the instance that a node ("": this daemon's) knows by this id, NULL: it knows none. Sources
	 * are asked in the order in which they were added. */
	const char *(*locate)(void *arg, const char *node, const char *id);
	/** A ttl check of one of its backends, or one of this daemon's node, has another health. */
	void (*ttl)(void *arg, const struct reg_check *check, enum reg_health health);
};
/** For a source that has something to say: as the log() of struct registry_sink. */
void registry_log(struct registry *reg, int level, const char *subject, const char *line);
/** The source stays the caller's, until it is taken off the list. */
void registry_source_add(struct registry *reg, struct registry_source *source);
void registry_source_del(struct registry *reg, struct registry_source *source);
/** Does every host know what the source called so registers? */
bool registry_source_is_everywhere(const struct registry *reg, const char *name);
/** Cancels every check, tells the sink nothing. NULL is allowed. */
void registry_free(struct registry *reg);

/**
 * Checks that start in the host are not made of the host's own and of link-local addresses, unless these prefixes hold
 * them. `bodies`: what HTTP checks from the host say has the answers' bodies, too. -ENOMEM.
 */
int registry_check_targets(struct registry *reg, const struct ip_prefix *targets, size_t n, bool bodies);

uint64_t registry_generation(const struct registry *reg);

enum { REG_CHECK_RESULTS = 4, REG_DELAYS = 8 };
#define REG_DELAY_BOUNDS_MS                                                                                  \
	{                                                                                                    \
		1, 2, 5, 10, 20, 50, 100                                                                     \
	}
struct reg_checks_info {
	unsigned running;		     /* probes under way */
	uint64_t results[REG_CHECK_RESULTS]; /* of probes: passed, warned, failed, could not be made */
	/* By how much turns and time-outs of probes came late: how many up to each of REG_DELAY_BOUNDS_MS,
	 * each counted once, and above; and the sum. */
	uint64_t delays[REG_DELAYS], delay_us;
};
struct reg_checks_info registry_checks_info(const struct registry *reg);
/** The next generation is above `floor`: an earlier life of this registry may have told of those below. */
void registry_generation_above(struct registry *reg, uint64_t floor);
/**
 * Everything that was kept is there again. What there is now is of one new generation, at least 1, and whoever is told of
 * what has not changed since is told that one (registry_first_generation()). So nobody is given an index that an earlier
 * life has given to something else, and nobody waits for a change that came with this life.
 */
void registry_begin(struct registry *reg);
uint64_t registry_first_generation(const struct registry *reg);

/**
 * The changes until the matching end are one commit, which the last end makes; pairs may nest. For what
 * belongs together: a configuration, a port with several addresses, a list from another registry. Each call
 * inside still succeeds or fails alone. Reads inside see new definitions with the old health, `balanced` and
 * generation.
 */
void registry_batch_begin(struct registry *reg);
void registry_batch_end(struct registry *reg);

/**
 * Defines a service, also one that was only discovered: its backends stay. Errors: -EEXIST (the name, or
 * another service has this vip, port and protocol in the network), -EINVAL, -ENOTSUP.
 */
int registry_service_add(struct registry *reg, const struct reg_service *service, struct reg_err *err);
/**
 * Replaces the definition, keeps the backends, the source and, while a check keeps its type and target, what
 * it has found. Errors: -ENOENT, -EEXIST (vip), -EINVAL, -ENOTSUP.
 */
int registry_service_set(struct registry *reg, const struct reg_service *service, struct reg_err *err);
/** Deletes it with its backends. Errors: -ENOENT. */
int registry_service_del(struct registry *reg, const char *name, struct reg_err *err);
/** Takes away the definition alone: it has its backends as if it had only been discovered. Errors: -ENOENT. */
int registry_service_undefine(struct registry *reg, const char *name, struct reg_err *err);

/**
 * Errors: -ENOENT (service), -EEXIST (the same id, or the same address and port: by another source or at
 * all), -EINVAL, -ENOTSUP.
 */
int registry_backend_add(
	struct registry *reg, const char *service, const struct reg_backend *backend, struct reg_err *err);
/**
 * Changes weight, check and drained of the backend with backend->id (or address:port); any source may.
 * Errors: -ENOENT, -EINVAL (also another address than it has), -ENOTSUP.
 */
int registry_backend_set(
	struct registry *reg, const char *service, const struct reg_backend *backend, struct reg_err *err);
/** Deletes it, and with its last backend a discovered service. Errors: -ENOENT. */
int registry_backend_del(struct registry *reg, const char *service, const char *id, struct reg_err *err);

/**
 * Adds the backend, or makes the one with its id like it, moved to another address too; a check of the same
 * type and place keeps what it has found. A service that does not exist is made, as discovered. Several may
 * have one address: a vip balances it once, by the best of their weights. Errors: -EEXIST (the id, by another
 * source), -ENOENT (node), -EINVAL, -ENOTSUP.
 */
int registry_backend_put(
	struct registry *reg, const char *service, const struct reg_backend *backend, struct reg_err *err);

/**
 * The backend says how it is, which its ttl check called `check` (NULL: the first ttl check) takes for an
 * interval. Errors: -ENOENT (also the check), -ENOTSUP (the check is of another type).
 */
int registry_backend_beat(struct registry *reg, const char *service, const char *id, const char *check,
	enum reg_health health, const char *output, struct reg_err *err);

/** Names this daemon's node, which is otherwise called after the host and has address 127.0.0.1; or makes or
 * changes another. Errors: -EINVAL. */
int registry_node_put_local(struct registry *reg, const struct reg_node *node, struct reg_err *err);
int registry_node_put(struct registry *reg, const struct reg_node *node, struct reg_err *err);
/** With all that runs on it. Errors: -ENOENT, -EBUSY (this daemon's own). */
int registry_node_del(struct registry *reg, const char *name, struct reg_err *err);
/**
 * The checks of a node ("": this daemon's): whatever runs there is as bad as the worst of them. They have ids,
 * and probe from the host. A check with the id of an old one keeps what it has found. Errors: -ENOENT, -EINVAL,
 * -ENOTSUP.
 */
int registry_node_checks(struct registry *reg, const char *name, const struct reg_check *checks, uint16_t n,
	struct reg_err *err);
/** As registry_backend_beat(). */
int registry_node_beat(struct registry *reg, const char *name, const char *check, enum reg_health health,
	const char *output, struct reg_err *err);
/** Everything that runs on the node is drained, or no more; `reason` may be NULL. Errors: -ENOENT. */
int registry_node_drain(
	struct registry *reg, const char *name, bool drained, const char *reason, struct reg_err *err);

/**
 * A port with `address` in `network` came up (1), went down (0) or was removed (-1: its backends count as
 * down until a port has the address again). Acts before it returns, or at the end of the batch. A service
 * without a network follows a port of any network.
 */
void registry_port_changed(struct registry *reg, const char *network, struct ip_addr address, int state);

/* Reading. Pointers stay valid until the next call that changes the registry. A walk's fn returns false to
 * stop. */
const struct reg_service *registry_service_find(struct registry *reg, const char *name);
const struct reg_backend *registry_backend_find(struct registry *reg, const char *service, const char *id);
/**
 * `weight`, one of the backend's, as clients are told it. Where the service wants measured ones: REG_TOLD_SCALE times as
 * much, by the median of its backends' latencies over its own, REG_TOLD_TIMES as much or as little at most; 0 stays.
 */
uint16_t registry_told_weight(
	struct registry *reg, const char *service, const struct reg_backend *backend, uint16_t weight);
/** The first one there. */
const struct reg_backend *registry_backend_at(
	struct registry *reg, const char *service, struct ip_addr address, uint16_t port);
/** In the order of names. */
void registry_service_walk(
	struct registry *reg, bool (*fn)(void *arg, const struct reg_service *service), void *arg);
/** In the order of address and port. */
void registry_backend_walk(struct registry *reg, const char *service,
	bool (*fn)(void *arg, const struct reg_backend *backend), void *arg);
/*
 * Long walks are made in slices: fn returns false to stop behind what it was called for, and the walk goes on there
 * another time. It sees each instance that is there all the while once; of those that come, go or move meanwhile it may
 * or may not see. They return true when they were at the end. A cursor begins as {0}.
 */
struct reg_cursor {
	char name[REG_NODE_MAX + 1]; /* of the service or node that it is in or behind */
	bool begun;		     /* it is behind the instance that follows */
	struct ip_addr address;
	uint16_t port;
	char id[REG_ID_MAX + 1];
};
static_assert(REG_NODE_MAX == REG_SERVICE_MAX, "a cursor has room for either");
/** The instances of one service, which need not exist. */
bool registry_instances_in(struct registry *reg, const char *name, struct reg_cursor *at,
	bool (*fn)(void *arg, const char *service, const struct reg_backend *backend), void *arg);
/** Those of all services, by service. */
bool registry_instances(struct registry *reg, struct reg_cursor *at,
	bool (*fn)(void *arg, const char *service, const struct reg_backend *backend), void *arg);
bool registry_services(struct registry *reg, struct reg_cursor *at,
	bool (*fn)(void *arg, const struct reg_service *service), void *arg);
/** How many instances it has, 0 when it is not there. */
size_t registry_service_size(struct registry *reg, const char *name);
/** How many backends of the service have each health; all 0 without it. */
void registry_service_healths(struct registry *reg, const char *service, unsigned of[REG_DRAINING + 1]);
bool registry_nodes(struct registry *reg, struct reg_cursor *at,
	bool (*fn)(void *arg, const struct reg_node *node), void *arg);

/** The node called so, or this daemon's by "". NULL: there is none. */
const struct reg_node *registry_node_find(struct registry *reg, const char *name);
/** The i-th of the checks that hold for the backend or the node. False: there are no more. */
bool registry_backend_result(const struct reg_backend *backend, unsigned i, struct reg_result *result);
bool registry_node_result(const struct reg_node *node, unsigned i, struct reg_result *result);
/** Where a client finds the backend: an IPv4 or IPv6 address or a host name, the node's own if need be. */
const char *registry_backend_host(
	struct registry *reg, const struct reg_backend *backend, char host[REG_HOST_MAX + 1]);
/** Generation at which a service was last deleted, or a node changed or was deleted; 0: never. */
uint64_t registry_gone_generation(const struct registry *reg);
uint64_t registry_nodes_generation(const struct registry *reg);
/** Generation at which a service came, went, or has other tags. */
uint64_t registry_names_generation(const struct registry *reg);
/** Generation at which this service last changed, 0: no such service. */
uint64_t registry_service_generation(struct registry *reg, const char *name);

/*
 * For who keeps what was made of the table. A generation is told to clients, and is not another one when a check only
 * says something else (its output). A revision is: as long as it is the same, all that a walk shows is the same, and it
 * never comes back to what it was. Where weights are measured it is another one each second. Revisions are of one process, and
 * say nothing else.
 */
/** Of all there is. */
uint64_t registry_revision(struct registry *reg);
/** Of this service with its backends and the nodes that they run on; also while there is none. */
uint64_t registry_service_revision(struct registry *reg, const char *name);
/** Of this backend with the node that it runs on. */
uint64_t registry_backend_revision(struct registry *reg, const struct reg_backend *backend);
/** Of all nodes, with their checks. */
uint64_t registry_nodes_revision(const struct registry *reg);
/** Of which services there are, with which tags. */
uint64_t registry_names_revision(const struct registry *reg);
/** Something that its source shows of the backend, and the table does not have, is different. */
void registry_backend_revise(struct registry *reg, const char *service, const char *id);

enum { REG_CHANGES = 4096 }; /* that are kept */

/* Why a service is another than before. */
enum reg_why {
	REG_WHY_NONE,
	REG_WHY_REGISTERED,
	REG_WHY_DEREGISTERED,
	REG_WHY_CHANGED, /* the instance says other things of itself */
	REG_WHY_MOVED,	 /* to another address */
	REG_WHY_CHECK,
	REG_WHY_PORT, /* the switch port that has its address */
	REG_WHY_MAINTENANCE,
	REG_WHY_NODE,	 /* the one that it runs on: its checks, its address */
	REG_WHY_SERVICE, /* defined, or defined otherwise */
	REG_WHY_DELETED, /* with all its instances */
};
/** "registered", "check", ... */
const char *reg_why_name(enum reg_why why);

struct reg_change {
	uint64_t generation;
	enum reg_why why;
	const char *service;
	/* the instance, as it was with that generation; "": it is about the service itself */
	const char *instance, *node;
	struct ip_addr address;
	uint16_t port;
	enum reg_health before, health;
	const char *check;  /* its id, NULL: no check, "": the service's */
	const char *output; /* of the check, one line */
};

/** The number of the first change behind the generation `after`. False: not all of those are kept, or it is to come. */
bool registry_changes_behind(struct registry *reg, uint64_t after, uint64_t *n);
/** The n-th change, until the next commit. NULL: it is to come, or (*lost) it is not kept any longer. */
const struct reg_change *registry_change(struct registry *reg, uint64_t n, bool *lost);
/** The last of the service (NULL: of any) behind `after`, NULL: there is none among the last ones. */
const struct reg_change *registry_change_last(struct registry *reg, const char *service, uint64_t after);
/** As a JSON object, made once. NULL: no memory. */
const char *reg_change_json(const struct reg_change *change);

#define REG_WATCH_ANY "@any" /* once a commit */
#define REG_WATCH_NODES "@nodes"
#define REG_WATCH_NAMES "@names"

/**
 * Calls fn after each commit that changed, made or deleted `service` ("": any), when
 * the workers run on it, until unwatch. The service need not exist yet. fn must not change the registry, but
 * may watch and unwatch. NULL: no memory.
 */
struct registry_watch;
struct registry_watch *registry_watch(struct registry *reg, const char *service,
	void (*fn)(void *arg, const char *service, uint64_t generation), void *arg);
/** NULL is allowed. */
void registry_unwatch(struct registry_watch *watch);

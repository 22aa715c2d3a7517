/*
 * kubernetes.h: Kubernetes' Services as services, and the endpoints that its EndpointSlices have as their instances. Both
 * are listed and then followed at the API server, by its own address: its Service works only once this does. What the
 * server said last holds while it is away. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "addr/ip.h"
#include "registry/base/fetch.h"

struct event_base;
struct journal;
struct kubernetes;
struct registry;

#define KUBERNETES_TOKEN "/var/run/secrets/kubernetes.io/serviceaccount/token"
#define KUBERNETES_TOKEN_MAX 16384 /* bytes */
#define KUBERNETES_CA "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"

/* A way in: what is sent to `port` of an address that is not the Service's own. */
struct kubernetes_way {
	struct ip_addr address; /* none: each of this host's own of the family that `to` is of */
	struct ip_addr to;	/* the Service's */
	uint16_t port, to_port;
	uint16_t near_port; /* that pods and programs of this host are led to instead of to_port */
	uint8_t protocol;   /* 6, 17, 132 */
	bool masquerade;    /* endpoints of other hosts serve, whose answers must come back by this one */
	bool limited;	    /* to who comes from `from` */
	uint16_t nfrom;
	const struct ip_prefix *from; /* none holds another */
};

/* All ways there are, sorted, none twice; and the addresses of Services, which this host's own programs reach, too. */
struct kubernetes_ways {
	const struct kubernetes_way *list;
	size_t n;
	const struct ip_addr *vips;
	size_t nvip;
};

/* Annotation of a Node: where it takes VXLAN, instead of an InternalIP. */
#define KUBERNETES_VTEP "sluice.vtep"

/* A node of the cluster. */
struct kubernetes_node {
	const char *name;
	bool own;		   /* this one */
	struct ip_addr address[2]; /* its InternalIP, of IPv4 and of IPv6; none: it has none */
	struct ip_addr vtep;	   /* its annotation; none: it has none */
	struct ip_prefix pods[2];  /* its podCIDRs, the same */
};

enum { KUBERNETES_WHY = 256, KUBERNETES_NODES = 4096 };

struct kubernetes_config {
	struct event_base *base;
	struct registry *reg;
	const char *api;	/* "https://10.0.0.1:6443" */
	const char *token_file; /* read again for each request: tokens rotate. NULL: `token` */
	const char *token;	/* NULL: none is sent */
	struct fetch_tls tls;
	const char *node;    /* that this daemon runs on, as Kubernetes calls it. NULL: no endpoint is near */
	const char *network; /* that the pods are in */
	const char *healthz; /* "ADDRESS:PORT" where load balancers ask for this node's health; NULL: none */
	struct journal *journal; /* where what the server said outlives the daemon; NULL: nowhere */
	/* Has these lead in, and no others. False, and why: it is asked again. NULL: nothing leads in. */
	bool (*lead)(void *arg, const struct kubernetes_ways *ways, char why[KUBERNETES_WHY]);
	void *lead_arg;
	/* Has the pods of these nodes reached, by name, and of no others. False, and why: it is asked again. NULL: other
	 * nodes are not asked for; else `node` is not NULL. */
	bool (*nodes)(void *arg, const struct kubernetes_node *list, size_t n, char why[KUBERNETES_WHY]);
	void *nodes_arg;
};

/** Begins to follow; texts are copied. -ENOMEM. */
int kubernetes_open(const struct kubernetes_config *config, struct kubernetes **out);
/** What it registered stays. Before the registry is freed. NULL is allowed. */
void kubernetes_close(struct kubernetes *kubernetes);

struct kubernetes_info {
	bool synced;	 /* all that there is was heard of once */
	const char *why; /* why the server is not heard now, NULL: it is. The source's own */
	int64_t since_s; /* for so long it is, or is not, heard */
	size_t services, slices, endpoints, ways;
	size_t left_out; /* Services and slices beyond the limits, as far as they are counted: 65,536 of each */
	bool ways_due;	 /* some have changed and do not lead in yet */
	size_t nodes;	 /* that were heard of; 0: others are not asked for */
	const char *nodes_why; /* why pods of some are not reached, NULL: they are. The source's own */
	const char *ways_why;  /* why what has changed does not lead in, NULL: it does. The source's own */
};
struct kubernetes_info kubernetes_info(const struct kubernetes *kubernetes);

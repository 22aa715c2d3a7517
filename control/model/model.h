/*
 * model.h: the daemon's objects by name (networks, ports, uplinks, vteps, services) and what ties them to the
 * dataplane, the registry and the host. Control thread only.
 *
 * A handler validates against the model (names, references, addresses in use), acts on the host and the
 * dataplane, and only then changes the model, so that a refusal leaves nothing half-applied.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "addr/ip.h"
#include "control/api/api.h"
#include "control/model/outage.h"

struct dns;
struct dns_config;
struct dp;
struct event_base;
struct model;
struct model_network;
struct registry;

struct model_config {
	struct event_base *base;
	const char
		*vhost_dir; /* where a vhost-user port's socket goes when it names none: /run/sluice/vhost */
	const char *socket; /* control's own */
	json_t *dataplane;  /* the validated "dataplane" object of the configuration, defaults filled in;
			       borrowed */
	bool no_huge;
};

/** Starts the dataplane and the registry. *why gets one line on failure. Returns 0 or -errno. */
int model_open(const struct model_config *config, struct model **model, struct api_err *err);
/** Deletes every object (interfaces, namespaces, sockets too), stops dataplane and registry. NULL is allowed.
 */
void model_close(struct model *model);

/** Called after each change by a handler, with the method's name and the parameters that took effect. */
void model_on_change(struct model *model,
	void (*fn)(void *arg, const char *method, const char *source, const json_t *params), void *arg);

/** From here to the next call: are objects made that were kept from an earlier run? */
void model_replaying(struct model *model, bool yes);

/** Why what the API changes is not kept for the next start, NULL: it is. */
const char *model_not_kept(struct model *model);

/** For `status`: why the server does not listen on `address`, NULL: it does. True when that was not known. */
bool model_not_listening(struct model *model, enum outage server, const char *address, const char *why);

/* What a cluster of hosts (control/cluster) is to the model. */
struct model_cluster {
	void *arg;
	/** A method took effect. */
	void (*changed)(void *arg, const char *method, const json_t *params);
	/** The network is about to be deleted, if nothing is in it. */
	void (*leave)(void *arg, const char *network);
	/** Calls fn for each address of `within`, the subnet or a part of it, that this host may give, until one is taken, for
	 * which fn returns true. */
	void (*own)(void *arg, const struct model_network *network, struct ip_prefix within,
		bool (*fn)(void *fn_arg, struct ip_addr ip), void *fn_arg);
	/** None of these is free: more are asked for. Always -1, with API_AGAIN while that may be granted. */
	int (*more)(
		void *arg, const struct model_network *network, struct ip_prefix within, struct api_err *err);
	/* For people, new references. */
	json_t *(*status)(void *arg);
	json_t *(*hosts)(void *arg);
	json_t *(*keys)(void *arg);
	/** The addresses of a host that does not come back are nobody's. -1, with API_AGAIN while that is under way. */
	int (*forget)(void *arg, const char *host, json_t **result, struct api_err *err);
};
/** Borrowed; NULL: there is none. */
void model_cluster_attach(struct model *model, const struct model_cluster *cluster);

/** What there was before the start is made again, until `yes` is false (dp_restoring). */
void model_restoring(struct model *model, bool yes);
/** The configuration has a cluster: until it is attached no address of its networks is given. */
void model_cluster_is_coming(struct model *model);
/** `fn` is called when what was refused by API_AGAIN is worth another try. */
enum model_waiter { MODEL_RPC, MODEL_DOCKER, MODEL_WAITERS };
void model_on_again(struct model *model, enum model_waiter who, void (*fn)(void *arg), void *arg);
void model_again(struct model *model);
/** `reserved` tells whether an address is somebody's who is no port yet. NULL: none is. */
void model_on_reserved(struct model *model,
	bool (*reserved)(void *arg, const struct model_network *network, struct ip_addr ip), void *arg);

struct kubernetes;
/** For `status`: what follows Kubernetes, NULL: nothing. */
void model_kubernetes(struct model *model, struct kubernetes *kubernetes);

struct registry *model_registry(struct model *model);

/** What DNS asks of the model: its ports by name and address. */
void model_dns_config(struct model *model, struct dns_config *config);
/** Answers DNS at the gateway of each network, now and later, by `dns`; NULL: no longer. */
void model_dns_attach(struct model *model, struct dns *dns);

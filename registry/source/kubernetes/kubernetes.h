/*
 * kubernetes.h: Kubernetes' Services as services, and the endpoints that its EndpointSlices have as their instances. Both
 * are listed and then followed at the API server, by its own address: its Service works only once this does. What the
 * server said last holds while it is away. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct event_base;
struct kubernetes;
struct registry;

#define KUBERNETES_TOKEN "/var/run/secrets/kubernetes.io/serviceaccount/token"
#define KUBERNETES_CA "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt"

struct kubernetes_config {
	struct event_base *base;
	struct registry *reg;
	const char *api;	/* "https://10.0.0.1:6443" */
	const char *token_file; /* read again for each request: tokens rotate. NULL: none is sent */
	const char *ca;		/* NULL: who the system trusts */
	const char *node;    /* that this daemon runs on, as Kubernetes calls it. NULL: no endpoint is near */
	const char *network; /* that the pods are in */
};

/** Begins to follow; texts are copied. -ENOMEM. */
int kubernetes_open(const struct kubernetes_config *config, struct kubernetes **out);
/** What it registered stays. Before the registry is freed. NULL is allowed. */
void kubernetes_close(struct kubernetes *kubernetes);

struct kubernetes_info {
	bool synced;	 /* all that there is was heard of once */
	const char *why; /* why the server is not heard now, NULL: it is. The source's own */
	int64_t since_s; /* for so long it is, or is not, heard */
	size_t services, slices, endpoints;
};
struct kubernetes_info kubernetes_info(const struct kubernetes *kubernetes);

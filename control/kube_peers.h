/*
 * kube_peers.h: pods of Kubernetes' other nodes, in a network of mode host with a VNI: a tunnel to each node, and its
 * podCIDRs as the part of the network that is there. Control thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "registry/source/kubernetes/kubernetes.h"

struct kube_peers;
struct model;
struct model_network;

/** Do pods of other nodes belong to the network? */
bool kube_peers_reach(const struct model_network *network);
/** The names are borrowed. NULL: no memory. */
struct kube_peers *kube_peers_open(struct model *model, const char *network, const char *node);
/** Tunnels end with the daemon. NULL is allowed. */
void kube_peers_close(struct kube_peers *nodes);
/** Pods of these nodes are reached, and of no others. False: not all of them, with the reason. */
bool kube_peers_set(void *nodes, const struct kubernetes_node *list, size_t n, char why[KUBERNETES_WHY]);

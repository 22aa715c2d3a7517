/*
 * kube_peers.c: a node is one MAC to the others, made of its name. Who asks for an address of its podCIDRs is told that
 * MAC (dp_network_hosts()), which leads to the tunnel to the node; there the address says which pod it is. So a node says
 * nothing of its pods, and learns nothing of those of others.
 */
#include "control/kube_peers.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/log.h"
#include "control/host/forwarding.h"
#include "control/methods/list.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"
#include "control/model/publish.h"

#define SOURCE "kubernetes"

/* Another node, whose MAC leads to its tunnel. */
struct peer {
	struct ip_addr remote;
	uint8_t mac[6];
};

struct kube_peers {
	struct model *model;
	const char *network;
	uint8_t mac[6]; /* of this node */
	struct peer *peers;
	size_t npeer;
	struct forwarding_loose loose; /* of this node's InternalIP */
};

/* What is to be, as it is put together. */
struct wanted {
	struct ip_addr *near; /* of the nodes themselves */
	size_t nnear;
	struct peer *peers;
	struct dp_range *ranges;
	size_t npeer, nrange;
	char *why; /* the first reason why some node is left out, "": none is */
};

static void mac_of(const char *node, uint8_t mac[6])
{
	char seed[KUBERNETES_WHY + 8];

	snprintf(seed, sizeof(seed), "node %s", node); /* no port has such a name */
	addr_mac_of_name(seed, 0, mac);
}

bool kube_peers_reach(const struct model_network *network)
{
	return network->spec.mode == DP_HOST && network->spec.vni != 0;
}

struct kube_peers *kube_peers_open(struct model *model, const char *network, const char *node)
{
	struct kube_peers *nodes = calloc(1, sizeof(*nodes));

	if (!nodes)
		return NULL;
	nodes->model = model;
	nodes->network = network;
	mac_of(node, nodes->mac);
	return nodes;
}

static void give_back(struct kube_peers *nodes)
{
	char ifname[IF_NAMESIZE];

	memcpy(ifname, nodes->loose.ifname, sizeof(ifname));
	if (forwarding_restore(&nodes->loose))
		log_line(LOG_INFO, "kubernetes: rp_filter of %s is %c again", ifname, nodes->loose.was);
}

/* The answers to what comes from other nodes' pods for this node go by the network, not whence they came. */
static void take_own(struct kube_peers *nodes, const struct model_network *network, struct ip_addr address)
{
	char text[IP_TEXT];

	if (network->egress != EGRESS_MASQUERADE || ip_is_none(address))
		give_back(nodes);
	else if (forwarding_loosen(address, &nodes->loose))
		log_line(LOG_WARNING,
			"kubernetes: %s, the interface of %s, takes packets whose answers go by another from "
			"now on (rp_filter 2)",
			nodes->loose.ifname, ip_text(address, text));
}

void kube_peers_close(struct kube_peers *nodes)
{
	if (!nodes)
		return;
	give_back(nodes);
	free(nodes->peers);
	free(nodes);
}

__attribute__((format(printf, 2, 3))) static void leave_out(struct wanted *wanted, const char *fmt, ...)
{
	va_list ap;

	if (wanted->why[0])
		return;
	va_start(ap, fmt);
	vsnprintf(wanted->why, KUBERNETES_WHY, fmt, ap);
	va_end(ap);
}

/* The family of the underlay: of IPv4 if some uplink is. False: there is no uplink with an address. */
static bool underlay(const struct model *model, bool *ip6)
{
	const struct model_port *port;
	bool found = false;

	*ip6 = true;
	TAILQ_FOREACH (port, &model->ports, link) {
		if (port->network || ip_is_none(port->spec.address.address))
			continue;
		found = true;
		*ip6 = *ip6 && !ip_is4(port->spec.address.address);
	}
	return found;
}

static int call(struct model *model, const char *method, const char *network, struct ip_addr remote,
	struct api_err *err)
{
	char text[IP_TEXT];

	return method_do(model, method, SOURCE,
		json_pack("{s:s, s:s}", "network", network, "remote", ip_text(remote, text)), err);
}

/* What a node calls its own is that only where it is of the network, and not this node's. */
static bool is_sound(const struct model_network *network, const struct kubernetes_node *node,
	struct ip_prefix pods, struct wanted *wanted)
{
	bool ip6 = !ip_is4(pods.address);
	struct ip_addr gateway = network_spec_gateway(&network->spec, ip6);
	struct ip_prefix own = network->ranges[ip6];
	char text[ADDR_IP_PREFIX_TEXT];

	if (!ip_prefix_within(pods, network_spec_subnet(&network->spec, ip6))) {
		leave_out(wanted, "node %s: podCIDR %s is not within network %s", node->name,
			addr_ip_prefix_text(pods, text), network->name);
		return false;
	}
	if (ip_inside(gateway, pods) || (!ip_is_none(own.address) && ip_prefixes_overlap(own, pods))) {
		leave_out(wanted, "node %s: podCIDR %s has addresses of this node", node->name,
			addr_ip_prefix_text(pods, text));
		return false;
	}
	return true;
}

/* The tunnel that it takes, which is made where it is not there. False: there is none. */
static bool want_tunnel(struct kube_peers *nodes, const struct model_network *network,
	const struct kubernetes_node *node, bool ip6, struct wanted *wanted, struct ip_addr *remote)
{
	struct api_err err;

	*remote = ip_is_none(node->vtep) ? node->address[ip6] : node->vtep;
	if (ip_is_none(*remote)) {
		leave_out(wanted, "node %s has no InternalIP of IPv%d, as the uplink has", node->name,
			ip6 ? 6 : 4);
		return false;
	}
	if (model_vtep(nodes->model, network, *remote))
		return true;
	if (call(nodes->model, "vtep.add", network->name, *remote, &err) == 0)
		return true;
	leave_out(wanted, "node %s: %s", node->name, err.text);
	return false;
}

/* May a node be there? No node has an address of a pod's, nor one that each host has for itself. */
static bool is_near(const struct model_network *network, struct ip_addr address)
{
	return !ip_is_none(address) && !ip_is_loopback(address) && !ip_is_link_local(address) &&
	       !ip_inside(address, network_spec_subnet(&network->spec, !ip_is4(address)));
}

static void want(struct kube_peers *nodes, const struct model_network *network,
	const struct kubernetes_node *node, bool ip6, struct wanted *wanted)
{
	struct peer *peer = &wanted->peers[wanted->npeer];
	size_t had = wanted->nrange;

	for (unsigned i = 0; i < 2; i++) {
		struct dp_range *range = &wanted->ranges[wanted->nrange];

		if (ip_is_none(node->pods[i].address) || !is_sound(network, node, node->pods[i], wanted))
			continue;
		*range = (struct dp_range){.prefix = node->pods[i]};
		mac_of(node->name, range->mac);
		wanted->nrange++;
	}
	if (wanted->nrange == had) /* a new node has no podCIDRs yet */
		return;
	if (!want_tunnel(nodes, network, node, ip6, wanted, &peer->remote)) {
		wanted->nrange = had;
		return;
	}
	mac_of(node->name, peer->mac);
	wanted->npeer++;
	for (unsigned i = 0; i < 2; i++)
		if (is_near(network, node->address[i]))
			wanted->near[wanted->nnear++] = node->address[i];
}

static int compare_near(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(struct ip_addr));
}

/* Pods reach nodes under their own addresses: each node has a way back to those, by its tunnels. */
static void apply_near(struct kube_peers *nodes, struct model_network *network, struct wanted *wanted)
{
	struct api_err err;
	size_t kept = 0;

	if (wanted->nnear)
		qsort(wanted->near, wanted->nnear, sizeof(*wanted->near), compare_near);
	for (size_t i = 0; i < wanted->nnear; i++)
		if (!kept || !ip_equal(wanted->near[kept - 1], wanted->near[i]))
			wanted->near[kept++] = wanted->near[i];
	if (model_forward_near(nodes->model, network, wanted->near, kept, &err) < 0)
		leave_out(wanted, "nodes are reached under this node's address: %s", err.text);
}

static int by_prefix(const void *a, const void *b)
{
	const struct dp_range *x = a, *y = b;
	int order = ip_compare(x->prefix.address, y->prefix.address);

	return order ? order : (int)x->prefix.len - (int)y->prefix.len;
}

/* Of two nodes that claim the same, neither is believed more: the wider range counts, which begins first. */
static void sort_ranges(struct wanted *wanted)
{
	char text[ADDR_IP_PREFIX_TEXT];
	size_t kept = 0;

	if (wanted->nrange)
		qsort(wanted->ranges, wanted->nrange, sizeof(*wanted->ranges), by_prefix);
	for (size_t i = 0; i < wanted->nrange; i++)
		if (kept && ip_prefixes_overlap(wanted->ranges[kept - 1].prefix, wanted->ranges[i].prefix))
			leave_out(wanted, "podCIDR %s is of two nodes",
				addr_ip_prefix_text(wanted->ranges[i].prefix, text));
		else
			wanted->ranges[kept++] = wanted->ranges[i];
	wanted->nrange = kept;
}

static int compare_peers(const void *a, const void *b)
{
	const struct peer *x = a, *y = b;
	int order = ip_compare(x->remote, y->remote);

	return order ? order : memcmp(x->mac, y->mac, sizeof(x->mac));
}

/* False: it is not there, and is tried again. */
static bool enter(struct kube_peers *nodes, const struct model_network *network, const struct peer *peer,
	struct wanted *wanted)
{
	const struct model_vtep *vtep = model_vtep(nodes->model, network, peer->remote);
	struct dp_fdb_entry entry = {.net = network->id,
		.port = UINT16_MAX,
		.vtep = vtep ? vtep->id : UINT16_MAX,
		.is_static = true};
	char text[IP_TEXT];

	memcpy(entry.mac, peer->mac, sizeof(entry.mac));
	if (vtep && dp_fdb_add(nodes->model->dp, &entry) == 0)
		return true;
	leave_out(wanted, "the MAC of the node at %s found no room", ip_text(peer->remote, text));
	return false;
}

/* Both are sorted, and stay so: who finds no room is none of them, so that the next call tries it again. */
static void move_peers(struct kube_peers *nodes, const struct model_network *network, struct wanted *wanted)
{
	size_t i = 0, j = 0, kept = 0;

	while (i < nodes->npeer) { /* first: one that has another tunnel now has the same MAC */
		int order = j == wanted->npeer ? -1 : compare_peers(&nodes->peers[i], &wanted->peers[j]);

		if (order < 0)
			dp_fdb_del(nodes->model->dp, network->id, nodes->peers[i].mac);
		i += order <= 0;
		j += order >= 0;
	}
	for (i = j = 0; j < wanted->npeer;) {
		int order = i == nodes->npeer ? 1 : compare_peers(&nodes->peers[i], &wanted->peers[j]);

		if (order == 0 || (order > 0 && enter(nodes, network, &wanted->peers[j], wanted)))
			wanted->peers[kept++] = wanted->peers[j];
		i += order <= 0;
		j += order >= 0;
	}
	free(nodes->peers);
	nodes->peers = wanted->peers;
	nodes->npeer = kept;
	wanted->peers = NULL;
}

static bool is_peer(const struct kube_peers *nodes, struct ip_addr remote)
{
	for (size_t i = 0; i < nodes->npeer; i++)
		if (ip_equal(nodes->peers[i].remote, remote))
			return true;
	return false;
}

/* Nobody is there any more. */
static void drop_tunnels(struct kube_peers *nodes, const struct model_network *network)
{
	struct model_vtep *vtep, *next;
	struct api_err err;

	for (vtep = TAILQ_FIRST(&nodes->model->vteps); vtep; vtep = next) {
		next = TAILQ_NEXT(vtep, link);
		if (vtep->network == network && !strcmp(vtep->source, SOURCE) &&
			!is_peer(nodes, vtep->remote) &&
			call(nodes->model, "vtep.del", network->name, vtep->remote, &err) < 0)
			log_line(LOG_ERR, "kubernetes: a tunnel stays: %s", err.text);
	}
}

static void apply(struct kube_peers *nodes, struct model_network *network, struct wanted *wanted)
{
	int rc;

	sort_ranges(wanted);
	if (wanted->npeer)
		qsort(wanted->peers, wanted->npeer, sizeof(*wanted->peers), compare_peers);
	move_peers(nodes, network, wanted);
	rc = dp_network_hosts(nodes->model->dp, network->id, nodes->mac, wanted->ranges, wanted->nrange);
	if (rc < 0)
		leave_out(wanted, "network %s: %s", network->name, strerror(-rc));
	drop_tunnels(nodes, network);
	apply_near(nodes, network, wanted);
}

bool kube_peers_set(void *arg, const struct kubernetes_node *list, size_t n, char why[KUBERNETES_WHY])
{
	struct kube_peers *nodes = arg;
	struct model_network *network = model_network(nodes->model, nodes->network);
	struct wanted wanted = {
		.near = calloc(2 * n + 2, sizeof(*wanted.near)),
		.peers = calloc(n + 1, sizeof(*wanted.peers)),
		.ranges = calloc(2 * n + 2, sizeof(*wanted.ranges)),
		.why = why,
	};
	struct ip_addr own = {0};
	bool ip6, done = false;

	why[0] = '\0';
	if (!wanted.peers || !wanted.ranges || !wanted.near) {
		leave_out(&wanted, "out of memory");
	} else if (!network || !kube_peers_reach(network) || !network->has_gateway) {
		give_back(nodes);
		leave_out(&wanted, "network %s is not of mode host with a vni", nodes->network);
	} else if (!underlay(nodes->model, &ip6)) {
		leave_out(&wanted, "there is no uplink with an address");
	} else {
		for (size_t i = 0; i < n; i++)
			if (!list[i].own)
				want(nodes, network, &list[i], ip6, &wanted);
			else
				own = list[i].address[0];
		take_own(nodes, network, own);
		apply(nodes, network, &wanted);
		done = !why[0];
	}
	free(wanted.peers);
	free(wanted.ranges);
	free(wanted.near);
	return done;
}

/*
 * nodes.c: the nodes of the cluster. Of this one: where it is, and whether it is to go. Where pods of others are to be
 * reached, each node is followed, for its addresses and the ranges of its pods, which are handed on all together whenever
 * one of them has changed. A node whose heartbeat alone has changed changes nothing.
 */
#include <errno.h>
#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <syslog.h>

#include "addr/ip_text.h"
#include "registry/source/kubernetes/inside.h"

enum { RETRY_S = 5 };

struct kube_node {
	UT_hash_handle hh; /* by name */
	char name[KUBE_NODE + 1];
	unsigned round;
	struct kubernetes_node says; /* its name is the one above */
};

struct kube_nodes {
	bool (*fn)(void *arg, const struct kubernetes_node *list, size_t n, char why[KUBERNETES_WHY]);
	void *arg;
	struct event *timer;
	struct kube_node *table;
	unsigned round;
	struct kube_left *left_out; /* in this round, for want of room */
	char why[KUBERNETES_WHY];   /* "": what there is is in effect */
};

static bool is_own(const struct kubernetes *k, const char *name)
{
	return k->node && strcmp(k->node, name) == 0;
}

static void read_own(struct kubernetes *k, const json_t *object)
{
	char zone[KUBE_LABEL + 1];

	k->leaving = kube_is_leaving(object);
	kube_read_zone(object, zone);
	if (strcmp(zone, k->zone) == 0)
		return;
	strcpy(k->zone, zone);
	if (k->follows[KUBE_SLICES_OF])
		kube_follow_anew(k->follows[KUBE_SLICES_OF]);
}

/* The first of each family that the node has for others inside of the cluster. */
static void read_addresses(const json_t *object, struct kubernetes_node *says)
{
	const json_t *list = json_object_get(json_object_get(object, "status"), "addresses"), *one;
	struct ip_addr address;
	size_t i;

	json_array_foreach (list, i, one) {
		const char *type = kube_text(one, "type");
		struct ip_addr *at;

		if (!type || strcmp(type, "InternalIP") != 0 ||
			!ip_parse(kube_text(one, "address"), &address) || !ip_is_unicast(address))
			continue;
		at = &says->address[!ip_is4(address)];
		if (ip_is_none(*at))
			*at = address;
	}
}

static void take_pods(struct kubernetes_node *says, const char *text)
{
	struct ip_prefix pods;

	if (kube_prefix(text, &pods) && ip_is_none(says->pods[!ip_is4(pods.address)].address))
		says->pods[!ip_is4(pods.address)] = pods;
}

static void read_pods(const json_t *object, struct kubernetes_node *says)
{
	const json_t *spec = json_object_get(object, "spec"), *one;
	size_t i;

	json_array_foreach (json_object_get(spec, "podCIDRs"), i, one)
		take_pods(says, json_string_value(one));
	take_pods(says, kube_text(spec, "podCIDR"));
}

static struct kubernetes_node read_node(const json_t *object)
{
	const json_t *annotations = json_object_get(json_object_get(object, "metadata"), "annotations");
	struct kubernetes_node says = {0};

	read_addresses(object, &says);
	read_pods(object, &says);
	if (!ip_parse(kube_text(annotations, KUBERNETES_VTEP), &says.vtep) || !ip_is_unicast(says.vtep))
		says.vtep = (struct ip_addr){0};
	return says;
}

static void due(struct kubernetes *k, int seconds)
{
	const struct timeval when = {.tv_sec = seconds};

	if (seconds == 0 || !evtimer_pending(k->nodes->timer, NULL))
		evtimer_add(k->nodes->timer, &when);
}

/* NULL: there is no room for it. */
static struct kube_node *node_of(struct kube_nodes *nodes, const char *name)
{
	struct kube_node *node = NULL;

	HASH_FIND_STR(nodes->table, name, node);
	if (node)
		return node;
	node = HASH_COUNT(nodes->table) < KUBERNETES_NODES ? calloc(1, sizeof(*node)) : NULL;
	if (node) {
		strcpy(node->name, name);
		HASH_ADD_STR(nodes->table, name, node);
		if (node->hh.tbl) {
			kube_left_del(&nodes->left_out, name);
			return node;
		}
		free(node);
	}
	kube_left_add(&nodes->left_out, name);
	return NULL;
}

static bool says_the_same(const struct kubernetes_node *a, const struct kubernetes_node *b)
{
	for (unsigned i = 0; i < 2; i++)
		if (!ip_equal(a->address[i], b->address[i]) || a->pods[i].len != b->pods[i].len ||
			!ip_equal(a->pods[i].address, b->pods[i].address))
			return false;
	return ip_equal(a->vtep, b->vtep);
}

static void read_any(struct kubernetes *k, const char *name, const json_t *object)
{
	struct kubernetes_node says = read_node(object);
	struct kube_node *node = node_of(k->nodes, name);

	if (!node)
		return;
	node->round = k->nodes->round;
	if (says_the_same(&node->says, &says))
		return;
	node->says = says;
	/* of a list the rest comes first: a node that is there is not gone for a moment */
	if (!k->follows[KUBE_NODE_OF] || kube_follow_synced(k->follows[KUBE_NODE_OF]))
		due(k, 0);
}

static const char *name_of(const json_t *object)
{
	const char *name = kube_text(json_object_get(object, "metadata"), "name");

	return name && name[0] && strlen(name) <= KUBE_NODE ? name : NULL;
}

static void put_node(struct kubernetes *k, const json_t *object)
{
	const char *name = name_of(object);

	if (!name || (!k->nodes && !is_own(k, name)))
		return;
	kube_keep(k, KUBE_NODE_OF, name, object);
	if (is_own(k, name))
		read_own(k, object);
	if (k->nodes)
		read_any(k, name, object);
}

static void drop_node(struct kubernetes *k, struct kube_node *node)
{
	HASH_DEL(k->nodes->table, node);
	kube_keep(k, KUBE_NODE_OF, node->name, NULL);
	free(node);
	due(k, 0);
}

static void del_node(struct kubernetes *k, const json_t *object)
{
	const char *name = name_of(object);
	struct kube_node *node = NULL;

	if (!name || !k->nodes)
		return;
	kube_keep(k, KUBE_NODE_OF, name, NULL); /* also of one that was left out */
	if (kube_left_count(k->nodes->left_out)) {
		kube_left_del(&k->nodes->left_out, name);
		due(k, 0);
	}
	HASH_FIND_STR(k->nodes->table, name, node);
	if (node)
		drop_node(k, node);
}

static void begin_nodes(struct kubernetes *k)
{
	if (!k->nodes)
		return;
	k->nodes->round++;
	kube_left_clear(&k->nodes->left_out);
}

static void end_nodes(struct kubernetes *k)
{
	struct kube_node *node, *next;

	event_active(k->turn, 0, 0);
	if (!k->nodes)
		return;
	HASH_ITER(hh, k->nodes->table, node, next)
	if (node->round != k->nodes->round)
		drop_node(k, node);
	due(k, 0);
}

const struct kube_kind kube_kind_nodes = {
	"/api/v1/nodes", NULL, true, begin_nodes, put_node, del_node, end_nodes};

static void fail(struct kubernetes *k, const char *why)
{
	char line[KUBERNETES_WHY + 64];

	if (strcmp(k->nodes->why, why) == 0)
		return;
	snprintf(line, sizeof(line), "kubernetes: not all pods of other nodes are reached: %s", why);
	registry_log(k->reg, LOG_ERR, "kubernetes", line);
	snprintf(k->nodes->why, sizeof(k->nodes->why), "%s", why);
}

static int by_name(const void *a, const void *b)
{
	const struct kubernetes_node *x = a, *y = b;

	return strcmp(x->name, y->name);
}

/* Hands on all of them. */
static void on_due(evutil_socket_t fd, short what, void *arg)
{
	struct kubernetes *k = arg;
	size_t n = HASH_COUNT(k->nodes->table), at = 0;
	struct kubernetes_node *list = calloc(n ? n : 1, sizeof(*list));
	struct kube_node *node, *next;
	char why[KUBERNETES_WHY] = "out of memory";

	HASH_ITER(hh, k->nodes->table, node, next)
	if (list) {
		list[at] = node->says;
		list[at].own = is_own(k, node->name);
		list[at++].name = node->name;
	}
	if (list)
		qsort(list, n, sizeof(*list), by_name);
	if (!list || !k->nodes->fn(k->nodes->arg, list, n, why)) {
		fail(k, why);
		due(k, RETRY_S);
	} else if (k->nodes->left_out) {
		snprintf(why, sizeof(why), "there is room for %d, and %zu are left out", KUBERNETES_NODES,
			kube_left_count(k->nodes->left_out));
		fail(k, why);
	} else {
		k->nodes->why[0] = '\0';
	}
	free(list);
}

int kube_nodes_open(struct kubernetes *k, const struct kubernetes_config *config)
{
	if (!config->nodes)
		return 0;
	k->nodes = calloc(1, sizeof(*k->nodes));
	if (!k->nodes)
		return -ENOMEM;
	k->nodes->fn = config->nodes;
	k->nodes->arg = config->nodes_arg;
	k->nodes->timer = evtimer_new(k->base, on_due, k);
	return k->nodes->timer ? 0 : -ENOMEM;
}

void kube_nodes_close(struct kubernetes *k)
{
	struct kube_node *node, *next;

	if (!k->nodes)
		return;
	node = k->nodes->table;
	HASH_CLEAR(hh, k->nodes->table);
	for (; node; node = next) {
		next = node->hh.next;
		free(node);
	}
	kube_left_clear(&k->nodes->left_out);
	if (k->nodes->timer)
		event_free(k->nodes->timer);
	free(k->nodes);
	k->nodes = NULL;
}

const char *kube_nodes_why(const struct kubernetes *k, size_t *n)
{
	*n = k->nodes ? HASH_COUNT(k->nodes->table) : 0;
	return k->nodes && k->nodes->why[0] ? k->nodes->why : NULL;
}

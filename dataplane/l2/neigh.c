#include "dataplane/l2/neigh.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>
#include <sys/random.h>

#include "dataplane/core/exchange.h"
#include "dataplane/core/private.h"
#include "dataplane/core/siphash.h"
#include "dataplane/frame/nd.h"
#include "dataplane/frame/parse.h"
#include "dataplane/frame/reply.h"
#include "dataplane/l2/known.h"
#include "dataplane/l2/network.h"

enum {
	ASK_TICKS = 1000 / DP_TICK_MS,	    /* between requests while unknown */
	CONFIRM_TICKS = 30000 / DP_TICK_MS, /* and while known */
	LOST_AFTER = 3,			    /* unanswered requests, a second apart */
};

struct watcher {
	struct watcher *next;
	void (*fn)(void *arg, struct ip_addr ip, const uint8_t *mac);
	void *arg;
};

struct neighbour {
	LIST_ENTRY(neighbour) all, chain; /* chain: those of one hash */
	struct neigh_scope scope;
	struct ip_addr ip;
	bool known, reachable; /* known: from a port's list or an answer; reachable: has answered lately */
	bool at_host;	       /* known.h has its host's MAC: nobody is asked */
	uint8_t mac[6];
	unsigned asked, due; /* ticks of the last request and of the next */
	unsigned unanswered;
	struct watcher *watchers;
};

enum { NEIGH_CHAINS = 4096 };

LIST_HEAD(neighbours, neighbour);

/* By hash, as guests answer whatever and as often as they like; under a secret, as tenants choose addresses. */
struct neigh_table {
	uint64_t secret[2];
	struct neighbours all, chain[NEIGH_CHAINS];
	unsigned tick;
	unsigned asked_at[MAX_PORTS]; /* tick at which a port that came up last had its neighbours asked */
};

int neigh_open(struct dp *dp)
{
	dp->neigh = calloc(1, sizeof(*dp->neigh));
	if (!dp->neigh)
		return -ENOMEM;
	dp->neigh->tick = ASK_TICKS; /* no port has come up yet */
	return getrandom(dp->neigh->secret, sizeof(dp->neigh->secret), 0) == sizeof(dp->neigh->secret) ? 0
												       : -EIO;
}

static void neighbour_free(struct neighbour *n)
{
	struct watcher *w, *next;

	for (w = n->watchers; w; w = next) {
		next = w->next;
		free(w);
	}
	free(n);
}

void neigh_close(struct dp *dp)
{
	struct neighbour *n, *next;

	if (!dp->neigh)
		return;
	for (n = LIST_FIRST(&dp->neigh->all); n; n = next) {
		next = LIST_NEXT(n, all);
		neighbour_free(n);
	}
	free(dp->neigh);
	dp->neigh = NULL;
}

static struct neighbours *chain_of(struct dp *dp, struct neigh_scope scope, struct ip_addr ip)
{
	uint64_t where = (uint64_t)scope.net << 16 | scope.uplink;

	return &dp->neigh->chain[siphash13(dp->neigh->secret, ip.q[1], ip.q[0] ^ where) % NEIGH_CHAINS];
}

static struct neighbour *find(struct dp *dp, struct neigh_scope scope, struct ip_addr ip)
{
	struct neighbour *n;

	LIST_FOREACH (n, chain_of(dp, scope, ip), chain)
		if (ip_equal(n->ip, ip) && n->scope.net == scope.net && n->scope.uplink == scope.uplink)
			return n;
	return NULL;
}

/* Inside a network: a probe without a sender address, which teaches nobody a wrong MAC for the gateway (RFC 5227); of
 * IPv6 one from an address that is nobody else's. */
static int ask_guests(struct dp *dp, const struct neighbour *n)
{
	uint8_t frame[ND_FRAME_LEN];

	if (ip_is4(n->ip)) {
		reply_write_arp_request(frame, dp->probe_mac, 0, ip_to4(n->ip));
		return exchange_inject(dp, OUT_NONE, n->scope.net, frame, ARP_FRAME_LEN);
	}
	nd_write_solicit(frame, dp->probe_mac, NULL, n->ip);
	return exchange_inject(dp, OUT_NONE, n->scope.net, frame, ND_FRAME_LEN);
}

static int ask_underlay(struct dp *dp, const struct neighbour *n)
{
	uint8_t frame[ND_FRAME_LEN];
	const struct port *uplink = dp_get_port(dp, n->scope.uplink);

	if (!uplink)
		return 0;
	if (ip_is4(n->ip)) {
		reply_write_arp_request(frame, uplink->mac, uplink->address, ip_to4(n->ip));
		return exchange_inject(dp, uplink->id, NET_NONE, frame, ARP_FRAME_LEN);
	}
	nd_write_solicit(frame, uplink->mac, &uplink->address6, n->ip);
	return exchange_inject(dp, uplink->id, NET_NONE, frame, ND_FRAME_LEN);
}

/* Asks, and again after so many ticks. What the worker has no room for goes with the next tick. */
static void ask(struct dp *dp, struct neighbour *n, unsigned again)
{
	int rc = n->scope.net != NET_NONE ? ask_guests(dp, n) : ask_underlay(dp, n);

	n->asked = dp->neigh->tick;
	n->due = n->asked + (rc < 0 ? 1 : again);
}

static void tell(const struct neighbour *n)
{
	for (const struct watcher *w = n->watchers; w; w = w->next)
		w->fn(w->arg, n->ip, n->known ? n->mac : NULL);
}

static void set_mac(struct neighbour *n, const uint8_t *mac, bool reachable)
{
	bool changed = !n->known || memcmp(n->mac, mac, 6) != 0;

	n->known = true;
	n->reachable = reachable;
	memcpy(n->mac, mac, 6);
	if (changed)
		tell(n);
}

static bool lists(const struct port *port, struct ip_addr ip)
{
	for (unsigned k = 0; k < port->spec.nips; k++)
		if (ip_equal(port->spec.ips[k], ip))
			return true;
	return false;
}

/* The MAC that a port of the network was given for `ip`: good until the guest itself says otherwise. */
static bool listed_mac(struct dp *dp, uint16_t net, struct ip_addr ip, uint8_t *mac)
{
	for (unsigned i = 0; i < MAX_PORTS; i++) {
		const struct port *port = dp_get_port(dp, (uint16_t)i);

		if (!port || port->net != net || !lists(port, ip))
			continue;
		memcpy(mac, port->mac, 6);
		return true;
	}
	return false;
}

/* The MAC of the host whose range the address is in. */
static bool host_mac(struct dp *dp, uint16_t id, struct ip_addr ip, uint8_t *mac)
{
	const struct network *net = dp_get_net(dp, id);
	const uint8_t *found = net && known_own(net) ? known_mac(net, ip) : NULL;

	if (found)
		memcpy(mac, found, 6);
	return found != NULL;
}

static struct neighbour *make(struct dp *dp, struct neigh_scope scope, struct ip_addr ip)
{
	struct neighbour *n = calloc(1, sizeof(*n));

	if (!n)
		return NULL;
	n->scope = scope;
	n->ip = ip;
	LIST_INSERT_HEAD(&dp->neigh->all, n, all);
	LIST_INSERT_HEAD(chain_of(dp, scope, ip), n, chain);
	n->at_host = scope.net != NET_NONE && host_mac(dp, scope.net, ip, n->mac);
	n->known = n->at_host || (scope.net != NET_NONE && listed_mac(dp, scope.net, ip, n->mac));
	if (!n->at_host)
		ask(dp, n, ASK_TICKS);
	return n;
}

int neigh_want(struct dp *dp, struct neigh_scope scope, struct ip_addr ip,
	void (*fn)(void *arg, struct ip_addr ip, const uint8_t *mac), void *arg)
{
	struct neighbour *n = find(dp, scope, ip);
	struct watcher *w = calloc(1, sizeof(*w));

	if (w && !n)
		n = make(dp, scope, ip);
	if (!w || !n) {
		free(w);
		return -ENOMEM;
	}
	w->fn = fn;
	w->arg = arg;
	w->next = n->watchers;
	n->watchers = w;
	if (n->known)
		fn(arg, ip, n->mac);
	return 0;
}

static void forget(struct neighbour *gone)
{
	LIST_REMOVE(gone, all);
	LIST_REMOVE(gone, chain);
	neighbour_free(gone);
}

void neigh_release(struct dp *dp, struct neigh_scope scope, struct ip_addr ip,
	void (*fn)(void *arg, struct ip_addr ip, const uint8_t *mac), void *arg)
{
	struct neighbour *n = find(dp, scope, ip);

	if (!n)
		return;
	for (struct watcher **at = &n->watchers; *at; at = &(*at)->next) {
		struct watcher *w = *at;

		if (w->fn != fn || w->arg != arg)
			continue;
		*at = w->next;
		free(w);
		break;
	}
	if (!n->watchers)
		forget(n);
}

/* A neighbour that no longer answers keeps its MAC: a quiet one is more often busy than moved. */
void neigh_tick(struct dp *dp)
{
	struct neighbour *n;

	dp->neigh->tick++;
	LIST_FOREACH (n, &dp->neigh->all, all) {
		if (n->at_host || (int)(dp->neigh->tick - n->due) < 0)
			continue;
		if (n->unanswered < LOST_AFTER)
			n->unanswered++;
		else
			n->reachable = false;
		ask(dp, n, n->reachable && n->unanswered == 0 ? CONFIRM_TICKS : ASK_TICKS);
	}
}

/* Whose MAC an ARP packet or an advertisement tells. False: nobody's. */
static bool read_answer(const uint8_t *data, uint16_t len, struct ip_addr *ip, uint8_t mac[6])
{
	const uint8_t *arp = data + ETH_LEN;

	if (nd_read_advert(data, len, ip, mac))
		return true;
	if (len < ARP_FRAME_LEN || load16(data + 12) != ETHERTYPE_ARP || mac_multicast(arp + ARP_SENDER_MAC))
		return false;
	*ip = ip_from4(load_ip4(arp + ARP_SENDER_IP));
	memcpy(mac, arp + ARP_SENDER_MAC, 6);
	return true;
}

void neigh_input(struct dp *dp, uint16_t net, uint16_t port, const uint8_t *data, uint16_t len)
{
	struct neigh_scope scope = {.net = net, .uplink = net == NET_NONE ? port : OUT_NONE};
	struct neighbour *n;
	struct ip_addr ip;
	uint8_t mac[6];

	n = read_answer(data, len, &ip, mac) ? find(dp, scope, ip) : NULL;
	if (!n || n->at_host)
		return;
	n->unanswered = 0;
	n->due = dp->neigh->tick + CONFIRM_TICKS;
	set_mac(n, mac, true);
}

void neigh_port_changed(struct dp *dp, const struct port *port)
{
	struct neighbour *n;
	uint8_t mac[6];

	LIST_FOREACH (n, &dp->neigh->all, all) {
		if (n->scope.net != port->net || !lists(port, n->ip))
			continue;
		if (listed_mac(dp, port->net, n->ip, mac))
			set_mac(n, mac, n->reachable);
		n->due = dp->neigh->tick; /* ask who it is now */
	}
}

void neigh_known_changed(struct dp *dp, const struct network *net)
{
	struct neighbour *n;
	uint8_t mac[6];

	LIST_FOREACH (n, &dp->neigh->all, all) {
		bool was = n->at_host;

		if (n->scope.net != net->id)
			continue;
		n->at_host = host_mac(dp, net->id, n->ip, mac);
		if (n->at_host) {
			set_mac(n, mac, true);
		} else if (was) { /* of a host that is gone: it may come back as anybody */
			n->known = n->reachable = false;
			n->due = dp->neigh->tick;
			tell(n);
		}
	}
}

/* Hundreds of ports may come up at once, and each request goes to all of them: one a tick is enough. */
static void ask_soon(struct dp *dp, struct neighbour *n)
{
	if (n->asked == dp->neigh->tick)
		n->due = dp->neigh->tick + 1;
	else
		ask(dp, n, ASK_TICKS);
}

void neigh_port_up(struct dp *dp, const struct port *port)
{
	unsigned *asked_at = &dp->neigh->asked_at[port->id];
	struct neighbour *n;

	if (dp->neigh->tick - *asked_at < ASK_TICKS)
		return;
	*asked_at = dp->neigh->tick;
	LIST_FOREACH (n, &dp->neigh->all, all)
		if (!n->reachable &&
			(port->is_uplink ? n->scope.uplink == port->id : n->scope.net == port->net))
			ask_soon(dp, n);
}

size_t dp_neighbours(struct dp *dp, uint16_t uplink, struct dp_neighbour *out, size_t max)
{
	const struct neighbour *n;
	size_t count = 0;

	LIST_FOREACH (n, &dp->neigh->all, all) {
		if (n->scope.uplink != uplink || n->scope.net != NET_NONE || !n->known)
			continue;
		if (count < max) {
			out[count].ip = n->ip;
			out[count].reachable = n->reachable;
			memcpy(out[count].mac, n->mac, 6);
		}
		count++;
	}
	return count;
}

bool neigh_mac(struct dp *dp, struct neigh_scope scope, struct ip_addr ip, uint8_t mac[6])
{
	const struct neighbour *n = find(dp, scope, ip);

	if (!n || !n->known)
		return false;
	memcpy(mac, n->mac, 6);
	return true;
}

void neigh_walk(
	struct dp *dp, uint16_t net, void (*fn)(void *arg, struct ip_addr ip, const uint8_t *mac), void *arg)
{
	const struct neighbour *n;

	LIST_FOREACH (n, &dp->neigh->all, all)
		if (n->scope.net == net && n->known)
			fn(arg, n->ip, n->mac);
}

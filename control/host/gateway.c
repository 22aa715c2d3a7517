#include "control/host/gateway.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "control/host/netlink.h"
#include "control/host/netns.h"
#include "control/host/tap.h"

/* The interface's name where nothing else can have it. */
#define PRIVATE_IFNAME "gateway"

enum {
	/* Names tried in the host's namespace before it is an error. */
	NAME_ATTEMPTS = 4,
	/*
	 * Packets to neighbours that are gone stay for seconds in the queues of the sockets that sent them,
	 * among them the one that sends all probes of a network: so the queue is kept to a few packets.
	 */
	NEIGHBOUR_QUEUE_BYTES = 4096,
};

void gateway_ifname(const char *network, unsigned attempt, char ifname[16])
{
	uint8_t hash[6];

	if (attempt == 0 && strlen(network) <= 12) {
		snprintf(ifname, 16, "sl-%s", network);
		return;
	}
	addr_mac_of_name(network, attempt, hash);
	snprintf(ifname, 16, "sl-%.7s-%02x%02x", network, hash[4], hash[5]);
}

static int open_tap(struct gateway *gw, const struct gateway_spec *spec, int *fd)
{
	struct tap_spec tap = {.ifname = gw->ifname, .netns = gw->netns, .scratch_netns = -1, .queues = 1};
	int fds[TAP_QUEUES_MAX], rc = -EEXIST;

	for (unsigned attempt = 0; rc == -EEXIST && attempt < NAME_ATTEMPTS; attempt++) {
		if (spec->host)
			gateway_ifname(spec->network, attempt, gw->ifname);
		rc = tap_open(&tap, fds);
	}
	if (rc == 0)
		*fd = fds[0];
	return rc;
}

/* The router MAC is no source for frames that nobody asked for. A host without IPv6 sends none. */
static int silence(struct netlink *nl, int index)
{
	int rc = netlink_link_set(nl, index, &(struct netlink_link){.no_link_local = true});

	return rc == -EAFNOSUPPORT ? 0 : rc;
}

/* The kernel asks for neighbours of what it forwards from a link-local address, and only a host's forwards. */
static int add_address6(struct netlink *nl, int index, const struct gateway_spec *spec)
{
	static const struct ip_addr link_local = {.b = {0xfe, 0x80, [15] = 1}};
	int rc = netlink_addr_add(nl, index, spec->address6.address, spec->address6.len);

	return rc == 0 && spec->host ? netlink_addr_add(nl, index, link_local, 64) : rc;
}

static int add_addresses(struct netlink *nl, int index, const struct gateway_spec *spec)
{
	int rc = 0;

	if (!ip_is_none(spec->address.address))
		rc = netlink_addr_add(nl, index, spec->address.address, spec->address.len - IP_PREFIX4);
	if (rc == 0 && !ip_is_none(spec->address6.address))
		rc = add_address6(nl, index, spec);
	return rc;
}

static int limit_queues(struct netlink *nl, int index, const struct gateway_spec *spec)
{
	int rc = netlink_neighbour_queue(nl, index, false, NEIGHBOUR_QUEUE_BYTES);

	if (rc == 0 && !ip_is_none(spec->address6.address))
		rc = netlink_neighbour_queue(nl, index, true, NEIGHBOUR_QUEUE_BYTES);
	return rc;
}

static int set_up(const struct gateway *gw, const struct gateway_spec *spec)
{
	struct netlink_link change = {.mac = spec->mac, .mtu = spec->mtu};
	struct netlink *nl = NULL;
	int rc, index;

	rc = netlink_open(gw->netns, &nl);
	if (rc < 0)
		return rc;
	index = rc = netlink_index(nl, gw->ifname);
	if (rc < 0)
		goto out;
	/* before the MTU: below 1280 the interface has no IPv6 left to be asked about */
	rc = silence(nl, index);
	if (rc == 0)
		rc = netlink_link_set(nl, index, &change);
	if (rc == 0 && !ip_is_none(spec->address6.address))
		rc = tap_enable_ip6(gw->netns, gw->ifname);
	if (rc == 0)
		rc = add_addresses(nl, index, spec);
	if (rc == 0 && !spec->host)
		rc = limit_queues(nl, index, spec);
	if (rc == 0)
		rc = netlink_link_set(nl, index, &(struct netlink_link){.up = true});
out:
	netlink_close(nl);
	return rc;
}

int gateway_open(struct gateway *gw, const struct gateway_spec *spec, int *fd)
{
	static uint64_t last_id = GATEWAY_HOST;
	int rc;

	*gw = (struct gateway){.netns = -1, .netns_id = GATEWAY_HOST, .ifname = PRIVATE_IFNAME};
	if (!spec->host) {
		gw->netns_id = ++last_id;
		gw->netns = netns_new();
		if (gw->netns < 0)
			return gw->netns;
	}
	rc = open_tap(gw, spec, fd);
	if (rc == 0) {
		rc = set_up(gw, spec);
		if (rc < 0)
			close(*fd);
	}
	if (rc < 0)
		gateway_close(gw);
	return rc;
}

void gateway_close(struct gateway *gw)
{
	if (gw->netns >= 0)
		close(gw->netns);
	gw->netns = -1;
}

int gateway_set_mtu(const struct gateway *gw, uint16_t mtu)
{
	struct netlink *nl = NULL;
	int rc = netlink_open(gw->netns, &nl);

	if (rc == 0)
		rc = netlink_index(nl, gw->ifname);
	if (rc > 0)
		rc = netlink_link_set(nl, rc, &(struct netlink_link){.mtu = mtu});
	netlink_close(nl);
	return rc;
}

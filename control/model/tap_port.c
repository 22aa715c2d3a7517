#include "control/model/tap_port.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "control/host/netlink.h"

static int fail_tap(const struct tap_port *tap, int rc, struct api_err *err)
{
	if (rc == -EEXIST)
		return api_fail(
			err, API_EXISTS, "ifname", "there is an interface \"%s\" already", tap->ifname);
	if (rc == -EINVAL)
		return api_fail(
			err, API_INVALID, "ifname", "\"%s\" is no name for an interface", tap->ifname);
	return api_fail(err, API_INTERNAL, "ifname", "cannot make \"%s\": %s", tap->ifname, strerror(-rc));
}

static bool has_ip(const struct tap_port *tap, struct ip_addr ip)
{
	for (unsigned i = 0; i < tap->nips; i++)
		if (ip_equal(tap->ips[i], ip))
			return true;
	return false;
}

static uint8_t prefix_of(const struct tap_port *tap, struct ip_addr ip)
{
	return ip_is4(ip) ? tap->prefix : tap->prefix6;
}

/* Takes off the addresses that `now` lacks, then adds those that are not there. */
static int set_addresses(
	struct netlink *nl, int index, const struct tap_port *old, const struct tap_port *now)
{
	int rc = 0;

	for (unsigned i = 0; rc == 0 && old && i < old->nips; i++) {
		if (has_ip(now, old->ips[i]))
			continue;
		rc = netlink_addr_del(nl, index, old->ips[i], prefix_of(old, old->ips[i]));
		if (rc == -EADDRNOTAVAIL)
			rc = 0;
	}
	/* after the deletions: with the first address of a prefix the kernel takes off the others of that
	 * prefix */
	for (unsigned i = 0; rc == 0 && i < now->nips; i++) {
		rc = netlink_addr_add(nl, index, now->ips[i], prefix_of(now, now->ips[i]));
		if (rc == -EEXIST && old)
			rc = 0;
	}
	return rc;
}

static bool same_mac(const uint8_t *a, const uint8_t *b)
{
	return a && b ? memcmp(a, b, 6) == 0 : a == b;
}

static bool same_addresses(const struct tap_port *a, const struct tap_port *b)
{
	if (a->nips != b->nips || a->prefix != b->prefix || a->prefix6 != b->prefix6 ||
		!ip_equal(a->gateway, b->gateway) || !ip_equal(a->gateway6, b->gateway6))
		return false;
	return a->nips == 0 || memcmp(a->ips, b->ips, a->nips * sizeof(a->ips[0])) == 0;
}

static bool is_as(const struct tap_port *old, const struct tap_port *now)
{
	return same_mac(old->mac, now->mac) && old->mtu == now->mtu &&
	       (!now->configure || same_addresses(old, now));
}

/* To give an interface the MAC that it has makes the kernel forget its neighbours, so nothing is set that stays. */
static int set_link(struct netlink *nl, int index, const struct tap_port *old, const struct tap_port *now)
{
	struct netlink_link link = {
		.mac = old && same_mac(old->mac, now->mac) ? NULL : now->mac,
		.mtu = old && old->mtu == now->mtu ? 0 : now->mtu,
		/* the address may have been another container's a moment ago */
		.announce = now->contained,
	};

	return link.mac || link.mtu ? netlink_link_set(nl, index, &link) : 0;
}

static bool has_family(const struct tap_port *tap, bool ip6)
{
	for (unsigned i = 0; i < tap->nips; i++)
		if (ip_is4(tap->ips[i]) != ip6)
			return true;
	return false;
}

/* A default route, where the interface has an address of its family. */
static int set_route(struct netlink *nl, int index, const struct tap_port *now, struct ip_addr gateway)
{
	int rc;

	if (ip_is_none(gateway) || !has_family(now, !ip_is4(gateway)) || !now->contained)
		return 0;
	rc = netlink_default_route(nl, index, gateway);
	return rc == -EEXIST ? 0 : rc; /* the container has one, by another interface or from before */
}

/* Sets up the interface, new (old NULL) or as changed from `old`. */
static int set_up(struct netlink *nl, int index, const struct tap_port *old, const struct tap_port *now)
{
	int rc = set_link(nl, index, old, now);

	if (rc < 0 || !now->configure || (old && same_addresses(old, now)))
		return rc;
	rc = set_addresses(nl, index, old, now);
	if (rc == 0)
		rc = netlink_link_set(nl, index, &(struct netlink_link){.up = true});
	if (rc == 0)
		rc = set_route(nl, index, now, now->gateway);
	if (rc == 0)
		rc = set_route(nl, index, now, now->gateway6);
	return rc;
}

static int set_up_in(int netns, const struct tap_port *old, const struct tap_port *now, struct api_err *err)
{
	struct netlink *nl = NULL;
	bool ip6 = now->configure && has_family(now, true);
	int rc = netlink_open(netns, &nl);

	if (rc == 0 && ip6) {
		rc = tap_enable_ip6(netns, now->ifname);
		if (rc < 0) {
			netlink_close(nl);
			return api_fail(err, API_INTERNAL, "ips", "\"%s\" cannot have IPv6: %s", now->ifname,
				strerror(-rc));
		}
	}
	if (rc == 0)
		rc = netlink_index(nl, now->ifname);
	if (rc > 0)
		rc = set_up(nl, rc, old, now);
	netlink_close(nl);
	if (rc == -ENODEV)
		return api_fail(err, API_NOT_FOUND, "ifname", "the interface \"%s\" is gone", now->ifname);
	if (rc < 0)
		return api_fail(
			err, API_INTERNAL, "ifname", "cannot set up \"%s\": %s", now->ifname, strerror(-rc));
	return 0;
}

int tap_port_open(const struct tap_port *tap, int netns, int scratch_netns, int fds[TAP_QUEUES_MAX],
	struct api_err *err)
{
	struct tap_spec spec = {
		.ifname = tap->ifname, .netns = netns, .scratch_netns = scratch_netns, .queues = tap->queues};
	int rc = tap_open(&spec, fds);

	if (rc < 0)
		return fail_tap(tap, rc, err);
	rc = set_up_in(netns, NULL, tap, err);
	for (unsigned i = 0; rc < 0 && i < tap->queues; i++)
		close(fds[i]);
	return rc;
}

int tap_port_change(const struct tap_port *old, const struct tap_port *now, int netns, struct api_err *err)
{
	return is_as(old, now) ? 0 : set_up_in(netns, old, now, err);
}

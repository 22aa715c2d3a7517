#include "control/host/netlink.h"

#include <errno.h>
#include <libmnl/libmnl.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/ip.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "addr/ip_text.h"
#include "control/host/netns.h"

struct netlink {
	struct mnl_socket *sock;
	uint32_t port;
	uint32_t seq;
};

/* Room for the largest answer: a link with its statistics is about 2 KB. */
enum { ANSWER_BYTES = 16384, REQUEST_BYTES = 512 };

int netlink_open(int netns, struct netlink **out)
{
	struct netlink *nl = calloc(1, sizeof(*nl));
	int back, rc = 0;

	if (!nl)
		return -ENOMEM;
	back = netns_enter(netns);
	if (back < 0) {
		free(nl);
		return back;
	}
	nl->sock = mnl_socket_open2(NETLINK_ROUTE, SOCK_CLOEXEC);
	if (!nl->sock || mnl_socket_bind(nl->sock, 0, MNL_SOCKET_AUTOPID) < 0)
		rc = -errno;
	netns_leave(back);
	if (rc < 0) {
		netlink_close(nl);
		return rc;
	}
	nl->port = mnl_socket_get_portid(nl->sock);
	*out = nl;
	return 0;
}

void netlink_close(struct netlink *nl)
{
	if (!nl)
		return;
	if (nl->sock)
		mnl_socket_close(nl->sock);
	free(nl);
}

/* Sends the request and hands each message of the answer to `fn` (may be NULL). Returns 0 or -errno. */
static int transact(struct netlink *nl, struct nlmsghdr *request, mnl_cb_t fn, void *arg)
{
	char answer[ANSWER_BYTES];
	ssize_t len;
	int rc;

	request->nlmsg_seq = ++nl->seq;
	request->nlmsg_flags |= NLM_F_REQUEST | NLM_F_ACK;
	if (mnl_socket_sendto(nl->sock, request, request->nlmsg_len) < 0)
		return -errno;
	do {
		len = mnl_socket_recvfrom(nl->sock, answer, sizeof(answer));
		if (len < 0)
			return -errno;
		rc = mnl_cb_run(answer, (size_t)len, nl->seq, nl->port, fn, arg);
	} while (rc > MNL_CB_STOP);
	return rc < 0 ? -errno : 0;
}

static struct ifinfomsg *link_request(char *buf, uint16_t type, int index, struct nlmsghdr **header)
{
	struct ifinfomsg *info;

	*header = mnl_nlmsg_put_header(buf);
	(*header)->nlmsg_type = type;
	info = mnl_nlmsg_put_extra_header(*header, sizeof(*info));
	info->ifi_family = AF_UNSPEC;
	info->ifi_index = index;
	return info;
}

static int take_index(const struct nlmsghdr *answer, void *arg)
{
	const struct ifinfomsg *info = mnl_nlmsg_get_payload(answer);

	*(int *)arg = info->ifi_index;
	return MNL_CB_OK;
}

int netlink_index(struct netlink *nl, const char *name)
{
	char buf[REQUEST_BYTES];
	struct nlmsghdr *request;
	int index = -ENODEV, rc;

	if (strlen(name) >= IFNAMSIZ)
		return -ENODEV;
	link_request(buf, RTM_GETLINK, 0, &request);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	rc = transact(nl, request, take_index, &index);
	return rc < 0 ? rc : index;
}

/* arp_notify, by its number: what /proc/sys has of it cannot be written by a daemon that may not write there. */
static void put_announce(struct nlmsghdr *request)
{
	struct nlattr *spec = mnl_attr_nest_start(request, IFLA_AF_SPEC),
		      *inet = mnl_attr_nest_start(request, AF_INET),
		      *conf = mnl_attr_nest_start(request, IFLA_INET_CONF);

	mnl_attr_put_u32(request, IPV4_DEVCONF_ARP_NOTIFY, 1);
	mnl_attr_nest_end(request, conf);
	mnl_attr_nest_end(request, inet);
	mnl_attr_nest_end(request, spec);
}

int netlink_link_set(struct netlink *nl, int index, const struct netlink_link *change)
{
	char buf[REQUEST_BYTES];
	struct nlmsghdr *request;
	struct ifinfomsg *info = link_request(buf, RTM_NEWLINK, index, &request);

	if (change->up) {
		info->ifi_flags = IFF_UP;
		info->ifi_change = IFF_UP;
	}
	if (change->mac)
		mnl_attr_put(request, IFLA_ADDRESS, 6, change->mac);
	if (change->mtu)
		mnl_attr_put_u32(request, IFLA_MTU, change->mtu);
	if (change->announce)
		put_announce(request);
	if (change->no_link_local) {
		struct nlattr *spec = mnl_attr_nest_start(request, IFLA_AF_SPEC);
		struct nlattr *inet6 = mnl_attr_nest_start(request, AF_INET6);

		mnl_attr_put_u8(request, IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
		mnl_attr_nest_end(request, inet6);
		mnl_attr_nest_end(request, spec);
	}
	return transact(nl, request, NULL, NULL);
}

int netlink_link_move(struct netlink *nl, int index, int netns, const char *name)
{
	char buf[REQUEST_BYTES];
	struct nlmsghdr *request;

	if (strlen(name) >= IFNAMSIZ)
		return -EINVAL;
	link_request(buf, RTM_NEWLINK, index, &request);
	mnl_attr_put_u32(request, IFLA_NET_NS_FD, (uint32_t)netns);
	mnl_attr_put_strz(request, IFLA_IFNAME, name);
	return transact(nl, request, NULL, NULL);
}

/* As its family has it, in four bytes or sixteen. */
static void put_address(struct nlmsghdr *request, uint16_t type, struct ip_addr address)
{
	if (ip_is4(address))
		mnl_attr_put_u32(request, type, ip_to4(address));
	else
		mnl_attr_put(request, type, sizeof(address.b), address.b);
}

static int addr_request(
	struct netlink *nl, uint16_t type, uint16_t flags, int index, struct ip_addr address, uint8_t prefix)
{
	char buf[REQUEST_BYTES];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct ifaddrmsg *info;

	request->nlmsg_type = type;
	request->nlmsg_flags = flags;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ifa_family = (unsigned char)ip_family(address);
	info->ifa_prefixlen = prefix;
	info->ifa_scope = RT_SCOPE_UNIVERSE;
	/* who has which address is known here: nobody has to wait a second for others to object (RFC 4862) */
	if (!ip_is4(address))
		info->ifa_flags = IFA_F_NODAD;
	info->ifa_index = (uint32_t)index;
	put_address(request, IFA_LOCAL, address);
	put_address(request, IFA_ADDRESS, address);
	return transact(nl, request, NULL, NULL);
}

int netlink_addr_add(struct netlink *nl, int index, struct ip_addr address, uint8_t prefix)
{
	return addr_request(nl, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, index, address, prefix);
}

int netlink_addr_del(struct netlink *nl, int index, struct ip_addr address, uint8_t prefix)
{
	return addr_request(nl, RTM_DELADDR, 0, index, address, prefix);
}

int netlink_neighbour_queue(struct netlink *nl, int index, bool ip6, uint32_t bytes)
{
	char buf[REQUEST_BYTES];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct nlattr *parms;
	struct ndtmsg *info;

	request->nlmsg_type = RTM_SETNEIGHTBL;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->ndtm_family = ip6 ? AF_INET6 : AF_INET;
	mnl_attr_put_strz(request, NDTA_NAME, ip6 ? "ndisc_cache" : "arp_cache");
	parms = mnl_attr_nest_start(request, NDTA_PARMS);
	mnl_attr_put_u32(request, NDTPA_IFINDEX, (uint32_t)index);
	mnl_attr_put_u32(request, NDTPA_QUEUE_LENBYTES, bytes);
	mnl_attr_nest_end(request, parms);
	return transact(nl, request, NULL, NULL);
}

static int take_type(const struct nlmsghdr *answer, void *arg)
{
	const struct rtmsg *info = mnl_nlmsg_get_payload(answer);

	if (answer->nlmsg_type == RTM_NEWROUTE)
		*(int *)arg = info->rtm_type != RTN_UNICAST;
	return MNL_CB_OK;
}

int netlink_is_local(struct netlink *nl, struct ip_addr address)
{
	char buf[REQUEST_BYTES];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);
	struct rtmsg *info;
	int local = 1, rc;

	request->nlmsg_type = RTM_GETROUTE;
	info = mnl_nlmsg_put_extra_header(request, sizeof(*info));
	info->rtm_family = (unsigned char)ip_family(address);
	info->rtm_dst_len = ip_is4(address) ? 32 : 128;
	put_address(request, RTA_DST, address);
	rc = transact(nl, request, take_type, &local);
	return rc < 0 ? rc : local;
}

/* A route by the interface, `how` in its family's scope, whose `attribute` is the address. */
static int change_route(struct netlink *nl, uint16_t type, uint16_t flags, int index, struct rtmsg how,
	uint16_t attribute, struct ip_addr address)
{
	char buf[REQUEST_BYTES];
	struct nlmsghdr *request = mnl_nlmsg_put_header(buf);

	request->nlmsg_type = type;
	request->nlmsg_flags = flags;
	how.rtm_family = (unsigned char)ip_family(address);
	how.rtm_table = RT_TABLE_MAIN;
	how.rtm_protocol = RTPROT_STATIC;
	how.rtm_type = RTN_UNICAST;
	memcpy(mnl_nlmsg_put_extra_header(request, sizeof(how)), &how, sizeof(how));
	put_address(request, attribute, address);
	mnl_attr_put_u32(request, RTA_OIF, (uint32_t)index);
	return transact(nl, request, NULL, NULL);
}

int netlink_default_route(struct netlink *nl, int index, struct ip_addr gateway)
{
	const struct rtmsg all = {.rtm_scope = RT_SCOPE_UNIVERSE};

	return change_route(nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL, index, all, RTA_GATEWAY, gateway);
}

/* To the address alone, behind the interface itself. */
static struct rtmsg one_host(struct ip_addr address)
{
	return (struct rtmsg){.rtm_scope = RT_SCOPE_LINK, .rtm_dst_len = ip_is4(address) ? 32 : 128};
}

int netlink_route_add(struct netlink *nl, int index, struct ip_addr address)
{
	return change_route(
		nl, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, index, one_host(address), RTA_DST, address);
}

int netlink_route_del(struct netlink *nl, int index, struct ip_addr address)
{
	return change_route(nl, RTM_DELROUTE, 0, index, one_host(address), RTA_DST, address);
}

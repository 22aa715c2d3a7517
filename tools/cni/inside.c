#include "tools/cni/inside.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netpacket/packet.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int enter(const char *netns, struct cni_err *err)
{
	int fd = open(netns, O_RDONLY | O_CLOEXEC), rc;

	if (fd < 0)
		return cni_fail(err, CNI_BAD_ENVIRONMENT, "CNI_NETNS: %.256s: %s", netns, strerror(errno));
	rc = setns(fd, CLONE_NEWNET) < 0
		     ? cni_fail(err, CNI_BAD_ENVIRONMENT, "CNI_NETNS: %.256s: %s", netns, strerror(errno))
		     : 0;
	close(fd);
	return rc;
}

static bool has_mac(const struct sockaddr *address, const char *mac)
{
	const struct sockaddr_ll *link = (const struct sockaddr_ll *)address;
	char text[18];

	snprintf(text, sizeof(text), "%02x:%02x:%02x:%02x:%02x:%02x", link->sll_addr[0], link->sll_addr[1],
		link->sll_addr[2], link->sll_addr[3], link->sll_addr[4], link->sll_addr[5]);
	return strcmp(text, mac) == 0;
}

static bool is_ip(const struct sockaddr *address, const char *ip)
{
	char text[INET6_ADDRSTRLEN];
	const void *bytes = address->sa_family == AF_INET
				    ? (const void *)&((const struct sockaddr_in *)address)->sin_addr
				    : (const void *)&((const struct sockaddr_in6 *)address)->sin6_addr;

	if (address->sa_family != AF_INET && address->sa_family != AF_INET6)
		return false;
	return inet_ntop(address->sa_family, bytes, text, sizeof(text)) && strcmp(text, ip) == 0;
}

static bool has_ip(const struct ifaddrs *all, const char *ifname, const char *ip)
{
	for (; all; all = all->ifa_next)
		if (all->ifa_addr && strcmp(all->ifa_name, ifname) == 0 && is_ip(all->ifa_addr, ip))
			return true;
	return false;
}

static int check_link(const struct ifaddrs *all, const char *ifname, const char *mac, struct cni_err *err)
{
	for (; all; all = all->ifa_next) {
		if (strcmp(all->ifa_name, ifname) != 0 || !all->ifa_addr ||
			all->ifa_addr->sa_family != AF_PACKET)
			continue;
		if (!has_mac(all->ifa_addr, mac))
			return cni_fail(
				err, CNI_DIFFERS, "%s in the container has another MAC than %s", ifname, mac);
		if (!(all->ifa_flags & IFF_UP))
			return cni_fail(err, CNI_DIFFERS, "%s in the container is down", ifname);
		return 0;
	}
	return cni_fail(err, CNI_DIFFERS, "the container has no interface %s", ifname);
}

int inside_check(
	const char *netns, const char *ifname, const char *mac, const json_t *ips, struct cni_err *err)
{
	struct ifaddrs *all = NULL;
	json_t *ip;
	size_t i;
	int rc;

	if (enter(netns, err) < 0)
		return -1;
	if (getifaddrs(&all) < 0)
		return cni_fail(err, CNI_IO, "interfaces of the container: %s", strerror(errno));
	rc = check_link(all, ifname, mac, err);
	json_array_foreach ((json_t *)ips, i, ip)
		if (rc == 0 && !has_ip(all, ifname, json_string_value(ip)))
			rc = cni_fail(err, CNI_DIFFERS, "%s in the container does not have %s", ifname,
				json_string_value(ip));
	freeifaddrs(all);
	return rc;
}

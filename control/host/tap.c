#include "control/host/tap.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "control/host/netlink.h"
#include "control/host/netns.h"

static void close_all(const int *fds, unsigned n)
{
	while (n > 0)
		close(fds[--n]);
}

/* Opens one queue of interface `req`; the kernel fills in the name that it chose. */
static int open_queue(struct ifreq *req, short flags)
{
	int hdr = TAP_HDR_BYTES;
	int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
	int rc;

	if (fd < 0)
		return -errno;
	req->ifr_flags = flags;
	if (ioctl(fd, TUNSETIFF, req) < 0 || ioctl(fd, TUNSETVNETHDRSZ, &hdr) < 0 ||
		ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6) < 0) {
		rc = -errno;
		close(fd);
		return rc;
	}
	return fd;
}

/* In the current namespace. */
static int open_queues(struct ifreq *req, unsigned queues, int *fds)
{
	short flags = (short)(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (queues > 1 ? IFF_MULTI_QUEUE : 0));
	unsigned n;

	for (n = 0; n < queues; n++) {
		/* the first must make the interface, never attach to somebody's persistent one */
		fds[n] = open_queue(req, (short)(n == 0 ? flags | IFF_TUN_EXCL : flags));
		if (fds[n] < 0) {
			int rc = fds[n];

			close_all(fds, n);
			return rc;
		}
	}
	return 0;
}

static int make_in(int netns, const char *ifname, unsigned queues, int *fds, char made[IFNAMSIZ])
{
	struct ifreq req = {0};
	int back, rc;

	memcpy(req.ifr_name, ifname, strlen(ifname) + 1);
	back = netns_enter(netns);
	if (back < 0)
		return back;
	/* a name that is taken gives EBUSY, or EINVAL when the other one is no TAP */
	if (if_nametoindex(ifname))
		rc = -EEXIST;
	else
		rc = open_queues(&req, queues, fds);
	netns_leave(back);
	memcpy(made, req.ifr_name, IFNAMSIZ);
	return rc == -EBUSY ? -EEXIST : rc;
}

static int move(int from, const char *made, int to, const char *ifname)
{
	struct netlink *nl = NULL;
	int rc = netlink_open(from, &nl);

	if (rc == 0)
		rc = netlink_index(nl, made);
	if (rc > 0)
		rc = netlink_link_move(nl, rc, to, ifname);
	netlink_close(nl);
	return rc;
}

/* Is there an interface of that name already? Asked before one is made, for the end of one costs 22 ms. */
static int is_free(int netns, const char *ifname)
{
	int back = netns_enter(netns), rc;

	if (back < 0)
		return back;
	rc = if_nametoindex(ifname) ? -EEXIST : 0;
	netns_leave(back);
	return rc;
}

int tap_open(const struct tap_spec *spec, int fds[TAP_QUEUES_MAX])
{
	char made[IFNAMSIZ];
	int rc;

	if (spec->ifname[0] == '\0' || strlen(spec->ifname) >= IFNAMSIZ || strchr(spec->ifname, '%') ||
		spec->queues < 1 || spec->queues > TAP_QUEUES_MAX)
		return -EINVAL;
	if (spec->netns < 0 || spec->scratch_netns < 0)
		return make_in(spec->netns, spec->ifname, spec->queues, fds, made);

	rc = is_free(spec->netns, spec->ifname);
	if (rc < 0)
		return rc;
	rc = make_in(spec->scratch_netns, "tap%d", spec->queues, fds, made);
	if (rc < 0)
		return rc;
	rc = move(spec->scratch_netns, made, spec->netns, spec->ifname);
	if (rc < 0)
		close_all(fds, spec->queues);
	return rc;
}

/* The setting `name` of the interface becomes `value`, a digit. Nothing is written where it is so already: a daemon that may
 * not write to /proc/sys needs no more than that. */
static int set_ip6(const char *ifname, const char *name, char value)
{
	char path[64 + IFNAMSIZ], was = '\0';
	int fd, rc = 0;

	snprintf(path, sizeof(path), "/proc/sys/net/ipv6/conf/%.*s/%s", IFNAMSIZ - 1, ifname, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -EAFNOSUPPORT : -errno;
	if (read(fd, &was, 1) != 1)
		rc = -EIO;
	close(fd);
	if (rc < 0 || was == value)
		return rc;
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, &value, 1) != 1)
		rc = -errno;
	close(fd);
	return rc;
}

int tap_enable_ip6(int netns, const char *ifname)
{
	int back = netns_enter(netns), rc;

	if (back < 0)
		return back;
	rc = set_ip6(ifname, "disable_ipv6", '0');
	/* who spoke to the address's last holder finds out without it, too, but only after half a minute */
	if (rc == 0)
		set_ip6(ifname, "ndisc_notify", '1');
	netns_leave(back);
	return rc;
}

static bool is_up_with(int sock, const char *ifname, const uint8_t mac[6])
{
	struct ifreq req = {0};

	memcpy(req.ifr_name, ifname, strnlen(ifname, IFNAMSIZ - 1));
	if (ioctl(sock, SIOCGIFHWADDR, &req) < 0 || memcmp(req.ifr_hwaddr.sa_data, mac, 6) != 0)
		return false;
	return ioctl(sock, SIOCGIFFLAGS, &req) == 0 && req.ifr_flags & IFF_UP;
}

static int name_of_mac(int sock, const uint8_t mac[6], char ifname[16])
{
	struct if_nameindex *all = if_nameindex();
	int rc = -ENOENT;

	if (!all)
		return -errno;
	for (struct if_nameindex *one = all; rc == -ENOENT && one->if_index; one++) {
		if (!is_up_with(sock, one->if_name, mac))
			continue;
		memcpy(ifname, one->if_name, strnlen(one->if_name, IFNAMSIZ - 1) + 1);
		rc = 0;
	}
	if_freenameindex(all);
	return rc;
}

int tap_name_of_mac(int netns, const uint8_t mac[6], char ifname[16])
{
	int back = netns_enter(netns), sock, rc;

	if (back < 0)
		return back;
	sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	rc = sock < 0 ? -errno : name_of_mac(sock, mac, ifname);
	if (sock >= 0)
		close(sock);
	netns_leave(back);
	return rc;
}

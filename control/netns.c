#include "control/netns.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/nsfs.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

/* Where iproute2 keeps its names, and the calling thread's own namespace. */
static const char names_dir[] = "/var/run/netns";
static const char self_path[] = "/proc/thread-self/ns/net";

/* What netns_enter() returns for "stay here"; a descriptor is never that large. */
enum { STAYED = 0x7fffffff };

static int open_ns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int netns_open(const char *name)
{
	char path[4096];
	int len, fd;

	if (name[0] == '/') {
		len = snprintf(path, sizeof(path), "%s", name);
	} else {
		if (name[0] == '\0' || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
			return -ENOENT;
		len = snprintf(path, sizeof(path), "%s/%s", names_dir, name);
	}
	if (len < 0 || (size_t)len >= sizeof(path))
		return -ENAMETOOLONG;

	fd = open_ns(path);
	if (fd < 0)
		return fd;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

static int loopback_up(void)
{
	struct ifreq req = {.ifr_name = "lo", .ifr_flags = IFF_UP | IFF_RUNNING};
	int sock = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	int rc = 0;

	if (sock < 0)
		return -errno;
	if (ioctl(sock, SIOCSIFFLAGS, &req) < 0)
		rc = -errno;
	close(sock);
	return rc;
}

int netns_new(void)
{
	int back, fd;
	int rc;

	back = open_ns(self_path);
	if (back < 0)
		return back;
	if (unshare(CLONE_NEWNET) < 0) {
		rc = -errno;
		close(back);
		return rc;
	}
	rc = loopback_up();
	fd = rc < 0 ? rc : open_ns(self_path);
	netns_leave(back);
	return fd;
}

int netns_enter(int netns)
{
	int back, rc;

	if (netns < 0)
		return STAYED;
	back = open_ns(self_path);
	if (back < 0)
		return back;
	if (setns(netns, CLONE_NEWNET) < 0) {
		rc = -errno;
		close(back);
		return rc;
	}
	return back;
}

void netns_leave(int back)
{
	if (back == STAYED)
		return;
	if (setns(back, CLONE_NEWNET) < 0) {
		perror("cannot return to the host's network namespace");
		abort();
	}
	close(back);
}

int netns_socket(int netns, int domain, int type, int protocol)
{
	int back = netns_enter(netns);
	int fd;

	if (back < 0)
		return back;
	fd = socket(domain, type | SOCK_CLOEXEC | SOCK_NONBLOCK, protocol);
	if (fd < 0)
		fd = -errno;
	netns_leave(back);
	return fd;
}

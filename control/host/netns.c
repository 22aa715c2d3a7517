#include "control/host/netns.h"

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
#include <sys/stat.h>
#include <unistd.h>

/* The calling thread's own namespace. */
static const char self_path[] = "/proc/thread-self/ns/net";

/* What netns_enter() returns for "stay here"; a descriptor is never that large. */
enum { STAYED = 0x7fffffff };

static int open_ns(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

int netns_path(const char *name, char path[PATH_MAX])
{
	int len;

	if (name[0] == '/') {
		len = snprintf(path, PATH_MAX, "%s", name);
	} else {
		if (name[0] == '\0' || strchr(name, '/') || !strcmp(name, ".") || !strcmp(name, ".."))
			return -ENOENT;
		len = snprintf(path, PATH_MAX, "%s/%s", NETNS_NAMES, name);
	}
	return len < 0 || len >= PATH_MAX ? -ENAMETOOLONG : 0;
}

int netns_open(const char *name)
{
	char path[PATH_MAX];
	int rc = netns_path(name, path), fd;

	if (rc < 0)
		return rc;
	fd = open_ns(path);
	if (fd < 0)
		return fd;
	if (ioctl(fd, NS_GET_NSTYPE) != CLONE_NEWNET) {
		close(fd);
		return -EINVAL;
	}
	return fd;
}

bool netns_is_own(int netns)
{
	struct stat own, st;

	return netns < 0 || (stat(self_path, &own) == 0 && fstat(netns, &st) == 0 &&
				    st.st_ino == own.st_ino && st.st_dev == own.st_dev);
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

uint64_t netns_cookie(int netns)
{
	int fd = netns_socket(netns, AF_INET, SOCK_DGRAM, 0);
	uint64_t cookie = 0;
	socklen_t size = sizeof(cookie);

	if (fd < 0)
		return 0;
	if (getsockopt(fd, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &size) < 0)
		cookie = 0;
	close(fd);
	return cookie;
}

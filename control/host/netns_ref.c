#include "control/host/netns_ref.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

#include "control/host/netns.h"

enum { LINKS = 8 };

/* Where `path` leads, as long as its last part is a symbolic link outside of /proc. */
static void follow(char path[PATH_MAX])
{
	char to[PATH_MAX];

	for (unsigned i = 0; i < LINKS && strncmp(path, "/proc/", 6) != 0; i++) {
		ssize_t len = readlink(path, to, sizeof(to) - 1);

		if (len <= 0 || to[0] != '/')
			return;
		memcpy(path, to, (size_t)len);
		path[len] = '\0';
	}
}

static bool in_proc(const char *path)
{
	int fd = open(path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	struct statfs fs;
	bool yes = fd >= 0 && fstatfs(fd, &fs) == 0 && fs.f_type == PROC_SUPER_MAGIC;

	if (fd >= 0)
		close(fd);
	return yes;
}

/* The process whose entry in /proc `path` is, 0: it is none's, -1: whose cannot be told. */
static pid_t process_of(const char *path)
{
	const char *number = path + strlen("/proc/");

	if (strncmp(path, "/proc/", 6) != 0)
		return in_proc(path) ? -1 : 0;
	if (isdigit((unsigned char)*number))
		return (pid_t)strtol(number, NULL, 10);
	/* the daemon itself, which is no stranger */
	return strncmp(number, "self/", 5) == 0 || strncmp(number, "thread-self/", 12) == 0 ? 0 : -1;
}

static bool has_ended(int pidfd)
{
	struct pollfd fd = {.fd = pidfd, .events = POLLIN};

	return poll(&fd, 1, 0) != 0;
}

/* Holds process `pid`, if that may be done now. */
static int hold(struct netns_ref *ref, pid_t pid, bool first, char why[NETNS_REF_WHY])
{
	/* a link that leads to another process now says so anew */
	bool anew = first || (ref->pid && ref->pid != pid);

	if (ref->pid == pid && ref->pidfd >= 0)
		return 0;
	netns_ref_close(ref);
	*ref = (struct netns_ref){.pid = pid, .pidfd = -1};
	if (!anew) {
		snprintf(why, NETNS_REF_WHY,
			"process %d of before cannot be told from another: delete the port and add it again",
			pid);
		return -ESRCH;
	}
	ref->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (ref->pidfd >= 0)
		return 0;
	snprintf(why, NETNS_REF_WHY, errno == ESRCH ? "there is no process %d" : "%d is no process", pid);
	return -ESRCH;
}

static int open_path(const char *path, const char *text, char why[NETNS_REF_WHY])
{
	int fd = netns_open(path);

	if (fd == -ENOENT || fd == -ENOTDIR)
		snprintf(why, NETNS_REF_WHY, "no such namespace \"%.100s\"", text);
	else if (fd == -EINVAL)
		snprintf(why, NETNS_REF_WHY, "\"%.100s\" is no network namespace", text);
	else if (fd < 0)
		snprintf(why, NETNS_REF_WHY, "\"%.100s\": %s", text, strerror(-fd));
	return fd == -ENOTDIR ? -ENOENT : fd;
}

static int open_process(
	struct netns_ref *ref, pid_t pid, const char *path, bool first, char why[NETNS_REF_WHY])
{
	int rc = hold(ref, pid, first, why), fd;

	if (rc < 0)
		return rc;
	fd = open_path(path, path, why);
	/* asked afterwards: while it lives nobody else has its number */
	if (!has_ended(ref->pidfd))
		return fd;
	if (fd >= 0)
		close(fd);
	snprintf(why, NETNS_REF_WHY, "process %d has ended", pid);
	return -ESRCH;
}

int netns_ref_open(struct netns_ref *ref, const char *text, bool first, char why[NETNS_REF_WHY])
{
	char path[PATH_MAX];
	pid_t pid;

	if (netns_path(text, path) < 0) {
		snprintf(why, NETNS_REF_WHY, "\"%.100s\" is neither a name nor an absolute path", text);
		return -EINVAL;
	}
	follow(path);
	pid = process_of(path);
	if (pid < 0) {
		snprintf(why, NETNS_REF_WHY, "\"%.100s\": give an entry of /proc as /proc/PID/ns/net", text);
		return -EINVAL;
	}
	return pid ? open_process(ref, pid, path, first, why) : open_path(path, text, why);
}

void netns_ref_close(struct netns_ref *ref)
{
	if (ref->pid && ref->pidfd >= 0)
		close(ref->pidfd);
	*ref = (struct netns_ref){0};
}

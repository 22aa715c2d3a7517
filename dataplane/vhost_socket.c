#include "dataplane/vhost_socket.h"

#include <ctype.h>
#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static struct sockaddr_un address_of(const struct dp_port *spec)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};

	strncpy(address.sun_path, spec->socket, sizeof(address.sun_path) - 1);
	return address;
}

int vhost_socket_check(const struct dp_port *spec, struct dp_err *err)
{
	const size_t most = sizeof(((struct sockaddr_un *)0)->sun_path) - 1;

	if (!spec->socket || !*spec->socket)
		return dp_fail(err, -EINVAL, "socket: a vhost-user port needs a path");
	if (strlen(spec->socket) > most)
		return dp_fail(err, -ENAMETOOLONG, "socket: %zu bytes, and a socket's path has at most %zu",
			strlen(spec->socket), most);
	return 0;
}

int vhost_connect(const struct dp_port *spec)
{
	struct sockaddr_un address = address_of(spec);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), rc;

	if (fd < 0)
		return -errno;
	if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	rc = -errno;
	close(fd);
	return rc;
}

/* Removes a socket file that a daemon left behind when it died. */
static int clear_path(const struct dp_port *spec, struct dp_err *err)
{
	struct stat st;
	int fd;

	if (lstat(spec->socket, &st) < 0)
		return errno == ENOENT
			       ? 0
			       : dp_fail(err, -errno, "socket: %s: %s", spec->socket, strerror(errno));
	if (!S_ISSOCK(st.st_mode))
		return dp_fail(err, -EEXIST, "socket: %s is there and is not a socket", spec->socket);
	fd = vhost_connect(spec);
	if (fd >= 0)
		close(fd);
	if (fd != -ECONNREFUSED)
		return dp_fail(err, -EADDRINUSE, "socket: another process serves %s", spec->socket);
	if (unlink(spec->socket) < 0)
		return dp_fail(err, -errno, "socket: %s: %s", spec->socket, strerror(errno));
	return 0;
}

/* A user or group by name or number; -1: unchanged. */
static int find_owner(const struct dp_port *spec, uid_t *uid, gid_t *gid, struct dp_err *err)
{
	const struct passwd *user = NULL;
	const struct group *group = NULL;

	*uid = (uid_t)-1;
	*gid = (gid_t)-1;
	if (spec->owner && isdigit((unsigned char)*spec->owner))
		*uid = (uid_t)strtoul(spec->owner, NULL, 10);
	else if (spec->owner && !(user = getpwnam(spec->owner)))
		return dp_fail(err, -EINVAL, "owner: there is no user %s", spec->owner);
	if (user)
		*uid = user->pw_uid;
	if (spec->group && isdigit((unsigned char)*spec->group))
		*gid = (gid_t)strtoul(spec->group, NULL, 10);
	else if (spec->group && !(group = getgrnam(spec->group)))
		return dp_fail(err, -EINVAL, "group: there is no group %s", spec->group);
	if (group)
		*gid = group->gr_gid;
	return 0;
}

int vhost_listen(const struct dp_port *spec, struct vhost_listener *listener, struct dp_err *err)
{
	struct sockaddr_un address;
	bool bound = false;
	struct stat st;
	uid_t uid;
	gid_t gid;
	int fd = -1, rc = find_owner(spec, &uid, &gid, err);

	if (!rc)
		rc = clear_path(spec, err);
	if (rc < 0)
		return rc;
	address = address_of(spec);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		goto fail;
	bound = true;
	/* nobody can connect before listen(), so the file's mode is right from the first moment on */
	if (lchown(spec->socket, uid, gid) < 0 || chmod(spec->socket, spec->socket_mode & 0777) < 0 ||
		lstat(spec->socket, &st) < 0 || listen(fd, 8) < 0)
		goto fail;
	*listener = (struct vhost_listener){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
	return 0;
fail:
	rc = dp_fail(err, -errno, "socket: %s: %s", spec->socket, strerror(errno));
	if (bound)
		unlink(spec->socket);
	if (fd >= 0)
		close(fd);
	return rc;
}

void vhost_listener_close(const struct dp_port *spec, struct vhost_listener *listener)
{
	struct stat st;

	if (listener->fd < 0)
		return;
	if (lstat(spec->socket, &st) == 0 && st.st_dev == listener->dev && st.st_ino == listener->ino)
		unlink(spec->socket);
	close(listener->fd);
	listener->fd = -1;
}

#include "dataplane/vhost/socket.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
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
static int clear_path(const struct dp_port *spec, struct vhost_closer *closer, struct dp_err *err)
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
		vhost_closer_hang_up(closer, fd);
	if (fd >= 0 || fd == -EAGAIN) /* its queue of connections is full */
		return dp_fail(err, -EADDRINUSE, "socket: another process serves %s", spec->socket);
	if (fd != -ECONNREFUSED)
		return dp_fail(err, fd, "socket: %s is there, and nobody can tell whether it is served: %s",
			spec->socket, strerror(-fd));
	if (unlink(spec->socket) < 0)
		return dp_fail(err, -errno, "socket: %s: %s", spec->socket, strerror(errno));
	return 0;
}

/* -1: `text` is no number that a user or group can have. */
static int64_t number_of(const char *text)
{
	char *end;
	unsigned long long n = strtoull(text, &end, 10);

	/* the last one means "unchanged" to chown(2) */
	return isdigit((unsigned char)*text) && !*end && n < UINT32_MAX ? (int64_t)n : -1;
}

/* A user or group by name or number; -1: unchanged. */
static int find_owner(const struct dp_port *spec, uid_t *uid, gid_t *gid, struct dp_err *err)
{
	const struct passwd *user = spec->owner ? getpwnam(spec->owner) : NULL;
	const struct group *group = spec->group ? getgrnam(spec->group) : NULL;
	int64_t user_number = spec->owner ? number_of(spec->owner) : -1;
	int64_t group_number = spec->group ? number_of(spec->group) : -1;

	if (spec->owner && !user && user_number < 0)
		return dp_fail(err, -EINVAL, "owner: there is no user %s", spec->owner);
	if (spec->group && !group && group_number < 0)
		return dp_fail(err, -EINVAL, "group: there is no group %s", spec->group);
	*uid = user ? user->pw_uid : (uid_t)user_number;
	*gid = group ? group->gr_gid : (gid_t)group_number;
	return 0;
}

/*
 * Gives the file at spec->socket to its owner and group, if it still is a socket: where somebody else may write
 * to the directory, it could be a link to anything by now. *st: what it is.
 */
static int give_away(const struct dp_port *spec, uid_t uid, gid_t gid, struct stat *st)
{
	int file = open(spec->socket, O_PATH | O_NOFOLLOW | O_CLOEXEC), rc = 0;

	if (file < 0)
		return -errno;
	if (fstat(file, st) < 0 || !S_ISSOCK(st->st_mode))
		rc = -EEXIST;
	else if (fchownat(file, "", uid, gid, AT_EMPTY_PATH) < 0)
		rc = -errno;
	close(file);
	return rc;
}

/*
 * Binds with the file's mode right from the first moment on: a socket's own inode has the mode that bind(2)
 * then makes the file with. The mode of a path could be set on another file.
 */
static int bind_at(int fd, const struct dp_port *spec)
{
	struct sockaddr_un address = address_of(spec);
	mode_t before;
	int rc;

	if (fchmod(fd, spec->socket_mode & 0777) < 0)
		return -errno;
	before = umask(0);
	rc = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
	umask(before);
	return rc;
}

int vhost_listen(const struct dp_port *spec, struct vhost_closer *closer, struct vhost_listener *listener,
	struct dp_err *err)
{
	uid_t uid = (uid_t)-1;
	gid_t gid = (gid_t)-1;
	bool bound = false;
	struct stat st;
	int fd, rc = find_owner(spec, &uid, &gid, err);

	if (!rc)
		rc = clear_path(spec, closer, err);
	if (rc < 0)
		return rc;
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	rc = fd < 0 ? -errno : bind_at(fd, spec);
	bound = rc == 0;
	if (!rc)
		rc = give_away(spec, uid, gid, &st);
	if (!rc && listen(fd, VHOST_BACKLOG) < 0) /* nobody can connect before */
		rc = -errno;
	if (!rc) {
		*listener = (struct vhost_listener){.fd = fd, .dev = st.st_dev, .ino = st.st_ino};
		return 0;
	}
	if (bound)
		unlink(spec->socket);
	if (fd >= 0)
		close(fd);
	return dp_fail(err, rc, "socket: %s: %s", spec->socket, strerror(-rc));
}

void vhost_listener_close(
	const struct dp_port *spec, struct vhost_closer *closer, struct vhost_listener *listener)
{
	struct stat st;

	if (listener->fd < 0)
		return;
	if (lstat(spec->socket, &st) == 0 && st.st_dev == listener->dev && st.st_ino == listener->ino)
		unlink(spec->socket);
	vhost_closer_unlisten(closer, listener->fd);
	listener->fd = -1;
}

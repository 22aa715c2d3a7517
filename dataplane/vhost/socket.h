/* socket.h: the Unix sockets of vhost-user ports. Control thread. */
#pragma once

#include <sys/types.h>

#include "dataplane/dataplane.h"
#include "dataplane/vhost/closer.h"

enum { VHOST_BACKLOG = 8 }; /* connections that wait to be accepted */

/* A listening socket and the file that it made. */
struct vhost_listener {
	int fd;
	dev_t dev;
	ino_t ino;
};

/**
 * Listens at spec->socket with its owner, group and mode. A socket file that nobody serves any more is
 * replaced. Errors, with a line in err: -EADDRINUSE (somebody serves it), -EEXIST (the file is no socket),
 * -ENAMETOOLONG (more than 107 bytes), -EINVAL (owner or group unknown), or what the system said.
 */
int vhost_listen(const struct dp_port *spec, struct vhost_closer *closer, struct vhost_listener *listener,
	struct dp_err *err);

/** Closes it and removes the file, unless the file is somebody else's by now. */
void vhost_listener_close(
	const struct dp_port *spec, struct vhost_closer *closer, struct vhost_listener *listener);

/** Connects to spec->socket. Returns a non-blocking fd or -errno, at once. */
int vhost_connect(const struct dp_port *spec);

/** -EINVAL (none given) or -ENAMETOOLONG, with a line in err; 0 when the path can be a socket's. */
int vhost_socket_check(const struct dp_port *spec, struct dp_err *err);

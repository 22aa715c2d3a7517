/*
 * closer.h: closes the files that a guest has given.
 *
 * Closing the last copy of a file can take time, depending on its kind: a TCP socket lingers as long as it
 * was set to, a FUSE file waits for its file system, a Unix socket closes what was sent through it and never
 * read. So control closes by itself only what is known to be harmless. All else goes to a thread of the
 * port's own, which may wait for ever, and for which nobody waits.
 */
#pragma once

#include <stdbool.h>

struct vhost_closer;

/** Control thread, as all of these. NULL: no memory. */
struct vhost_closer *vhost_closer_new(void);
/** What it still has to close is closed all the same. NULL is nothing. */
void vhost_closer_free(struct vhost_closer *c);

/** Closes an fd that a guest gave, or any file that may be the last to hold such a one. -1 is nothing. */
void vhost_closer_close(struct vhost_closer *c, int fd);
/** Closes a connected Unix socket, and whatever was not read from it. */
void vhost_closer_hang_up(struct vhost_closer *c, int fd);
/** Closes a Unix socket that listens, and the connections that wait at it. */
void vhost_closer_unlisten(struct vhost_closer *c, int fd);

/**
 * More files wait to be closed than a guest that keeps the rules can have given. Until that ends the guest is
 * not served, for it would take one fd after the other.
 */
bool vhost_closer_is_full(struct vhost_closer *c);

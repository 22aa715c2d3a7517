/*
 * notify.h: notifies a guest without ever waiting for it. The fd that a front-end sends for a ring's
 * notifications stays the guest's as well, with O_NONBLOCK and whatever is queued in it. A guest that fills
 * an eventfd's counter could make a plain write(2) block for ever. No call here blocks:
 *
 *   eventfd       the kernel adds to it when a read of nothing completes (Linux AIO, IOCB_FLAG_RESFD); at its
 *                 limit it stays there
 *   Unix socket   send(MSG_DONTWAIT); User-Mode Linux
 *
 * Pipes are refused (old versions of QEMU used them where there was no eventfd), and so are other sockets: a
 * writer or reader of the guest's holds their lock while it touches memory, which the guest can make last for
 * ever.
 */
#pragma once

#include <stdbool.h>

struct vhost_closer;
struct notifier; /* one worker's */

enum vhost_call_kind { VHOST_CALL_NONE, VHOST_CALL_EVENTFD, VHOST_CALL_SOCKET };

struct vhost_call {
	int fd; /* -1: none */
	enum vhost_call_kind kind;
};

/**
 * Control thread. What the kernel says when it can't (-ENOSYS, -EAGAIN: fs.aio-max-nr): eventfds are then
 * written to, and a guest can hold up its worker.
 */
int notifier_new(struct notifier **out);
/** NULL is allowed. */
void notifier_free(struct notifier *n);

/**
 * Control thread. Takes over `fd` from a front-end as what it is. -EINVAL: nothing that a ring may be notified
 * by, and it is still the caller's.
 */
int vhost_call_take(int fd, struct vhost_call *call);
/** Closes it; nothing when there is none. */
void vhost_call_close(struct vhost_call *call, struct vhost_closer *closer);

/** Kicks come by an eventfd only: workers read it with RWF_NOWAIT, which waits for nobody. */
bool vhost_is_eventfd(int fd);

/** Worker. Without a notifier eventfds are written to. */
void vhost_notify(struct notifier *n, struct vhost_call call);

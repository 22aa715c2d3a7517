/*
 * conn.h: one connection with a front-end: bytes and fds on a socket become messages for the device,
 * and answers go back. Nothing here waits: a message that has arrived in part stays where it is, for as long
 * as its sender likes, and nobody else notices. Control thread.
 */
#pragma once

#include "dataplane/vhost/dev.h"

struct vhost_conn {
	struct vhost_dev *dev;
	int fd; /* -1: nobody is connected */
	void *watch;
	/* After the device was reset. `fault`: it broke the rules, or took its memory away. */
	void (*ended)(void *arg, const char *why, bool fault);
	void *arg;
	uint64_t served; /* messages */
	uint32_t got;	 /* bytes of the message so far, header and payload */
	struct vhost_msg msg;
};

/** Takes over a connected, non-blocking socket. -ENOMEM (the socket is closed). */
int vhost_conn_start(struct vhost_conn *conn, int fd);

/**
 * Closes the connection, resets the device and calls `ended` with a line that says why, and whether that was a
 * fault of the front-end's. Nothing when nobody is connected.
 */
void vhost_conn_end(struct vhost_conn *conn, bool fault, const char *why);

/*
 * socket.h: the path of the control socket: may it be one, and what lies there? Control thread.
 */
#pragma once

#include <sys/un.h>

struct api_err;

/** Could the socket be made at `path`? Touches nothing; that a daemon serves it does not count. Returns 0 or -1. */
int rpc_socket_check(const char *path, struct api_err *err);

/**
 * The address of `path`, at which nothing lies any more: a socket that nobody serves is deleted. -ENAMETOOLONG;
 * -EEXIST: something else is there; -EADDRINUSE: somebody serves it.
 */
int rpc_socket_take(const char *path, struct sockaddr_un *address, struct api_err *err);

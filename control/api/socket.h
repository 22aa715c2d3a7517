/*
 * socket.h: the path of a socket: may it be one, and what lies there? Control thread.
 */
#pragma once

#include <sys/un.h>

struct api_err;

/** Could the control socket be made at `path`? Touches nothing; that a daemon serves it does not count. Returns 0 or -1. */
int rpc_socket_check(const char *path, struct api_err *err);

/**
 * The address of `path`, which the configuration's `field` (NULL: none) says, at which nothing lies any more: a socket that nobody
 * serves is deleted. -ENAMETOOLONG;
 * -EEXIST: something else is there; -EADDRINUSE: somebody serves it.
 */
int rpc_socket_take(const char *path, const char *field, struct sockaddr_un *address, struct api_err *err);

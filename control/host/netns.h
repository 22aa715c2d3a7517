/*
 * netns.h: Linux network namespaces, held by file descriptor.
 *
 * A held descriptor keeps the namespace alive, so only namespaces of the switch's own are kept open; a
 * container's is opened for one operation and closed again. Control thread only: entering one moves the
 * calling thread, never the process.
 */
#pragma once

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* Where iproute2 keeps its names. */
#define NETNS_NAMES "/var/run/netns"

/** Where namespace `name` lies: the absolute path that it is, or among the names. -errno when it is no name. */
int netns_path(const char *name, char path[PATH_MAX]);

/**
 * Opens the namespace `name`: an absolute path (/proc/PID/ns/net, /run/docker/netns/ID), else a name as
 * `ip netns` keeps it. Returns a close-on-exec descriptor, or -errno: -ENOENT, -EINVAL (not a network
 * namespace).
 */
int netns_open(const char *name);

/** Is it the calling thread's own? -1 is. */
bool netns_is_own(int netns);

/** A number that no other namespace has, nor ever gets; 0: this kernel (before 5.14) gives none. -1: here. */
uint64_t netns_cookie(int netns);

/** Makes a namespace that nothing but the returned descriptor refers to, with its loopback up. Or -errno. */
int netns_new(void);

/**
 * Moves the calling thread into `netns` (-1: stays where it is). Returns what netns_leave() takes to come
 * back, or -errno. Between the two nothing may fail to return.
 */
int netns_enter(int netns);

/** Comes back from netns_enter(). Ends the process when that fails: it must not go on in a guest's namespace.
 */
void netns_leave(int back);

/** A close-on-exec, non-blocking socket that belongs to `netns` (-1: here), wherever it is used later. Or
 * -errno. */
int netns_socket(int netns, int domain, int type, int protocol);

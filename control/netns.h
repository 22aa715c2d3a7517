/*
 * netns.h: Linux network namespaces, held by file descriptor.
 *
 * A held descriptor keeps the namespace alive, so only namespaces of the switch's own are kept open; a
 * container's is opened for one operation and closed again. Control thread only: entering one moves the
 * calling thread, never the process.
 */
#pragma once

/**
 * Opens the namespace `name`: an absolute path (/proc/PID/ns/net, /run/docker/netns/ID), else a name as
 * `ip netns` keeps it. Returns a close-on-exec descriptor, or -errno: -ENOENT, -EINVAL (not a network
 * namespace).
 */
int netns_open(const char *name);

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

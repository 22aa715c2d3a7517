/*
 * docker.h: Docker's network and IPAM driver. Docker finds a plugin by its socket, and asks it for each network, address
 * and container in one HTTP request each (libnetwork's remote drivers, IPAM drivers). Control thread.
 *
 *   docker network create -d sluice web      RequestPool, RequestAddress, CreateNetwork    a network of the daemon
 *   docker run --network web                 RequestAddress, CreateEndpoint, Join          a TAP port of it
 *   docker stop                              Leave, DeleteEndpoint, ReleaseAddress         the port goes
 *
 * Networks and ports are made by the same methods as anybody's, with source "docker". What Docker must find again after
 * either of the two was killed is in a journal of its own (STATE_DIR_DOCKER): Docker repeats nothing.
 */
#pragma once

#include "control/api/api.h"
#include "control/host/addr.h"

struct docker;
struct event_base;

#define DOCKER_POOL "10.160.0.0/12"

enum { DOCKER_POOL_LEN = 24 }; /* prefix length of a subnet that nobody asked for by its address */

struct docker_config {
	struct event_base *base;
	struct model *model;
	const char *dir; /* the state directory */
	const char *
		api; /* socket of Docker's own API, for names and health of containers; NULL: nothing is known of them */
	struct addr_prefix pool; /* networks without a subnet get theirs from it */
};

/**
 * Reads the journal, and makes what is in it and not in the model; takes out of the model what Docker made and is not in
 * it. Serves nobody yet. 0, or -1 with a line in `err`.
 */
int docker_open(const struct docker_config *config, struct docker **out, struct api_err *err);

/**
 * Listens at `path`, whose folders are made (mode 0660, a socket that nobody serves is replaced). 0 or -errno with a line
 * in `err`: -EADDRINUSE when another process serves it.
 */
int docker_listen(struct docker *docker, const char *path, struct api_err *err);

/** NULL is allowed. Networks and ports stay. */
void docker_close(struct docker *docker);

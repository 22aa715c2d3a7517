/*
 * inside.h: what the files of this room share.
 *
 *   server.c    the socket; an answer waits for the disk where Docker must be able to rely on it
 *   call.c      from a path to its function, and what an error looks like
 *   network.c   CreateNetwork, DeleteNetwork;  option.c reads what `-o` says
 *   endpoint.c  CreateEndpoint, DeleteEndpoint
 *   join.c      Join, Leave: the port;  follow.c finds out what Docker has called its interface
 *   publish.c   the host's ports that lead to a container (-p)
 *   pool.c      RequestPool, ReleasePool;  address.c RequestAddress, ReleaseAddress
 *   watch.c     Docker's events and lists, by its own API;  container.c what they make of a container: instances of
 *               services;  label.c what its labels say
 *   forgotten.c networks that Docker has lost
 *   record.c    what is known of networks, endpoints, pools and addresses, in memory and in the journal
 *   restore.c   the model as the records have it, after a start
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "control/api/api.h"
#include "control/docker/docker.h"

struct docker_server;
struct docker_watch;
struct event;
struct journal;

/*
 * What is kept, objects by id:
 *   network   {at: its making (all times are epoch, ms), network: its name here, own: made for Docker, internal, params: of network.add}
 *   endpoint  {at: the last of Docker's calls that made it or joined it, network: id, address: "10.1.0.2/24", address6, mac, given: MAC by Docker, sandbox: path, when joined, ifname, when
 *             known, route: the container's default route, portmap: what Docker asked to be published, published: what came of it}
 *   pool      {space, subnet, range, network: name here, bound: id of the network that has it}
 *   address   by "pool address": {at, gateway, for: id of network or endpoint, freed: when}
 */
enum docker_kind { DOCKER_NETWORK, DOCKER_ENDPOINT, DOCKER_POOL_OF, DOCKER_ADDRESS, DOCKER_KINDS };

struct docker {
	struct event_base *base;
	struct model *model;
	struct journal *journal;
	struct addr_prefix pool;
	json_t *records[DOCKER_KINDS];
	struct docker_server *server; /* NULL: it does not listen */
	struct docker_watch *watch;   /* NULL: Docker's API is not asked */
	struct event *follow, *sweep;
	unsigned looks;	    /* for interfaces, since the last container joined */
	unsigned next_port; /* of the host: where the search for any free one goes on */
	int64_t activated;  /* epoch, ms: since when the Docker of now is there */
};

enum { DOCKER_ID = 64, DOCKER_SHORT = 12, DOCKER_NAME = 64 };

/* record.c */

/** NULL when there is none; the record's own. After a change of it: docker_keep(). */
json_t *docker_record(const struct docker *docker, enum docker_kind kind, const char *id);
/** Takes over `record`, and puts it into the journal. */
void docker_put(struct docker *docker, enum docker_kind kind, const char *id, json_t *record);
/** The record has changed. */
void docker_keep(struct docker *docker, enum docker_kind kind, const char *id);
void docker_forget(struct docker *docker, enum docker_kind kind, const char *id);
/** Reads the journal. 0 or -1 with *err. */
int docker_records_open(struct docker *docker, const char *dir, struct api_err *err);
void docker_records_close(struct docker *docker);
/** Milliseconds since the epoch, as records keep them: a second holds a network's making and a daemon's start. */
int64_t docker_now_ms(void);

/** A method of the daemon's own, asked for by source "docker". 0 or -1 with *err. Takes over `params`. */
int docker_method(struct docker *docker, const char *method, json_t *params, struct api_err *err);

/** "docker-" and the first of the id: what its network or port is called here. */
const char *docker_name(const char *id, char name[DOCKER_NAME]);

/** Was it refused only since there is no such object (any more)? */
bool docker_is_gone(int rc, const struct api_err *err);

/* network.c */

/** The record of the network with a request's NetworkID; NULL with *err. */
json_t *docker_need_network(const struct docker *docker, const json_t *in, struct api_err *err);

/* endpoint.c */

/** The record of the endpoint with a request's NetworkID and EndpointID; NULL with *err. */
json_t *docker_need_endpoint(const struct docker *docker, const json_t *in, struct api_err *err);
/** What is known of the endpoint goes, with its port. 0 or -1 with *err. */
int docker_endpoint_drop(struct docker *docker, const char *id, struct api_err *err);

/* join.c */

/** Makes the endpoint's port; `made_as`: its interface is first called so in the host's namespace, NULL: it is in the
 * sandbox from the beginning. 0 or -1 with *err. */
int docker_port_add(struct docker *docker, const char *endpoint, const char *made_as, struct api_err *err);
/** The endpoint has no port from now on. 0 or -1 with *err. */
int docker_port_del(struct docker *docker, const char *endpoint, struct api_err *err);

/* follow.c */

int docker_follow_open(struct docker *docker);
void docker_follow_close(struct docker *docker);
/** A container has joined: its interface will be called otherwise soon. */
void docker_follow(struct docker *docker);
/** A Docker is there that was not: what it has forgotten is looked for once it had time to clean up. */
void docker_sweep_later(struct docker *docker);

/* restore.c */

void docker_restore(struct docker *docker);

/* forgotten.c */

/** Networks made before `before` (epoch, ms) that are not in Docker's list go, with what is in them. */
void docker_drop_forgotten(struct docker *docker, const json_t *networks, int64_t before);

/* server.c */

void docker_server_close(struct docker_server *server);

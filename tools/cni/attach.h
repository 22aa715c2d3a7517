/*
 * attach.h: a container's attachment to a network, as the daemon has it: a port, and what is published to it. All of it
 * is in the daemon, found by the labels of the port; nothing is kept here.
 *
 *   port     cni-ID-HASH   labels cni.network, cni.container, cni.ifname; HASH is of the three
 *   publish  cni-ID-HASH-pN
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "tools/cni/error.h"
#include "tools/ctl/client.h"

enum { ATTACH_NAME = 64 };

/* Which one. Who makes one for the same three again is told that it is there. */
struct attach_key {
	const char *network; /* the runtime's name of it */
	const char *container, *ifname;
};

struct attachment {
	struct attach_key key;
	json_t *port; /* parameters of port.add, but for its name; labels are added to */
	json_t *publish; /* list of {"host": publish.add's port, protocol, address; "container": port; "name": as the user has it} */
	const char *directory; /* of a vhost-user port's socket, which is made and removed; "": none */
	json_t *names; /* {"mac": "runtimeConfig.mac"}: what fields of `port` are called where the user has written them */
};

/** The name of its port. */
void attach_port_name(const struct attach_key *key, char name[ATTACH_NAME]);

/** Calls a method. 0 with a new reference in *result (may be NULL), or -1 with *err. Takes over `params`. */
int attach_call(
	struct client *client, const char *method, json_t *params, json_t **result, struct cni_err *err);

/** Makes it; *port is what the daemon says of the port. 0, or -1 with *err and nothing left. */
int attach_add(
	struct client *client, const struct attachment *attachment, json_t **port, struct cni_err *err);

/** Its port as port.show has it, NULL when there is none. 0 or -1 with *err. */
int attach_find(struct client *client, const struct attach_key *key, json_t **port, struct cni_err *err);

/** Takes it away, as much of it as there is. 0 or -1 with *err. */
int attach_del(struct client *client, const struct attach_key *key, struct cni_err *err);

/** Takes away those of the network that `keep` does not know. Goes on after a failure; 0 or -1 with the first *err. */
int attach_sweep(struct client *client, const char *network,
	bool (*keep)(const void *arg, const struct attach_key *key), const void *arg, struct cni_err *err);

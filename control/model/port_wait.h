/*
 * port_wait.h: TAP ports whose namespace is not there. Control thread.
 *
 * Such a port is in the model and the dataplane like any other, with its counters and its addresses, but has no
 * interface: it waits. It gets one when its namespace appears, told by inotify on the folder of `ip netns` and by
 * a timer for the others; and it waits again when its namespace goes. An interface that is deleted in a namespace
 * which stays, by whoever is root there, is not made again: the port is down until the namespace is another.
 *
 * A namespace that does not take the interface, having one of that name, costs an attempt each WAIT_MAX_S at the
 * most, and one port at a time is given its interface between other events.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "control/api/api.h"
#include "control/host/netns_ref.h"
#include "control/model/port_hold.h"

struct event_base;
struct model;
struct model_port;
struct port_wait;

enum { PORT_WAIT_WHY = API_TEXT };

#define PORT_WAIT_OWN "the host's own namespace is for ports of a network of mode host"

/* Of a port; all zero at first. */
struct port_waiting {
	struct netns_ref netns;
	char why[PORT_WAIT_WHY]; /* "": it does not wait */
	uint64_t cookie;	 /* of the namespace that its interface was made in last (netns.h); 0: none */
	bool deleted;		 /* that namespace is there, the interface is not: it does not wait */
	struct port_hold hold;
	long next_s;	  /* CLOCK_MONOTONIC: no attempt before */
	unsigned every_s; /* between attempts */
};

int port_wait_open(struct model *model, struct event_base *base, struct port_wait **out);
/** NULL is allowed. */
void port_wait_close(struct port_wait *wait);

/**
 * Makes the interface of a port that is to be added, or has it wait: without descriptors in port->spec then.
 * Returns 0, or -1 with `err`: the namespace is the host's own though the port's network is no host's, can never
 * be there, or does not take the interface.
 */
int port_wait_attach(struct model *model, struct model_port *port, struct api_err *err);

/** Has the port no interface, for its namespace is not there? */
bool port_waits(struct model *model, const struct model_port *port);

/** Opens the namespace of a port; *netns is -1 for the host's own. Returns 0, or -1 with `err`.
 */
int port_wait_netns(struct model_port *port, int *netns, struct api_err *err);

/** Its interface was moved to this namespace by somebody else. */
void port_wait_moved(struct model_port *port, int netns);

/** A link went down, perhaps for good: looks soon. */
void port_wait_look(struct model *model);

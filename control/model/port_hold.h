/*
 * port_hold.h: TAP ports that hold their namespace (`hold_netns`). Control thread.
 *
 * To move an interface from one namespace into another takes the kernel some 20 ms, for all of which it does nothing else
 * of that kind for anybody. So these have theirs made where it is to be; the descriptor then keeps the namespace alive, and
 * its end, by which other ports hear that a container is gone, never comes. Instead the name is watched by which the port
 * knows the namespace: when it leads nowhere, or elsewhere, the interface is given up. So it must be a name, or a path,
 * that somebody takes away, and no entry of /proc, which comes and goes by itself: with one the port is as any other.
 */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

struct model;
struct model_port;

/* Of a port. */
struct port_hold {
	bool held;
	dev_t dev; /* of the namespace */
	ino_t ino;
};

/** Is the interface of this port, whose namespace has been opened, to be made in there? */
bool port_hold_wanted(const struct model_port *port);
/** It has been made: in `netns`, where wanted. */
void port_hold_begin(struct model_port *port, int netns);
/** Gives up one interface whose namespace has lost its name. True: there may be more. */
bool port_hold_sweep(struct model *model);

/*
 * world.h: a registry with a real event loop and real sockets, and a sink that writes down what it
 * is told.
 *
 * Network "web" is 10.1.0.0/16, network "lo" is 127.0.0.0/8. Nothing has a switch port until world_port().
 */
#pragma once

#include <arpa/inet.h>
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "addr/ip_text.h"
#include "registry/registry.h"
#include "tests/unit/unit.h"

enum { WORLD_PORTS = 8, WORLD_TRAFFIC = 4 };

struct world {
	struct event_base *base;
	struct registry *reg;
	struct reg_err err;
	char told[4096]; /* the sink's log, see world_told() */
	struct {
		char network[REG_NAME_MAX + 1];
		struct ip_addr address;
		int state;
	} ports[WORLD_PORTS];
	unsigned nports;
	char socket_network[REG_NAME_MAX + 1]; /* of the last socket asked for */
	unsigned sockets;		       /* asked for in all */
	int socket_error;		       /* what the next ones fail with; 0: a real socket */
	uint64_t netns_id; /* what the sink says of any network; 0: no socket is used twice */
	int highest_fd;	   /* of those sockets */
	unsigned log_lines;
	struct {
		struct ip_addr address;
		struct reg_traffic seen;
	} traffic[WORLD_TRAFFIC]; /* of the backends at these addresses, the others get none; 0: unused */
	unsigned asked;		  /* for traffic */
	char not_kept[64];	  /* why the journal's file takes nothing, "": it does */
};

/* cmocka fixtures: *state is the struct world */
int world_setup(void **state);
int world_teardown(void **state);

/**
 * What the sink was told since the last call, a line each:
 *   "GENERATION SERVICE [gone] ADDRESS:PORT=WEIGHT[!][~] ...\n"
 * WEIGHT is the one for new connections, ! the port is down, ~ not balanced.
 */
const char *world_told(struct world *w);

/** The switch port's state as the sink tells it when asked; does not announce it. */
void world_port(struct world *w, const char *network, const char *address, int state);
/** The same, announced by registry_port_changed(). -1 takes the port away. */
void world_port_changed(struct world *w, const char *network, const char *address, int state);

/** A service in network "web" with vip 10.1.0.100:80/tcp, from source "api". */
struct reg_service world_service(const char *name);
/** A backend with weight 1 from source "api". */
struct reg_backend world_backend(const char *address, uint16_t port);
struct reg_check world_check(enum reg_check_type type);
struct ip_addr ip(const char *text);

/** They must succeed. */
void world_add_service(struct world *w, const struct reg_service *service);
void world_add_backend(struct world *w, const char *service, const char *address, uint16_t port);

const struct reg_backend *world_find(struct world *w, const char *service, const char *id);
/** Runs the loop until the backend has this health; fails the test when that does not come. */
void world_until(struct world *w, const char *service, const char *id, enum reg_health health);
/** Runs the loop until *counter is at least `value`. */
void world_until_count(struct world *w, const unsigned *counter, unsigned value);

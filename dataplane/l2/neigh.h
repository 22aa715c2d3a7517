/*
 * neigh.h: who has which MAC, in an uplink's underlay or among a network's guests, by ARP or by neighbour discovery.
 * Belongs to control, which asks and reads the answers; workers see only the results (a vtep's prebuilt header, a
 * backend's MAC).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "addr/ip.h"

struct dp;
struct network;
struct port;

/** What a neighbour is looked for in: a network (its guests) or an uplink (its underlay). */
struct neigh_scope {
	uint16_t net;	 /* NET_NONE when an uplink */
	uint16_t uplink; /* OUT_NONE when a network */
};

/**
 * Control thread. Starts (or goes on) resolving `ip`; calls fn now if the MAC is known, and whenever it
 * becomes known, changes or is lost (mac NULL), until neigh_release with the same arguments. A port of the
 * network that lists the address answers without being asked. -ENOMEM.
 */
int neigh_want(struct dp *dp, struct neigh_scope scope, struct ip_addr ip,
	void (*fn)(void *arg, struct ip_addr ip, const uint8_t *mac), void *arg);
void neigh_release(struct dp *dp, struct neigh_scope scope, struct ip_addr ip,
	void (*fn)(void *arg, struct ip_addr ip, const uint8_t *mac), void *arg);

/** Control thread. -ENOMEM. */
int neigh_open(struct dp *dp);
void neigh_close(struct dp *dp);
/** Control thread, every DP_TICK_MS: requests that are due. */
void neigh_tick(struct dp *dp);
/** A punted answer: ARP or a neighbour advertisement. */
void neigh_input(struct dp *dp, uint16_t net, uint16_t port, const uint8_t *data, uint16_t len);
/** A network's port came, goes (it is unpublished already), or is about to get or has got other ips. */
void neigh_port_changed(struct dp *dp, const struct port *port);

/** Other addresses of the network are in ranges of other hosts than before (known.h). */
void neigh_known_changed(struct dp *dp, const struct network *net);
/**
 * A port's link came up: who may be behind it and has not answered is asked at once, not a second after a request
 * that nobody was there to hear. Once a second for a port, whatever a guest does to its link.
 */
void neigh_port_up(struct dp *dp, const struct port *port);

/** The MAC of `ip`. False: nobody wants it, or it is not known. */
bool neigh_mac(struct dp *dp, struct neigh_scope scope, struct ip_addr ip, uint8_t mac[6]);
/** Calls fn for each neighbour of a network whose MAC is known. */
void neigh_walk(
	struct dp *dp, uint16_t net, void (*fn)(void *arg, struct ip_addr ip, const uint8_t *mac), void *arg);

/*
 * docker_user.h: rules in Docker's chain DOCKER-USER. Docker has the policy of iptables' FORWARD at drop where it was the
 * one that made the host forward, and what one table of nftables accepts another still drops. DOCKER-USER, which Docker
 * asks first and leaves to others, then lets the packets of a network pass; the network's own table decides about them.
 * Hosts whose iptables is not nftables' have no such chain that is seen from here. Control thread.
 */
#pragma once

#include <stdio.h>

/** Writes nft's commands that let pass what comes from and goes to this interface, where the chain is there and has none. */
void docker_user_allow(const char *ifname, FILE *commands);

/** Takes the rules of this interface away. */
void docker_user_forget(const char *ifname);

/** Takes away those of interfaces that are gone: a daemon that was killed has left them. */
void docker_user_sweep(void);

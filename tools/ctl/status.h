/* status.h: `sluicectl status` for people: who listens, how many objects there are, what is down, what is wrong. */
#pragma once

#include <jansson.h>

struct client;

/** Prints what the daemon has answered to `status`, and asks it for networks, ports, services and what is published. */
void status_print(struct client *client, const json_t *status);

/*
 * container.h: Docker's containers as instances of services. What a container is called, where it listens and how it is
 * follows from Docker's `inspect`; between two of those events change how it is.
 */
#pragma once

#include "control/docker/inside.h"
#include "registry/registry.h"

enum { CONTAINER_NAMES = 64 }; /* instances of one container */

struct docker_instance {
	char service[REG_SERVICE_MAX + 1], id[DOCKER_NAME];
	struct ip_addr address;
};

struct docker_container {
	char id[DOCKER_ID + 1], name[REG_SERVICE_MAX + 1];
	struct docker_instance *instances; /* that are registered, or were refused */
	unsigned n;
	uint16_t port, weight;
	json_t *check;			   /* label.h; NULL: none */
	char project[REG_SERVICE_MAX + 1]; /* of Compose, "": none */
	char health[16]; /* as Docker has it: "starting", "healthy", ...; "": it has no such check */
	bool paused, stopping, drained; /* drained: by `stopping` */
	int stop_signal;
};

/** Takes over what inspect says; with it go instances that are not so any longer. False: it does not run. */
bool docker_container_read(
	struct docker *docker, struct docker_container *container, const json_t *inspected);

/** Brings the registry to how the container is. */
void docker_container_apply(struct docker *docker, struct docker_container *container);

/** It is no instance of anything any longer. */
void docker_container_clear(struct docker *docker, struct docker_container *container);

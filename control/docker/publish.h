/* publish.h: ports of the host that lead to a container (`-p`), for the files of this room. */
#pragma once

#include "control/docker/inside.h"

/**
 * Publishes what `portmap`, the list as Docker has it, asks for, in the place of what the endpoint had; NULL: nothing. A
 * list that comes again changes nothing. 0, or -1 with *err and nothing published.
 */
int docker_publish(struct docker *docker, const char *endpoint, const json_t *portmap, struct api_err *err);

/** Nothing is published for the endpoint any longer. 0 or -1 with *err. */
int docker_unpublish(struct docker *docker, const char *endpoint, struct api_err *err);

/** What is published for it, as Docker writes it: a new reference, an empty list for nothing. */
json_t *docker_published(const json_t *record);

/** After a start: makes what is not there, takes away what no endpoint has. */
void docker_publish_restore(struct docker *docker);

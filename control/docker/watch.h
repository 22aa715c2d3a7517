/*
 * watch.h: follows Docker's own API for names, labels and health of containers (docker.api): events as they come, and at
 * each beginning a list of all. While Docker is away nothing changes; the switch ports say who is gone.
 */
#pragma once

struct docker;
struct docker_watch;

/** `path`: of Docker's socket, copied. NULL: no memory. */
struct docker_watch *docker_watch_open(struct docker *docker, const char *path);
/** NULL is allowed. Instances stay. */
void docker_watch_close(struct docker_watch *watch);

/*
 * state_dir.h: the directory in which the daemon keeps what must outlive it. One daemon to a directory.
 */
#pragma once

#include "control/api/api.h"

/* Its files, all of them journals (registry/store/journal.h): objects made by the API and for Docker, what came by Consul's
 * API, and what Docker was told. */
#define STATE_DIR_OBJECTS "state.log"
#define STATE_DIR_REGISTRY "registry.log"
#define STATE_DIR_DOCKER "docker.log"
#define STATE_DIR_CLUSTER "cluster.log" /* what etcd had last */
#define STATE_DIR_GLOBAL "global.log"	/* global objects, as etcd had them last */

/** Opens and locks it; it is made (mode 0700) when missing and `make`. A descriptor, or -errno with a line in `err`. */
int state_dir_open(const char *dir, bool make, struct api_err *err);

/** The path of a file in it. -ENAMETOOLONG with a line in `err`. */
int state_dir_path(const char *dir, const char *file, char *path, size_t size, struct api_err *err);

/**
 * `sluiced --repair`: saves of its files what is sound and prints what it did, a line a file. Errors (of use by
 * a daemon, of the system, of a file of another version) on stderr: -1.
 */
int state_dir_repair(const char *dir);

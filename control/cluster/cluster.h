/*
 * cluster.h: hosts that name the same etcd are one switch. What this host has is put there, and what the others have is
 * taken from there: tunnels to them, the MACs of their guests as static entries of the fdb, and their addresses, which
 * are answered here. Control thread.
 *
 *   ports of this host --local--> writer --put, on a lease--> etcd --watch--> reader --> view --remote--> dataplane
 *                                                                                         |
 *                                                                             cluster.log (kept), for the next start
 *
 * Without the store all goes on as it last was. Only the store ends what it holds: no host takes away another one by its
 * own clock.
 */
#pragma once

#include "control/api/api.h"

struct cluster;
struct consul;
struct event_base;

extern const struct api_field cluster_fields[];

/** Can the files be used that the part "cluster" of the configuration names, and its fields together? -1 with `err`. */
int cluster_check(const json_t *part, struct api_err *err);

/**
 * What was known at the last end is in effect when it returns, and etcd is asked from then on. `part` is the validated
 * "cluster" part, `dir` the state directory. Keys and sessions of `consul`, which outlives it, are shared, too. -1 with one
 * line in `err`.
 */
int cluster_open(struct event_base *base, struct model *model, struct consul *consul, const json_t *part,
	const char *dir, struct cluster **out, struct api_err *err);
/** NULL is allowed. What it made stays until the model is closed; what this host has in the store ends with its leases. */
void cluster_close(struct cluster *cluster);

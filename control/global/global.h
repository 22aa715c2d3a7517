/*
 * global.h: objects that all hosts of a store have: networks, services, what is published. Each is made once, by the API of
 * any host, and is a key of the store; every host makes it in its model. Control thread.
 *
 *   sluicectl network add web --scope global          (any host)
 *      method -- change.c: here first, then one transaction -->  etcd  PREFIX-global/networks/web
 *                                                                 |
 *   network.add, .set, .del of the model <-- apply.c -- copy.c <--watch
 *                                                         |
 *                                                    global.log, for the next start
 *
 * Each change also puts PREFIX-global/at, which counts them, and compares it: so a change holds only if it was planned
 * knowing all others. By the count a host finds a store that lacks what it knows (wiped, brought back from an old copy), and
 * puts it again (mend.c).
 *
 * What a host cannot make (a name or a VNI that is taken here, a value that is none) is said in `cluster status`, changes
 * nothing else, and is tried again. What was in effect before stays.
 */
#pragma once

#include <jansson.h>

#include "control/api/api.h"

struct etcd;
struct event_base;
struct global;

/** `dir` is the state directory; it is read when scope_open() is called. NULL: no memory. */
struct global *global_open(struct event_base *base, struct model *model, const char *dir);
/** The one of the model; NULL: it has none. */
struct global *global_of(const struct model *model);
/** What is in the model stays. NULL is allowed, here and below. */
void global_close(struct global *global);

struct global_store {
	struct etcd *etcd;  /* outlives it until global_leave() */
	const char *prefix; /* "/sluice/v1"; copied, as the next is */
	const char *host;
	const char *ports; /* "/sluice/v1-net/": below it are hosts' ports, as NETWORK/HOST/N; copied */
};
/** From now on the store is followed. -1: no memory. */
int global_join(struct global *global, const struct global_store *store);
void global_leave(struct global *global);

/** The model was changed by somebody: what could not be made may be possible now. */
void global_changed(struct global *global);

/* For people. */

/** A new reference: how many there are, and what of them is not in effect here. */
json_t *global_status(const struct global *global);
/** Appends a row of `cluster dump` for each. */
void global_list_keys(const struct global *global, json_t *list);

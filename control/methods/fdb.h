/*
 * fdb.h: static entries go with what they point to; where a MAC is, as it is told. Control thread.
 */
#pragma once

#include <jansson.h>

#include "dataplane/dataplane.h"

struct model;
struct model_port;
struct model_vtep;

/** Deletes the static entries that point to `port` or to `vtep` (the other is NULL), before it is deleted
 * itself. */
void fdb_forget(struct model *model, const struct model_port *port, const struct model_vtep *vtep);

/** Puts where a MAC is into `object`: the vtep's address as `vtep_key`, or the port's name as `port_key`. */
void fdb_put_location(struct model *model, json_t *object, const char *port_key, const char *vtep_key,
	struct dp_location at);

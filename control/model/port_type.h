/*
 * port_type.h: what a kind of port is to the API: the fields that it takes and needs, how they are read and shown,
 * and what the port needs on the host. What it does with frames is in dataplane/; the kinds are those of
 * DP_PORT_TYPE_LIST. Each has a file here, port_X.c, and a row in port_type.c. Control thread.
 */
#pragma once

#include "control/api/api.h"
#include "control/model/objects.h"

struct port_type {
	/* Fields that not every type has; NULL ends. In the order in which they are shown. */
	const char *const *takes;
	const char *needs; /* one of them, without which there is no such port; NULL: none */
	/** Do its fields, each of which is well-formed, fit together? Pure. 0 or -1. NULL: they do. */
	int (*check)(const json_t *params, struct api_err *err);
	/** Reads its fields into port->spec; strings stay borrowed from port->params. 0 or -1. NULL: nothing to read. */
	int (*read)(struct model *model, struct model_port *port, struct api_err *err);
	/** Makes what a port that is to be added needs on the host. 0 or -1. NULL: nothing. */
	int (*attach)(struct model *model, struct model_port *port, struct api_err *err);
	/** Brings that from what `from` says to what `to` says; back to `from` when that fails. 0 or -1. NULL: nothing. */
	int (*change)(struct model *model, struct model_port *port, const struct model_port *from,
		const struct model_port *to, struct api_err *err);
	/** Adds to `object` what the port's params do not say. NULL: nothing. */
	void (*describe)(struct model *model, const struct model_port *port, json_t *object);
};

/* By enum dp_port_type; NULL ends. */
extern const char *const port_type_names[];

/** DP_PORT_TYPES when no type is called so. NULL is allowed. */
enum dp_port_type port_type_of(const char *name);

/** Of a type that there is. */
const struct port_type *port_type(enum dp_port_type type);

/** Refuses fields of other types, and says what is missing. Returns 0 or -1. */
int port_type_check_fields(const json_t *params, struct api_err *err);

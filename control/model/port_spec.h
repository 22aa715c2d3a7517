/*
 * port_spec.h: how a port or an uplink attaches: the fields that depend on its type, and what they make.
 * Control thread.
 */
#pragma once

#include "control/api/api.h"
#include "control/model/objects.h"
#include "control/model/port_device.h"
#include "control/model/port_eth.h"
#include "control/model/port_tap.h"
#include "control/model/port_type.h"
#include "control/model/port_vhost.h"

extern const char *const uplink_type_names[];

/* Fields that ports and uplinks have in common, for their tables. */
/* clang-format off */
#define PORT_SPEC_FIELDS \
	PORT_TAP_FIELDS, \
	PORT_VHOST_FIELDS, \
	PORT_DEVICE_FIELDS, \
	PORT_ETH_FIELDS
/* clang-format on */

/** A port or uplink that is called params.name, and not in the model yet. NULL: no other may be called so. */
struct model_port *port_spec_new(
	struct model *model, const char *source, const json_t *params, struct api_err *err);

/**
 * Checks the parameters of port.add or uplink.add against their type: fields of other types, fields that the
 * type needs, types and rings that are not there yet. Pure. Returns 0 or -1.
 */
int port_spec_check(const json_t *params, struct api_err *err);

/** Reads an uplink's address and gateway into `spec`. Pure. Returns 0, or -1 when they do not fit. */
int port_spec_read_underlay(const json_t *params, struct dp_port *spec, struct api_err *err);

/**
 * Reads the fields above into port->spec (but mac and mtu); port->name and port->params are set, and the
 * strings stay borrowed from port->params. Refuses what port_spec_check refuses, and sockets and devices that
 * are taken. Returns 0 or -1.
 */
int port_spec_read(struct model *model, struct model_port *port, struct api_err *err);

/**
 * Gives an af_xdp uplink the MAC of its interface, which the kernel keeps using beside the switch. A mac
 * among the params is refused. Returns 0 or -1.
 */
int port_spec_interface_mac(struct model *model, struct model_port *port, struct api_err *err);

/**
 * Gives the port its MAC: the one in its params, else 02: and a hash of `seed` (with a number, when that one
 * is taken). It is unique in the port's network, an uplink's among the uplinks. Returns 0, or -1 when it is
 * taken.
 */
int port_spec_mac(struct model *model, struct model_port *port, const char *seed, struct api_err *err);
/** The same for the MAC `text`. */
int port_spec_take_mac(struct model *model, struct model_port *port, const char *text, struct api_err *err);

/** Adds the fields of its type to `object`: socket, netns, device, ... */
void port_spec_describe(struct model *model, const struct model_port *port, json_t *object);

/** Brings what the port has on the host, as its interface, from `from` to `to`; back to `from` when that fails.
 * Returns 0 or -1. */
int port_spec_change(struct model *model, struct model_port *port, const struct model_port *from,
	const struct model_port *to, struct api_err *err);

/** Has the host and the dataplane do what `now` says, a copy of the port that was changed. Returns 0, or -1 with all as
 * it was. */
int port_spec_set(
	struct model *model, struct model_port *port, const struct model_port *now, struct api_err *err);

/**
 * Makes what the port needs on the host, adds it to the dataplane and to the model. Returns 0, or -1 with
 * nothing left behind; the port stays the caller's then.
 */
int port_spec_attach(struct model *model, struct model_port *port, struct api_err *err);

/** Takes the port out of the dataplane (which closes its TAP, socket or device) and the model, and frees it.
 */
void port_spec_detach(struct model *model, struct model_port *port);

/** Frees a port that is not in the model. NULL is allowed. */
void port_spec_free(struct model_port *port);

/** The port's addresses as a list of texts. */
json_t *port_spec_ips_json(const struct model_port *port);

/** An entry of port list; what an uplink has beyond that is for methods/uplink.c. */
json_t *port_spec_json(struct model *model, const struct model_port *port);

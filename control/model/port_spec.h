/*
 * port_spec.h: how a port or an uplink attaches: the fields that depend on its type, and what they make.
 * Control thread.
 */
#pragma once

#include "control/api/api.h"
#include "control/model/objects.h"

/* Bits of port types, by enum dp_port_type. */
#define PORT_SPEC(type) (1u << (type))

extern const char *const port_type_names[], *const uplink_type_names[];

/* Fields that ports and uplinks have in common, for their tables. */
/* clang-format off */
#define PORT_MEMORY_FIELD \
	{"memory_mb", API_INT, "vhost-user: memory that the guest may share (default 0: 65536, or as much as the " \
		"machine has)", .max = 134217728}

#define PORT_SPEC_FIELDS \
	{"netns", API_STRING, "tap: namespace, by name or path (default: the host's)", .min = 1, .max = 4000}, \
	{"ifname", API_STRING, "tap: the interface's name (default eth0; in the host's namespace the port's name)", \
		.min = 1, .max = 15}, \
	{"socket", API_PATH, "vhost-user: default DIR/NAME.sock", .min = 2, .max = 107}, \
	{"mode", API_ENUM, "vhost-user: server: the switch listens (default); client: it connects", \
		.choices = port_spec_modes}, \
	{"queues", API_INT, "vhost-user, tap: queue pairs (default 1)", .min = 1, .max = 8}, \
	{"ring", API_ENUM, "vhost-user: split, or packed where the guest can; auto, the default, is split", .choices = port_spec_rings}, \
	{"mask", API_LIST, "vhost-user: virtio features not to offer", .item = API_ENUM, \
		.choices = virtio_feature_names, .max = 32}, \
	{"owner", API_STRING, "vhost-user: user who owns the socket", .min = 1, .max = 32}, \
	{"group", API_STRING, "vhost-user: group of the socket", .min = 1, .max = 32}, \
	{"socket_mode", API_STRING, "vhost-user: permissions of the socket, octal (default 0660)", \
		.min = 3, .max = 4}, \
	PORT_MEMORY_FIELD, \
	{"device", API_STRING, "af_packet, af_xdp: the host's interface", .min = 1, .max = 15}, \
	{"devargs", API_STRING, "eth: DPDK device, as 0000:03:00.0 or net_memif0,role=client", \
		.min = 1, .max = 1000}
/* clang-format on */

extern const char *const port_spec_modes[], *const port_spec_rings[];

/** May a new port or uplink be called `name`? Returns 0 or -1. */
int port_spec_check_name(struct model *model, const char *name, struct api_err *err);

/**
 * Holds the parameters of port.add or uplink.add against their type: fields of other types, fields that the
 * type needs, types and rings that are not there yet. Pure. Returns 0 or -1.
 */
int port_spec_check(const json_t *params, struct api_err *err);

/** Reads memory_mb; what is not given stays. */
void port_spec_read_memory(const json_t *params, struct dp_port *spec);

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

/** What a TAP port's interface is to be. */
struct tap_port;
void port_spec_tap(const struct model_port *port, struct tap_port *tap);

/** Brings the interface of a TAP port from `from` to `to`; back to `from` when that fails. Nothing for other
 * types, and for a port that waits. */
int port_spec_change_tap(struct model *model, struct model_port *port, const struct model_port *from,
	const struct model_port *to, struct api_err *err);

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

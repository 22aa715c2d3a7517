/* port_vhost.h: vhost-user ports: a guest's memory behind a socket. Control thread. */
#pragma once

#include "control/model/port_type.h"
#include "control/model/virtio_features.h"

/* For the tables of ports and uplinks. */
/* clang-format off */
#define PORT_VHOST_MEMORY_FIELD \
	{"memory_mb", API_INT, "vhost-user: memory that the guest may share (default 0: 65536, or as much as the " \
		"machine has)", .max = 134217728}

#define PORT_VHOST_FIELDS \
	{"socket", API_PATH, "vhost-user: default DIR/NAME.sock", .min = 2, .max = 107}, \
	{"mode", API_ENUM, "vhost-user: server: the switch listens (default); client: it connects", \
		.choices = port_vhost_modes}, \
	{"queues", API_INT, "vhost-user, tap: queue pairs (default 1)", .min = 1, .max = 8}, \
	{"ring", API_ENUM, "vhost-user: split, or packed where the guest can; auto, the default, is split", .choices = port_vhost_rings}, \
	{"mask", API_LIST, "vhost-user: virtio features not to offer", .item = API_ENUM, \
		.choices = virtio_feature_names, .max = 32}, \
	{"owner", API_STRING, "vhost-user: user who owns the socket", .min = 1, .max = 32}, \
	{"group", API_STRING, "vhost-user: group of the socket", .min = 1, .max = 32}, \
	{"socket_mode", API_STRING, "vhost-user: permissions of the socket, octal (default 0660)", \
		.min = 3, .max = 4}, \
	PORT_VHOST_MEMORY_FIELD
/* clang-format on */

extern const char *const port_vhost_modes[], *const port_vhost_rings[];

/** Reads memory_mb, which may change; what is not given stays. */
void port_vhost_read_memory(const json_t *params, struct dp_port *spec);

extern const struct port_type port_vhost;

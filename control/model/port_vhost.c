#include "control/model/port_vhost.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/params.h"
#include "control/base/result.h"

const char *const port_vhost_modes[] = {"server", "client", NULL};
const char *const port_vhost_rings[] = {"auto", "split", "packed", NULL};

static int read_socket_mode(const char *text, uint32_t *mode, struct api_err *err)
{
	char *end;
	unsigned long value;

	if (!text) {
		*mode = 0660;
		return 0;
	}
	value = strtoul(text, &end, 8);
	if (*end != '\0' || text[strspn(text, "01234567")] != '\0' || value > 0777)
		return api_fail(
			err, API_INVALID, "socket_mode", "\"%s\" is no octal mode such as 0660", text);
	*mode = (uint32_t)value;
	return 0;
}

/* The socket of a port in client mode is its peer's. */
static int check_mode(const json_t *params, struct api_err *err)
{
	static const char *const fields[] = {"owner", "group", "socket_mode"};
	const char *mode = param_str(params, "mode");

	if (!mode || strcmp(mode, "client") != 0)
		return 0;
	for (unsigned i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (param_given(params, fields[i]))
			return api_fail(err, API_INVALID, fields[i],
				"not for mode client, whose socket is its peer's");
	return 0;
}

static int vhost_check(const json_t *params, struct api_err *err)
{
	uint32_t mode;

	if (check_mode(params, err) < 0)
		return -1;
	return read_socket_mode(param_str(params, "socket_mode"), &mode, err);
}

static int read_socket_path(struct model *model, struct model_port *port, struct api_err *err)
{
	struct model_port *other;

	port->spec.socket = param_str(port->params, "socket");
	if (!port->spec.socket) {
		if (asprintf(&port->socket, "%s/%s.sock", model->vhost_dir, port->name) < 0) {
			port->socket = NULL;
			return api_fail(err, API_INTERNAL, NULL, "out of memory");
		}
		if (strlen(port->socket) > 107)
			return api_fail(
				err, API_INVALID, "socket", "%s is longer than 107 bytes", port->socket);
		port->spec.socket = port->socket;
	}
	TAILQ_FOREACH (other, &model->ports, link)
		if (other->spec.type == DP_VHOST_USER && !strcmp(other->spec.socket, port->spec.socket))
			return api_fail(err, API_EXISTS, "socket", "%s is taken by port %s",
				port->spec.socket, other->name);
	return 0;
}

void port_vhost_read_memory(const json_t *params, struct dp_port *spec)
{
	spec->memory_mb = (uint32_t)param_int(params, "memory_mb", spec->memory_mb);
}

static int vhost_read(struct model *model, struct model_port *port, struct api_err *err)
{
	const char *mode = param_str(port->params, "mode"), *ring = param_str(port->params, "ring");
	const json_t *mask = json_object_get(port->params, "mask");

	port->spec.client = mode && !strcmp(mode, "client");
	port_vhost_read_memory(port->params, &port->spec);
	port->spec.packed = ring && !strcmp(ring, "packed");
	for (size_t i = 0; i < json_array_size(mask); i++)
		port->spec.mask |= virtio_feature_bit(json_string_value(json_array_get(mask, i)));
	port->spec.owner = param_str(port->params, "owner");
	port->spec.group = param_str(port->params, "group");
	if (read_socket_mode(param_str(port->params, "socket_mode"), &port->spec.socket_mode, err) < 0)
		return -1;
	return read_socket_path(model, port, err);
}

/* Who was connected before, and how that ended. */
static void vhost_describe(struct model *model, const struct model_port *port, json_t *object)
{
	struct dp_port_guest guest;

	put_str(object, "socket", port->spec.socket);
	if (dp_port_guest(model->dp, port->id, &guest) < 0)
		return;
	put_int(object, "memory_mb", guest.memory_limit >> 20);
	put_int(object, "memory_mapped_mb", (guest.memory + (1 << 20) - 1) >> 20);
	put_int(object, "disconnects", guest.ends);
	put_int(object, "faults", guest.faults);
	if (guest.ends)
		put_str(object, "last_disconnect", guest.last_end);
}

static const char *const takes[] = {
	"queues", "socket", "mode", "ring", "mask", "owner", "group", "socket_mode", "memory_mb", NULL};

const struct port_type port_vhost = {
	.takes = takes, .check = vhost_check, .read = vhost_read, .describe = vhost_describe};

#include "control/model/port_security.h"

#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/base/result.h"
#include "control/host/addr.h"

const char *const port_security_names[] = {"off", "mac", "full", NULL};

static enum dp_security security_of(const char *name)
{
	unsigned i = 0;

	while (port_security_names[i + 1] && strcmp(port_security_names[i], name) != 0)
		i++;
	return (enum dp_security)i;
}

int port_security_check(const json_t *params, struct api_err *err)
{
	const json_t *list = json_object_get(params, "allow");

	for (size_t i = 0; i < json_array_size(list); i++) {
		struct addr_source source = {.has_prefix = false};
		char field[32];

		addr_source(json_string_value(json_array_get(list, i)), &source);
		snprintf(field, sizeof(field), "allow[%zu]", i);
		if (memcmp(source.mac, dp_router_mac, 6) == 0)
			return api_fail(err, API_INVALID, field, "the MAC is the switch's own");
	}
	return 0;
}

static void read_allow(struct model_port *port, const json_t *list)
{
	port->spec.nallow = (unsigned)json_array_size(list);
	for (unsigned i = 0; i < port->spec.nallow; i++) {
		struct dp_allow *allow = &port->spec.allow[i];
		struct addr_source source = {.has_prefix = false};

		addr_source(json_string_value(json_array_get(list, i)), &source);
		*allow = (struct dp_allow){.has_prefix = source.has_prefix,
			.address = source.prefix.address,
			.len = source.prefix.len};
		memcpy(allow->mac, source.mac, 6);
	}
}

int port_security_read(struct model_port *port, const json_t *params, struct api_err *err)
{
	const char *security = param_str(params, "security");
	const json_t *allow = json_object_get(params, "allow");

	if (port_security_check(params, err) < 0)
		return -1;
	if (security) {
		port->own_security = true;
		port->spec.security = security_of(security);
	} else if (!port->own_security) {
		port->spec.security = port->spec.nips ? DP_SECURITY_FULL : DP_SECURITY_OFF;
	}
	port->spec.trusted = param_bool(params, "trusted", port->spec.trusted);
	if (allow)
		read_allow(port, allow);
	return 0;
}

static json_t *allow_json(const struct model_port *port)
{
	json_t *list = json_array();

	for (unsigned i = 0; i < port->spec.nallow; i++) {
		const struct dp_allow *allow = &port->spec.allow[i];
		const struct ip_prefix prefix = {allow->address, allow->len};
		char mac[ADDR_MAC_TEXT], text[ADDR_IP_PREFIX_TEXT];

		addr_mac_text(allow->mac, mac);
		json_array_append_new(list,
			allow->has_prefix ? json_sprintf("%s %s", mac, addr_ip_prefix_text(prefix, text))
					  : json_string(mac));
	}
	return list;
}

void port_security_describe(struct model *model, const struct model_port *port, json_t *object)
{
	struct dp_port_info info = {0};

	dp_port_info(model->dp, port->id, &info);
	put_str(object, "security", port_security_names[port->spec.security]);
	put(object, "allow", allow_json(port));
	put_bool(object, "trusted", port->spec.trusted);
	put_int(object, "spoofed", info.spoofed);
}

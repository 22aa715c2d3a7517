#include "control/model/port_type.h"

#include <string.h>

#include "control/base/params.h"
#include "control/model/port_device.h"
#include "control/model/port_eth.h"
#include "control/model/port_tap.h"
#include "control/model/port_vhost.h"

/* clang-format off */
const char *const port_type_names[] = {
#define X(id, name, ops) [id] = (name),
	DP_PORT_TYPE_LIST(X)
#undef X
	NULL};
/* clang-format on */

static const struct port_type *const types[] = {
	[DP_VHOST_USER] = &port_vhost,
	[DP_TAP] = &port_tap,
	[DP_AF_PACKET] = &port_device,
	[DP_AF_XDP] = &port_device,
	[DP_NULL] = &port_eth_null,
	[DP_PCAP] = &port_eth_pcap,
	[DP_ETH] = &port_eth,
};

_Static_assert(sizeof(types) / sizeof(types[0]) == DP_PORT_TYPES, "a type of the dataplane has no row here");

enum dp_port_type port_type_of(const char *name)
{
	unsigned type = 0;

	while (port_type_names[type] && (!name || strcmp(port_type_names[type], name) != 0))
		type++;
	return (enum dp_port_type)type;
}

const struct port_type *port_type(enum dp_port_type type)
{
	return types[type];
}

static bool takes(const struct port_type *type, const char *field)
{
	for (const char *const *f = type->takes; *f; f++)
		if (strcmp(*f, field) == 0)
			return true;
	return false;
}

int port_type_check_fields(const json_t *params, struct api_err *err)
{
	const char *name = param_str(params, "type");
	enum dp_port_type id = port_type_of(name);
	const struct port_type *type = id < DP_PORT_TYPES ? port_type(id) : &port_eth_null;

	for (unsigned i = 0; i < DP_PORT_TYPES; i++)
		for (const char *const *f = types[i]->takes; *f; f++)
			if (param_given(params, *f) && !takes(type, *f))
				return api_fail(err, API_INVALID, *f, "not for type %s", name);
	if (type->needs && !param_given(params, type->needs))
		return api_fail(err, API_INVALID, type->needs, "required for type %s", name);
	return 0;
}

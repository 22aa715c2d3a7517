#include "dataplane/port/types.h"

#include "dataplane/vhost/port.h"

static const struct port_ops *const types[DP_PORT_TYPES] = {
#define X(id, name, ops) [id] = &(ops),
	DP_PORT_TYPE_LIST(X)
#undef X
};

const struct port_ops *port_type_ops(enum dp_port_type type)
{
	return (unsigned)type < DP_PORT_TYPES ? types[type] : NULL;
}

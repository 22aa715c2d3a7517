#include "control/model/port_device.h"

#include <net/if.h>
#include <string.h>

#include "control/base/params.h"

static int device_read(struct model *model, struct model_port *port, struct api_err *err)
{
	struct model_port *other;

	port->spec.device = param_str(port->params, "device");
	TAILQ_FOREACH (other, &model->ports, link)
		if (other->spec.device && !strcmp(other->spec.device, port->spec.device))
			return api_fail(err, API_EXISTS, "device", "%s is taken by port %s",
				other->spec.device, other->name);
	if (if_nametoindex(port->spec.device) == 0)
		return api_fail(err, API_NOT_FOUND, "device", "no interface \"%s\"", port->spec.device);
	return 0;
}

static const char *const fields[] = {"device", NULL};

const struct port_type port_device = {.takes = fields, .needs = "device", .read = device_read};

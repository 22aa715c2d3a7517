#include "control/model/port_hold.h"

#include <sys/stat.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/host/netns.h"
#include "control/model/objects.h"

bool port_hold_wanted(const struct model_port *port)
{
	return param_bool(port->params, "hold_netns", false) && param_given(port->params, "netns") &&
	       !port->wait.netns.pid;
}

void port_hold_begin(struct model_port *port, int netns)
{
	struct stat st;

	port->wait.hold = (struct port_hold){.held = port_hold_wanted(port) && fstat(netns, &st) == 0};
	if (!port->wait.hold.held)
		return;
	port->wait.hold.dev = st.st_dev;
	port->wait.hold.ino = st.st_ino; /* nobody else's while it is held */
}

static bool has_name(const struct model_port *port)
{
	const struct port_hold *hold = &port->wait.hold;
	char path[PATH_MAX];
	struct stat st;

	return netns_path(param_str(port->params, "netns"), path) == 0 && stat(path, &st) == 0 &&
	       st.st_dev == hold->dev && st.st_ino == hold->ino;
}

bool port_hold_sweep(struct model *model)
{
	struct model_port *port;

	TAILQ_FOREACH (port, &model->ports, link) {
		if (!port->wait.hold.held || has_name(port))
			continue;
		log_line(LOG_NOTICE, "port %s: its namespace has lost its name", port->name);
		port->wait.hold.held = false;
		dp_port_unplug(model->dp, port->id);
		return true;
	}
	return false;
}

#include "dataplane/core/port.h"

#include <unistd.h>

#include "dataplane/core/private.h"

void port_set_link(struct port *port, bool up)
{
	struct dp *dp = port->dp;
	uint64_t one = 1;

	if (atomic_exchange(&port->up, up) == up || !dp->priv)
		return;
	atomic_fetch_or(&dp->priv->link_news[port->id / 64], UINT64_C(1) << (port->id % 64));
	workers_wake(dp);
	if (write(dp->priv->link_fd, &one, sizeof(one)) < 0)
		return; /* full: control has been told */
}

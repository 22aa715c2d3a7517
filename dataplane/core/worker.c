#include "dataplane/core/worker.h"

#include <unistd.h>

#include "dataplane/core/dp.h"
#include "dataplane/core/private.h"

/* A non-blocking eventfd: when it is full, whoever reads it has been told. */
static void signal_fd(int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) < 0)
		return;
}

void worker_wake(struct worker *w)
{
	signal_fd(w->wake_fd);
}

void workers_wake(struct dp *dp)
{
	for (unsigned i = 0; i < dp->nworker; i++)
		worker_wake(dp->worker[i]);
}

void dp_tell_control(struct dp *dp)
{
	signal_fd(dp->priv->link_fd);
}

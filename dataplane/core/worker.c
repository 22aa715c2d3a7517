#include "dataplane/core/worker.h"

#include <unistd.h>

#include "dataplane/core/dp.h"

void workers_wake(struct dp *dp)
{
	uint64_t one = 1;

	for (unsigned i = 0; i < dp->nworker; i++)
		if (write(dp->worker[i]->wake_fd, &one, sizeof(one)) < 0)
			continue; /* full: it has been told */
}

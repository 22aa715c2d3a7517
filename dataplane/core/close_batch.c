#include "dataplane/core/close_batch.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 32, WORTH_A_THREAD = 4 };

struct closing {
	const struct close_batch *batch;
	_Atomic(size_t) next;
};

void close_batch_add(struct close_batch *batch, int fd)
{
	if (batch->n == batch->room) {
		size_t room = batch->room ? 2 * batch->room : 64;
		int *more = realloc(batch->fd, room * sizeof(*more));

		if (!more) {
			close(fd);
			return;
		}
		batch->fd = more;
		batch->room = room;
	}
	batch->fd[batch->n++] = fd;
}

static void *close_some(void *arg)
{
	struct closing *closing = arg;
	size_t i;

	while ((i = atomic_fetch_add(&closing->next, 1)) < closing->batch->n)
		close(closing->batch->fd[i]);
	return NULL;
}

void close_batch_run(struct close_batch *batch)
{
	struct closing closing = {.batch = batch};
	pthread_t thread[THREADS];
	unsigned n = 0;

	/* where a thread cannot be made, the others do its work: this one at the least */
	while (n < THREADS && n < batch->n / WORTH_A_THREAD &&
		pthread_create(&thread[n], NULL, close_some, &closing) == 0)
		n++;
	close_some(&closing);
	while (n > 0)
		pthread_join(thread[--n], NULL);
	free(batch->fd);
	*batch = (struct close_batch){0};
}

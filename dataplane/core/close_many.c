#include "dataplane/core/close_many.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

enum { THREADS = 32, WORTH_A_THREAD = 4 };

struct closing {
	const struct close_many *many;
	_Atomic(size_t) next;
};

void close_many_add(struct close_many *many, int fd)
{
	if (many->n == many->room) {
		size_t room = many->room ? 2 * many->room : 64;
		int *more = realloc(many->fd, room * sizeof(*more));

		if (!more) {
			close(fd);
			return;
		}
		many->fd = more;
		many->room = room;
	}
	many->fd[many->n++] = fd;
}

static void *close_some(void *arg)
{
	struct closing *closing = arg;
	size_t i;

	while ((i = atomic_fetch_add(&closing->next, 1)) < closing->many->n)
		close(closing->many->fd[i]);
	return NULL;
}

void close_many_now(struct close_many *many)
{
	struct closing closing = {.many = many};
	pthread_t thread[THREADS];
	unsigned n = 0;

	/* those that cannot be had leave the work to the others, the last of whom is this one */
	while (n < THREADS && n < many->n / WORTH_A_THREAD &&
		pthread_create(&thread[n], NULL, close_some, &closing) == 0)
		n++;
	close_some(&closing);
	while (n > 0)
		pthread_join(thread[--n], NULL);
	free(many->fd);
	*many = (struct close_many){0};
}

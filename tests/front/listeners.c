#include "tests/front/listeners.h"

#include <err.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/front/front.h"

enum { RING = 64, FOREVER_MS = 1000000000 };

static struct front *listen_at(const char *folder, unsigned number)
{
	struct front *front;
	char path[108];

	snprintf(path, sizeof(path), "%s/%u.sock", folder, number);
	if (front_create(&front, &(struct front_options){.socket = path,
					 .listen = true,
					 .ring_size = RING,
					 .pages = FRONT_PAGES_SMALL,
					 .timeout_ms = FOREVER_MS}) < 0)
		errx(1, "%s: no front", path);
	return front;
}

static void *be_met(void *arg)
{
	struct front *front = arg;

	for (;;) {
		if (front_connect(front) == 0) /* what comes on this socket now is its end */
			poll(&(struct pollfd){.fd = front_socket(front), .events = POLLIN}, 1, -1);
	}
	return NULL;
}

int listeners_run(const char *folder, unsigned count)
{
	pthread_t thread;

	for (unsigned i = 0; i < count; i++)
		if (pthread_create(&thread, NULL, be_met, listen_at(folder, i)) != 0)
			errx(1, "no thread");
	printf("ok\n");
	while (getchar() != EOF)
		;
	return 0;
}

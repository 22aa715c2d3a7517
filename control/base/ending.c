#include "control/base/ending.h"

#include <errno.h>
#include <event2/event.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct ending {
	struct event *event;
	void (*fn)(void *arg, int sig);
	void *arg;
};

static volatile sig_atomic_t at_once, asked, wake_fd = -1;
static void (*leave_by)(void);

static void on_signal(int sig)
{
	int error = errno;
	uint64_t one = 1;

	if (at_once) {
		leave_by();
		_exit(0);
	}
	asked = sig;
	(void)!write(wake_fd, &one, sizeof(one)); /* full: the loop knows */
	errno = error;
}

void ending_at_once(void (*leave)(void))
{
	struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};

	leave_by = leave;
	at_once = 1;
	sigaction(SIGTERM, &action, NULL);
	sigaction(SIGINT, &action, NULL);
}

static void on_wake(evutil_socket_t fd, short what, void *arg)
{
	struct ending *ending = arg;
	uint64_t count;

	if (read(fd, &count, sizeof(count)) > 0)
		ending->fn(ending->arg, asked);
}

int ending_by_loop(struct event_base *base, void (*fn)(void *arg, int sig), void *arg, struct ending **out)
{
	struct ending *ending = calloc(1, sizeof(*ending));
	int rc;

	if (!ending)
		return -ENOMEM;
	*ending = (struct ending){.fn = fn, .arg = arg};
	wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
	if (wake_fd < 0) {
		rc = -errno;
		free(ending);
		return rc;
	}
	ending->event = event_new(base, wake_fd, EV_READ | EV_PERSIST, on_wake, ending);
	if (!ending->event || event_add(ending->event, NULL) < 0) {
		ending_free(ending);
		return -ENOMEM;
	}
	at_once = 0;
	*out = ending;
	return 0;
}

/* The fd stays, for a signal may still come. */
void ending_free(struct ending *ending)
{
	if (!ending)
		return;
	if (ending->event)
		event_free(ending->event);
	free(ending);
}

bool ending_asked(void)
{
	return asked != 0;
}

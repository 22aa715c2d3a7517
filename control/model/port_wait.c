#include "control/model/port_wait.h"

#include <errno.h>
#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <time.h>
#include <unistd.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/host/netns.h"
#include "control/model/objects.h"
#include "control/model/port_tap.h"
#include "control/model/tap_port.h"

enum {
	SLOW_MS = 1000,
	QUICK_MS = 50, /* after a name appeared, on which the namespace is only mounted afterwards */
	QUICK = 20,
	NEXT_MS = 1,
	WAIT_MAX_S = 32,
};

struct port_wait {
	struct model *model;
	struct event *timer, *names;
	int inotify, watch; /* watch: -1, the folder is not there yet */
	unsigned quick;	    /* looks at QUICK_MS that are left */
};

static long now_s(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec;
}

static void look_in(struct port_wait *wait, unsigned ms)
{
	struct timeval when = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};

	evtimer_add(wait->timer, &when);
}

/* The host's own namespace belongs to networks that share it. Uplinks are the host's. */
static bool may_be_own(const struct model_port *port)
{
	return !port->network || port->network->spec.mode == DP_HOST;
}

/* *netns is -1 for the host's. Errors as netns_ref_open(), and -EPERM: the host's, and it must not be. */
static int open_netns(struct model_port *port, bool first, int *netns, char why[NETNS_REF_WHY])
{
	const char *text = param_str(port->params, "netns");

	*netns = -1;
	if (text) {
		*netns = netns_ref_open(&port->wait.netns, text, first, why);
		if (*netns < 0)
			return *netns;
	}
	if (!netns_is_own(*netns) || may_be_own(port))
		return 0;
	if (*netns >= 0)
		close(*netns);
	snprintf(why, NETNS_REF_WHY, PORT_WAIT_OWN);
	return -EPERM;
}

/* Is this a failure to report to the user, rather than a reason for the port to wait? */
static bool is_refused(struct model *model, const struct model_port *port, int rc)
{
	bool said_now = !model->replaying && strcmp(port->source, "config") != 0;

	return rc == -EPERM || (said_now && rc != -ENOENT);
}

static enum api_code code_of(int rc)
{
	return rc == -ESRCH ? API_NOT_FOUND : rc == -EPERM || rc == -EINVAL ? API_INVALID : API_INTERNAL;
}

static void begin(struct model_port *port, const char *why)
{
	snprintf(port->wait.why, sizeof(port->wait.why), "%s", why);
	log_line(LOG_NOTICE, "port %s waits: %s", port->name, why);
}

/* For somebody who moves it to where it belongs, and configures it. */
static int make_in_host(struct model *model, struct model_port *port, struct api_err *err)
{
	struct tap_port tap;

	port_tap_interface(port, &tap);
	tap.ifname = model->tap_made_as;
	tap.configure = false;
	if (tap_port_open(&tap, -1, -1, port->spec.fds, err) < 0)
		return -1;
	port->spec.nfds = tap.queues;
	return 0;
}

static int open_tap(struct model *model, struct model_port *port, const struct tap_port *tap, int netns,
	int fds[TAP_QUEUES_MAX], struct api_err *err)
{
	int scratch = port_hold_wanted(port) ? -1 : model->scratch_netns;

	if (tap_port_open(tap, netns, scratch, fds, err) < 0)
		return -1;
	port_hold_begin(port, netns);
	return 0;
}

void port_wait_moved(struct model_port *port, int netns)
{
	port->wait.cookie = netns_cookie(netns);
}

int port_wait_attach(struct model *model, struct model_port *port, struct api_err *err)
{
	char why[NETNS_REF_WHY] = "";
	struct tap_port tap;
	int netns, rc;

	port->wait.every_s = 1;
	if (model->tap_made_as)
		return make_in_host(model, port, err);
	rc = open_netns(port, !model->replaying, &netns, why);
	if (rc < 0 && is_refused(model, port, rc))
		return api_fail(err, code_of(rc), "netns", "%s", why);
	if (rc < 0) {
		begin(port, why);
		return 0;
	}
	port_tap_interface(port, &tap);
	rc = open_tap(model, port, &tap, netns, port->spec.fds, err);
	if (rc == 0) {
		port->spec.nfds = tap.queues;
		port->wait.cookie = netns_cookie(netns);
	}
	if (netns >= 0)
		close(netns);
	return rc;
}

bool port_waits(struct model *model, const struct model_port *port)
{
	return !port->wait.deleted && dp_port_lost(model->dp, port->id);
}

int port_wait_netns(struct model_port *port, int *netns, struct api_err *err)
{
	char why[NETNS_REF_WHY] = "";
	int rc = open_netns(port, false, netns, why);

	return rc < 0 ? api_fail(err, code_of(rc), "netns", "%s", why) : 0;
}

static void later(struct model_port *port, long now)
{
	port->wait.next_s = now + port->wait.every_s;
	if (port->wait.every_s < WAIT_MAX_S)
		port->wait.every_s *= 2;
}

static int make_interface(struct model *model, struct model_port *port, int netns, struct api_err *err)
{
	int fds[TAP_QUEUES_MAX];
	struct tap_port tap;

	port_tap_interface(port, &tap);
	if (open_tap(model, port, &tap, netns, fds, err) < 0)
		return -1;
	if (dp_port_plug(model->dp, port->id, fds) == 0)
		return 0;
	for (unsigned i = 0; i < tap.queues; i++)
		close(fds[i]);
	return api_fail(err, API_INTERNAL, NULL, "it has another");
}

/* The namespace is there. */
static int make_or_leave(struct model *model, struct model_port *port, int netns, struct api_err *err)
{
	uint64_t cookie = netns_cookie(netns);
	int rc;

	port->wait.deleted = cookie && cookie == port->wait.cookie;
	if (port->wait.deleted)
		return api_fail(err, API_NOT_FOUND, NULL, "its interface was deleted");
	rc = make_interface(model, port, netns, err);
	if (rc == 0)
		port->wait.cookie = cookie;
	return rc;
}

/* True: that took a while. */
static bool try(struct model *model, struct model_port *port, long now)
{
	bool waited = port->wait.why[0] != '\0';
	char why[NETNS_REF_WHY] = "";
	struct api_err err = {.text = ""};
	int netns, rc = open_netns(port, false, &netns, why);

	if (rc < 0) {
		port->wait.deleted = false;
		snprintf(port->wait.why, sizeof(port->wait.why), "%s", why);
	} else {
		rc = make_or_leave(model, port, netns, &err);
		snprintf(port->wait.why, sizeof(port->wait.why), "%s", err.text);
		if (netns >= 0)
			close(netns);
		if (rc < 0)
			later(port, now);
	}
	if (rc == 0)
		log_line(LOG_NOTICE, "port %s has its interface", port->name);
	else if (!waited)
		log_line(LOG_NOTICE, "port %s %s: %s", port->name, port->wait.deleted ? "is down" : "waits",
			port->wait.why);
	return rc == 0;
}

/* True: there may be more to do at once. */
static bool try_ports(struct model *model)
{
	struct model_port *port;
	long now = now_s();

	TAILQ_FOREACH (port, &model->ports, link) {
		if (port->spec.type != DP_TAP || !dp_port_lost(model->dp, port->id))
			continue;
		if (!port->wait.why[0]) { /* it has only now lost it */
			port->wait.next_s = now;
			port->wait.every_s = 1;
		}
		if (now >= port->wait.next_s && try(model, port, now))
			return true;
	}
	return false;
}

static void forget_failures(struct model *model)
{
	struct model_port *port;

	TAILQ_FOREACH (port, &model->ports, link) {
		port->wait.next_s = 0;
		port->wait.every_s = 1;
	}
}

static void watch_names(struct port_wait *wait)
{
	if (wait->watch < 0 && wait->inotify >= 0)
		wait->watch = inotify_add_watch(wait->inotify, NETNS_NAMES,
			IN_CREATE | IN_MOVED_TO | IN_DELETE | IN_MOVED_FROM | IN_DELETE_SELF | IN_ONLYDIR);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
	struct port_wait *wait = arg;
	bool more = port_hold_sweep(wait->model) || try_ports(wait->model);

	watch_names(wait);
	if (wait->quick > 0)
		wait->quick--;
	look_in(wait, more ? NEXT_MS : wait->quick ? QUICK_MS : SLOW_MS);
}

static void on_names(evutil_socket_t fd, short what, void *arg)
{
	char buf[4096] __attribute__((aligned(8)));
	struct port_wait *wait = arg;
	ssize_t len = read(fd, buf, sizeof(buf));

	for (ssize_t at = 0; at < len;) {
		const struct inotify_event *event = (const void *)(buf + at);

		if (event->mask & IN_IGNORED) /* the folder was deleted */
			wait->watch = -1;
		at += (ssize_t)(sizeof(*event) + event->len);
	}
	forget_failures(wait->model);
	wait->quick = QUICK;
	look_in(wait, NEXT_MS);
}

int port_wait_open(struct model *model, struct event_base *base, struct port_wait **out)
{
	struct port_wait *wait = calloc(1, sizeof(*wait));

	if (!wait)
		return -ENOMEM;
	*wait = (struct port_wait){.model = model, .watch = -1};
	wait->inotify = inotify_init1(IN_NONBLOCK | IN_CLOEXEC); /* without it the timer has to do */
	wait->timer = evtimer_new(base, on_timer, wait);
	if (wait->inotify >= 0)
		wait->names = event_new(base, wait->inotify, EV_READ | EV_PERSIST, on_names, wait);
	if (!wait->timer || (wait->names && event_add(wait->names, NULL) < 0)) {
		port_wait_close(wait);
		return -ENOMEM;
	}
	watch_names(wait);
	look_in(wait, SLOW_MS);
	*out = wait;
	return 0;
}

void port_wait_close(struct port_wait *wait)
{
	if (!wait)
		return;
	if (wait->timer)
		event_free(wait->timer);
	if (wait->names)
		event_free(wait->names);
	if (wait->inotify >= 0)
		close(wait->inotify);
	free(wait);
}

void port_wait_look(struct model *model)
{
	if (model->wait)
		look_in(model->wait, NEXT_MS);
}

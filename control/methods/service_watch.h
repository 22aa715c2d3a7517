/*
 * service_watch.h: `service watch`: a connection that is told of every change of a service (or of all).
 * Control thread.
 */
#pragma once

#include "control/api/api.h"

#define WATCH_METHOD "service.watch"

#define SERVICE_CHANGED "service.changed"

struct service_watch;

/* Who is told, from inside a commit of the registry. */
struct service_watcher {
	/** A notification's method and its parameters (a new reference): the service as service.show tells it, or
	 * {name, gone: true}. */
	void (*changed)(void *arg, const char *method, json_t *params);
	/** A service of more than SERVICE_WHOLE_MAX backends changed: it is to be told by and by. */
	void (*large)(void *arg, const char *service);
};

/** Begins a watch of the service called `name`, NULL: of all. -1 with *err. */
int service_watch_open(struct model *model, const char *name, const struct service_watcher *by, void *arg,
	struct service_watch **out, struct api_err *err);

/** NULL is allowed. */
void service_watch_close(struct service_watch *watch);

/*
 * service_watch.h: `service watch`: a connection that is told of every change of a service (or of all).
 * Control thread.
 */
#pragma once

#include "control/api.h"

#define WATCH_METHOD "service.watch"

struct service_watch;

/**
 * Begins a watch of the service called `name`, NULL: of all. After each change fn gets a notification's
 * method and its parameters (a new reference): the service as service.show tells it, or {name, gone: true}.
 * -1 with *err.
 */
int service_watch_open(struct model *model, const char *name,
	void (*fn)(void *arg, const char *method, json_t *params), void *arg, struct service_watch **out,
	struct api_err *err);

/** NULL is allowed. */
void service_watch_close(struct service_watch *watch);

/*
 * service_watch.h: `service watch`: a connection that is told of every change of a service (or of all), as service.show
 * tells it, or of one that is gone {name, gone: true}. Control thread.
 */
#pragma once

#include "control/api/api.h"

/* Params: the service's name, or none for all. */
extern const struct api_watch service_watch_type;

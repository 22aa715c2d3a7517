/*
 * service_watch.h: `service watch`: a connection receives each change of a service (or of all), as
 * service.show shows it, and {name, gone: true} for one that is gone. Control thread.
 */
#pragma once

#include "control/api/api.h"

/* Params: the service's name, or none for all. */
extern const struct api_watch service_watch_type;

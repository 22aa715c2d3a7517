/* label.h: what a container says of itself by labels. Pure. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "control/api/api.h"

struct docker_label {
	const char *service; /* "": none at all; NULL: not said. Borrowed */
	int port;	     /* -1: not said */
	int weight;
	json_t *check;	     /* as service.add takes it; NULL: none. The caller's reference */
	const char *compose; /* service of Compose, NULL: none. Borrowed */
	const char *project; /* the same */
	bool one_off;	     /* `docker-compose run`: no instance of the service */
};

/** Reads Config.Labels. 0, or -1 with *err that names the label. */
int docker_label_read(const json_t *labels, struct docker_label *out, struct api_err *err);

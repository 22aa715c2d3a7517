#include "control/docker/docker.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "control/docker/address.h"
#include "control/docker/inside.h"
#include "control/docker/watch.h"
#include "control/methods/list.h"
#include "control/model/model.h"

int docker_method(struct docker *docker, const char *method, json_t *params, struct api_err *err)
{
	return method_do(docker->model, method, "docker", params, err);
}

const char *docker_name(const char *id, char name[DOCKER_NAME])
{
	snprintf(name, DOCKER_NAME, "docker-%.*s", DOCKER_SHORT, id);
	return name;
}

bool docker_is_gone(int rc, const struct api_err *err)
{
	return rc < 0 && err->code == API_NOT_FOUND;
}

int docker_open(const struct docker_config *config, struct docker **out, struct api_err *err)
{
	struct docker *docker = calloc(1, sizeof(*docker));

	if (!docker)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	*docker = (struct docker){.base = config->base, .model = config->model, .pool = config->pool};
	if (docker_records_open(docker, config->dir, err) < 0) {
		docker_close(docker);
		return -1;
	}
	if (docker_follow_open(docker) < 0) {
		docker_close(docker);
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	}
	docker_restore(docker);
	model_on_reserved(docker->model, docker_address_is_reserved, docker);
	if (config->api) {
		docker->watch = docker_watch_open(docker, config->api);
		if (!docker->watch) {
			docker_close(docker);
			return api_fail(err, API_INTERNAL, NULL, "out of memory");
		}
	}
	*out = docker;
	return 0;
}

void docker_close(struct docker *docker)
{
	if (!docker)
		return;
	model_on_reserved(docker->model, NULL, NULL);
	docker_watch_close(docker->watch);
	docker_server_close(docker->server);
	docker_follow_close(docker);
	docker_records_close(docker);
	free(docker);
}

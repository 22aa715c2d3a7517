/*
 * forgotten.c: networks that Docker does not know any longer, as after its data was deleted: nobody would ever delete
 * them. One whose container still runs is left alone.
 */
#include <string.h>
#include <unistd.h>

#include "control/base/log.h"
#include "control/base/params.h"
#include "control/docker/address.h"
#include "control/docker/call.h"
#include "control/host/netns.h"

static bool is_listed(const json_t *networks, const char *id)
{
	json_t *one;
	size_t i;

	json_array_foreach (networks, i, one) {
		const char *other = param_str(one, "Id");

		if (other && strcmp(other, id) == 0)
			return true;
	}
	return false;
}

static bool is_of(const json_t *endpoint, const char *network)
{
	return strcmp(param_str(endpoint, "network"), network) == 0;
}

static bool is_used(const struct docker *docker, const char *network)
{
	const char *id, *sandbox;
	json_t *record;
	int fd;

	json_object_foreach (docker->records[DOCKER_ENDPOINT], id, record) {
		sandbox = is_of(record, network) ? param_str(record, "sandbox") : NULL;
		fd = sandbox ? netns_open(sandbox) : -1;
		if (fd < 0)
			continue;
		close(fd);
		return true;
	}
	return false;
}

static int release_pools(struct docker *docker, const char *pools[2], struct api_err *err)
{
	int rc = 0;

	for (unsigned ip6 = 0; rc == 0 && ip6 < 2; ip6++) {
		json_t *in = json_pack("{s:s}", "PoolID", pools[ip6] ? pools[ip6] : ""), *out = json_object();

		rc = docker_release_pool(docker, in, out, err);
		json_decref(in);
		json_decref(out);
	}
	return rc;
}

static int drop(struct docker *docker, const char *network, struct api_err *err)
{
	const char *pools[2] = {docker_pool_of(docker, network, false),
		docker_pool_of(docker, network, true)},
		   *id;
	json_t *in = json_pack("{s:s}", "NetworkID", network), *out = json_object(), *record;
	void *next;
	int rc = 0;

	json_object_foreach_safe(docker->records[DOCKER_ENDPOINT], next, id,
		record) if (rc == 0 && is_of(record, network)) rc = docker_endpoint_drop(docker, id, err);
	if (rc == 0)
		rc = docker_delete_network(docker, in, out, err);
	if (rc == 0)
		rc = release_pools(docker, pools, err);
	json_decref(in);
	json_decref(out);
	return rc;
}

void docker_drop_forgotten(struct docker *docker, const json_t *networks, int64_t before)
{
	struct api_err err;
	const char *id;
	json_t *record;
	void *next;

	json_object_foreach_safe(docker->records[DOCKER_NETWORK], next, id, record)
	{
		char network[DOCKER_ID + 1];

		if (param_int(record, "at", 0) >= before || is_listed(networks, id) || is_used(docker, id))
			continue;
		memcpy(network, id, strlen(id) + 1); /* the id goes with the record */
		log_line(LOG_NOTICE, "docker: network %.12s is gone, and Docker has not said so", network);
		if (drop(docker, network, &err) < 0)
			log_line(LOG_WARNING, "docker: network %.12s stays: %s", network, err.text);
	}
}

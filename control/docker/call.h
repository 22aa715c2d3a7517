/*
 * call.h: what Docker may ask. One function a path; it reads `in`, an object, and fills `out`, which is empty. -1 with a
 * line in *err and nothing changed. Docker repeats what it had no answer to, so each of them may come twice.
 */
#pragma once

#include <stddef.h>

#include "control/docker/inside.h"

typedef int (*docker_fn)(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);

struct docker_call {
	const char *path;
	docker_fn fn;
	bool durable; /* is answered when it is on disk */
};

/** NULL: there is none. */
const struct docker_call *docker_call_find(const char *path);

/** Runs it with the request's body. The answer, or what Docker takes for an error; NULL: no memory. *again: it is to be
 * run again later, and is not answered now. */
json_t *docker_call_run(
	struct docker *docker, const struct docker_call *call, const char *body, size_t len, bool *again);

/** A field of `in` that is an id ([0-9a-z], 12 to 64 of them); NULL with *err. */
const char *docker_call_id(const json_t *in, const char *field, struct api_err *err);
/** A field that is a string, "" when it is absent or null; NULL with *err. */
const char *docker_call_text(const json_t *in, const char *field, struct api_err *err);

/* network.c */
int docker_create_network(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
int docker_delete_network(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
/* endpoint.c */
int docker_create_endpoint(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
int docker_endpoint_info(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
int docker_delete_endpoint(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
/* join.c */
int docker_join(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
int docker_leave(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
int docker_program(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
int docker_revoke(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
/* pool.c */
int docker_request_pool(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
int docker_release_pool(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
/* address.c */
int docker_request_address(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);
int docker_release_address(struct docker *docker, const json_t *in, json_t *out, struct api_err *err);

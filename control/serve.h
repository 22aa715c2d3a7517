/*
 * serve.h: what the registry serves to its clients, as the "control" part of the configuration has it: this
 * host's node, what came by Consul's API and is kept, the HTTP server that serves it, and DNS; Docker's driver, as the
 * "docker" part has it; and what Kubernetes has, as the "kubernetes" part has it. The one place that opens them, and in which order. Control thread.
 */
#pragma once

#include <jansson.h>

#include "control/api/api.h"

struct event_base;
struct serve;

/**
 * Names the node, brings back what is kept in `dir`, the state directory, and listens. `config` is the validated
 * configuration, as the file has it. While another process has the address of HTTP, DNS or Docker's driver, `status` and the log say so and it is tried
 * again; DNS goes without an address that was not asked for. -1 with one line in *err.
 */
int serve_open(struct event_base *base, struct model *model, const json_t *config, const char *dir,
	struct serve **out, struct api_err *err);
/** Can the files that "control" names be used? Touches nothing. -1 with one line in *err. */
int serve_check(const json_t *config, struct api_err *err);
/** Reads those files again, for connections to come. -1 with one line in *err: all stays as it was. */
int serve_reload(struct serve *serve, struct api_err *err);
/** NULL is allowed. */
void serve_close(struct serve *serve);

/*
 * kube.h: what follows Kubernetes, as the "kubernetes" part of the configuration has it, and where that leads packets of
 * the host's: which the source of the registry (registry/source/kubernetes) does not know. Control thread.
 */
#pragma once

#include <jansson.h>

#include "control/api/api.h"

struct event_base;
struct kube;
struct model;

/** `dir` is the state directory, `part` that of the validated configuration; without `api` *out is NULL. -1 with one line in *err. */
int kube_open(struct event_base *base, struct model *model, const json_t *part, const char *dir,
	struct kube **out, struct api_err *err);
/** Can the part be? -1 with one line in *err. */
int kube_check(const json_t *part, struct api_err *err);
/** Nothing leads in any more. NULL is allowed. */
void kube_close(struct kube *kube);

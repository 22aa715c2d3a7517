/*
 * kube_server.h: which API server of Kubernetes is followed, and what is shown to it: as the "kubernetes" part of the
 * configuration has it, or the file of kubectl's that it names. Control thread.
 */
#pragma once

#include <jansson.h>

#include "control/api/api.h"
#include "registry/base/fetch.h"

/* Texts are borrowed of `part` and `file`. */
struct kube_server {
	const char *api;		/* NULL: none is followed */
	const char *token, *token_file; /* NULL: not that */
	struct fetch_tls tls;
	json_t *file;  /* kubectl's, NULL: not asked for */
	char *pem[3];  /* what it has of certificates in itself */
	char *path[4]; /* its paths, from its own folder */
	char *url;
};

/** -1 with one line in *err, and *out needs no kube_server_free(). */
int kube_server_read(const json_t *part, struct kube_server *out, struct api_err *err);
void kube_server_free(struct kube_server *server);

/* env.h: the environment of a CNI plugin (CNI 1.1.0, "Parameters"). */
#pragma once

#include "tools/cni/error.h"

struct cni_env {
	const char *command;   /* "ADD", ... */
	const char *container; /* CNI_CONTAINERID; "": not given */
	const char *netns;     /* a path; "": not given, or gone */
	const char *ifname;
	/* Of CNI_ARGS; "" for what is not there. They point into `args`. */
	const char *ip, *mac, *pod_namespace, *pod_name, *pod_uid;
	char *args;
};

/** Reads and checks what the command needs. 0 or -1 with *err; env_close() in both cases. */
int env_read(struct cni_env *env, struct cni_err *err);
void env_close(struct cni_env *env);

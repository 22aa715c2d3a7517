/* want.h: what a runtime asks for one container: its capabilities, CNI_ARGS, and "args" of the configuration. */
#pragma once

#include "tools/cni/conf.h"

/** Adds it to the attachment. 0 or -1 with *err. */
int want_read(const struct conf *conf, const struct cni_env *env, struct attachment *attachment,
	struct cni_err *err);

/** Adds `text` to the services of the port, as an instance at its first published port. 0 or -1 with *err. */
int want_alias(struct attachment *attachment, const char *text, const char *name, struct cni_err *err);

/**
 * Adds a published port: the host's `from` at `address` ("": each) leads to `to`. `name` is what the user calls it, and a
 * "." behind. -1 when one of the texts is none.
 */
int want_publish(struct attachment *attachment, const char *name, json_int_t from, const char *address,
	const char *protocol, json_int_t to);

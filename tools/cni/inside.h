/* inside.h: what a container's namespace holds, for CHECK. */
#pragma once

#include <jansson.h>

#include "tools/cni/error.h"

/**
 * Has the namespace at path `netns` an interface `ifname` that is up, with this MAC and these addresses? 0 or -1 with
 * *err. Moves the process into the namespace: nothing else may be done afterwards.
 */
int inside_check(
	const char *netns, const char *ifname, const char *mac, const json_t *ips, struct cni_err *err);

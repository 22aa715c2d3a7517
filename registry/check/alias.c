/*
 * alias.c: as well as another instance or node is. Nothing is probed; alias.c tells what the other one is.
 */
#include <errno.h>

#include "registry/base/error.h"
#include "registry/check/check.h"

static int alias_valid(const struct reg_check *spec, struct reg_err *err)
{
	if (!spec->alias && !spec->alias_node)
		return reg_fail(err, -EINVAL, "check.alias: missing, as is check.alias_node");
	return 0;
}

static void alias_link(struct check *check, int state) {}

const struct check_type check_alias = {
	.name = "alias",
	.valid = alias_valid,
	.link = alias_link,
};

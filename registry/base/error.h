/* error.h: how a call is refused: an errno, and one line that names the field and the reason. Any thread. */
#pragma once

#include "registry/registry.h"

/** Fills `err` (when not NULL) and returns `rc`. */
int reg_fail(struct reg_err *err, int rc, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

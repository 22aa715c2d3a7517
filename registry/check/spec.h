/* spec.h: definitions of checks: are they well-formed, are they the same; and copies of them. */
#pragma once

#include <stdbool.h>

#include "registry/registry.h"

int spec_valid(const struct reg_check *check, struct reg_err *err);
int specs_valid(const struct reg_check *checks, unsigned n, struct reg_err *err);
/** A copy in one allocation, to be freed as one; NULL of none. -ENOMEM. */
int specs_copy(const struct reg_check *from, unsigned n, struct reg_check **out);
bool spec_same(const struct reg_check *a, const struct reg_check *b);
bool specs_same(const struct reg_check *a, unsigned na, const struct reg_check *b, unsigned nb);

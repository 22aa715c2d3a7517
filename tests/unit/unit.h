/*
 * unit.h: cmocka with the headers that its own header needs before it, in that order.
 */
#pragma once

/* clang-format off */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>
/* clang-format on */

/* What a test program ends with when the machine lacks something it needs; meson and tools/test know it. */
enum { EXIT_SKIPPED = 77 };

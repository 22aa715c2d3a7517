/* table.h: results for people: lists as aligned columns, objects as keys and values. To stdout. */
#pragma once

#include <jansson.h>

/** `columns` as api.describe gives them, NULL: every key of the first row. */
void table_print(const json_t *result, const json_t *columns);

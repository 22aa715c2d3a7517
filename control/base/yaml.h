/*
 * yaml.h: a file of YAML as JSON. A scalar is a text, whatever it looks like, but for a plain true, false, null and
 * nothing. Any thread.
 */
#pragma once

#include <jansson.h>

enum { YAML_WHY = 160, YAML_BYTES = 1 << 20, YAML_DEPTH = 32 };

/** A new reference. NULL, and why: not to be read, longer than YAML_BYTES, deeper than YAML_DEPTH, no YAML, or of what JSON has not. */
json_t *yaml_read(const char *path, char why[YAML_WHY]);

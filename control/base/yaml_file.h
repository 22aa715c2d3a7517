/*
 * yaml_file.h: a file of YAML as JSON. A scalar is a text, whatever it looks like, but for a plain true, false, null and
 * nothing. Any thread.
 */
#pragma once

#include <jansson.h>

enum { YAML_FILE_WHY = 160, YAML_FILE_BYTES = 1 << 20, YAML_FILE_DEPTH = 32 };

/** A new reference. NULL, and why: not to be read, longer than YAML_FILE_BYTES, deeper than YAML_FILE_DEPTH, no YAML, or of what JSON has not. */
json_t *yaml_file_read(const char *path, char why[YAML_FILE_WHY]);

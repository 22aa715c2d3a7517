/* input.h: reading what a runtime says. Every function names the field that is wrong. */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "tools/cni/error.h"

/** The one JSON object on standard input, of at most 1 MB. NULL with *err. A new reference. */
json_t *input_read(struct cni_err *err);

/** The text of a field; "" when it is absent or null; NULL with *err when it is something else. `path` names it. */
const char *input_text(const json_t *object, const char *field, const char *path, struct cni_err *err);

/** The list of texts of a field; *list NULL when it is absent or null. 0 or -1 with *err. */
int input_texts(
	const json_t *object, const char *field, const char *path, const json_t **list, struct cni_err *err);

/** The object of a field; *inner NULL when it is absent or null. 0 or -1 with *err. */
int input_object(
	const json_t *object, const char *field, const char *path, const json_t **inner, struct cni_err *err);

/** The whole number in min..max of a field, `absent` without one. 0 or -1 with *err. */
int input_number(const json_t *object, const char *field, const char *path, json_int_t min, json_int_t max,
	json_int_t absent, json_int_t *number, struct cni_err *err);

/** Refuses fields that are not among `known` (NULL ends it), nor begin with "cni.dev/". 0 or -1 with *err. */
int input_known(const json_t *object, const char *const *known, const char *path, struct cni_err *err);

/** Letters, digits and ._-, the first no sign, 1 to 255 of them: how CNI names containers and networks. */
bool input_is_name(const char *text);

enum { INPUT_IFNAME_MAX = 15 };

/** A name that the kernel takes for an interface, of printable ASCII. */
bool input_is_ifname(const char *text);

/*
 * sections.h: the kinds of object that a configuration (and the state file) lists, in the order in which they
 * are made: each refers only to those before it. Pure.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "control/api/api.h"

enum { SECTION_KEYS = 4, SECTION_ID = 256 };

struct section {
	const char *name;	       /* in the file: "ports" */
	const char *noun;	       /* of the methods: "port" */
	const char *key[SECTION_KEYS]; /* fields that tell one object from another */
};

extern const struct section sections[];
extern const size_t sections_count;

/** The section called `name` in the file, NULL when there is none. */
const struct section *section_named(const char *name);

/** The section of the methods of `noun` ("port" of "port.add"; length `len`), NULL when there is none. */
const struct section *section_of(const char *noun, size_t len);

/** The identity of `object`, in `id`: its section and key fields in one text. */
void section_id(const struct section *section, const json_t *object, char id[SECTION_ID]);

/** A new object with the key fields of `object` alone. */
json_t *section_key(const struct section *section, const json_t *object);

/** The method "NOUN.verb", NULL when the section has no such verb. */
const struct api_method *section_method(const struct section *section, const char *verb);

/* Where in a configuration an object stands. */
struct config_location {
	const char *section;
	size_t index;
};

/**
 * Puts the location before a line that begins with a field of the section's objects or not: "ports[1].mac: ..."
 * or "ports[1]: ...". `line` may lie in `err`. Returns -1.
 */
int config_fail_line(struct config_location at, struct api_err *err, enum api_code code, const char *line);

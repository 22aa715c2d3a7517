/*
 * config.h: the configuration file. Reading it touches nothing but the file. Control thread.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "control/api/api.h"
#include "control/config/sections.h"

/* A line for the user: "FILE: ports[1].vni: unknown key" or "FILE:12:3: ...". */
struct config_err {
	char text[512];
};

/**
 * Reads and checks `path`: syntax, every field of every object, duplicates, references. A missing file is an
 * empty configuration when `optional`. Returns 0 with the file's own objects in *out (no defaults filled in),
 * or -1.
 */
int config_load(const char *path, bool optional, json_t **out, struct config_err *err);

/** Calls fn for each object that a file may have beside its lists, as "control", with its fields. Any thread. */
void config_parts(void (*fn)(void *arg, const char *name, const struct api_field *fields), void *arg);

/** What the "dataplane" object says, with its defaults. New reference; `config` has been
 * checked. */
json_t *config_dataplane(const json_t *config);

/** Calls fn for every object in the order in which they are made, until it returns other than 0, which is
 * returned. */
int config_walk(const json_t *config,
	int (*fn)(void *arg, const struct section *section, size_t index, json_t *object), void *arg);

/** Makes one object, or says in `err` what is wrong where: "ports[1].device: ...". Returns 0 or -1. */
int config_make(struct model *model, const struct section *section, size_t index, const json_t *object,
	struct api_err *err);

/** Makes every object of a checked configuration. Returns 0, or -1 and what failed; made ones stay. */
int config_apply(struct model *model, const json_t *config, struct api_err *err);

/**
 * change.c: brings the model from `old` to `fresh`, touching only what differs. What is refused is reported
 * to fn in one line, and stays, or comes back, as it was. Returns the configuration that holds then (a new
 * reference).
 */
json_t *config_change(struct model *model, const json_t *old, const json_t *fresh,
	void (*fn)(void *arg, const char *line), void *arg);

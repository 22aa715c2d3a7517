/* backend_run.h: many backends in one go: one commit of the registry, one table built. Control thread. */
#pragma once

#include <stdbool.h>

struct model;

struct backend_run {
	struct model *model;
	bool open;
};

/** Before each call: those about backends ("backend") that follow each other become one commit. */
void backend_run_next(struct backend_run *run, const char *noun);

/** After the last call. */
void backend_run_end(struct backend_run *run);

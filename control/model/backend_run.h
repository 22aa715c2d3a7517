/*
 * backend_run.h: makes changes of many backends one commit of the registry, which builds one table. Control
 * thread.
 */
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

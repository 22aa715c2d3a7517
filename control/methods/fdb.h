/*
 * fdb.h: static entries go with what they point to. Control thread.
 */
#pragma once

struct model;
struct model_port;
struct model_vtep;

/** Deletes the static entries that point to `port` or to `vtep` (the other is NULL), before it is deleted
 * itself. */
void fdb_forget(struct model *model, const struct model_port *port, const struct model_vtep *vtep);

/*
 * list.h: answers that are too long to make at once (api.h, `part` and `text`). They are written part by part,
 * the next one when the client has taken the last; so neither the daemon's other work nor its memory feels
 * how long a list is.
 */
#pragma once

#include "control/api/api.h"

struct evbuffer;
struct rpc_list;

/** Begins an answer to request `id` and writes its head to `out`. `params` passed method->fn. NULL: no
 * memory. */
struct rpc_list *rpc_list_begin(struct model *model, const struct api_method *method, const json_t *params,
	const json_t *id, struct evbuffer *out);

/** The same for a notification called `name`, whose parameters `text` writes. */
struct rpc_list *rpc_list_notify(
	struct model *model, api_text text, const json_t *params, const char *name, struct evbuffer *out);

/** Writes the next part to `out`, maybe nothing. True when that was the last one: then only rpc_list_end. */
bool rpc_list_next(struct rpc_list *list, struct evbuffer *out);

/** Frees it, whether it was written to its end or not. NULL is allowed. */
void rpc_list_end(struct rpc_list *list);

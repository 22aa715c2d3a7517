#include "control/api/list.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

struct rpc_list {
	struct model *model;
	api_part part; /* or: */
	api_text text;
	json_t *params;
	struct api_at at;
	bool any; /* an element has been written: the next one needs a comma */
};

static int write_head(const struct api_method *method, const json_t *id, struct evbuffer *out)
{
	char *text = json_dumps(id, JSON_COMPACT | JSON_ENCODE_ANY);
	int rc = text ? evbuffer_add_printf(out, "{\"jsonrpc\":\"2.0\",\"id\":%s,\"result\":%s", text,
				method->part ? "[" : "")
		      : -1;

	free(text);
	return rc < 0 ? -1 : 0;
}

static struct rpc_list *list_new(struct model *model, api_part part, api_text text, const json_t *params)
{
	struct rpc_list *list = calloc(1, sizeof(*list));

	if (!list)
		return NULL;
	*list = (struct rpc_list){
		.model = model, .part = part, .text = text, .params = json_deep_copy(params)};
	if (!params || list->params)
		return list;
	free(list);
	return NULL;
}

struct rpc_list *rpc_list_begin(struct model *model, const struct api_method *method, const json_t *params,
	const json_t *id, struct evbuffer *out)
{
	struct rpc_list *list = list_new(model, method->part, method->text, params);

	if (list && write_head(method, id, out) == 0)
		return list;
	rpc_list_end(list);
	return NULL;
}

struct rpc_list *rpc_list_notify(
	struct model *model, api_text text, const json_t *params, const char *name, struct evbuffer *out)
{
	struct rpc_list *list = list_new(model, NULL, text, params);

	if (list && evbuffer_add_printf(out, "{\"jsonrpc\":\"2.0\",\"method\":\"%s\",\"params\":", name) >= 0)
		return list;
	rpc_list_end(list);
	return NULL;
}

/* What stands between the brackets of an array. */
static void write_elements(struct rpc_list *list, const json_t *array, struct evbuffer *out)
{
	char *text = json_array_size(array) ? json_dumps(array, JSON_COMPACT) : NULL;

	if (!text)
		return;
	if (list->any)
		evbuffer_add(out, ",", 1);
	evbuffer_add(out, text + 1, strlen(text) - 2);
	list->any = true;
	free(text);
}

static bool write_part(struct rpc_list *list, struct evbuffer *out)
{
	json_t *array = json_array();
	bool more = list->part(list->model, list->params, &list->at, array);

	write_elements(list, array, out);
	json_decref(array);
	if (!more)
		evbuffer_add(out, "]", 1);
	return more;
}

bool rpc_list_next(struct rpc_list *list, struct evbuffer *out)
{
	bool more =
		list->part ? write_part(list, out) : list->text(list->model, list->params, &list->at, out);

	if (!more)
		evbuffer_add(out, "}\n", 2);
	return !more;
}

void rpc_list_end(struct rpc_list *list)
{
	if (!list)
		return;
	json_decref(list->params);
	free(list);
}

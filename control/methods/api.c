/* api.c: the API describes itself. */
#include "control/api/describe.h"
#include "control/methods/list.h"

static void add_method(void *arg, const struct api_method *method)
{
	json_array_append_new(arg, describe_method(method));
}

static int describe(
	struct model *model, const char *source, json_t *params, json_t **result, struct api_err *err)
{
	*result = json_array();
	methods_walk(add_method, *result);
	return 0;
}

static const struct api_field no_fields[] = {{NULL}};

const struct api_method api_methods[] = {
	{"api.describe", "Tell every method with its fields, types, ranges, defaults and help", no_fields,
		describe, false},
	{NULL},
};

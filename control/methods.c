#include "control/methods.h"

#include <string.h>

#include "control/schema.h"

static const struct api_method *const tables[] = {
	network_methods,
	port_methods,
	uplink_methods,
	vtep_methods,
	fdb_methods,
	service_methods,
	backend_methods,
	conn_methods,
	stats_methods,
	status_methods,
	api_methods,
};

void methods_walk(void (*fn)(void *arg, const struct api_method *method), void *arg)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct api_method *m = tables[i]; m->name; m++)
			fn(arg, m);
}

const struct api_method *method_find(const char *name)
{
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++)
		for (const struct api_method *m = tables[i]; m->name; m++)
			if (strcmp(m->name, name) == 0)
				return m;
	return NULL;
}

int method_call(struct model *model, const struct api_method *method, const char *source,
	const json_t *params, json_t **result, struct api_err *err)
{
	json_t *checked;
	int rc;

	if (schema_check(method->fields, params, "", &checked, err) < 0)
		return -1;
	*result = NULL;
	rc = method->fn(model, source, checked, result, err);
	json_decref(checked);
	if (rc == 0 && !*result)
		*result = json_object();
	return rc;
}

#include "control/service_watch.h"

#include <stdlib.h>

#include "control/methods.h"
#include "control/model.h"
#include "registry/registry.h"

struct service_watch {
	struct model *model;
	struct registry_watch *registry;
	void (*fn)(void *arg, const char *method, json_t *params);
	void *arg;
};

/* Tells how `service` stands now; of a deleted one only its name. */
static void tell(struct service_watch *watch, const char *service, uint64_t generation)
{
	json_t *params = json_pack("{s:s}", "name", service), *shown;
	struct api_err err;

	if (method_call(watch->model, method_find("service.show"), "api", params, &shown, &err) < 0)
		shown = json_pack(
			"{s:s, s:b, s:I}", "name", service, "gone", 1, "generation", (json_int_t)generation);
	json_decref(params);
	watch->fn(watch->arg, "service.changed", shown);
}

static void on_change(void *arg, const char *service, uint64_t generation)
{
	tell(arg, service, generation);
}

int service_watch_open(struct model *model, const char *name,
	void (*fn)(void *arg, const char *method, json_t *params), void *arg, struct service_watch **out,
	struct api_err *err)
{
	struct service_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	*watch = (struct service_watch){.model = model, .fn = fn, .arg = arg};
	watch->registry = registry_watch(model_registry(model), name ? name : "", on_change, watch);
	if (!watch->registry) {
		free(watch);
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	}
	*out = watch;
	return 0;
}

void service_watch_close(struct service_watch *watch)
{
	if (!watch)
		return;
	registry_unwatch(watch->registry);
	free(watch);
}

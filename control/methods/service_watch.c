#include "control/methods/service_watch.h"

#include <stdlib.h>

#include "control/methods/service_json.h"
#include "control/methods/service_text.h"
#include "control/model/model.h"
#include "registry/registry.h"

struct service_watch {
	struct model *model;
	struct registry_watch *registry;
	const struct service_watcher *by;
	void *arg;
};

/* Tells how `service` stands now; of a deleted one only its name. */
static void on_change(void *arg, const char *service, uint64_t generation)
{
	struct service_watch *watch = arg;
	json_t *shown;

	if (registry_service_size(model_registry(watch->model), service) > SERVICE_WHOLE_MAX) {
		watch->by->large(watch->arg, service);
		return;
	}
	shown = service_json(watch->model, service);
	if (!shown)
		shown = json_pack(
			"{s:s, s:b, s:I}", "name", service, "gone", 1, "generation", (json_int_t)generation);
	watch->by->changed(watch->arg, SERVICE_CHANGED, shown);
}

int service_watch_open(struct model *model, const char *name, const struct service_watcher *by, void *arg,
	struct service_watch **out, struct api_err *err)
{
	struct service_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	*watch = (struct service_watch){.model = model, .by = by, .arg = arg};
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

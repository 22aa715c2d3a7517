#include "control/methods/service_watch.h"

#include <stdlib.h>
#include <string.h>

#include "control/base/params.h"
#include "control/methods/service_json.h"
#include "control/methods/service_text.h"
#include "control/model/model.h"
#include "registry/registry.h"

#define SERVICE_CHANGED "service.changed"

enum { CHANGES_MAX = 64 };

struct service_watch {
	struct model *model;
	struct registry_watch *registry;
	const struct api_watcher *by;
	void *arg;
};

/* What of the service changed with this generation, and why. */
static json_t *changes_json(struct registry *registry, const char *service, uint64_t generation)
{
	const struct reg_change *change;
	json_t *list = json_array();
	bool lost;
	uint64_t n;

	if (!registry_changes_behind(registry, generation - 1, &n))
		return list;
	for (; (change = registry_change(registry, n, &lost)) && json_array_size(list) < CHANGES_MAX; n++) {
		const char *text = strcmp(change->service, service) == 0 ? reg_change_json(change) : NULL;

		if (text)
			json_array_append_new(list, json_loads(text, 0, NULL));
	}
	return list;
}

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
	json_object_set_new(
		shown, "changes", changes_json(model_registry(watch->model), service, generation));
	watch->by->changed(watch->arg, SERVICE_CHANGED, shown);
}

static int watch_open(struct model *model, const json_t *params, const struct api_watcher *by, void *arg,
	void **out, struct api_err *err)
{
	const char *name = param_str(params, "name");
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

static void watch_close(void *arg)
{
	struct service_watch *watch = arg;

	registry_unwatch(watch->registry);
	free(watch);
}

static bool there(struct model *model, const char *name)
{
	return registry_service_find(model_registry(model), name) != NULL;
}

const struct api_watch service_watch_type = {
	.open = watch_open,
	.close = watch_close,
	.changed = SERVICE_CHANGED,
	.there = there,
	.text = service_text_show,
};

#include "control/model/backend_run.h"

#include <string.h>

#include "control/model/model.h"
#include "registry/registry.h"

void backend_run_next(struct backend_run *run, const char *noun)
{
	if (strcmp(noun, "backend") != 0) {
		backend_run_end(run);
	} else if (!run->open) {
		registry_batch_begin(model_registry(run->model));
		run->open = true;
	}
}

void backend_run_end(struct backend_run *run)
{
	if (run->open)
		registry_batch_end(model_registry(run->model));
	run->open = false;
}

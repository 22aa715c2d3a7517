#include "control/model/usual.h"

#include <stdlib.h>

#include "control/model/objects.h"
#include "registry/base/wheel.h"

enum {
	USUAL_AGE_MS = 200, /* each backend's check asks */
	LEAST_BACKENDS = 3,
	MOST_BACKENDS = 2000, /* a millisecond's work */
};

struct sample {
	struct model *model;
	const struct model_service *service;
	size_t n;
	uint32_t us[MOST_BACKENDS];
};

static bool add(void *arg, const struct reg_backend *backend)
{
	struct sample *sample = arg;
	struct dp_backend_info info;

	if (backend->balanced &&
		model_backend_info(sample->model, sample->service, backend->address, backend->port, &info) ==
			0 &&
		info.latency_us > 0)
		sample->us[sample->n++] =
			info.latency_us < UINT32_MAX ? (uint32_t)info.latency_us : UINT32_MAX;
	return sample->n < MOST_BACKENDS;
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t median(struct model *model, const struct model_service *service)
{
	struct sample sample = {.model = model, .service = service};

	if (registry_service_size(model->registry, service->name) > MOST_BACKENDS)
		return 0;
	registry_backend_walk(model->registry, service->name, add, &sample);
	if (sample.n < LEAST_BACKENDS)
		return 0;
	qsort(sample.us, sample.n, sizeof(sample.us[0]), compare);
	return sample.us[(sample.n - 1) / 2];
}

uint32_t usual_latency_us(struct model *model, struct model_service *service)
{
	uint64_t now = wheel_now_us();

	if (!service->usual_at_us || now - service->usual_at_us >= USUAL_AGE_MS * UINT64_C(1000)) {
		service->usual_us = median(model, service);
		service->usual_at_us = now;
	}
	return service->usual_us;
}

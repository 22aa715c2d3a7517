/*
 * told.c: what clients that choose by themselves are told of backends.
 */
#include "registry/base/wheel.h"
#include "registry/table/table.h"

enum { TOLD_US = 1000000 };

/* Of `told`, what how soon it answers makes of it. Who is not known yet is as good as most. */
static uint64_t measured(
	struct registry *reg, const char *service, const struct reg_backend *backend, uint64_t told)
{
	const struct registry_sink *sink = &reg->sink;
	uint64_t least = told / REG_TOLD_TIMES, most = told * REG_TOLD_TIMES;
	struct reg_traffic seen;

	if (!sink->traffic || sink->traffic(sink->ctx, service, backend->address, backend->port, &seen) < 0 ||
		!seen.latency_us || !seen.usual_us)
		return told;
	told = told * seen.usual_us / seen.latency_us;
	return told < least ? least : told > most ? most : told;
}

void told_revise(struct registry *reg)
{
	uint64_t now = reg->nmeasured ? wheel_now_us() : 0;

	if (!reg->nmeasured || now - reg->told_us < TOLD_US)
		return;
	reg->told_us = now;
	for (size_t i = 0; i < reg->services.count; i++) {
		struct service *service = reg->services.item[i];

		for (size_t k = 0; service->def.measured && k < service->backends.count; k++)
			backend_revise(service->backends.item[k]);
	}
}

uint16_t registry_told_weight(
	struct registry *reg, const char *service, const struct reg_backend *backend, uint16_t weight)
{
	const struct reg_service *def = registry_service_find(reg, service);
	uint64_t told;

	if (!def || !def->measured)
		return weight;
	told = measured(reg, service, backend, (uint64_t)weight * REG_TOLD_SCALE);
	return (uint16_t)(told < UINT16_MAX ? told : UINT16_MAX);
}

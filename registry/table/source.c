/* source.c: who registers services and wants to hear of them: a list, for there are several at once. */
#include <string.h>

#include "registry/table/table.h"

void registry_log(struct registry *reg, int level, const char *subject, const char *line)
{
	reg->sink.log(reg->sink.ctx, level, subject, line);
}

void registry_source_add(struct registry *reg, struct registry_source *source)
{
	TAILQ_INSERT_TAIL(&reg->sources, source, link);
}

void registry_source_del(struct registry *reg, struct registry_source *source)
{
	TAILQ_REMOVE(&reg->sources, source, link);
}

bool registry_source_is_everywhere(const struct registry *reg, const char *name)
{
	const struct registry_source *source;

	TAILQ_FOREACH (source, &reg->sources, link)
		if (source->everywhere && strcmp(source->name, name) == 0)
			return true;
	return false;
}

void source_gone(const struct backend *backend)
{
	const struct registry_source *source;

	TAILQ_FOREACH (source, &backend->service->reg->sources, link)
		if (source->gone && strcmp(source->name, backend->pub.source) == 0)
			source->gone(source->arg, backend->service->def.name, &backend->pub);
}

const char *source_locate(const struct registry *reg, const char *node, const char *id)
{
	const struct registry_source *source;
	const char *service = NULL;

	TAILQ_FOREACH (source, &reg->sources, link) {
		if (source->locate)
			service = source->locate(source->arg, node, id);
		if (service)
			break;
	}
	return service;
}

void source_ttl(const struct registry *reg, const char *of, const struct check *check)
{
	const struct registry_source *source;

	if (check->spec->type != REG_CHECK_TTL)
		return;
	TAILQ_FOREACH (source, &reg->sources, link)
		if (source->ttl && (!of || strcmp(source->name, of) == 0))
			source->ttl(source->arg, check->spec, check->health);
}

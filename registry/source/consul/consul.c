/* consul.c: Consul's API over a registry: its beginning and end, and whom its ids name. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/inside.h"
#include "registry/store/journal.h"

int consul_code(int rc)
{
	switch (-rc) {
	case EINVAL:
		return 400;
	case ENOENT:
		return 404;
	case EEXIST:
		return 409;
	case ENOTSUP:
		return 400;
	default:
		return 500;
	}
}

void consul_reply(struct http_request *rq, int rc, const struct reg_err *err)
{
	http_reply_text(rq, rc < 0 ? consul_code(rc) : 200, "%s", rc < 0 ? err->text : "");
}

const char *consul_service_of(struct consul *consul, const char *id)
{
	const struct consul_instance *instance = consul_instance_of(consul, id);

	return instance ? instance->service : NULL;
}

const struct reg_backend *consul_backend_of(struct consul *consul, const char *id, const char **service)
{
	*service = consul_service_of(consul, id);
	return *service ? registry_backend_find(consul->reg, *service, id) : NULL;
}

struct search {
	struct registry *reg;
	const char *id, *service;
};

static bool find_in(void *arg, const struct reg_service *service)
{
	struct search *search = arg;
	const struct reg_backend *backend = registry_backend_find(search->reg, service->name, search->id);

	if (backend && strcmp(backend->source, CONSUL_SOURCE) == 0 && strcmp(backend->id, search->id) == 0)
		search->service = service->name;
	return !search->service;
}

const char *consul_service_on(struct consul *consul, const char *node, const char *id)
{
	char key[REG_ID_MAX + 1];
	struct search search = {consul->reg, key, NULL};

	if (!node[0])
		return consul_service_of(consul, id);
	if (snprintf(key, sizeof(key), "%s/%s", node, id) < (int)sizeof(key))
		registry_service_walk(consul->reg, find_in, &search);
	return search.service;
}

static const char *locate(void *arg, const char *node, const char *id)
{
	return consul_service_on(arg, node, id);
}

/* It is kept: whoever said something before this daemon ends need not say it again at once. */
static void on_ttl(void *arg, const struct reg_check *check, enum reg_health health)
{
	if (check->id && check->interval_ms)
		consul_keep_word(arg, check->id, consul_status(health));
}

static void on_gone(void *arg, const char *service, const struct reg_backend *backend)
{
	consul_instance_gone(arg, service, backend);
}

int consul_open(const struct consul_config *config, struct consul **out)
{
	struct consul *consul = calloc(1, sizeof(*consul));

	if (!consul)
		return -ENOMEM;
	consul->base = config->base;
	consul->reg = config->reg;
	consul->journal = config->journal;
	consul->kv_bytes_max = config->kv_bytes ? config->kv_bytes : (size_t)CONSUL_KV_MB << 20;
	consul->source = (struct registry_source){
		.name = CONSUL_SOURCE, .arg = consul, .gone = on_gone, .locate = locate, .ttl = on_ttl};
	registry_source_add(consul->reg, &consul->source);
	session_open(consul);
	consul->datacenter = strdup(config->datacenter ? config->datacenter : "dc1");
	consul->absent = consul_absent();
	if (!consul->datacenter || !consul->absent || consul_follow_open(consul) < 0) {
		consul_close(consul);
		return -ENOMEM;
	}
	if (consul->journal) {
		kv_keep_redo(consul);
		journal_restore(consul->journal, consul_restore, consul);
	}
	registry_begin(consul->reg);
	kv_keep_begin(consul);
	session_begin(consul);
	consul_index_shown(consul, registry_first_generation(consul->reg));
	journal_flush(consul->journal); /* before anybody is told an index */
	*out = consul;
	return 0;
}

void consul_close(struct consul *consul)
{
	if (!consul)
		return;
	registry_source_del(consul->reg, &consul->source);
	consul_events_close(consul);
	consul_follow_close(consul);
	json_decref(consul->absent);
	session_close(consul);
	kv_close(consul);
	consul_checks_close(consul);
	consul_instances_close(consul);
	free(consul->datacenter);
	free(consul);
}

struct consul_info consul_info(const struct consul *consul)
{
	return (struct consul_info){.kv_keys = consul->kv.entries.count,
		.kv_bytes = consul->kv.bytes,
		.kv_bytes_max = consul->kv_bytes_max};
}

/*
 * event.c: /v1/event: what users tell each other. An event is kept by this agent when its filters take
 * this node and one of its services; the last 256 are listed, and gone after a restart. An index is made of the
 * newest event's id, as clients know how to make it themselves: it does not grow.
 */
#include <stdlib.h>
#include <string.h>

#include "registry/base/base64.h"
#include "registry/filter/pattern.h"
#include "registry/source/consul/inside.h"

#define EVENT_TOPIC "@event"

enum { EVENT_MAX = 512, EVENT_VERSION = 1 }; /* bytes of name, filters and payload together, as Consul */

struct filters {
	struct pattern *node, *service, *tag; /* NULL: any */
};

static void filters_free(struct filters *filters)
{
	pattern_free(filters->node);
	pattern_free(filters->service);
	pattern_free(filters->tag);
}

static const char *text_of(const struct http_request *rq, const char *name)
{
	const char *text = http_param(rq, name);

	return text ? text : "";
}

/* False after http_fail(). */
static bool read_filter(struct http_request *rq, const char *name, struct pattern **out)
{
	const char *text = text_of(rq, name);

	if (!*text)
		return true;
	*out = pattern_make(text);
	if (!*out)
		http_fail(rq, 400, "Invalid %s filter: not a regular expression", name);
	return *out != NULL;
}

static bool read_filters(struct http_request *rq, struct filters *filters)
{
	if (*text_of(rq, "tag") && !*text_of(rq, "service"))
		return http_fail(rq, 400, "Cannot provide tag filter without service filter");
	return read_filter(rq, "node", &filters->node) && read_filter(rq, "service", &filters->service) &&
	       read_filter(rq, "tag", &filters->tag);
}

struct audience {
	struct registry *reg;
	const struct filters *filters;
	struct pattern_budget *budget;
	int rc; /* 1: found; 0: not yet; -E2BIG: a filter takes too long */
};

static int has_tag(
	const struct pattern *tag, const struct reg_backend *backend, struct pattern_budget *budget)
{
	int rc = 0;

	for (size_t i = 0; rc == 0 && backend->metadata && i < backend->metadata->ntag; i++)
		rc = pattern_found(tag, backend->metadata->tags[i], budget);
	return rc;
}

static bool look_at_instance(void *arg, const struct reg_backend *backend)
{
	struct audience *audience = arg;
	const struct pattern *tag = audience->filters->tag;

	if (!reg_backend_node(backend)[0])
		audience->rc = tag ? has_tag(tag, backend, audience->budget) : 1;
	return audience->rc == 0;
}

static bool look_at_service(void *arg, const struct reg_service *service)
{
	struct audience *audience = arg;

	int rc;

	pattern_budget_item(audience->budget);
	rc = pattern_found(audience->filters->service, service->name, audience->budget);
	if (rc > 0)
		registry_backend_walk(audience->reg, service->name, look_at_instance, audience);
	else
		audience->rc = rc;
	return audience->rc == 0;
}

/* 1, 0, or -E2BIG */
static int is_for_us(struct registry *reg, const struct filters *filters)
{
	struct pattern_budget budget = PATTERN_BUDGET;
	struct audience audience = {.reg = reg, .filters = filters, .budget = &budget};
	int rc = filters->node ? pattern_found(filters->node, registry_node_find(reg, "")->name, &budget) : 1;

	if (rc <= 0 || !filters->service)
		return rc;
	registry_service_walk(reg, look_at_service, &audience);
	return audience.rc;
}

static void keep(struct consul *consul, json_t *event)
{
	json_t **place = &consul->events[consul->nevents++ % CONSUL_EVENTS];

	json_decref(*place);
	*place = json_incref(event);
	watch_notify_topic(consul->reg, EVENT_TOPIC, registry_generation(consul->reg));
}

/* NULL: a text is not UTF-8, or there is no memory. */
static json_t *event_json(struct http_request *rq, struct evbuffer *body)
{
	size_t len = evbuffer_get_length(body);
	char id[UUID_TEXT], *payload = len ? base64_text(evbuffer_pullup(body, -1), len) : NULL;
	json_t *event = NULL;

	if ((payload || !len) && uuid_make(id) == 0)
		event = json_pack("{s:s, s:s, s:s?, s:s, s:s, s:s, s:i, s:I}", "ID", id, "Name", rq->arg[0],
			"Payload", payload, "NodeFilter", text_of(rq, "node"), "ServiceFilter",
			text_of(rq, "service"), "TagFilter", text_of(rq, "tag"), "Version", EVENT_VERSION,
			"LTime", 1 + (json_int_t)consul_of(rq)->event_time);
	free(payload);
	return event;
}

static bool is_fit(struct http_request *rq, struct evbuffer *body)
{
	const char *name = rq->arg[0];
	size_t len = strlen(name) + strlen(text_of(rq, "node")) + strlen(text_of(rq, "service")) +
		     strlen(text_of(rq, "tag")) + evbuffer_get_length(body);

	if (!name[0])
		return http_fail(rq, 400, "Missing name");
	if (name[0] == '_')
		return http_fail(rq, 400, "Invalid name: those that begin with _ are Consul's own");
	if (len > EVENT_MAX)
		return http_fail(rq, 413,
			"user event exceeds limit of %d bytes (name, filters and payload together)",
			EVENT_MAX);
	return true;
}

/* With its filters read. */
static void fire(struct http_request *rq, struct evbuffer *body, const struct filters *filters)
{
	struct consul *consul = consul_of(rq);
	int rc = is_for_us(consul->reg, filters);
	json_t *event = event_json(rq, body);

	if (!event) {
		http_fail(rq, 400, "Invalid name or filter: must be UTF-8");
	} else if (rc < 0) {
		json_decref(event);
		http_fail(rq, 400, "Invalid filter: takes too long to match");
	} else {
		consul->event_time++;
		if (rc)
			keep(consul, event);
		http_reply_json(rq, 200, event);
	}
}

void consul_event_fire(struct http_request *rq)
{
	struct evbuffer *body = evhttp_request_get_input_buffer(rq->raw);
	struct filters filters = {0};

	if (!is_fit(rq, body))
		return;
	if (read_filters(rq, &filters))
		fire(rq, body, &filters);
	filters_free(&filters);
}

void consul_events_close(struct consul *consul)
{
	for (unsigned i = 0; i < CONSUL_EVENTS; i++)
		json_decref(consul->events[i]);
}

/* The i-th of those kept, from the oldest; NULL behind the last. */
static json_t *event_at(const struct consul *consul, unsigned i)
{
	uint64_t first = consul->nevents > CONSUL_EVENTS ? consul->nevents - CONSUL_EVENTS : 0;

	return first + i < consul->nevents ? consul->events[(first + i) % CONSUL_EVENTS] : NULL;
}

static json_t *list_render(struct http_request *rq)
{
	const char *name = text_of(rq, "name");
	json_t *list = json_array(), *event;

	for (unsigned i = 0; (event = event_at(consul_of(rq), i)); i++)
		if (!*name || strcmp(json_string_value(json_object_get(event, "Name")), name) == 0)
			json_array_append(list, event);
	return list;
}

/* Both halves of the id's 128 bits in one. */
static uint64_t index_of(const char *id)
{
	uint64_t half[2] = {0};
	unsigned digits = 0;

	for (; *id; id++)
		if (*id != '-') {
			uint64_t *into = &half[digits++ / 16];

			*into = *into << 4 | (uint64_t)(*id <= '9' ? *id - '0' : *id - 'a' + 10);
		}
	return half[0] ^ half[1];
}

static uint64_t list_index(struct http_request *rq)
{
	json_t *list = list_render(rq);
	const json_t *newest = json_array_get(list, json_array_size(list) - 1);
	uint64_t index = newest ? index_of(json_string_value(json_object_get(newest, "ID"))) : 1;

	json_decref(list);
	return index;
}

static const char *list_topic(struct http_request *rq)
{
	return EVENT_TOPIC;
}

const struct http_view consul_view_events = {
	.scope = &(const struct http_scope){list_topic, list_index, NULL},
	.render = list_render,
	.unordered = true};

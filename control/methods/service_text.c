#include "control/methods/service_text.h"

#include <event2/buffer.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/params.h"
#include "control/methods/service_json.h"
#include "registry/base/wheel.h"

enum { SLICE_US = 500 };

/* Of api_at.n: what has been written. at->name is the service, and the backend within it. */
enum { BEGUN = 1, ANY_SERVICE = 2, IN_SERVICE = 4, ANY_BACKEND = 8 };

struct writing {
	struct model *model;
	struct api_at *at;
	struct evbuffer *out;
	uint64_t end_us; /* the next part then */
};

static void put_text(struct writing *w, const char *text)
{
	evbuffer_add(w->out, text, strlen(text));
}

static void open_service(struct writing *w, const struct reg_service *service)
{
	json_t *head = service_head_json(w->model, service);
	char *text;

	text = json_dumps(head, JSON_COMPACT);
	json_decref(head);
	if (text)
		evbuffer_add(w->out, text, strlen(text) - 1);
	free(text);
	put_text(w, ",\"backends\":[");
	w->at->name = (struct reg_cursor){0};
	memcpy(w->at->name.name, service->name, sizeof(w->at->name.name));
	w->at->n = (w->at->n | IN_SERVICE) & ~(uint64_t)ANY_BACKEND;
}

static bool put_backend(void *arg, const char *name, const struct reg_backend *backend)
{
	struct writing *w = arg;
	json_t *object =
		service_backend_json(w->model, registry_service_find(w->model->registry, name), backend);
	char *text = json_dumps(object, JSON_COMPACT);

	json_decref(object);
	if (text) {
		if (w->at->n & ANY_BACKEND)
			put_text(w, ",");
		put_text(w, text);
		w->at->n |= ANY_BACKEND;
	}
	free(text);
	return wheel_now_us() < w->end_us;
}

/* Goes on with the service that is open. True when it is at its end. */
static bool write_service(struct writing *w)
{
	if (!registry_instances_in(w->model->registry, w->at->name.name, &w->at->name, put_backend, w))
		return false;
	put_text(w, "]}");
	w->at->n &= ~(uint64_t)IN_SERVICE;
	return true;
}

static struct writing writing_of(struct model *model, struct api_at *at, struct evbuffer *out)
{
	return (struct writing){model, at, out, wheel_now_us() + SLICE_US};
}

bool service_text_show(struct model *model, const json_t *params, struct api_at *at, struct evbuffer *out)
{
	struct writing w = writing_of(model, at, out);
	const struct reg_service *service;

	if (!(at->n & BEGUN)) {
		at->n |= BEGUN;
		service = registry_service_find(model->registry, param_str(params, "name"));
		if (!service) {
			put_text(&w, "null");
			return false;
		}
		open_service(&w, service);
	}
	return !write_service(&w);
}

static bool take(void *arg, const struct reg_service *service)
{
	*(const struct reg_service **)arg = service;
	return false;
}

/* Behind the one that was written last. NULL: that was the last one of all. */
static const struct reg_service *next_service(struct writing *w, const char *only)
{
	const struct reg_service *service = NULL;

	if (!only)
		registry_services(w->model->registry, &w->at->name, take, &service);
	else if (!(w->at->n & ANY_SERVICE))
		service = registry_service_find(w->model->registry, only);
	return service;
}

bool service_text_watch(struct model *model, const json_t *params, struct api_at *at, struct evbuffer *out)
{
	struct writing w = writing_of(model, at, out);
	const char *only = param_str(params, "name");
	const struct reg_service *service;

	if (!(at->n & BEGUN))
		put_text(&w, "[");
	at->n |= BEGUN;
	do {
		if (at->n & IN_SERVICE && !write_service(&w))
			return true;
		service = next_service(&w, only);
		if (!service) {
			put_text(&w, "]");
			return false;
		}
		if (at->n & ANY_SERVICE)
			put_text(&w, ",");
		at->n |= ANY_SERVICE;
		open_service(&w, service);
	} while (wheel_now_us() < w.end_us);
	return true;
}

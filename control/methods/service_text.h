/*
 * service_text.h: the answers of service.show and service.watch, part by part (api.h, `text`): a service may
 * have 100,000 backends, which take seconds to write. Each backend is shown as it is when its turn comes.
 * Control thread.
 */
#pragma once

#include "control/api/api.h"

/** A service with more backends than this is always sent in parts. */
enum { SERVICE_WHOLE_MAX = 256 };

/** The service called params.name. */
bool service_text_show(struct model *model, const json_t *params, struct api_at *at, struct evbuffer *out);

/** An array of all services, or of the one called params.name if it is there. */
bool service_text_watch(struct model *model, const json_t *params, struct api_at *at, struct evbuffer *out);

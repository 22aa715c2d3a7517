/*
 * service_json.h: services, backends and checks between JSON and the registry. Control thread.
 */
#pragma once

#include <jansson.h>

#include "control/api/api.h"
#include "control/model/objects.h"

/** The fields of a check, for the tables. */
extern const struct api_field check_fields[];

/** Fills `check` from the object `json`; NULL: no check. Its texts stay borrowed from `json`. */
void service_check_read(const json_t *json, struct reg_check *check);

/** Room for a check's texts. */
enum { CHECK_SERVICE_MAX = 127 };
struct check_texts {
	char path[REG_PATH_MAX + 1], service[CHECK_SERVICE_MAX + 1];
};

/** The check's texts, valid by the registry's rules, from now on in `texts`. */
void service_check_keep(struct reg_check *check, struct check_texts *texts);

/** Puts the given parameters of service.add or service.set over `service`. A check's texts stay borrowed. */
void service_params_read(const json_t *params, struct reg_service *service);

/** Fills `backend` from the parameters of backend.add; `check` is room for its check, whose texts stay borrowed. */
void service_backend_read(const json_t *params, struct reg_backend *backend, struct reg_check *check);
/** Puts what backend.set can change over `backend`; `check` as above. */
void service_backend_change(const json_t *params, struct reg_backend *backend, struct reg_check *check);

/** The service without its backends. A new reference. */
json_t *service_head_json(struct model *model, const struct reg_service *service);
/** The whole of a service, with its backends; also what a watch tells. NULL when there is none of that name.
 */
json_t *service_json(struct model *model, const char *name);

/** A backend, with what the dataplane counts for it. */
json_t *service_backend_json(
	struct model *model, const struct reg_service *service, const struct reg_backend *backend);

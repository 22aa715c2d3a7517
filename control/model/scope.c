#include "control/model/scope.h"

#include <stdio.h>
#include <string.h>

#include "control/base/params.h"
#include "control/base/result.h"
#include "control/model/objects.h"
#include "control/model/origin.h"

const char *const scope_choices[] = {"host", SCOPE_GLOBAL, NULL};

enum { NOUN = 16 };

void scope_attach(struct model *model, const struct scope_global *global)
{
	model->global = global;
}

int scope_open(struct model *model, struct api_err *err)
{
	return model->global ? model->global->open(model->global->arg, err) : 0;
}

void scope_made(struct model *model, const char *noun)
{
	if (model->global)
		model->global->made(model->global->arg, noun);
}

static bool is_global_noun(const char *noun)
{
	return strcmp(noun, "network") == 0 || strcmp(noun, "service") == 0 || strcmp(noun, "publish") == 0;
}

/* May `source` do that, here? */
static int check(const struct model *model, const char *noun, const char *source, const json_t *params,
	bool said, struct api_err *err)
{
	if (strcmp(source, "config") == 0 && said)
		return api_fail(err, API_UNSUPPORTED, "scope", "%s", SCOPE_OF_FILE);
	if (strcmp(source, "api") != 0)
		return api_fail(err, API_IN_USE, "name",
			"%s %s is of all hosts: only the API changes it, and not %s", noun,
			param_str(params, "name"), source);
	if (!model->global)
		return api_fail(err, API_NOT_FOUND, "scope",
			"the configuration names no etcd, so this host is alone");
	return 0;
}

bool scope_takes(struct model *model, const char *method, const char *source, json_t *params, json_t **result,
	struct api_err *err, int *rc)
{
	const char *verb = strchr(method, '.'), *scope = param_str(params, "scope"), *origin;
	char noun[NOUN] = "";
	bool makes, is_global, said = scope && strcmp(scope, SCOPE_GLOBAL) == 0;

	if (!verb || (strcmp(verb, ".add") != 0 && strcmp(verb, ".set") != 0 && strcmp(verb, ".del") != 0))
		return false;
	snprintf(noun, sizeof(noun), "%.*s", (int)(verb - method), method);
	if (!is_global_noun(noun) || !strcmp(source, SCOPE_GLOBAL))
		return false;
	makes = strcmp(verb, ".add") == 0;
	origin = origin_of(model, noun, params);
	is_global = !makes && origin && !strcmp(origin, SCOPE_GLOBAL);
	if (is_global && scope && !said) {
		*rc = api_fail(
			err, API_INVALID, "scope", "%s %s is of all hosts", noun, param_str(params, "name"));
		return true;
	}
	json_object_del(params, "scope");
	if (!said && !is_global &&
		(strcmp(source, "api") != 0 || !model->global ||
			!model->global->changes(model->global->arg, method, params)))
		return false;
	*rc = check(model, noun, source, params, said, err);
	if (*rc == 0)
		*rc = model->global->change(model->global->arg, method, params, result, err);
	return true;
}

void scope_put(
	const struct model *model, json_t *object, const char *noun, const char *name, const char *source)
{
	bool global = strcmp(source, SCOPE_GLOBAL) == 0;
	int64_t revision =
		global && model->global ? model->global->revision(model->global->arg, noun, name) : 0;

	put_str(object, "scope", global ? SCOPE_GLOBAL : "host");
	put(object, "revision", revision ? json_integer(revision) : json_null());
}

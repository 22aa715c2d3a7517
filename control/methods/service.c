/*
 * Services: a name with backends behind it, and a vip where there is one.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/base/params.h"
#include "control/base/result.h"
#include "control/methods/list.h"
#include "control/methods/service_json.h"
#include "control/methods/service_text.h"
#include "control/model/network_spec.h"
#include "control/model/objects.h"
#include "control/model/scope.h"

static const char *const protocols[] = {"tcp", "udp", "sctp", NULL};
static const char *const policies[] = {"maglev", "least", NULL};
static const char *const locality[] = {"off", "prefer", NULL};
static const char *const weights[] = {"set", "measured", NULL};
static const char *const no_backend[] = {"reject", "drop", NULL};
static const char *const on_critical[] = {"keep", "end", NULL};

/* A vip must be a free address of the network; other services may share it on another port. */
static int check_vip(struct model *model, const struct model_network *network, struct ip_addr vip,
	const char *field, struct api_err *err)
{
	const struct model_port *port;
	char text[IP_TEXT];

	ip_text(vip, text);
	if (network_spec_check_ip(&network->spec, network->name, vip, field, text, err) < 0)
		return -1;
	if (ip_equal(vip, network_spec_gateway(&network->spec, !ip_is4(vip))))
		return api_fail(
			err, API_EXISTS, field, "%s is the gateway of network %s", text, network->name);
	port = model_port_of_ip(model, network, vip);
	if (port)
		return api_fail(err, API_EXISTS, field, "%s is taken by port %s", text, port->name);
	return 0;
}

static int check_vips(
	struct model *model, const struct reg_service *service, const char *field, struct api_err *err)
{
	const struct model_network *network;

	if (ip_is_none(service->vip))
		return 0;
	if (!ip_is_none(service->vip6) && (!ip_is4(service->vip) || ip_is4(service->vip6)))
		return api_fail(err, API_INVALID, field, "one of IPv4 and one of IPv6 at most");
	if (!service->network[0])
		return api_fail(err, API_INVALID, "network", "required with a vip");
	if (!service->port)
		return api_fail(err, API_INVALID, "port", "required with a vip");
	if (!service->protocol)
		return api_fail(err, API_INVALID, "protocol", "required with a vip");
	network = model_network(model, service->network);
	if (check_vip(model, network, service->vip, field, err) < 0)
		return -1;
	return ip_is_none(service->vip6) ? 0 : check_vip(model, network, service->vip6, field, err);
}

/* Puts the given fields over `service`. What was kept of a service may have both spellings of its vips. */
static int read_service(
	struct model *model, struct reg_service *service, const json_t *params, struct api_err *err)
{
	if (param_given(params, "network") && !model_need_network(model, params, "network", err))
		return -1;
	if (param_given(params, "vip") && param_given(params, "vips") && !model->replaying)
		return api_fail(err, API_INVALID, "vips", "instead of vip, not beside it");
	service_params_read(params, service);
	return check_vips(model, service, param_given(params, "vips") ? "vips" : "vip", err);
}

/* Of a changed service, which may have been made with either spelling, `vips` is what counts. */
static void tell_changed(struct model *model, const char *source, const json_t *params)
{
	json_t *kept = json_copy((json_t *)params), *vip = json_object_get(params, "vip");

	if (vip) {
		json_object_set_new(kept, "vips", json_pack("[O]", vip));
		json_object_del(kept, "vip");
	}
	model_changed(model, "service.set", source, kept);
	json_decref(kept);
}

static API_HANDLER(service_add)
{
	struct reg_service service = {.policy = "maglev"};
	const char *name = param_str(params, "name");
	struct reg_err why = {""};
	int rc;

	snprintf(service.name, sizeof(service.name), "%s", name);
	snprintf(service.source, sizeof(service.source), "%s", source);
	if (read_service(model, &service, params, err) < 0)
		return -1;
	model->apply_err.text[0] = '\0';
	rc = registry_service_add(model->registry, &service, &why);
	if (rc < 0)
		return model_refused(err, rc, why.text);
	if (model->apply_err.text[0]) {
		registry_service_del(model->registry, name, &why);
		return api_fail(err, API_INTERNAL, NULL, "%s", model->apply_err.text);
	}
	model_changed(model, "service.add", source, params);
	*result = service_json(model, name);
	return 0;
}

/* A copy of the service that survives changes of the registry; its check's texts go to `texts`. */
static int copy_service(struct model *model, const char *name, struct reg_service *copy,
	struct check_texts *texts, struct api_err *err)
{
	const struct reg_service *service = registry_service_find(model->registry, name);

	if (!service)
		return api_fail(err, API_NOT_FOUND, "name", "no such service \"%s\"", name);
	*copy = *service;
	service_check_keep(&copy->check, texts);
	return 0;
}

/* Without its backends where they are too many to be told in one go. */
static json_t *result_json(struct model *model, const char *name)
{
	if (registry_service_size(model->registry, name) <= SERVICE_WHOLE_MAX)
		return service_json(model, name);
	return service_head_json(model, registry_service_find(model->registry, name));
}

static API_HANDLER(service_set)
{
	const char *name = param_str(params, "name");
	struct reg_service old, now;
	struct reg_err why = {""};
	struct check_texts texts;
	int rc;

	if (copy_service(model, name, &old, &texts, err) < 0)
		return -1;
	now = old;
	if (read_service(model, &now, params, err) < 0)
		return -1;
	model->apply_err.text[0] = '\0';
	rc = registry_service_set(model->registry, &now, &why);
	if (rc < 0)
		return model_refused(err, rc, why.text);
	if (model->apply_err.text[0]) {
		api_fail(err, API_INTERNAL, NULL, "%s", model->apply_err.text);
		registry_service_set(model->registry, &old, &why);
		return -1;
	}
	tell_changed(model, source, params);
	*result = result_json(model, name);
	return 0;
}

static API_HANDLER(service_del)
{
	const char *name = param_str(params, "name");
	struct reg_err why = {""};

	if (!registry_service_find(model->registry, name))
		return api_fail(err, API_NOT_FOUND, "name", "no such service \"%s\"", name);
	if (registry_service_del(model->registry, name, &why) < 0)
		return api_fail(err, API_INTERNAL, NULL, "%s", why.text);
	model_changed(model, "service.del", source, params);
	return 0;
}

struct listing {
	struct model *model;
	json_t *list;
};

enum {
	PART = 32
}; /* services told in one go; to count their backends takes a millisecond for each 100,000 */

static bool list_service(void *arg, const struct reg_service *service)
{
	struct listing *listing = arg;
	json_t *object = service_head_json(listing->model, service);
	unsigned of[REG_DRAINING + 1], all = 0;

	registry_service_healths(listing->model->registry, service->name, of);
	for (unsigned i = 0; i <= REG_DRAINING; i++)
		all += of[i];
	put_int(object, "passing", of[REG_PASSING]);
	put_int(object, "backends", all);
	json_array_append_new(listing->list, object);
	return json_array_size(listing->list) < PART && all < 10000;
}

static bool service_list_part(struct model *model, const json_t *params, struct api_at *at, json_t *list)
{
	struct listing listing = {model, list};

	return !registry_services(model->registry, &at->name, list_service, &listing);
}

/* What they show is written by service_list_part(), and by service_text.c of what is watched. */
static API_HANDLER(service_list)
{
	*result = json_array();
	return 0;
}

/* service_text.c writes it. */
static API_HANDLER(service_show)
{
	const char *name = param_str(params, "name");

	if (!registry_service_find(model->registry, name))
		return api_fail(err, API_NOT_FOUND, "name", "no such service \"%s\"", name);
	return 0;
}

/*
 * service.watch: a connection receives each change of a service (or of all), as service.show shows it, and {name,
 * gone: true} for one that is gone.
 */
#define SERVICE_CHANGED "service.changed"

enum { CHANGES_MAX = 64 };

struct service_watch {
	struct model *model;
	struct registry_watch *registry;
	const struct api_watcher *by;
	void *arg;
};

/* What of the service changed with this generation, and why. */
static json_t *changes_json(struct registry *registry, const char *service, uint64_t generation)
{
	const struct reg_change *change;
	json_t *list = json_array();
	bool lost;
	uint64_t n;

	if (!registry_changes_behind(registry, generation - 1, &n))
		return list;
	for (; (change = registry_change(registry, n, &lost)) && json_array_size(list) < CHANGES_MAX; n++) {
		const char *text = strcmp(change->service, service) == 0 ? reg_change_json(change) : NULL;

		if (text)
			json_array_append_new(list, json_loads(text, 0, NULL));
	}
	return list;
}

/* Tells how `service` stands now; of a deleted one only its name. */
static void on_change(void *arg, const char *service, uint64_t generation)
{
	struct service_watch *watch = arg;
	json_t *shown;

	if (registry_service_size(watch->model->registry, service) > SERVICE_WHOLE_MAX) {
		watch->by->large(watch->arg, service);
		return;
	}
	shown = service_json(watch->model, service);
	if (!shown)
		shown = json_pack(
			"{s:s, s:b, s:I}", "name", service, "gone", 1, "generation", (json_int_t)generation);
	json_object_set_new(shown, "changes", changes_json(watch->model->registry, service, generation));
	watch->by->changed(watch->arg, SERVICE_CHANGED, shown);
}

static int watch_open(struct model *model, const json_t *params, const struct api_watcher *by, void *arg,
	void **out, struct api_err *err)
{
	const char *name = param_str(params, "name");
	struct service_watch *watch = calloc(1, sizeof(*watch));

	if (!watch)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	*watch = (struct service_watch){.model = model, .by = by, .arg = arg};
	watch->registry = registry_watch(model->registry, name ? name : "", on_change, watch);
	if (!watch->registry) {
		free(watch);
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	}
	*out = watch;
	return 0;
}

static void watch_close(void *arg)
{
	struct service_watch *watch = arg;

	registry_unwatch(watch->registry);
	free(watch);
}

static bool there(struct model *model, const char *name)
{
	return registry_service_find(model->registry, name) != NULL;
}

static const struct api_watch watch_type = {
	.open = watch_open,
	.close = watch_close,
	.changed = SERVICE_CHANGED,
	.there = there,
	.text = service_text_show,
};

static const struct api_field port_fields[] = {
	{"name", API_STRING, "of the port", .min = 1, .max = REG_PORT_NAME_MAX},
	{"port", API_INT, "of the vip", .required = true, .min = 1, .max = 65535},
	{"end_port", API_INT,
		"the last of several ports; each leads as far behind target_port as it is behind port",
		.min = 1, .max = 65535},
	{"target_port", API_INT, "of the backends (default: the same)", .min = 1, .max = 65535},
	{"protocol", API_ENUM, "of the vip (default tcp)", .choices = protocols},
	{NULL},
};

/* clang-format off */
#define SERVICE_NAME {"name", API_SERVICE, "of the service", .required = true, .positional = true}
#define ONLY_SERVICE {"name", API_SERVICE, "only this service, which need not exist yet", .positional = true}
#define SERVICE_FIELDS \
	{"network", API_NAME, "of the vip"}, \
	{"vip", API_IP, "a free address of the network; without one the service is only discoverable"}, \
	{"vips", API_LIST, "one of IPv4 and one of IPv6, instead of vip: each balances the backends of its family", \
		.item = API_IP, .max = 2}, \
	{"port", API_INT, "of the vip", .min = 1, .max = 65535}, \
	{"end_port", API_INT, "the last of several ports from port on; each leads as far behind a backend's port as it is " \
		"behind port (0: only port)", .max = 65535}, \
	{"protocol", API_ENUM, "of the vip", .choices = protocols}, \
	{"ports", API_LIST, "more ports of the vip, which lead to the same backends: each with a port, and maybe target_port, " \
		"protocol, name", .item = API_OBJECT, .fields = port_fields, .max = REG_PORTS_MAX}, \
	{"policy", API_ENUM, "how a backend is chosen: by the hash alone, or by it unless another is much less busy " \
		"(default maglev)", .choices = policies}, \
	{"locality", API_ENUM, "prefer: new connections go to backends on this host, then to those of its zone, while enough of " \
		"these are there and get on (default off)", .choices = locality}, \
	{"weights", API_ENUM, "those that clients are told, by SRV records and Consul's API: as they are set, or by how soon " \
		"each backend answers, which policy least measures (default set)", .choices = weights}, \
	{"affinity_s", API_INT, "a client's connections go to one backend, until so long after the last (default 0: " \
		"each is balanced)", .max = DP_AFFINITY_MAX}, \
	{"no_backend", API_ENUM, "what a client gets whom nobody serves: a reset or an ICMP error, or nothing " \
		"(default reject)", .choices = no_backend}, \
	{"on_critical", API_ENUM, "what becomes of the connections that a backend has when its check fails: they go on, " \
		"or end so that datagrams go to another at once (default keep)", .choices = on_critical}, \
	{"slow_start_ms", API_INT, "how long the share of a backend grows that comes or comes back (default 0: it has all " \
		"at once)", .max = REG_SLOW_START_MAX_MS}, \
	{"drain_ms", API_INT, "how long the connections of a draining backend go on (default 0: until they end)", \
		.max = REG_DRAIN_MAX_MS}, \
	{"drain_reset", API_BOOL, "TCP connections that are left then are reset, at both ends (default false)"}, \
	{"check", API_OBJECT, "that its backends must pass, unless they have their own", .fields = check_fields}
/* clang-format on */

static const struct api_field service_fields[] = {
	API_NAME_OF("service"),
	SERVICE_FIELDS,
	SCOPE_FIELD,
	{NULL},
};

static const struct api_field set_fields[] = {
	SERVICE_NAME,
	SERVICE_FIELDS,
	SCOPE_FIELD,
	{NULL},
};

const struct api_method service_methods[] = {
	{"service.add", "Define a service", service_fields, service_add, true},
	{"service.set", "Change a service; its backends stay", set_fields, service_set, true},
	{"service.del", "Delete a service with its backends", API_FIELDS(SERVICE_NAME, SCOPE_FIELD),
		service_del, true},
	{"service.list", "List services", NULL, service_list, false,
		"name,network,vip,port,protocol,policy,backends,passing,source", service_list_part},
	{"service.show", "Show a service with its backends", API_FIELDS(SERVICE_NAME), service_show, false,
		.text = service_text_show},
	{"service.watch", "Show services now and whenever they change", API_FIELDS(ONLY_SERVICE),
		service_list, false, .text = service_text_watch, .watch = &watch_type},
	{NULL},
};

#include "control/model/origin.h"

#include <string.h>

#include "control/base/params.h"
#include "control/model/objects.h"
#include "control/model/publish.h"

static const char *of_network(struct model *model, const json_t *params)
{
	const struct model_network *network = model_network(model, param_str(params, "name"));

	return network ? network->source : NULL;
}

static const char *of_port(struct model *model, const json_t *params)
{
	const struct model_port *port = model_port(model, param_str(params, "name"));

	return port ? port->source : NULL;
}

static const char *of_vtep(struct model *model, const json_t *params)
{
	const struct model_network *network = model_network(model, param_str(params, "network"));
	const struct model_vtep *vtep;
	struct ip_addr remote = {0};

	ip_parse(param_str(params, "remote"), &remote);
	vtep = network ? model_vtep(model, network, remote) : NULL;
	return vtep ? vtep->source : NULL;
}

static const char *of_fdb(struct model *model, const json_t *params)
{
	const struct model_network *network = model_network(model, param_str(params, "network"));
	const struct model_fdb *fdb;
	uint8_t mac[6] = {0};

	addr_mac(param_str(params, "mac"), mac);
	fdb = network ? model_fdb(model, network, mac) : NULL;
	return fdb ? fdb->source : NULL;
}

static const char *of_service(struct model *model, const json_t *params)
{
	const struct reg_service *service = registry_service_find(model->registry, param_str(params, "name"));

	return service ? service->source : NULL;
}

static const char *of_backend(struct model *model, const json_t *params)
{
	uint16_t port = (uint16_t)param_int(params, "port", 0);
	const struct reg_backend *backend;
	struct ip_addr address = {0};

	ip_parse(param_str(params, "address"), &address);
	backend = registry_backend_at(model->registry, param_str(params, "service"), address, port);
	return backend ? backend->source : NULL;
}

static const char *of_publish(struct model *model, const json_t *params)
{
	const struct model_publish *publish = model_publish(model, param_str(params, "name"));

	return publish ? publish->source : NULL;
}

static const struct {
	const char *noun;
	const char *(*of)(struct model *model, const json_t *params);
} nouns[] = {
	{"network", of_network},
	{"port", of_port},
	{"uplink", of_port},
	{"vtep", of_vtep},
	{"fdb", of_fdb},
	{"service", of_service},
	{"backend", of_backend},
	{"publish", of_publish},
};

const char *origin_of(struct model *model, const char *noun, const json_t *params)
{
	for (size_t i = 0; i < sizeof(nouns) / sizeof(nouns[0]); i++)
		if (strcmp(nouns[i].noun, noun) == 0)
			return nouns[i].of(model, params);
	return NULL;
}

#include "control/model/port_services.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
	char name[REG_SERVICE_MAX + 1];
	uint16_t port; /* 0: none was given, so that no vip balances it */
};

/* NULL, or what is wrong with it. */
static const char *read_entry(const char *text, struct entry *entry)
{
	const char *colon = strrchr(text, ':');
	size_t len = colon ? (size_t)(colon - text) : strlen(text);
	unsigned long port = 0;
	char *end;

	if (!len || len > REG_SERVICE_MAX)
		return "is no name of 1 to 255 bytes, nor such a name with a port";
	if (colon) {
		port = colon[1] >= '0' && colon[1] <= '9' ? strtoul(colon + 1, &end, 10) : 0;
		if (!port || port > 65535 || *end)
			return "has no port of 1..65535 behind its colon";
	}
	memcpy(entry->name, text, len);
	entry->name[len] = '\0';
	entry->port = (uint16_t)port;
	return NULL;
}

/* Is the service `name` among the first `n`? */
static bool is_named(const json_t *services, size_t n, const char *name)
{
	struct entry entry;

	for (size_t i = 0; i < n; i++)
		if (!read_entry(json_string_value(json_array_get(services, i)), &entry) &&
			strcmp(entry.name, name) == 0)
			return true;
	return false;
}

int port_services_check(const json_t *services, struct api_err *err)
{
	struct entry entry;
	json_t *item;
	size_t i;

	json_array_foreach ((json_t *)services, i, item) {
		const char *why = read_entry(json_string_value(item), &entry);
		char field[32];

		if (!why && is_named(services, i, entry.name))
			why = "is a service that is named already: a port is one instance of each";
		if (!why)
			continue;
		snprintf(field, sizeof(field), "services[%zu]", i);
		return api_fail(err, API_INVALID, field, "\"%.64s\" %s", json_string_value(item), why);
	}
	return 0;
}

/* The instance's key within its service: one for each of the port's addresses. */
static void id_of(const struct model_port *port, struct ip_addr ip, char id[REG_ID_MAX + 1])
{
	char text[IP_TEXT];

	snprintf(id, REG_ID_MAX + 1, "port:%s:%s", port->name, ip_text(ip, text));
}

/* Is it there, and not another's of the same key? */
static bool is_own(struct model *model, const char *service, const char *id)
{
	const struct reg_backend *backend = registry_backend_find(model->registry, service, id);

	return backend && strcmp(backend->source, "port") == 0;
}

static int put_one(struct model *model, const struct model_port *port, const struct entry *entry,
	struct ip_addr ip, struct api_err *err)
{
	struct reg_backend backend = {.address = ip, .port = entry->port, .weight = 1, .source = "port"};
	struct reg_err why = {""};
	int rc;

	id_of(port, ip, backend.id);
	if (is_own(model, entry->name, backend.id))
		return 0; /* with its health and whether it is drained */
	rc = registry_backend_put(model->registry, entry->name, &backend, &why);
	return rc < 0 ? model_refused(err, rc, why.text) : 0;
}

static int put_all(struct model *model, const struct model_port *port, struct api_err *err)
{
	const json_t *services = json_object_get(port->params, "services");
	struct entry entry;
	json_t *item;
	size_t i;

	json_array_foreach ((json_t *)services, i, item) {
		if (read_entry(json_string_value(item), &entry))
			continue;
		for (unsigned k = 0; k < port->spec.nips; k++)
			if (put_one(model, port, &entry, port->spec.ips[k], err) < 0)
				return -1;
	}
	return 0;
}

int port_services_put(struct model *model, const struct model_port *port, struct api_err *err)
{
	int rc;

	if (port_services_check(json_object_get(port->params, "services"), err) < 0)
		return -1;
	registry_batch_begin(model->registry);
	rc = put_all(model, port, err);
	if (rc < 0)
		port_services_drop(model, port, &port->spec);
	registry_batch_end(model->registry);
	return rc;
}

static void drop_one(struct model *model, const char *service, const char *id)
{
	struct reg_err why;

	if (is_own(model, service, id))
		registry_backend_del(model->registry, service, id, &why);
}

void port_services_drop(struct model *model, const struct model_port *port, const struct dp_port *spec)
{
	const json_t *services = json_object_get(port->params, "services");
	char id[REG_ID_MAX + 1];
	struct entry entry;
	json_t *item;
	size_t i;

	registry_batch_begin(model->registry);
	json_array_foreach ((json_t *)services, i, item) {
		if (read_entry(json_string_value(item), &entry))
			continue;
		for (unsigned k = 0; k < spec->nips; k++) {
			id_of(port, spec->ips[k], id);
			drop_one(model, entry.name, id);
		}
	}
	registry_batch_end(model->registry);
}

#include "control/config_check.h"

#include <stdio.h>
#include <string.h>

#include "control/addr.h"
#include "control/params.h"
#include "control/sections.h"

enum { PLACE = 96 };

static const char *place(char buf[PLACE], const char *section, size_t index, const char *field)
{
	snprintf(buf, PLACE, "%s[%zu].%s", section, index, field);
	return buf;
}

static const json_t *find_named(const json_t *config, const char *section, const char *name)
{
	const json_t *list = json_object_get(config, section);

	for (size_t i = 0; name && i < json_array_size(list); i++)
		if (strcmp(param_str(json_array_get(list, i), "name"), name) == 0)
			return json_array_get(list, i);
	return NULL;
}

static int check_duplicates(const json_t *config, const struct section *section, struct api_err *err)
{
	const json_t *list = json_object_get(config, section->name);
	char id[SECTION_ID], other[SECTION_ID], where[PLACE];

	for (size_t i = 0; i < json_array_size(list); i++) {
		section_id(section, json_array_get(list, i), id);
		for (size_t k = 0; k < i; k++) {
			section_id(section, json_array_get(list, k), other);
			if (strcmp(id, other) == 0)
				return api_fail(err, API_EXISTS,
					place(where, section->name, i, section->key[0]),
					"the same as %s[%zu]", section->name, k);
		}
	}
	return 0;
}

/* The field of every object in `section` names an object of `target`. */
static int check_references(
	const json_t *config, const char *section, const char *field, const char *target, struct api_err *err)
{
	const json_t *list = json_object_get(config, section);
	char where[PLACE];

	for (size_t i = 0; i < json_array_size(list); i++) {
		const char *name = param_str(json_array_get(list, i), field);

		if (name && !find_named(config, target, name))
			return api_fail(err, API_NOT_FOUND, place(where, section, i, field),
				"nothing in %s is called \"%s\"", target, name);
	}
	return 0;
}

/* Is `ip` a host address of the network's subnet? Networks without one take any. */
static bool fits(const json_t *network, const char *ip)
{
	struct addr_prefix subnet;
	uint32_t address;

	if (!network || !addr_prefix(param_str(network, "subnet"), &subnet) || !addr_ip4(ip, &address))
		return true;
	return addr_is_host(subnet, address);
}

static int check_network(const json_t *network, size_t index, struct api_err *err)
{
	const char *mode = param_str(network, "mode"), *gateway = param_str(network, "gateway");
	bool overlay = mode && strcmp(mode, "overlay") == 0;
	char where[PLACE];

	if (overlay != param_given(network, "vni"))
		return api_fail(err, API_INVALID, place(where, "networks", index, "vni"),
			overlay ? "required for mode overlay" : "only for mode overlay");
	if (gateway && !fits(network, gateway))
		return api_fail(err, API_INVALID, place(where, "networks", index, "gateway"),
			"%s is no host address of %s", gateway, param_str(network, "subnet"));
	return 0;
}

static int check_port(const json_t *config, const json_t *port, size_t index, struct api_err *err)
{
	const json_t *network = find_named(config, "networks", param_str(port, "network")),
		     *ips = json_object_get(port, "ips");
	char where[PLACE];

	for (size_t i = 0; i < json_array_size(ips); i++)
		if (!fits(network, json_string_value(json_array_get(ips, i))))
			return api_fail(err, API_INVALID, place(where, "ports", index, "ips"),
				"%s is no host address of %s", json_string_value(json_array_get(ips, i)),
				param_str(network, "subnet"));
	return 0;
}

static int check_service(const json_t *config, const json_t *service, size_t index, struct api_err *err)
{
	const json_t *network = find_named(config, "networks", param_str(service, "network"));
	const char *vip = param_str(service, "vip");
	char where[PLACE];

	if (vip && !fits(network, vip))
		return api_fail(err, API_INVALID, place(where, "services", index, "vip"),
			"%s is no host address of %s", vip, param_str(network, "subnet"));
	return 0;
}

static int check_objects(const json_t *config, struct api_err *err)
{
	const json_t *networks = json_object_get(config, "networks"),
		     *ports = json_object_get(config, "ports");
	const json_t *services = json_object_get(config, "services");
	int rc = 0;

	for (size_t i = 0; !rc && i < json_array_size(networks); i++)
		rc = check_network(json_array_get(networks, i), i, err);
	for (size_t i = 0; !rc && i < json_array_size(ports); i++)
		rc = check_port(config, json_array_get(ports, i), i, err);
	for (size_t i = 0; !rc && i < json_array_size(services); i++)
		rc = check_service(config, json_array_get(services, i), i, err);
	return rc;
}

int config_check(const json_t *config, struct api_err *err)
{
	for (size_t i = 0; i < sections_count; i++)
		if (check_duplicates(config, &sections[i], err) < 0)
			return -1;
	if (check_references(config, "ports", "network", "networks", err) < 0 ||
		check_references(config, "vteps", "network", "networks", err) < 0 ||
		check_references(config, "fdb", "network", "networks", err) < 0 ||
		check_references(config, "services", "network", "networks", err) < 0 ||
		check_references(config, "backends", "service", "services", err) < 0)
		return -1;
	return check_objects(config, err);
}

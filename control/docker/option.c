#include "control/docker/option.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* Docker's keys in Options. */
#define GENERIC "com.docker.network.generic"
#define INTERNAL "com.docker.network.internal"
#define IPV6 "com.docker.network.enable_ipv6"

static int read_text(const char *option, const char *text, struct docker_option *out, struct api_err *err)
{
	json_object_set_new(out->params, option, json_string(text));
	return 0;
}

/* Its range is the method's to check. */
static int read_number(const char *option, const char *text, struct docker_option *out, struct api_err *err)
{
	char *end;
	long value;

	errno = 0;
	value = strtol(text, &end, 10);
	if (errno || text[0] < '0' || text[0] > '9' || *end)
		return api_fail(err, API_INVALID, option, "must be a number");
	json_object_set_new(out->params, option, json_integer(value));
	return 0;
}

static int read_network(const char *option, const char *text, struct docker_option *out, struct api_err *err)
{
	out->network = text;
	return 0;
}

/* clang-format off */
static const struct {
	const char *name;  /* after -o */
	const char *field; /* of network.add */
	int (*read)(const char *option, const char *text, struct docker_option *out, struct api_err *err);
} known[] = {
	{"sluice.network", NULL, read_network},
	{"mode", "mode", read_text},
	{"vni", "vni", read_number},
	{"mtu", "mtu", read_number},
	{"com.docker.network.driver.mtu", "mtu", read_number}, /* as compose files have it */
	{"egress", "egress", read_text},
};
/* clang-format on */

static int read_one(const char *name, const json_t *value, struct docker_option *out, struct api_err *err)
{
	if (!json_is_string(value))
		return api_fail(err, API_INVALID, name, "must be a string");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].name, name) == 0)
			return known[i].read(known[i].field, json_string_value(value), out, err);
	return api_fail(err, API_INVALID, NULL,
		"option %.64s: unknown; there are sluice.network, mode, vni, mtu and egress", name);
}

static int read_generic(const json_t *generic, struct docker_option *out, struct api_err *err)
{
	const char *name;
	json_t *value;

	if (generic && !json_is_null(generic) && !json_is_object(generic))
		return api_fail(err, API_INVALID, GENERIC, "must be an object");
	json_object_foreach ((json_t *)generic, name, value)
		if (read_one(name, value, out, err) < 0)
			return -1;
	if (out->network && json_object_size(out->params))
		return api_fail(err, API_INVALID, NULL,
			"option sluice.network: the network is there already, with its own mode, vni and "
			"mtu");
	if (!out->network && json_object_get(out->params, "vni") && !json_object_get(out->params, "mode"))
		json_object_set_new(out->params, "mode", json_string("overlay"));
	return 0;
}

int docker_option_read(const json_t *options, struct docker_option *out, struct api_err *err)
{
	*out = (struct docker_option){.params = json_object()};
	if (!out->params)
		return api_fail(err, API_INTERNAL, NULL, "out of memory");
	if (options && !json_is_null(options) && !json_is_object(options)) {
		api_fail(err, API_INVALID, "Options", "must be an object");
	} else {
		out->ip6 = json_is_true(json_object_get(options, IPV6));
		out->internal = json_is_true(json_object_get(options, INTERNAL));
		if (read_generic(json_object_get(options, GENERIC), out, err) == 0)
			return 0;
	}
	json_decref(out->params);
	out->params = NULL;
	return -1;
}

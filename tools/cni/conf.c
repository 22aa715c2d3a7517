#include "tools/cni/conf.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cni/input.h"
#include "tools/cni/want.h"

const char *const conf_versions[CONF_VERSIONS] = {"0.3.1", "0.4.0", "1.0.0", "1.1.0"};

static const char *const known[] = {"cniVersion", "cniVersions", "name", "type", "capabilities",
	"runtimeConfig", "prevResult", "args", "dns", "ipam", "network", "socket", "port", "directory", NULL};

/* What the plugin says itself of each port. */
static const char *const own_fields[] = {
	"name", "network", "netns", "ifname", "mac", "ips", "socket", "services", NULL};

static int read_version(struct conf *conf, struct cni_err *err)
{
	const char *version = input_text(conf->json, "cniVersion", "", err);

	if (!version)
		return -1;
	for (unsigned i = 0; i < CONF_VERSIONS; i++)
		if (strcmp(conf_versions[i], version) == 0) {
			conf->version = (enum conf_version)i;
			return 0;
		}
	return cni_fail(err, CNI_INCOMPATIBLE_VERSION,
		"cniVersion: \"%.32s\" is none of 0.3.1, 0.4.0, 1.0.0, 1.1.0", version);
}

static int read_names(struct conf *conf, struct cni_err *err)
{
	conf->name = input_text(conf->json, "name", "", err);
	conf->network = conf->name ? input_text(conf->json, "network", "", err) : NULL;
	conf->socket = conf->network ? input_text(conf->json, "socket", "", err) : NULL;
	conf->directory = conf->socket ? input_text(conf->json, "directory", "", err) : NULL;
	if (!conf->directory)
		return -1;
	if (!input_is_name(conf->name))
		return cni_fail(err, CNI_BAD_CONF,
			"name: must be 1 to 255 letters, digits and ._-, with one of the first two first");
	if (!conf->network[0])
		conf->network = conf->name;
	if (!conf->socket[0])
		conf->socket = CONF_SOCKET;
	if (conf->socket[0] != '/')
		return cni_fail(err, CNI_BAD_CONF, "socket: must be an absolute path");
	if (conf->directory[0] && conf->directory[0] != '/')
		return cni_fail(err, CNI_BAD_CONF, "directory: must be an absolute path");
	return 0;
}

static int check_port(const struct conf *conf, struct cni_err *err)
{
	const char *type = conf->port ? input_text(conf->port, "type", "port.", err) : "";

	if (!type)
		return -1;
	for (const char *const *field = own_fields; *field; field++)
		if (json_object_get(conf->port, *field))
			return cni_fail(
				err, CNI_BAD_CONF, "port.%s: is not for the configuration to say", *field);
	if (type[0] && strcmp(type, "tap") != 0 && strcmp(type, "vhost-user") != 0)
		return cni_fail(err, CNI_BAD_CONF, "port.type: must be tap or vhost-user");
	if (conf->directory[0] && strcmp(type, "vhost-user") != 0)
		return cni_fail(err, CNI_BAD_CONF, "directory: needs \"port\": {\"type\": \"vhost-user\"}");
	return 0;
}

static int read_parts(struct conf *conf, struct cni_err *err)
{
	const json_t *ipam;

	if (input_object(conf->json, "port", "", &conf->port, err) < 0 ||
		input_object(conf->json, "runtimeConfig", "", &conf->runtime, err) < 0 ||
		input_object(conf->json, "dns", "", &conf->dns, err) < 0 ||
		input_object(conf->json, "prevResult", "", &conf->previous, err) < 0 ||
		input_object(conf->json, "ipam", "", &ipam, err) < 0)
		return -1;
	if (json_object_size(ipam))
		return cni_fail(err, CNI_UNSUPPORTED_FIELD,
			"ipam: addresses are those of the daemon's network: leave it out");
	return check_port(conf, err);
}

int conf_read(struct conf *conf, json_t *json, struct cni_err *err)
{
	*conf = (struct conf){.json = json};
	if (!json)
		return -1; /* *err says why */
	if (read_version(conf, err) < 0 || input_known(json, known, "", err) < 0 || read_names(conf, err) < 0)
		return -1;
	return read_parts(conf, err);
}

void conf_close(struct conf *conf)
{
	json_decref(conf->json);
}

/* Of runtimeConfig.dns the names differ from those of the result. */
json_t *conf_dns(const struct conf *conf)
{
	static const char *const names[][2] = {
		{"servers", "nameservers"}, {"searches", "search"}, {"options", "options"}};
	const json_t *runtime = json_object_get(conf->runtime, "dns");
	json_t *dns = conf->dns ? json_deep_copy(conf->dns) : json_object();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		json_t *list = json_object_get(runtime, names[i][0]);

		if (json_array_size(list))
			json_object_set(dns, names[i][1], list);
	}
	return dns;
}

/* Where a pod finds its socket: by the pod's uid, which its own manifest can mount, else by the container's id. */
static int place_socket(
	const struct conf *conf, const struct cni_env *env, struct attachment *a, struct cni_err *err)
{
	enum { SUN_PATH = 107 };
	const char *of = input_is_name(env->pod_uid) ? env->pod_uid : env->container;
	char *directory, *socket;
	int rc = 0;

	if (asprintf(&directory, "%s/%s", conf->directory, of) < 0)
		return cni_fail(err, CNI_IO, "out of memory");
	a->directory = directory;
	if (asprintf(&socket, "%s/%s.sock", directory, env->ifname) < 0)
		return cni_fail(err, CNI_IO, "out of memory");
	if (strlen(socket) > SUN_PATH)
		rc = cni_fail(err, CNI_BAD_CONF, "directory: %s is longer than %d bytes", socket, SUN_PATH);
	json_object_set_new(a->port, "socket", json_string(socket));
	free(socket);
	return rc;
}

/* What it says of the port; null says nothing. */
static json_t *port_of(const struct conf *conf)
{
	json_t *port = json_object(), *value;
	const char *key;

	json_object_foreach ((json_t *)conf->port, key, value)
		if (!json_is_null(value))
			json_object_set_new(port, key, json_deep_copy(value));
	return port;
}

int conf_attachment(
	const struct conf *conf, const struct cni_env *env, struct attachment *a, struct cni_err *err)
{
	const char *key;
	json_t *value;
	char name[128];

	*a = (struct attachment){.key = {conf->name, env->container, env->ifname},
		.port = port_of(conf),
		.publish = json_array(),
		.directory = "",
		.names = json_object()};
	json_object_foreach (a->port, key, value) {
		snprintf(name, sizeof(name), "port.%.100s", key);
		json_object_set_new(a->names, key, json_string(name));
	}
	json_object_set_new(a->port, "network", json_string(conf->network));
	if (!json_object_get(a->port, "type"))
		json_object_set_new(a->port, "type", json_string("tap"));
	if (strcmp(json_string_value(json_object_get(a->port, "type")), "tap") == 0) {
		json_object_set_new(a->port, "netns", json_string(env->netns));
		json_object_set_new(a->port, "ifname", json_string(env->ifname));
		json_object_set_new(a->names, "netns", json_string("CNI_NETNS"));
		json_object_set_new(a->names, "ifname", json_string("CNI_IFNAME"));
	} else if (conf->directory[0] && place_socket(conf, env, a, err) < 0) {
		return -1;
	}
	return want_read(conf, env, a, err);
}

void conf_attachment_close(struct attachment *a)
{
	json_decref(a->port);
	json_decref(a->publish);
	json_decref(a->names);
	if (a->directory && a->directory[0])
		free((char *)a->directory);
}

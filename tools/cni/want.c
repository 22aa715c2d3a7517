#include "tools/cni/want.h"

#include <ctype.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cni/input.h"

enum { ALIAS_MAX = 255, ADDRESS_MAX = 64, PORT_MAX = 65535 };

/* Bits, as runtimes say them; "no limit" is 2^63-1 in some. */
#define BITS_MAX INT64_MAX

/* "10.1.0.9/24" and "10.1.0.9": the prefix is the network's in any case. */
static void add_ip(json_t *ips, const char *text)
{
	char address[ADDRESS_MAX];

	snprintf(address, sizeof(address), "%.*s", (int)strcspn(text, "/"), text);
	json_array_append_new(ips, json_string(address));
}

static void take_ips(struct attachment *a, const json_t *list, const char *name)
{
	json_t *ips = json_array(), *item;
	size_t i;

	json_array_foreach ((json_t *)list, i, item)
		add_ip(ips, json_string_value(item));
	json_object_set_new(a->port, "ips", ips);
	json_object_set_new(a->names, "ips", json_string(name));
}

/* Of three ways to say it the runtime's own comes first. */
static int read_ips(const struct conf *conf, const struct cni_env *env, const json_t *args,
	struct attachment *a, struct cni_err *err)
{
	const json_t *ips, *asked;

	if (input_texts(conf->runtime, "ips", "runtimeConfig.", &ips, err) < 0 ||
		input_texts(args, "ips", "args.cni.", &asked, err) < 0)
		return -1;
	if (json_array_size(ips)) {
		take_ips(a, ips, "runtimeConfig.ips");
	} else if (env->ip[0]) {
		json_t *list = json_pack("[s]", env->ip);

		take_ips(a, list, "CNI_ARGS IP");
		json_decref(list);
	} else if (json_array_size(asked)) {
		take_ips(a, asked, "args.cni.ips");
	}
	return 0;
}

static void take_mac(struct attachment *a, const char *mac, const char *name)
{
	json_object_set_new(a->port, "mac", json_string(mac));
	json_object_set_new(a->names, "mac", json_string(name));
}

static int read_mac(const struct conf *conf, const struct cni_env *env, const json_t *args,
	struct attachment *a, struct cni_err *err)
{
	const char *mac = input_text(conf->runtime, "mac", "runtimeConfig.", err);
	const char *asked = mac ? input_text(args, "mac", "args.cni.", err) : NULL;

	if (!asked)
		return -1;
	if (mac[0])
		take_mac(a, mac, "runtimeConfig.mac");
	else if (env->mac[0])
		take_mac(a, env->mac, "CNI_ARGS MAC");
	else if (asked[0])
		take_mac(a, asked, "args.cni.mac");
	return 0;
}

#define BANDWIDTH "runtimeConfig.bandwidth."

/* CNI's ingress is what the container gets: the switch's `out`. Bursts are bits there, and bytes here. */
static int read_bandwidth(const struct conf *conf, struct attachment *a, struct cni_err *err)
{
	static const struct {
		const char *from, *field, *name;
		unsigned divide;
	} limits[] = {
		{"ingressRate", "rate_out", BANDWIDTH "ingressRate", 1},
		{"ingressBurst", "burst_out", BANDWIDTH "ingressBurst", 8},
		{"egressRate", "rate_in", BANDWIDTH "egressRate", 1},
		{"egressBurst", "burst_in", BANDWIDTH "egressBurst", 8},
	};
	const json_t *bandwidth;
	json_int_t bits;

	if (input_object(conf->runtime, "bandwidth", "runtimeConfig.", &bandwidth, err) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(limits) / sizeof(limits[0]); i++) {
		if (input_number(bandwidth, limits[i].from, BANDWIDTH, 0, BITS_MAX, 0, &bits, err) < 0)
			return -1;
		if (!bits)
			continue;
		json_object_set_new(a->port, limits[i].field, json_integer(bits / limits[i].divide));
		json_object_set_new(a->names, limits[i].field, json_string(limits[i].name));
	}
	return 0;
}

int want_publish(struct attachment *a, const char *name, json_int_t from, const char *address,
	const char *protocol, json_int_t to)
{
	char lower[16];
	size_t n = 0;

	for (; protocol[n] && n + 1 < sizeof(lower); n++)
		lower[n] = (char)tolower((unsigned char)protocol[n]);
	lower[n] = '\0';
	return json_array_append_new(
		a->publish, json_pack("{s:{s:I, s:s, s:s*}, s:I, s:s%}", "host", "port", from, "protocol",
				    n ? lower : "tcp", "address", address[0] ? address : NULL, "container",
				    to, "name", name, strlen(name) - 1));
}

static int read_mapping(const json_t *mapping, const char *path, struct attachment *a, struct cni_err *err)
{
	static const char *const known[] = {"hostPort", "containerPort", "protocol", "hostIP", NULL};
	const char *protocol, *address;
	json_int_t from, to;

	if (!json_is_object(mapping))
		return cni_fail(err, CNI_BAD_CONF, "%.*s: must be an object", (int)strlen(path) - 1, path);
	if (input_known(mapping, known, path, err) < 0 ||
		input_number(mapping, "hostPort", path, 1, PORT_MAX, 0, &from, err) < 0 ||
		input_number(mapping, "containerPort", path, 1, PORT_MAX, 0, &to, err) < 0)
		return -1;
	protocol = input_text(mapping, "protocol", path, err);
	address = protocol ? input_text(mapping, "hostIP", path, err) : NULL;
	if (!address)
		return -1;
	if (!from || !to)
		return cni_fail(
			err, CNI_BAD_CONF, "%s%s: missing", path, from ? "containerPort" : "hostPort");
	if (want_publish(a, path, from, address, protocol, to) < 0)
		return cni_fail(err, CNI_BAD_CONF, "%sprotocol: is no text", path);
	return 0;
}

static int read_mappings(const struct conf *conf, struct attachment *a, struct cni_err *err)
{
	enum { MAPPINGS_MAX = 1024 };
	json_t *list = json_object_get(conf->runtime, "portMappings"), *mapping;
	char path[64];
	size_t i;

	if (list && !json_is_null(list) && !json_is_array(list))
		return cni_fail(err, CNI_BAD_CONF, "runtimeConfig.portMappings: must be a list");
	if (json_array_size(list) > MAPPINGS_MAX)
		return cni_fail(err, CNI_BAD_CONF, "runtimeConfig.portMappings: out of range 0..%d elements",
			MAPPINGS_MAX);
	json_array_foreach (list, i, mapping) {
		snprintf(path, sizeof(path), "runtimeConfig.portMappings[%zu].", i);
		if (read_mapping(mapping, path, a, err) < 0)
			return -1;
	}
	return 0;
}

/* Where the container listens, as far as anybody has said it: what is published first. */
static json_int_t first_port(const struct attachment *a)
{
	return json_integer_value(json_object_get(json_array_get(a->publish, 0), "container"));
}

static bool has_text(const json_t *list, const char *text)
{
	json_t *item;
	size_t i;

	json_array_foreach ((json_t *)list, i, item)
		if (strcmp(json_string_value(item), text) == 0)
			return true;
	return false;
}

int want_alias(struct attachment *a, const char *text, const char *name, struct cni_err *err)
{
	json_t *services = json_object_get(a->port, "services");
	char service[ALIAS_MAX + 8];

	if (!text[0] || strlen(text) > ALIAS_MAX || strchr(text, ':'))
		return cni_fail(err, CNI_BAD_CONF,
			"%s: \"%.64s\" is no name of 1 to %d bytes without a colon", name, text, ALIAS_MAX);
	if (!services) {
		services = json_array();
		json_object_set_new(a->port, "services", services);
		json_object_set_new(a->names, "services", json_string(name));
	}
	snprintf(service, sizeof(service), first_port(a) ? "%s:%lld" : "%s", text, (long long)first_port(a));
	if (!has_text(services, service))
		json_array_append_new(services, json_string(service));
	return 0;
}

/* A list, or one for each network by its name, as Podman has it; with Podman comes the container's name beside it. */
static int read_aliases(
	const struct conf *conf, const struct cni_env *env, struct attachment *a, struct cni_err *err)
{
	const json_t *aliases = json_object_get(conf->runtime, "aliases"), *list;
	json_t *item;
	size_t i;
	int rc;

	if (!aliases || json_is_null(aliases))
		return 0;
	rc = json_is_object(aliases) ? input_texts(aliases, conf->name, "runtimeConfig.aliases.", &list, err)
				     : input_texts(conf->runtime, "aliases", "runtimeConfig.", &list, err);
	if (rc < 0)
		return -1;
	json_array_foreach ((json_t *)list, i, item)
		if (want_alias(a, json_string_value(item), "runtimeConfig.aliases", err) < 0)
			return -1;
	return env->pod_name[0] ? want_alias(a, env->pod_name, "CNI_ARGS K8S_POD_NAME", err) : 0;
}

/* Under the keys that Kubernetes has for them. */
static void label_pod(const struct cni_env *env, struct attachment *a)
{
	const struct {
		const char *key, *value;
	} labels[] = {{"io.kubernetes.pod.namespace", env->pod_namespace},
		{"io.kubernetes.pod.name", env->pod_name}, {"io.kubernetes.pod.uid", env->pod_uid}};
	json_t *own = json_object_get(a->port, "labels");

	for (size_t i = 0; i < sizeof(labels) / sizeof(labels[0]); i++) {
		if (!labels[i].value[0])
			continue;
		if (!own) {
			own = json_object();
			json_object_set_new(a->port, "labels", own);
		}
		if (json_is_object(own)) /* else the daemon refuses it */
			json_object_set_new(own, labels[i].key, json_string(labels[i].value));
	}
}

int want_read(const struct conf *conf, const struct cni_env *env, struct attachment *a, struct cni_err *err)
{
	const json_t *args, *cni = NULL, *dns;

	if (input_object(conf->json, "args", "", &args, err) < 0 ||
		(args && input_object(args, "cni", "args.", &cni, err) < 0) ||
		input_object(conf->runtime, "dns", "runtimeConfig.", &dns, err) < 0)
		return -1;
	if (read_ips(conf, env, cni, a, err) < 0 || read_mac(conf, env, cni, a, err) < 0 ||
		read_bandwidth(conf, a, err) < 0 || read_mappings(conf, a, err) < 0 ||
		read_aliases(conf, env, a, err) < 0)
		return -1;
	label_pod(env, a);
	return 0;
}

#include "control/config/config.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "control/api/schema.h"
#include "control/base/ending.h"
#include "control/base/params.h"
#include "control/cluster/cluster.h"
#include "control/config/check.h"
#include "control/config/sections.h"
#include "control/docker/docker.h"
#include "control/methods/list.h"
#include "control/model/backend_run.h"
#include "control/model/config.h"
#include "control/model/scope.h"
#include "registry/source/kubernetes/kubernetes.h"

static const struct api_field control_fields[] = {
	{"socket", API_PATH, "control socket (default /run/sluice/control.sock); --socket overrules it",
		.max = 107},
	{"http", API_STRING, "address of the HTTP API; \"\": nowhere (default 127.0.0.1:8500)", .max = 64},
	{"http_token", API_STRING, "that requests must carry (default none)", .min = 1, .max = 255},
	{"http_insecure", API_BOOL, "beyond loopback, take clients that nobody knows (default false)"},
	{"http_tls_cert", API_PATH, "certificate to show, in PEM (default none: no TLS)", .max = 4095},
	{"http_tls_key", API_PATH, "its key (default none)", .max = 4095},
	{"http_tls_client_ca", API_PATH, "issuers of the certificates that clients must show (default none)",
		.max = 4095},
	{"http_timeout_s", API_INT, "seconds to send a request, and to take an answer (default 60)", .min = 1,
		.max = 3600},
	{"http_connections", API_INT, "at most (default 16384)", .min = 1, .max = 65536},
	{"http_waiting", API_INT, "queries that wait, at most (default 8192)", .min = 1, .max = 65536},
	{"check_targets", API_LIST,
		"own and link-local addresses that checks from the host may go to (default none)",
		.item = API_CIDR, .max = 64},
	{"check_bodies", API_BOOL, "checks from the host tell of answers' bodies (default false)"},
	{"http_hosts", API_LIST,
		"names that requests may be for, besides those of the loopback (default none)",
		.item = API_STRING, .max = 64},
	{"kv_mb", API_INT, "megabytes of all keys and values (default 64)", .min = 1, .max = 4096},
	{"http_changes_by_get", API_BOOL, "GET deregisters and passes checks (default false)"},
	{"datacenter", API_NAME, "as clients are told it (default dc1)"},
	{"node", API_STRING, "name of this host (default its host name)", .min = 1, .max = 63},
	{"node_address", API_STRING, "of instances without one (default 127.0.0.1)", .min = 1, .max = 253},
	{"dns", API_STRING, "address of the DNS server; \"\": only at gateways (default 127.0.0.1:8600)",
		.max = 64},
	{"dns_gateways", API_BOOL, "answer at the gateways of networks too (default true)"},
	{"dns_domain", API_STRING, "that names end in (default consul)", .min = 1, .max = 127},
	{"dns_only_passing", API_BOOL, "leave out instances with a warning (default false)"},
	{"dns_truncate", API_BOOL, "mark answers that are cut short by TC (default true)"},
	{"dns_udp_answers", API_INT, "at most, by UDP without EDNS; 0: what fits (default 0)", .max = 100},
	{"dns_ttl_s", API_INT, "seconds that clients may keep what is said of services (default 0)",
		.max = 86400},
	{"dns_node_ttl_s", API_INT, "the same of nodes, ports, addresses (default 0)", .max = 86400},
	{"dns_negative_ttl_s", API_INT, "the same of what is not there (default 0)", .max = 86400},
	{"dns_recursors", API_LIST, "ADDRESS[:PORT] of who knows other names (default none)",
		.item = API_STRING, .max = 4},
	{"dns_network_connections", API_INT, "by TCP at one gateway, at most (default 128)", .min = 1,
		.max = 1024},
	{"dns_network_forwards", API_INT, "queries of one network at recursors, at most (default 256)",
		.min = 1, .max = 1024},
	{"dns_recursor_timeout_ms", API_INT, "milliseconds that each recursor is waited for (default 2000)",
		.min = 1, .max = 60000},
	{NULL},
};

static const struct api_field docker_fields[] = {
	{"plugin", API_PATH, "socket of Docker's network driver (default none: it is off)", .min = 2,
		.max = 107},
	{"api", API_PATH, "socket of Docker's own API: names, labels and health of containers (default none)",
		.min = 2, .max = 107},
	{"pool", API_CIDR4,
		"where its networks get subnets from, of 256 addresses each (default " DOCKER_POOL ")"},
	{NULL},
};

static const struct api_field kubernetes_fields[] = {
	{.name = "api",
		.type = API_STRING,
		.help = "URL of the API server, by its own address and not by its Service (default none: it "
			"is "
			"not followed)",
		.min = 8,
		.max = 255},
	{.name = "token_file",
		.type = API_PATH,
		.help = "file with the token that is shown to it (default " KUBERNETES_TOKEN ")",
		.max = 255},
	{.name = "ca",
		.type = API_PATH,
		.help = "certificates of who may have signed the server's (default " KUBERNETES_CA ")",
		.max = 255},
	{.name = "kubeconfig",
		.type = API_PATH,
		.help = "kubectl's file that says all three, instead of them (default none)",
		.min = 2,
		.max = 255},
	{.name = "node",
		.type = API_STRING,
		.help = "what Kubernetes calls this node (default none: no endpoint is of this node or zone)",
		.min = 1,
		.max = 253},
	{.name = "network", .type = API_NAME, .help = "network that the pods are in"},
	{.name = "healthz",
		.type = API_STRING,
		.help = "address and port where load balancers ask for the node's health (default none; "
			"kube-proxy has 0.0.0.0:10256)",
		.min = 3,
		.max = 63},
	{NULL},
};

/* The configuration's objects, beside its lists. */
static const struct {
	const char *name, *path;
	const struct api_field *fields;
} parts[] = {
	{"dataplane", "dataplane.", dataplane_fields},
	{"control", "control.", control_fields},
	{"docker", "docker.", docker_fields},
	{"cluster", "cluster.", cluster_fields},
	{"kubernetes", "kubernetes.", kubernetes_fields},
};
enum { PARTS = sizeof(parts) / sizeof(parts[0]) };

void config_parts(void (*fn)(void *arg, const char *name, const struct api_field *fields), void *arg)
{
	for (size_t i = 0; i < PARTS; i++)
		fn(arg, parts[i].name, parts[i].fields);
}

__attribute__((format(printf, 2, 3))) static int refuse(struct config_err *err, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(err->text, sizeof(err->text), fmt, ap);
	va_end(ap);
	return -1;
}

static bool is_section(const char *key)
{
	for (size_t i = 0; i < sections_count; i++)
		if (strcmp(sections[i].name, key) == 0)
			return true;
	return false;
}

static bool is_part(const char *key)
{
	for (size_t i = 0; i < PARTS; i++)
		if (strcmp(parts[i].name, key) == 0)
			return true;
	return false;
}

static int check_keys(const json_t *root, struct api_err *err)
{
	const char *key;
	json_t *value;

	json_object_foreach ((json_t *)root, key, value) {
		bool list = is_section(key);

		if (!list && !is_part(key))
			return api_fail(err, API_INVALID, key, "unknown key");
		if (list && !json_is_array(value))
			return api_fail(err, API_INVALID, key, "must be a list");
	}
	return 0;
}

static int check_part(
	const struct api_field *fields, const json_t *part, const char *path, struct api_err *err)
{
	json_t *checked;

	if (schema_check(fields, part, path, &checked, err) < 0)
		return -1;
	json_decref(checked);
	return 0;
}

static bool is_own(const json_t *object)
{
	const char *scope = param_str(object, "scope");

	return !scope || strcmp(scope, SCOPE_GLOBAL) != 0;
}

/* The section's objects with defaults filled in; NULL with *err. */
static json_t *fill_section(const struct section *section, const json_t *list, struct api_err *err)
{
	const struct api_field *fields = section_method(section, "add")->fields;
	json_t *out = json_array(), *filled;
	char path[64];

	for (size_t i = 0; i < json_array_size(list); i++) {
		snprintf(path, sizeof(path), "%s[%zu].", section->name, i);
		if (schema_check(fields, json_array_get(list, i), path, &filled, err) < 0) {
			json_decref(out);
			return NULL;
		}
		json_array_append_new(out, filled);
		if (!is_own(filled)) {
			snprintf(path, sizeof(path), "%s[%zu].scope", section->name, i);
			api_fail(err, API_UNSUPPORTED, path, "%s", SCOPE_OF_FILE);
			json_decref(out);
			return NULL;
		}
	}
	return out;
}

static int check(const json_t *root, struct api_err *err)
{
	json_t *filled;
	int rc = 0;

	if (!json_is_object(root))
		return api_fail(err, API_INVALID, NULL, "must be one JSON object");
	if (check_keys(root, err) < 0)
		return -1;
	for (size_t i = 0; i < PARTS; i++)
		if (check_part(parts[i].fields, json_object_get(root, parts[i].name), parts[i].path, err) < 0)
			return -1;
	filled = json_object();
	for (size_t i = 0; !rc && i < sections_count; i++) {
		json_t *list = fill_section(&sections[i], json_object_get(root, sections[i].name), err);

		rc = list ? json_object_set_new(filled, sections[i].name, list) : -1;
	}
	if (json_object_get(root, "dataplane"))
		json_object_set(filled, "dataplane", json_object_get(root, "dataplane"));
	if (!rc)
		rc = config_check(filled, err);
	json_decref(filled);
	return rc;
}

int config_load(const char *path, bool optional, json_t **out, struct config_err *err)
{
	struct api_err why;
	json_error_t syntax;
	FILE *file = fopen(path, "re");
	json_t *root;

	if (!file && errno == ENOENT && optional) {
		*out = json_object();
		return 0;
	}
	if (!file)
		return refuse(err, "%s: %s", path, strerror(errno));
	root = json_loadf(file, JSON_REJECT_DUPLICATES, &syntax);
	fclose(file);
	if (!root)
		return refuse(err, "%s:%d:%d: %s", path, syntax.line, syntax.column, syntax.text);
	if (check(root, &why) < 0) {
		json_decref(root);
		return refuse(err, "%s: %s", path, why.text);
	}
	*out = root;
	return 0;
}

json_t *config_dataplane(const json_t *config)
{
	struct api_err err;
	json_t *out;

	return schema_check(dataplane_fields, json_object_get(config, "dataplane"), "", &out, &err) == 0
		       ? out
		       : NULL;
}

static bool any(const json_t *object)
{
	return true;
}

static bool has_ips(const json_t *port)
{
	return json_object_get(port, "ips") != NULL;
}

static bool lacks_ips(const json_t *port)
{
	return !has_ips(port);
}

/*
 * Each step refers only to those before it. Ports that take the next free address come after all that name
 * theirs.
 */
static const struct {
	const char *section;
	bool (*takes)(const json_t *object);
} steps[] = {
	{"networks", any},
	{"uplinks", any},
	{"vteps", any},
	{"ports", has_ips},
	{"services", any},
	{"ports", lacks_ips},
	{"fdb", any},
	{"backends", any},
	{"publish", any},
};

int config_walk(const json_t *config,
	int (*fn)(void *arg, const struct section *section, size_t index, json_t *object), void *arg)
{
	for (size_t s = 0; s < sizeof(steps) / sizeof(steps[0]); s++) {
		const struct section *section = section_named(steps[s].section);
		const json_t *list = json_object_get(config, section->name);

		for (size_t i = 0; i < json_array_size(list); i++) {
			json_t *object = json_array_get(list, i);
			int rc = steps[s].takes(object) ? fn(arg, section, i, object) : 0;

			if (rc)
				return rc;
		}
	}
	return 0;
}

int config_make(struct model *model, const struct section *section, size_t index, const json_t *object,
	struct api_err *err)
{
	struct config_location at = {section->name, index};
	struct api_err why;
	json_t *result;

	if (method_call(model, section_method(section, "add"), "config", object, &result, &why) < 0)
		return config_fail_line(at, err, why.code, why.text);
	json_decref(result);
	return 0;
}

struct making {
	struct backend_run run;
	struct api_err *err;
};

static int make(void *arg, const struct section *section, size_t index, json_t *object)
{
	struct making *making = arg;

	if (ending_asked())
		return api_fail(making->err, API_INTERNAL, NULL, "the daemon was told to end");
	backend_run_next(&making->run, section->noun);
	return config_make(making->run.model, section, index, object, making->err);
}

int config_apply(struct model *model, const json_t *config, struct api_err *err)
{
	struct making making = {{model, false}, err};
	int rc = config_walk(config, make, &making);

	backend_run_end(&making.run);
	return rc;
}

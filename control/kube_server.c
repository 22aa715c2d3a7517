/*
 * kube_server.c: of kubectl's configuration its current context. What it asks for and is not done here is refused, for a
 * server that is asked in another way than people think is found out late.
 */
#include "control/kube_server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "control/base/params.h"
#include "control/base/yaml_file.h"
#include "registry/base/base64.h"
#include "registry/source/kubernetes/kubernetes.h"

#define FIELD "kubernetes.kubeconfig"

enum { CA, CERT, KEY, TOKEN };

enum { API_LONGEST = 255 }; /* as in the configuration */

struct reading {
	const char *path; /* of the file */
	struct kube_server *out;
	struct api_err *err;
};

/* What is not done, and what is done instead. */
struct refused {
	const char *key, *why;
};

static const struct refused of_cluster[] = {
	{"insecure-skip-tls-verify",
		"a server that cannot show who it is is not asked; give certificate-authority"},
	{"tls-server-name", "the server's certificate has to be of the address that it is asked at"},
	{"proxy-url", "the server is asked directly"},
	{NULL, NULL},
};

static const struct refused of_user[] = {
	{"exec", "no program is run for a token; give tokenFile, token or a client certificate"},
	{"auth-provider", "no provider is asked for a token; give tokenFile, token or a client certificate"},
	{"username", "no password is sent; give tokenFile, token or a client certificate"},
	{"as", "nobody else is played; give what the daemon itself is to show"},
	{NULL, NULL},
};

/* Empty is not given, as for kubectl. */
static const char *text_of(const json_t *object, const char *key)
{
	const char *text = param_str(object, key);

	return text && text[0] ? text : NULL;
}

static bool is_given(const json_t *object, const char *key)
{
	const json_t *value = json_object_get(object, key);

	return value && !json_is_null(value) && !json_is_false(value) &&
	       (!json_is_string(value) || json_string_length(value));
}

static int refuse(const struct reading *of, const char *part, const char *name, const struct refused *list,
	const json_t *object)
{
	for (; list->key; list++)
		if (is_given(object, list->key))
			return api_fail(of->err, API_INVALID, FIELD, "%s: %s \"%s\": %s: %s", of->path, part,
				name, list->key, list->why);
	return 0;
}

/* Of `PARTs: [{name: NAME, PART: ...}]`. NULL: there is none, which is said. */
static const json_t *find(const struct reading *of, const char *part, const char *name)
{
	const json_t *one, *found;
	char list[16];
	size_t i;

	snprintf(list, sizeof(list), "%ss", part);
	json_array_foreach (json_object_get(of->out->file, list), i, one) {
		const char *called = text_of(one, "name");

		found = json_object_get(one, part);
		if (called && strcmp(called, name) == 0 && json_is_object(found))
			return found;
	}
	api_fail(of->err, API_INVALID, FIELD, "%s: no %s \"%s\" in %s", of->path, part, name, list);
	return NULL;
}

/* A path is one from the file's folder, as for kubectl. NULL: it is not given. -1: no memory. */
static int read_path(const struct reading *of, const char *text, unsigned which, const char **out)
{
	const char *end = strrchr(of->path, '/');
	size_t size;

	*out = text;
	if (!text || text[0] == '/')
		return 0;
	size = (size_t)(end - of->path) + 1 + strlen(text) + 1;
	of->out->path[which] = malloc(size);
	if (!of->out->path[which])
		return api_fail(of->err, API_INTERNAL, NULL, "out of memory");
	snprintf(of->out->path[which], size, "%.*s/%s", (int)(end - of->path), of->path, text);
	*out = of->out->path[which];
	return 0;
}

/* In the file itself (KEY-data, which then holds), or in one of its own. */
static int read_pem(const struct reading *of, const json_t *object, const char *key, unsigned which,
	const char **file, const char **pem)
{
	const char *data;
	char name[40];
	size_t len;
	int rc;

	snprintf(name, sizeof(name), "%s-data", key);
	data = text_of(object, name);
	if (!data)
		return read_path(of, text_of(object, key), which, file);
	rc = base64_bytes(data, &of->out->pem[which], &len);
	if (rc == -ENOMEM)
		return api_fail(of->err, API_INTERNAL, NULL, "out of memory");
	if (rc < 0)
		return api_fail(of->err, API_INVALID, FIELD, "%s: %s: is no base64", of->path, name);
	if (!strstr(of->out->pem[which], "-----BEGIN "))
		return api_fail(of->err, API_INVALID, FIELD, "%s: %s: is no PEM", of->path, name);
	if (strstr(of->out->pem[which], "ENCRYPTED"))
		return api_fail(of->err, API_INVALID, FIELD,
			"%s: %s: is encrypted, and nobody is asked for its password", of->path, name);
	*pem = of->out->pem[which];
	return 0;
}

static int read_cluster(const struct reading *of, const char *name)
{
	const json_t *cluster = find(of, "cluster", name);
	struct kube_server *out = of->out;
	const char *server;

	if (!cluster || refuse(of, "cluster", name, of_cluster, cluster) < 0)
		return -1;
	server = text_of(cluster, "server");
	if (server) {
		out->url = strdup(server);
		if (!out->url)
			return api_fail(of->err, API_INTERNAL, NULL, "out of memory");
		if (out->url[strlen(server) - 1] == '/')
			out->url[strlen(server) - 1] = '\0';
	}
	out->api = out->url;
	return read_pem(of, cluster, "certificate-authority", CA, &out->tls.ca, &out->tls.ca_pem);
}

static int read_user(const struct reading *of, const char *name)
{
	const json_t *user = find(of, "user", name);
	struct kube_server *out = of->out;

	if (!user || refuse(of, "user", name, of_user, user) < 0 ||
		read_pem(of, user, "client-certificate", CERT, &out->tls.cert, &out->tls.cert_pem) < 0 ||
		read_pem(of, user, "client-key", KEY, &out->tls.key, &out->tls.key_pem) < 0 ||
		read_path(of, text_of(user, "tokenFile"), TOKEN, &out->token_file) < 0)
		return -1;
	if (!out->token_file)
		out->token = text_of(user, "token");
	if (out->token && strpbrk(out->token, "\r\n"))
		return api_fail(of->err, API_INVALID, FIELD, "%s: user \"%s\": token: is more than a line",
			of->path, name);
	if (out->token && strlen(out->token) > KUBERNETES_TOKEN_MAX)
		return api_fail(of->err, API_INVALID, FIELD,
			"%s: user \"%s\": token: is longer than %d bytes", of->path, name,
			KUBERNETES_TOKEN_MAX);
	if ((out->tls.cert || out->tls.cert_pem) != (out->tls.key || out->tls.key_pem))
		return api_fail(of->err, API_INVALID, FIELD,
			"%s: user \"%s\": client-certificate and client-key go together", of->path, name);
	if (!out->token && !out->token_file && !out->tls.cert && !out->tls.cert_pem)
		return api_fail(of->err, API_INVALID, FIELD,
			"%s: user \"%s\": has neither token, tokenFile nor client-certificate", of->path,
			name);
	return 0;
}

static int read_file(const struct reading *of)
{
	const char *name, *cluster, *user;
	char why[YAML_FILE_WHY];
	const json_t *context;

	of->out->file = yaml_file_read(of->path, why);
	if (!of->out->file)
		return api_fail(of->err, API_INVALID, FIELD, "%s: %s", of->path, why);
	name = text_of(of->out->file, "current-context");
	if (!name)
		return api_fail(of->err, API_INVALID, FIELD, "%s: has no current-context", of->path);
	context = find(of, "context", name);
	if (!context)
		return -1;
	cluster = text_of(context, "cluster");
	user = text_of(context, "user");
	if (!cluster || !user)
		return api_fail(of->err, API_INVALID, FIELD, "%s: context \"%s\": has no %s", of->path, name,
			cluster ? "user" : "cluster");
	return read_cluster(of, cluster) < 0 ? -1 : read_user(of, user);
}

static int check_api(const char *api, const char *path, struct api_err *err)
{
	if (api && strncmp(api, "https://", 8) == 0 && !strpbrk(api + 8, "/?#@ ") &&
		strlen(api) <= API_LONGEST)
		return 0;
	if (path)
		return api_fail(err, API_INVALID, FIELD,
			"%s: server: must be https://HOST[:PORT] of at most %d bytes", path, API_LONGEST);
	return api_fail(err, API_INVALID, "kubernetes.api", "must be https://HOST[:PORT]");
}

/* What is beside a file that says the same would be in doubt. */
static int check_alone(const json_t *part, struct api_err *err)
{
	static const char *const fields[] = {"api", "token_file", "ca"};
	char field[32];

	for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++)
		if (param_given(part, fields[i])) {
			snprintf(field, sizeof(field), "kubernetes.%s", fields[i]);
			return api_fail(
				err, API_INVALID, field, "cannot be beside kubeconfig, which says it");
		}
	return 0;
}

static void read_part(const json_t *part, struct kube_server *out)
{
	const char *token = param_str(part, "token_file");

	out->api = param_str(part, "api");
	out->token_file = token ? token : KUBERNETES_TOKEN;
	out->tls.ca = param_str(part, "ca");
	if (!out->tls.ca && access(KUBERNETES_CA, R_OK) == 0)
		out->tls.ca = KUBERNETES_CA;
}

int kube_server_read(const json_t *part, struct kube_server *out, struct api_err *err)
{
	struct reading of = {.path = param_str(part, "kubeconfig"), .out = out, .err = err};

	*out = (struct kube_server){0};
	if (!of.path)
		read_part(part, out);
	if (!of.path && !out->api)
		return 0;
	if ((of.path && (check_alone(part, err) < 0 || read_file(&of) < 0)) ||
		check_api(out->api, of.path, err) < 0) {
		kube_server_free(out);
		return -1;
	}
	return 0;
}

void kube_server_free(struct kube_server *server)
{
	for (unsigned i = 0; i < sizeof(server->pem) / sizeof(server->pem[0]); i++)
		free(server->pem[i]);
	for (unsigned i = 0; i < sizeof(server->path) / sizeof(server->path[0]); i++)
		free(server->path[i]);
	free(server->url);
	json_decref(server->file);
	*server = (struct kube_server){0};
}

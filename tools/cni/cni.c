#include "tools/cni/cni.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/cni/attach.h"
#include "tools/cni/conf.h"
#include "tools/cni/env.h"
#include "tools/cni/input.h"
#include "tools/cni/inside.h"
#include "tools/cni/result.h"

enum { SILENCE_S = 30 };

/* A command that has been asked for. */
struct request {
	struct cni_env env;
	struct conf conf;
	struct client *client;
	json_t *answer; /* NULL: none */
};

static const struct client_names names = {"the configuration's \"socket\"", NULL};

/* The daemon may be about to come: that is for the runtime to try again. */
static int reach(struct request *request, struct cni_err *err)
{
	char why[CLIENT_ERROR];

	request->client = client_open(request->conf.socket, SILENCE_S, &names, why);
	return request->client ? 0 : cni_fail(err, CNI_TRY_AGAIN, "%s", why);
}

static int need_network(struct request *request, json_t **network, struct cni_err *err)
{
	if (attach_call(request->client, "network.show", json_pack("{s:s}", "name", request->conf.network),
		    network, err) == 0)
		return 0;
	if (err->code != CNI_TRY_AGAIN)
		cni_fail(err, CNI_BAD_CONF,
			"network: the daemon has no network \"%.128s\" (sluicectl network add)",
			request->conf.network);
	return -1;
}

/* Where a vhost-user port's socket is, if the daemon has chosen that. A new reference, NULL: there is none. */
static json_t *socket_of(struct request *request, const struct attachment *attachment)
{
	const char *type = json_string_value(json_object_get(attachment->port, "type"));
	json_t *port = NULL, *socket;
	struct cni_err ignored;

	if (!type || strcmp(type, "vhost-user") != 0)
		return NULL;
	if (attach_find(request->client, &attachment->key, &port, &ignored) < 0)
		return NULL;
	socket = json_incref(json_object_get(port, "socket"));
	json_decref(port);
	return socket;
}

static int add_to(struct request *request, const struct attachment *attachment, struct cni_err *err)
{
	json_t *network, *port, *socket;
	int rc;

	if (need_network(request, &network, err) < 0)
		return -1;
	rc = attach_add(request->client, attachment, &port, err);
	if (rc == 0) {
		socket = socket_of(request, attachment);
		request->answer =
			result_of(&request->conf, &request->env, network, port, json_string_value(socket));
		json_decref(socket);
		json_decref(port);
	}
	json_decref(network);
	return rc;
}

static int run_add(struct request *request, struct cni_err *err)
{
	struct attachment attachment;
	int rc = conf_attachment(&request->conf, &request->env, &attachment, err);

	if (rc == 0)
		rc = reach(request, err);
	if (rc == 0)
		rc = add_to(request, &attachment, err);
	conf_attachment_close(&attachment);
	return rc;
}

static struct attach_key key_of(const struct request *request)
{
	return (struct attach_key){request->conf.name, request->env.container, request->env.ifname};
}

/* What is not there (any more) is deleted. */
static int run_del(struct request *request, struct cni_err *err)
{
	const struct attach_key key = key_of(request);

	return reach(request, err) < 0 ? -1 : attach_del(request->client, &key, err);
}

static bool has_text(const json_t *list, const char *field, const char *text)
{
	json_t *item;
	size_t i;

	json_array_foreach ((json_t *)list, i, item) {
		const char *value = json_string_value(json_object_get(item, field));

		if (value && strncmp(value, text, strlen(text)) == 0 && strchr("/", value[strlen(text)]))
			return true;
	}
	return false;
}

/* Is what ADD has answered still so? Later plugins of the chain may have added to it. */
static int compare(const struct request *request, const json_t *port, struct cni_err *err)
{
	const json_t *previous = request->conf.previous, *ips = json_object_get(port, "ips");
	const char *mac = json_string_value(json_object_get(port, "mac")),
		   *state = json_string_value(json_object_get(port, "state"));
	json_t *ip;
	size_t i;

	if (!mac || !state)
		return cni_fail(err, CNI_IO, "the daemon does not say how the port is");
	if (!has_text(json_object_get(previous, "interfaces"), "mac", mac))
		return cni_fail(
			err, CNI_DIFFERS, "prevResult.interfaces: none has MAC %s, which the port has", mac);
	json_array_foreach (ips, i, ip)
		if (!has_text(json_object_get(previous, "ips"), "address", json_string_value(ip)))
			return cni_fail(err, CNI_DIFFERS, "prevResult.ips: none is %s, which the port has",
				json_string_value(ip));
	if (strcmp(json_string_value(json_object_get(port, "type")), "tap") != 0)
		return 0; /* whether a guest is connected is not the network's to say */
	if (strcmp(state, "up") != 0)
		return cni_fail(err, CNI_DIFFERS, "the port is %s", state);
	return inside_check(request->env.netns, request->env.ifname, mac, ips, err);
}

static int run_check(struct request *request, struct cni_err *err)
{
	const struct attach_key key = key_of(request);
	json_t *port;
	int rc;

	if (request->conf.version < CONF_0_4_0)
		return cni_fail(err, CNI_INCOMPATIBLE_VERSION, "cniVersion: CHECK is from 0.4.0 on");
	if (!request->conf.previous)
		return cni_fail(err, CNI_BAD_CONF, "prevResult: missing");
	if (reach(request, err) < 0 || attach_find(request->client, &key, &port, err) < 0)
		return -1;
	rc = port ? compare(request, port, err)
		  : cni_fail(err, CNI_DIFFERS, "the daemon has no port for this container and interface");
	json_decref(port);
	return rc;
}

/* Is it one that the runtime still knows? */
static bool is_valid(const void *arg, const struct attach_key *key)
{
	json_t *item;
	size_t i;

	json_array_foreach ((json_t *)arg, i, item) {
		const char *container = json_string_value(json_object_get(item, "containerID")),
			   *ifname = json_string_value(json_object_get(item, "ifname"));

		if (container && ifname && strcmp(container, key->container) == 0 &&
			strcmp(ifname, key->ifname) == 0)
			return true;
	}
	return false;
}

#define VALID "cni.dev/valid-attachments"

/* Nothing goes on the word of a list that is not understood whole. */
static int check_valid(const json_t *valid, struct cni_err *err)
{
	json_t *item;
	size_t i;

	if (!json_is_array(valid))
		return cni_fail(err, CNI_BAD_CONF, VALID ": must be a list");
	json_array_foreach ((json_t *)valid, i, item)
		if (!json_is_string(json_object_get(item, "containerID")) ||
			!json_is_string(json_object_get(item, "ifname")))
			return cni_fail(
				err, CNI_BAD_CONF, VALID "[%zu]: must have containerID and ifname", i);
	return 0;
}

static int run_gc(struct request *request, struct cni_err *err)
{
	const json_t *valid = json_object_get(request->conf.json, VALID);

	if (request->conf.version < CONF_1_1_0)
		return cni_fail(err, CNI_INCOMPATIBLE_VERSION, "cniVersion: GC is from 1.1.0 on");
	if (check_valid(valid, err) < 0 || reach(request, err) < 0)
		return -1;
	return attach_sweep(request->client, request->conf.name, is_valid, valid, err);
}

/* Without the daemon no container reaches another; without the network none can join it. */
static int run_status(struct request *request, struct cni_err *err)
{
	json_t *network;

	if (request->conf.version < CONF_1_1_0)
		return cni_fail(err, CNI_INCOMPATIBLE_VERSION, "cniVersion: STATUS is from 1.1.0 on");
	if (reach(request, err) < 0 || need_network(request, &network, err) < 0) {
		err->code = err->code == CNI_TRY_AGAIN ? CNI_LIMITED : CNI_NOT_AVAILABLE;
		return -1;
	}
	json_decref(network);
	return 0;
}

static const struct {
	const char *command;
	int (*run)(struct request *request, struct cni_err *err);
} commands[] = {
	{"ADD", run_add}, {"DEL", run_del}, {"CHECK", run_check}, {"GC", run_gc}, {"STATUS", run_status}};

static int run(struct request *request, struct cni_err *err)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].command, request->env.command) == 0)
			return commands[i].run(request, err);
	return cni_fail(err, CNI_BAD_ENVIRONMENT, "CNI_COMMAND: unknown");
}

static void print(json_t *object)
{
	json_dumpf(object, stdout, JSON_INDENT(2));
	printf("\n");
	json_decref(object);
}

static int fail(const char *version, const struct cni_err *err)
{
	json_t *object =
		json_pack("{s:s, s:i, s:s}", "cniVersion", version, "code", err->code, "msg", err->text);

	/* a line that quotes a long word may end inside a letter, which is no text */
	if (!object)
		object = json_pack(
			"{s:s, s:i, s:s}", "cniVersion", version, "code", err->code, "msg", "refused");
	print(object);
	return 1;
}

/* Answered in the version of whoever asks, which may be none that is known here. */
static int print_versions(void)
{
	json_t *list = json_array(), *in;
	struct cni_err ignored;
	const char *version;

	in = input_read(&ignored);
	version = json_string_value(json_object_get(in, "cniVersion"));
	for (unsigned i = 0; i < CONF_VERSIONS; i++)
		json_array_append_new(list, json_string(conf_versions[i]));
	print(json_pack("{s:s, s:o}", "cniVersion", version ? version : conf_versions[CONF_VERSIONS - 1],
		"supportedVersions", list));
	json_decref(in);
	return 0;
}

int cni_main(void)
{
	struct request request = {.client = NULL};
	struct cni_err err;
	int rc = env_read(&request.env, &err);

	if (rc == 0 && strcmp(request.env.command, "VERSION") == 0) {
		env_close(&request.env);
		return print_versions();
	}
	if (rc == 0)
		rc = conf_read(&request.conf, input_read(&err), &err);
	if (rc == 0)
		rc = run(&request, &err);
	if (rc < 0)
		rc = fail(conf_versions[request.conf.json ? request.conf.version : CONF_1_0_0], &err);
	else if (request.answer)
		print(request.answer);
	client_close(request.client);
	conf_close(&request.conf);
	env_close(&request.env);
	return rc;
}

#include "tools/cni/attach.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <xxhash.h>

#define LABEL_NETWORK "cni.network"
#define LABEL_CONTAINER "cni.container"
#define LABEL_IFNAME "cni.ifname"
#define LABEL_DIRECTORY "cni.directory"

enum { ID_SHOWN = 12, PUBLISH_NAME = ATTACH_NAME + 16 };

/* The hash tells them apart, the beginning of the id is for people. */
void attach_port_name(const struct attach_key *key, char name[ATTACH_NAME])
{
	char whole[1024], shown[ID_SHOWN + 1] = "";
	size_t n = 0;
	int len = snprintf(whole, sizeof(whole), "%s %s %s", key->network, key->container, key->ifname);

	for (const char *c = key->container; *c && n < ID_SHOWN; c++)
		if (isalnum((unsigned char)*c))
			shown[n++] = (char)tolower((unsigned char)*c);
	snprintf(
		name, ATTACH_NAME, "cni-%s-%016llx", shown, (unsigned long long)XXH64(whole, (size_t)len, 0));
}

static enum cni_code code_of(int code)
{
	switch (code) {
	case 0:		    /* no answer */
	case CLIENT_IN_USE: /* no address is left, for now */
		return CNI_TRY_AGAIN;
	case CLIENT_EXISTS:
		return CNI_EXISTS;
	case CLIENT_UNSUPPORTED:
		return CNI_UNSUPPORTED_FIELD;
	case CLIENT_INTERNAL:
		return CNI_IO;
	default:
		return CNI_BAD_CONF;
	}
}

typedef json_t *(*call_fn)(
	struct client *client, const char *method, json_t *params, char *error, size_t size, int *code);

static int call(struct client *client, call_fn fn, const char *method, json_t *params, json_t **result,
	int *code, struct cni_err *err)
{
	char text[512];
	json_t *got = fn(client, method, params, text, sizeof(text), code);

	if (result)
		*result = got;
	else
		json_decref(got);
	return got ? 0 : cni_fail(err, code_of(*code), "%s", text);
}

int attach_call(
	struct client *client, const char *method, json_t *params, json_t **result, struct cni_err *err)
{
	int code;

	return call(client, client_call, method, params, result, &code, err);
}

/*
 * With the last of a command's changes all of them are on disk. A runtime is told nothing that a daemon which is killed then
 * would not know any more.
 */
static int call_last(
	struct client *client, const char *method, json_t *params, json_t **result, struct cni_err *err)
{
	int code;

	return call(client, client_call_durable, method, params, result, &code, err);
}

/* For methods whose object may be gone already. */
static int call_if_there(struct client *client, call_fn fn, const char *method, json_t *params,
	json_t **result, struct cni_err *err)
{
	int code, rc = call(client, fn, method, params, result, &code, err);

	return rc < 0 && code == CLIENT_NOT_FOUND ? 0 : rc;
}

/* The line begins with the daemon's name of the field; the user knows it by another. */
static void name_as_user(const json_t *names, struct cni_err *err)
{
	size_t len = strcspn(err->text, ":[. ");
	char field[64], text[CNI_TEXT];
	const char *name;

	snprintf(field, sizeof(field), "%.*s", (int)len, err->text);
	name = json_string_value(json_object_get(names, field));
	if (!name)
		return;
	snprintf(text, sizeof(text), "%.128s%.600s", name, err->text + len);
	memcpy(err->text, text, sizeof(text));
}

static const char *label(const json_t *port, const char *key)
{
	const char *value = json_string_value(json_object_get(json_object_get(port, "labels"), key));

	return value ? value : "";
}

static bool is_of(const json_t *port, const struct attach_key *key)
{
	return strcmp(label(port, LABEL_NETWORK), key->network) == 0 &&
	       strcmp(label(port, LABEL_CONTAINER), key->container) == 0 &&
	       strcmp(label(port, LABEL_IFNAME), key->ifname) == 0;
}

int attach_find(struct client *client, const struct attach_key *key, json_t **port, struct cni_err *err)
{
	char name[ATTACH_NAME];

	attach_port_name(key, name);
	*port = NULL;
	if (call_if_there(client, client_call, "port.show", json_pack("{s:s}", "name", name), port, err) < 0)
		return -1;
	if (*port && !is_of(*port, key)) {
		json_decref(*port);
		*port = NULL;
	}
	return 0;
}

static json_t *port_params(const struct attachment *a, const char *name)
{
	json_t *params = json_deep_copy(a->port), *labels = json_object_get(params, "labels");

	if (!labels) {
		labels = json_object();
		json_object_set_new(params, "labels", labels);
	}
	json_object_set_new(labels, LABEL_NETWORK, json_string(a->key.network));
	json_object_set_new(labels, LABEL_CONTAINER, json_string(a->key.container));
	json_object_set_new(labels, LABEL_IFNAME, json_string(a->key.ifname));
	if (a->directory[0])
		json_object_set_new(labels, LABEL_DIRECTORY, json_string(a->directory));
	/* a runtime takes the name away with the container */
	if (json_object_get(params, "netns") && !json_object_get(params, "hold_netns"))
		json_object_set_new(params, "hold_netns", json_true());
	json_object_set_new(params, "name", json_string(name));
	return params;
}

/* With what leads to it. */
static int make_directory(const char *directory, struct cni_err *err)
{
	char *path = strdup(directory);
	int rc = 0;

	for (char *slash = path ? path + 1 : NULL; slash && rc == 0; *slash++ = '/') {
		slash = strchr(slash, '/');
		if (slash)
			*slash = '\0';
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			rc = cni_fail(err, CNI_IO, "directory: %s: %s", path, strerror(errno));
		if (!slash)
			break;
	}
	free(path);
	return rc;
}

static int publish_one(
	struct client *client, const char *port, const json_t *one, size_t i, bool last, struct cni_err *err)
{
	json_t *mapping = json_object_get(one, "mapping");
	json_t *params = json_deep_copy(json_object_get(mapping, "host"));
	const char *ip = json_string_value(json_object_get(one, "ip"));
	char name[PUBLISH_NAME], to[64], text[CNI_TEXT];

	snprintf(name, sizeof(name), "%s-p%zu", port, i);
	snprintf(to, sizeof(to), strchr(ip, ':') ? "[%s]:%lld" : "%s:%lld", ip,
		(long long)json_integer_value(json_object_get(mapping, "container")));
	json_object_set_new(params, "name", json_string(name));
	json_object_set_new(params, "to", json_string(to));
	if ((last ? call_last : attach_call)(client, "publish.add", params, NULL, err) == 0)
		return 0;
	snprintf(text, sizeof(text), "%.64s: %.600s", json_string_value(json_object_get(mapping, "name")),
		err->text);
	memcpy(err->text, text, sizeof(text));
	return -1;
}

/* The container's first address of IPv4 or IPv6; NULL: it has none. */
static json_t *address_of(const json_t *port, bool ip6)
{
	const json_t *ips = json_object_get(port, "ips");
	json_t *ip;
	size_t i;

	json_array_foreach ((json_t *)ips, i, ip)
		if ((strchr(json_string_value(ip), ':') != NULL) == ip6)
			return ip;
	return NULL;
}

/* What is to be published, each as {mapping, ip}: what has no address of the host's, of each family that the container
 * has. NULL with *err. */
static json_t *targets_of(const struct attachment *a, const json_t *port, struct cni_err *err)
{
	json_t *targets = json_array(), *mapping;
	size_t i;

	json_array_foreach (a->publish, i, mapping) {
		const char *at =
			json_string_value(json_object_get(json_object_get(mapping, "host"), "address"));
		size_t before = json_array_size(targets);

		for (int family = 0; family < 2; family++) {
			bool ip6 = family;
			json_t *ip = address_of(port, ip6);

			if (ip && (!at || (strchr(at, ':') != NULL) == ip6))
				json_array_append_new(
					targets, json_pack("{s:O, s:O}", "mapping", mapping, "ip", ip));
		}
		if (json_array_size(targets) > before)
			continue;
		cni_fail(err, CNI_BAD_CONF, "%s: the network gives no address%s to lead to",
			json_string_value(json_object_get(mapping, "name")),
			at ? " of the family of the host's" : "");
		json_decref(targets);
		return NULL;
	}
	return targets;
}

static int publish(struct client *client, const struct attachment *a, const json_t *port, struct cni_err *err)
{
	const char *name = json_string_value(json_object_get(port, "name"));
	json_t *targets = targets_of(a, port, err), *one;
	int rc = targets ? 0 : -1;
	size_t i;

	json_array_foreach (targets, i, one) {
		rc = publish_one(client, name, one, i, i + 1 == json_array_size(targets), err);
		if (rc < 0)
			break;
	}
	json_decref(targets);
	return rc;
}

/* What the runtime would find to be without a network is not made. */
static int check_waits(const json_t *port, struct cni_err *err)
{
	const char *why = json_string_value(json_object_get(port, "waiting"));

	return why ? cni_fail(err, CNI_BAD_ENVIRONMENT, "CNI_NETNS: %s", why) : 0;
}

int attach_add(struct client *client, const struct attachment *a, json_t **port, struct cni_err *err)
{
	char name[ATTACH_NAME];
	struct cni_err ignored;

	attach_port_name(&a->key, name);
	*port = NULL;
	if (a->directory[0] && make_directory(a->directory, err) < 0)
		return -1;
	if ((json_array_size(a->publish) ? attach_call : call_last)(
		    client, "port.add", port_params(a, name), port, err) < 0) {
		name_as_user(a->names, err);
		/* the directory of one that is there stays */
		if (a->directory[0] && err->code != CNI_EXISTS)
			rmdir(a->directory);
		return -1;
	}
	if (check_waits(*port, err) == 0 && publish(client, a, *port, err) == 0)
		return 0;
	attach_del(client, &a->key, &ignored);
	json_decref(*port);
	*port = NULL;
	return -1;
}

/* Is it one of `port`'s: "PORT-p" and a number? */
static bool leads_to(const char *name, const char *port)
{
	size_t len = strlen(port);

	return strncmp(name, port, len) == 0 && strncmp(name + len, "-p", 2) == 0;
}

static int unpublish(struct client *client, const char *port, struct cni_err *err)
{
	json_t *list, *entry;
	int rc = attach_call(client, "publish.list", NULL, &list, err);
	size_t i;

	if (rc < 0)
		return -1;
	json_array_foreach (list, i, entry) {
		const char *name = json_string_value(json_object_get(entry, "name"));

		if (rc == 0 && name && leads_to(name, port))
			rc = call_if_there(client, client_call_durable, "publish.del",
				json_pack("{s:s}", "name", name), NULL, err);
	}
	json_decref(list);
	return rc;
}

static int take_away(struct client *client, const char *name, const char *directory, struct cni_err *err)
{
	if (unpublish(client, name, err) < 0 || call_if_there(client, client_call_durable, "port.del",
							json_pack("{s:s}", "name", name), NULL, err) < 0)
		return -1;
	if (directory[0])
		rmdir(directory); /* unless it has somebody else's */
	return 0;
}

int attach_del(struct client *client, const struct attach_key *key, struct cni_err *err)
{
	char name[ATTACH_NAME];
	json_t *port;
	int rc;

	attach_port_name(key, name);
	if (attach_find(client, key, &port, err) < 0)
		return -1;
	if (!port)
		return unpublish(client, name, err);
	rc = take_away(client, name, label(port, LABEL_DIRECTORY), err);
	json_decref(port);
	return rc;
}

int attach_sweep(struct client *client, const char *network,
	bool (*keep)(const void *arg, const struct attach_key *key), const void *arg, struct cni_err *err)
{
	struct cni_err later;
	json_t *ports, *port;
	int rc = 0;
	size_t i;

	if (attach_call(client, "port.list", NULL, &ports, err) < 0)
		return -1;
	json_array_foreach (ports, i, port) {
		struct attach_key key = {
			label(port, LABEL_NETWORK), label(port, LABEL_CONTAINER), label(port, LABEL_IFNAME)};
		const char *name = json_string_value(json_object_get(port, "name"));

		if (!name || strcmp(key.network, network) != 0 || keep(arg, &key))
			continue;
		if (take_away(client, name, label(port, LABEL_DIRECTORY), rc < 0 ? &later : err) < 0)
			rc = -1;
	}
	json_decref(ports);
	return rc;
}

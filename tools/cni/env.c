#include "tools/cni/env.h"

#include <stdlib.h>
#include <string.h>

#include "tools/cni/input.h"

enum { NETNS_MAX = 4000 };

/* What a command needs of them. */
struct needs {
	const char *command;
	bool container, netns;
};

static const struct needs commands[] = {
	{"ADD", true, true},
	{"DEL", true, false},
	{"CHECK", true, true},
	{"GC", false, false},
	{"STATUS", false, false},
	{"VERSION", false, false},
};

static const struct needs *needs_of(const char *command)
{
	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (strcmp(commands[i].command, command) == 0)
			return &commands[i];
	return NULL;
}

static const char *variable(const char *name)
{
	const char *value = getenv(name);

	return value ? value : "";
}

static int check_container(const struct cni_env *env, const struct needs *needs, struct cni_err *err)
{
	if (!input_is_name(env->container))
		return cni_fail(err, CNI_BAD_ENVIRONMENT,
			"CNI_CONTAINERID: must be 1 to 255 letters, digits and ._-, with one of the first "
			"two first");
	if (!input_is_ifname(env->ifname))
		return cni_fail(err, CNI_BAD_ENVIRONMENT,
			"CNI_IFNAME: must be a name for an interface, of 1 to %d bytes", INPUT_IFNAME_MAX);
	if (needs->netns && !env->netns[0])
		return cni_fail(err, CNI_BAD_ENVIRONMENT, "CNI_NETNS: missing");
	for (const char *c = env->netns; *c; c++)
		if (*c < ' ' || *c >= 0x7f)
			return cni_fail(
				err, CNI_BAD_ENVIRONMENT, "CNI_NETNS: has a byte that is no printable ASCII");
	if (env->netns[0] && (env->netns[0] != '/' || strlen(env->netns) > NETNS_MAX))
		return cni_fail(err, CNI_BAD_ENVIRONMENT,
			"CNI_NETNS: must be an absolute path of at most %d bytes", NETNS_MAX);
	return 0;
}

static bool takes_arg(struct cni_env *env, const char *key, const char *value)
{
	const struct {
		const char *key, **to;
	} known[] = {{"IP", &env->ip}, {"MAC", &env->mac}, {"K8S_POD_NAMESPACE", &env->pod_namespace},
		{"K8S_POD_NAME", &env->pod_name}, {"K8S_POD_UID", &env->pod_uid}};
	bool found = false;

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (strcmp(known[i].key, key) == 0) {
			*known[i].to = value;
			found = true;
		}
	return found;
}

static bool is_true(const char *value)
{
	return strcmp(value, "1") == 0 || strcmp(value, "true") == 0;
}

/* "IgnoreUnknown=1;IP=10.1.0.9": who does not say so has each of them understood, or refused. */
static int read_args(struct cni_env *env, struct cni_err *err)
{
	char *rest = env->args, *word, unknown[64] = "";
	bool ignore = false;

	for (const char *c = rest; *c; c++)
		if (*c < ' ' || *c >= 0x7f)
			return cni_fail(
				err, CNI_BAD_ENVIRONMENT, "CNI_ARGS: has a byte that is no printable ASCII");
	while ((word = strsep(&rest, ";"))) {
		char *equals = strchr(word, '=');

		if (!*word)
			continue;
		if (!equals)
			return cni_fail(
				err, CNI_BAD_ENVIRONMENT, "CNI_ARGS: \"%.64s\" is no KEY=VALUE", word);
		*equals = '\0';
		if (strcmp(word, "IgnoreUnknown") == 0)
			ignore = is_true(equals + 1);
		else if (!takes_arg(env, word, equals + 1) && !*unknown)
			strncpy(unknown, word, sizeof(unknown) - 1);
	}
	if (*unknown && !ignore)
		return cni_fail(err, CNI_BAD_ENVIRONMENT, "CNI_ARGS: unknown key %s, without IgnoreUnknown=1",
			unknown);
	return 0;
}

int env_read(struct cni_env *env, struct cni_err *err)
{
	const struct needs *needs;

	*env = (struct cni_env){.command = variable("CNI_COMMAND"),
		.container = variable("CNI_CONTAINERID"),
		.netns = variable("CNI_NETNS"),
		.ifname = variable("CNI_IFNAME"),
		.ip = "",
		.mac = "",
		.pod_namespace = "",
		.pod_name = "",
		.pod_uid = "",
		.args = strdup(variable("CNI_ARGS"))};
	needs = needs_of(env->command);
	if (!env->args)
		return cni_fail(err, CNI_IO, "out of memory");
	if (!needs)
		return cni_fail(err, CNI_BAD_ENVIRONMENT,
			"CNI_COMMAND: \"%.32s\" is none of ADD, DEL, CHECK, GC, STATUS, VERSION",
			env->command);
	/* of the others runtimes say "dummy" and the like */
	if (!needs->container)
		return 0;
	return check_container(env, needs, err) < 0 ? -1 : read_args(env, err);
}

void env_close(struct cni_env *env)
{
	free(env->args);
}

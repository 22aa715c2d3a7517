#include "control/docker/call.h"

#include <string.h>

/* Docker's own words for the two kinds of driver (libnetwork: docs/remote.md, docs/ipam.md). */
static int activate(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	json_object_set_new(out, "Implements", json_pack("[s, s]", "NetworkDriver", "IpamDriver"));
	docker_sweep_later(docker);
	return 0;
}

/* Each Docker knows its own networks; what they reach may be on other hosts. */
static int network_capabilities(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	json_object_set_new(out, "Scope", json_string("local"));
	json_object_set_new(out, "ConnectivityScope", json_string("global"));
	return 0;
}

static int ipam_capabilities(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	json_object_set_new(out, "RequiresMACAddress", json_false());
	json_object_set_new(out, "RequiresRequestReplay", json_false());
	return 0;
}

static int address_spaces(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	json_object_set_new(out, "LocalDefaultAddressSpace", json_string("SluiceLocal"));
	json_object_set_new(out, "GlobalDefaultAddressSpace", json_string("SluiceGlobal"));
	return 0;
}

/* Of other nodes Sluice hears by itself. */
static int discovered(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	return 0;
}

static int no_swarm(struct docker *docker, const json_t *in, json_t *out, struct api_err *err)
{
	return api_fail(err, API_UNSUPPORTED, NULL, "networks that a swarm shares are not supported");
}

static const struct docker_call calls[] = {
	{"/Plugin.Activate", activate, false},
	{"/NetworkDriver.GetCapabilities", network_capabilities, false},
	{"/NetworkDriver.AllocateNetwork", no_swarm, false},
	{"/NetworkDriver.FreeNetwork", no_swarm, false},
	{"/NetworkDriver.CreateNetwork", docker_create_network, true},
	{"/NetworkDriver.DeleteNetwork", docker_delete_network, true},
	{"/NetworkDriver.CreateEndpoint", docker_create_endpoint, false},
	{"/NetworkDriver.EndpointOperInfo", docker_endpoint_info, false},
	/* Docker does not say it twice: what a crash made us forget would hold the network, and the address, for ever */
	{"/NetworkDriver.DeleteEndpoint", docker_delete_endpoint, true},
	/* with these two, all that came before them is on disk when the container runs */
	{"/NetworkDriver.Join", docker_join, true},
	{"/NetworkDriver.Leave", docker_leave, false},
	{"/NetworkDriver.ProgramExternalConnectivity", docker_program, true},
	{"/NetworkDriver.RevokeExternalConnectivity", docker_revoke, true},
	{"/NetworkDriver.DiscoverNew", discovered, false},
	{"/NetworkDriver.DiscoverDelete", discovered, false},
	{"/IpamDriver.GetCapabilities", ipam_capabilities, false},
	{"/IpamDriver.GetDefaultAddressSpaces", address_spaces, false},
	{"/IpamDriver.RequestPool", docker_request_pool, true},
	{"/IpamDriver.ReleasePool", docker_release_pool, true},
	{"/IpamDriver.RequestAddress", docker_request_address, false},
	{"/IpamDriver.ReleaseAddress", docker_release_address, true},
	{NULL},
};

const struct docker_call *docker_call_find(const char *path)
{
	for (const struct docker_call *call = calls; call->path; call++)
		if (strcmp(call->path, path) == 0)
			return call;
	return NULL;
}

/* An empty body is an empty object. */
static json_t *read_body(const char *body, size_t len, struct api_err *err)
{
	json_error_t why;
	json_t *in = len ? json_loadb(body, len, JSON_REJECT_DUPLICATES, &why) : json_object();

	if (in && !json_is_object(in)) {
		json_decref(in);
		in = NULL;
		api_fail(err, API_INVALID, NULL, "a request is one JSON object");
	} else if (!in) {
		api_fail(err, API_INVALID, NULL, "a request is one JSON object: %s",
			len ? why.text : "out of memory");
	}
	return in;
}

/* The two kinds of driver do not agree on the name of the field. */
static json_t *failure(const struct docker_call *call, const struct api_err *err)
{
	const char *field = strncmp(call->path, "/IpamDriver.", 12) == 0 ? "Error" : "Err";
	json_t *out = json_pack("{s:s}", field, err->text);

	/* a line that quotes a long word may end inside a letter, which is no text */
	return out ? out : json_pack("{s:s}", field, "refused");
}

json_t *docker_call_run(
	struct docker *docker, const struct docker_call *call, const char *body, size_t len, bool *again)
{
	struct api_err err = {.text = ""};
	json_t *in = read_body(body, len, &err), *out = json_object();

	if (!in || !out || call->fn(docker, in, out, &err) < 0) {
		json_decref(out);
		out = failure(call, &err);
	}
	*again = err.code == API_AGAIN;
	json_decref(in);
	return out;
}

const char *docker_call_text(const json_t *in, const char *field, struct api_err *err)
{
	const json_t *value = json_object_get(in, field);

	if (!value || json_is_null(value))
		return "";
	if (json_is_string(value))
		return json_string_value(value);
	api_fail(err, API_INVALID, field, "must be a string");
	return NULL;
}

const char *docker_call_id(const json_t *in, const char *field, struct api_err *err)
{
	const char *id = docker_call_text(in, field, err);
	size_t len = id ? strlen(id) : 0;

	if (!id)
		return NULL;
	if (len >= DOCKER_SHORT && len <= DOCKER_ID &&
		strspn(id, "0123456789abcdefghijklmnopqrstuvwxyz") == len)
		return id;
	api_fail(err, API_INVALID, field, "must be 12 to 64 lower-case letters and digits");
	return NULL;
}

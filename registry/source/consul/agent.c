/* agent.c: /v1/agent: what is registered with this daemon. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>
#include <unistd.h>
#include <xxhash.h>

#include "registry/source/consul/inside.h"

static bool add_service(void *arg, const char *service, const struct reg_backend *backend)
{
	struct http_work *work = arg;
	char id[CONSUL_ID];

	if (reg_backend_node(backend)[0])
		return http_work_looked(work);
	return consul_put(work, consul_id(service, backend, id),
		consul_agent_service_json(consul_of(work->rq), service, backend));
}

const struct http_list consul_list_agent_services = {
	.object = true, .begin = consul_list_begin, .walk = consul_walk_all, .instance = add_service};

/* agent/service/:id waits by the hash of its answer. */
static const char *service_topic(struct http_request *rq)
{
	const char *service = consul_service_of(consul_of(rq), rq->arg[0]);

	return service ? service : REG_WATCH_ANY;
}

/* The hash is of all else, so that clients may also take it from the body. */
static json_t *service_render(struct http_request *rq)
{
	const char *service;
	const struct reg_backend *backend = consul_backend_of(consul_of(rq), rq->arg[0], &service);
	json_t *object;
	char *text;

	if (!backend)
		return http_fail(rq, 404, "unknown service ID: %s", rq->arg[0]);
	object = consul_agent_service_json(consul_of(rq), service, backend);
	text = json_dumps(object, JSON_COMPACT);
	if (text)
		snprintf(rq->hash, sizeof(rq->hash), "%016llx",
			(unsigned long long)XXH3_64bits(text, strlen(text)));
	free(text);
	json_object_set_new(object, "ContentHash", json_string(rq->hash));
	return object;
}

const struct http_view consul_view_agent_service = {
	.scope = &(const struct http_scope){service_topic, consul_index_any, NULL},
	.render = service_render,
	.by_hash = true};

enum { MEMBER_ALIVE = 1, MEMBER_FAILED = 4 }; /* serf's */

static json_t *member_json(struct consul *consul, const struct reg_node *node)
{
	bool agent = node->local || strcmp(node->source, REG_CLUSTER) == 0;

	return json_pack("{s:s, s:s, s:i, s:{s:s, s:s, s:s}, s:i, s:i, s:i, s:i, s:i, s:i, s:i}", "Name",
		node->name, "Addr", node->address, "Port", 8301, "Tags", "role", agent ? "consul" : "node",
		"dc", consul->datacenter, "id", node->id, "Status",
		consul_node_lives(node) ? MEMBER_ALIVE : MEMBER_FAILED, "ProtocolMin", 1, "ProtocolMax", 5,
		"ProtocolCur", 2, "DelegateMin", 2, "DelegateMax", 5, "DelegateCur", 4);
}

/* Numbers are texts, as Consul has them. */
static json_t *stats_json(struct consul *consul)
{
	const struct utsname *host = NULL;
	struct utsname name;

	if (uname(&name) == 0)
		host = &name;
	return json_pack("{s:{s:o}, s:{s:s, s:s, s:s}, s:{s:s, s:s, s:s, s:s, s:s}, s:{s:s, s:s, s:o},"
			 " s:{s:o}}",
		"agent", "services", json_sprintf("%u", HASH_COUNT(consul->instances)), "build", "prerelease",
		"", "revision", "", "version", SLUICE_VERSION, "consul", "acl", "disabled", "bootstrap",
		"true", "known_datacenters", "1", "leader", "true", "server", "true", "runtime", "arch",
		host ? host->machine : "", "os", "linux", "cpu_count",
		json_sprintf("%ld", sysconf(_SC_NPROCESSORS_ONLN)), "serf_lan", "members",
		json_sprintf("%zu", consul->reg->nodes.count));
}

void consul_version(struct http_request *rq)
{
	http_reply_json(rq, 200,
		json_pack("{s:s, s:s, s:s, s:s}", "SHA", "", "BuildDate", "", "HumanVersion", SLUICE_VERSION,
			"FIPS", ""));
}

void consul_self(struct http_request *rq)
{
	struct consul *consul = consul_of(rq);
	const struct reg_node *node = registry_node_find(consul->reg, "");

	http_reply_json(rq, 200,
		json_pack("{s:{s:s, s:s, s:s, s:s, s:b, s:s}, s:{}, s:{}, s:o, s:o, s:o}", "Config",
			"Datacenter", consul->datacenter, "PrimaryDatacenter", consul->datacenter, "NodeName",
			node->name, "NodeID", node->id, "Server", 1, "Version", SLUICE_VERSION, "DebugConfig",
			"Coord", "Member", member_json(consul, node), "Stats", stats_json(consul), "Meta",
			consul_meta_json(node->meta, node->nmeta)));
}

static bool add_member(void *arg, const struct reg_node *node)
{
	struct http_work *work = arg;

	return http_work_put(work, NULL, member_json(consul_of(work->rq), node), false);
}

static bool walk_members(struct http_work *work)
{
	return registry_nodes(work->rq->http->reg, &work->at, add_member, work);
}

const struct http_list consul_list_members = {.walk = walk_members};

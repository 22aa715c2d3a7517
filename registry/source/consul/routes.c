/* routes.c: THE table of what is served under /v1. The first row that fits path and verb answers. */
#include "registry/source/consul/inside.h"

/* clang-format off */
const struct http_route consul_routes[] = {
	{VERB_GET, "/healthz", consul_healthz, .open = true},

	{VERB_PUT, "/v1/agent/service/register", .take = consul_register},
	{VERB_PUT, "/v1/agent/service/deregister/:", consul_deregister, .also_by_get = true},
	{VERB_PUT, "/v1/agent/service/maintenance/:", consul_maintenance},
	{VERB_PUT, "/v1/agent/maintenance", consul_node_maintenance},
	{VERB_GET, "/v1/agent/service/:", .view = &consul_view_agent_service},
	{VERB_GET, "/v1/agent/services", .list = &consul_list_agent_services},
	{VERB_GET, "/v1/agent/checks", .list = &consul_list_agent_checks},
	{VERB_PUT, "/v1/agent/check/register", .take = consul_check_register},
	{VERB_PUT, "/v1/agent/check/deregister/:", consul_check_deregister, .also_by_get = true},
	{VERB_PUT, "/v1/agent/check/pass/:", consul_check_pass, .also_by_get = true},
	{VERB_PUT, "/v1/agent/check/warn/:", consul_check_warn, .also_by_get = true},
	{VERB_PUT, "/v1/agent/check/fail/:", consul_check_fail, .also_by_get = true},
	{VERB_PUT, "/v1/agent/check/update/:", .take = consul_check_update},
	{VERB_GET, "/v1/agent/health/service/id/:", consul_health_by_id},
	{VERB_GET, "/v1/agent/health/service/name/:", .list = &consul_list_health_name},
	{VERB_GET, "/v1/agent/self", consul_self},
	{VERB_GET, "/v1/agent/version", consul_version},
	{VERB_GET, "/v1/agent/metrics", consul_metrics},
	{VERB_GET, "/v1/agent/members", .list = &consul_list_members},

	{VERB_GET, "/v1/health/service/:", .view = &consul_view_health_service, .cached = true},
	{VERB_GET, "/v1/health/checks/:", .view = &consul_view_health_checks},
	{VERB_GET, "/v1/health/node/:", .view = &consul_view_health_node},
	{VERB_GET, "/v1/health/state/:", .view = &consul_view_health_state},

	{VERB_GET, "/v1/catalog/services", .view = &consul_view_catalog_services, .cached = true},
	{VERB_GET, "/v1/catalog/service/:", .view = &consul_view_catalog_service, .cached = true},
	{VERB_GET, "/v1/catalog/nodes", .view = &consul_view_catalog_nodes},
	{VERB_GET, "/v1/catalog/node/:", .view = &consul_view_catalog_node},
	{VERB_GET, "/v1/catalog/node-services/:", .view = &consul_view_catalog_node_services},
	{VERB_GET, "/v1/catalog/datacenters", consul_datacenters, .cached = true},
	{VERB_PUT, "/v1/catalog/register", .take = consul_catalog_register},
	{VERB_PUT, "/v1/catalog/deregister", .take = consul_catalog_deregister},

	{VERB_GET, "/v1/status/leader", consul_leader},
	{VERB_GET, "/v1/status/peers", consul_peers},

	{VERB_GET, "/v1/kv/*", consul_kv_get},
	{VERB_PUT, "/v1/kv/*", consul_kv_put},
	{VERB_DELETE, "/v1/kv/*", consul_kv_delete},
	{VERB_PUT, "/v1/session/create", .take = consul_session_create, .may_be_empty = true},
	{VERB_PUT, "/v1/session/destroy/:", consul_session_destroy},
	{VERB_PUT, "/v1/session/renew/:", consul_session_renew},
	{VERB_GET, "/v1/session/info/:", consul_session_get, .view = &consul_view_session},
	{VERB_GET, "/v1/session/node/:", consul_session_get, .view = &consul_view_node_sessions},
	{VERB_GET, "/v1/session/list", consul_session_get, .view = &consul_view_sessions},
	{VERB_PUT, "/v1/txn", consul_txn},

	{VERB_PUT, "/v1/event/fire/*", consul_event_fire},
	{VERB_GET, "/v1/event/list", .view = &consul_view_events},

	{VERB_GET, "/v1/sluice/watch", consul_follow},
	{VERB_GET, "/v1/sluice/watch/:", consul_follow},

	/* refused by name, so that their users learn why */
#define REFUSED (VERB_GET | VERB_PUT | VERB_POST | VERB_DELETE)
#define REFUSE(path, instead) {REFUSED, path, consul_refuse, .why = instead}
#define ACL "there are no ACLs; one token (control.http_token) guards all"
#define MESH "there is no service mesh"
#define CLUSTER "there is no cluster of agents to join or to leave"
#define ENTERPRISE "this is of Consul Enterprise"
#define PEERING "there is no peering of clusters"
	REFUSE("/v1/acl/*", ACL),
	REFUSE("/v1/agent/connect/*", MESH),
	REFUSE("/v1/agent/force-leave/*", CLUSTER),
	REFUSE("/v1/agent/host", "the host is not described here; sluicectl status tells of the daemon"),
	REFUSE("/v1/agent/join/*", CLUSTER),
	REFUSE("/v1/agent/leave", CLUSTER),
	REFUSE("/v1/agent/metrics/stream", "scrape /metrics instead"),
	REFUSE("/v1/agent/monitor", "read the daemon's log instead"),
	REFUSE("/v1/agent/reload", "send SIGHUP to the daemon, which reads its configuration again"),
	REFUSE("/v1/agent/token/*", ACL),
	REFUSE("/v1/catalog/connect/*", MESH),
	REFUSE("/v1/catalog/gateway-services/*", MESH),
	REFUSE("/v1/config", MESH " and so there are no configuration entries"),
	REFUSE("/v1/config/*", MESH " and so there are no configuration entries"),
	REFUSE("/v1/connect/*", MESH),
	REFUSE("/v1/coordinate/*", "there are no network coordinates"),
	REFUSE("/v1/discovery-chain/*", MESH),
	REFUSE("/v1/exported-services", PEERING),
	REFUSE("/v1/health/connect/*", MESH),
	REFUSE("/v1/health/ingress/*", MESH),
	REFUSE("/v1/imported-services", PEERING),
	REFUSE("/v1/internal/*", "this is Consul's own, for its user interface"),
	REFUSE("/v1/namespace", ENTERPRISE),
	REFUSE("/v1/namespace/*", ENTERPRISE),
	REFUSE("/v1/namespaces", ENTERPRISE),
	REFUSE("/v1/operator/*", "there are no servers to operate"),
	REFUSE("/v1/partition", ENTERPRISE),
	REFUSE("/v1/partition/*", ENTERPRISE),
	REFUSE("/v1/partitions", ENTERPRISE),
	REFUSE("/v1/peering", PEERING),
	REFUSE("/v1/peering/*", PEERING),
	REFUSE("/v1/peerings", PEERING),
	REFUSE("/v1/query", "there are no prepared queries"),
	REFUSE("/v1/query/*", "there are no prepared queries"),
	REFUSE("/v1/snapshot", "what is kept is in the state directory, which can be copied"),
	{0},
};
/* clang-format on */

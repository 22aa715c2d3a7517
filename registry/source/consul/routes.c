/* routes.c: THE table of what is served under /v1. The first row that fits path and verb answers. */
#include "registry/source/consul/inside.h"

/* clang-format off */
const struct http_route consul_routes[] = {
	{VERB_GET, "/healthz", consul_healthz, .open = true},

	{VERB_PUT, "/v1/agent/service/register", consul_register},
	{VERB_PUT, "/v1/agent/service/deregister/:", consul_deregister, .also_by_get = true},
	{VERB_PUT, "/v1/agent/service/maintenance/:", consul_maintenance},
	{VERB_PUT, "/v1/agent/maintenance", consul_node_maintenance},
	{VERB_GET, "/v1/agent/service/:", .view = &consul_view_agent_service},
	{VERB_GET, "/v1/agent/services", consul_agent_services},
	{VERB_GET, "/v1/agent/checks", consul_checks},
	{VERB_PUT, "/v1/agent/check/register", consul_check_register},
	{VERB_PUT, "/v1/agent/check/deregister/:", consul_check_deregister, .also_by_get = true},
	{VERB_PUT, "/v1/agent/check/pass/:", consul_check_pass, .also_by_get = true},
	{VERB_PUT, "/v1/agent/check/warn/:", consul_check_warn, .also_by_get = true},
	{VERB_PUT, "/v1/agent/check/fail/:", consul_check_fail, .also_by_get = true},
	{VERB_PUT, "/v1/agent/check/update/:", consul_check_update},
	{VERB_GET, "/v1/agent/health/service/id/:", consul_health_by_id},
	{VERB_GET, "/v1/agent/health/service/name/:", consul_health_by_name},
	{VERB_GET, "/v1/agent/self", consul_self},
	{VERB_GET, "/v1/agent/members", consul_members},

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
	{VERB_PUT, "/v1/catalog/register", consul_catalog_register},
	{VERB_PUT, "/v1/catalog/deregister", consul_catalog_deregister},

	{VERB_GET, "/v1/status/leader", consul_leader},
	{VERB_GET, "/v1/status/peers", consul_peers},

	{VERB_GET, "/v1/kv/*", consul_kv_get},
	{VERB_PUT, "/v1/kv/*", consul_kv_put},
	{VERB_DELETE, "/v1/kv/*", consul_kv_delete},
	{VERB_PUT, "/v1/session/create", consul_session_create},
	{VERB_PUT, "/v1/session/destroy/:", consul_session_destroy},
	{VERB_PUT, "/v1/session/renew/:", consul_session_renew},
	{VERB_GET, "/v1/session/info/:", .view = &consul_view_sessions},
	{VERB_GET, "/v1/session/node/:", .view = &consul_view_sessions},
	{VERB_GET, "/v1/session/list", .view = &consul_view_sessions},

	{VERB_PUT, "/v1/event/fire/*", consul_event_fire},
	{VERB_GET, "/v1/event/list", .view = &consul_view_events},

	/* refused by name, so that their users learn why */
#define REFUSED (VERB_GET | VERB_PUT | VERB_POST | VERB_DELETE)
	{REFUSED, "/v1/acl/*", consul_refuse},
	{REFUSED, "/v1/agent/connect/*", consul_refuse},
	{REFUSED, "/v1/agent/force-leave/*", consul_refuse},
	{REFUSED, "/v1/agent/join/*", consul_refuse},
	{REFUSED, "/v1/agent/leave", consul_refuse},
	{REFUSED, "/v1/agent/reload", consul_refuse},
	{REFUSED, "/v1/agent/token/*", consul_refuse},
	{REFUSED, "/v1/config", consul_refuse},
	{REFUSED, "/v1/config/*", consul_refuse},
	{REFUSED, "/v1/connect/*", consul_refuse},
	{REFUSED, "/v1/coordinate/*", consul_refuse},
	{REFUSED, "/v1/health/connect/*", consul_refuse},
	{REFUSED, "/v1/catalog/connect/*", consul_refuse},
	{REFUSED, "/v1/operator/*", consul_refuse},
	{REFUSED, "/v1/peering", consul_refuse},
	{REFUSED, "/v1/peering/*", consul_refuse},
	{REFUSED, "/v1/peerings", consul_refuse},
	{REFUSED, "/v1/query", consul_refuse},
	{REFUSED, "/v1/query/*", consul_refuse},
	{REFUSED, "/v1/snapshot", consul_refuse},
	{REFUSED, "/v1/txn", consul_refuse},
	{0},
};
/* clang-format on */

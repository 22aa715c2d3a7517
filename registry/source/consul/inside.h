/*
 * inside.h: Consul's HTTP API over the service table, for the files that answer it. Field names, status codes and
 * texts are Consul's (API documentation of version 1.2x), so that its clients work unchanged.
 *
 *   consul.c     its beginning and end, and whom its ids name
 *   store.c      what is kept, and comes back
 *   routes.c     THE table of what is served
 *   api.c        headers of answers
 *   read.c       bodies: either spelling of a field
 *   json.c       nodes, services and checks as Consul shows them
 *   list.c       what a query keeps of a list: filters
 *   agent*.c, health.c, catalog.c, kv.c, ...    a group of paths each
 *
 * This daemon's node is the agent. Instances of other doors are shown too, with the id SERVICE:ID, and can
 * only be changed by the door that they came by.
 */
#pragma once

#include "registry/http/server.h"
#include "registry/http/work.h"
#include "registry/source/consul/consul.h"
#include "registry/source/consul/kv.h"

#define CONSUL_SOURCE REG_CONSUL
#define CONSUL_OWN_CHECK "service:" /* before an instance's id: its check, unless that has an id */

enum { CONSUL_LIST = 64, CONSUL_EVENTS = 256, CONSUL_ID = REG_SERVICE_MAX + REG_ID_MAX + 2 };

struct consul_session;
struct following;
struct shared;

/* An instance that came by this API, on this daemon's node. */
struct consul_instance {
	UT_hash_handle hh;
	char *service;
	char *reason; /* of its maintenance, NULL: none was given */
	char id[];
};

/* A check of this daemon's node, or of an instance there unless it has the usual id. */
struct consul_check {
	UT_hash_handle hh;
	struct consul_instance *instance; /* NULL: it is the node's */
	char id[];
};

struct consul {
	struct event_base *base;
	struct registry *reg;
	struct journal *journal; /* NULL: nothing is kept */
	char *datacenter;
	struct registry_source source; /* on its list */
	struct consul_instance *instances;
	struct consul_check *checks;
	uint64_t reserved; /* a later life of this daemon begins above it */
	struct consul_kv kv;
	size_t kv_bytes_max;
	struct consul_session *sessions;
	struct following *following;	       /* follow.c */
	struct shared *shared;		       /* shared.h; NULL: keys and sessions are this daemon's */
	uint64_t sessions_changed;	       /* generation at which one last came or went */
	TAILQ_HEAD(, consul_session) doubtful; /* their checks may be critical by now */
	struct event fresh;		       /* looks at those with checks that have found nothing */
	struct event settle;		       /* looks at those */
	json_t *absent;			       /* consul_absent() */
	json_t *events[CONSUL_EVENTS];	       /* a ring of those kept */
	uint64_t nevents;		       /* kept since the start */
	uint64_t event_time;		       /* fired since the start */
};

extern const struct http_route consul_routes[]; /* ends with a row without a path */

/** Whose API the request is for. */
static inline struct consul *consul_of(const struct http_request *rq)
{
	return rq->http->api.ctx;
}

/* shared.c */
/** Is what a view shows etcd's, with etcd's revisions as indexes? */
bool consul_is_shared(struct http_request *rq);
/** How long ago etcd was heard of, 0: now. False: that is too long. */
bool consul_contact(const struct consul *consul, uint64_t *ms);

/* api.c */
/** Does `Datacenter` of a body name this one, or is absent? False after http_fail(). What `dc` says is known to. */
bool consul_is_for_here(struct http_request *rq, const json_t *body);

/* consul.c */
/** Brings back what the journal holds under `key`. `arg` is the struct consul. */
void consul_restore(void *arg, const char *key, const char *value);
/** A client is told this index: a later life of the daemon must begin above it. */
void consul_index_shown(struct consul *consul, uint64_t index);
/** The service of the instance called `id`, NULL: none came by this API. */
const char *consul_service_of(struct consul *consul, const char *id);
const struct reg_backend *consul_backend_of(struct consul *consul, const char *id, const char **service);
/** The service of the instance that a node ("": this daemon's) knows by this id, NULL: there is none. */
const char *consul_service_on(struct consul *consul, const char *node, const char *id);

/* read.c: `body` as Consul documents it; the strings of what is read belong to it. */
struct consul_registration {
	const char *name;
	struct reg_backend backend; /* without its checks */
	struct reg_metadata metadata;
	const char *tags[CONSUL_LIST];
	struct reg_pair meta[CONSUL_LIST];
	struct reg_tagged tagged[CONSUL_LIST];
};
/** A field by its name in either spelling; NULL when absent or null. */
const json_t *consul_field(const json_t *object, const char *name);
/** Takes it away in every spelling. */
void consul_del_field(json_t *object, const char *name);
/* An object that is read field by field. The first that is wrong is what it is refused with; what is read of those
 * behind it means nothing, so that `rc` need be looked at only once, before any of it is used. */
struct consul_body {
	const json_t *json;
	struct reg_err *err;
	int rc; /* 0, or -errno with a line in `err` */
};
/** Refuses it, unless it is refused already. Returns `rc` of the body. */
__attribute__((format(printf, 3, 4))) int consul_bad(struct consul_body *in, int rc, const char *fmt, ...);
/** The text of a field, NULL when absent or empty. */
const char *consul_text(struct consul_body *in, const char *name);
bool consul_flag(struct consul_body *in, const char *name);
int64_t consul_number(struct consul_body *in, const char *name, int64_t min, int64_t max, int64_t absent);
/** These return how many there are. */
uint16_t consul_pairs(struct consul_body *in, const char *name, struct reg_pair pairs[CONSUL_LIST]);
uint16_t consul_read_tagged(struct consul_body *in, const char *name, struct reg_tagged tagged[CONSUL_LIST]);
/** Does it say as little as a field that is left out? */
bool consul_is_empty(const json_t *value);
/** -ENOTSUP when the service asks for what is not served: a proxy, a side car, another namespace. */
int consul_read_plain(const json_t *service, struct reg_err *err);
/** A service of the agent or, with `node`, of another node of the catalog; read->metadata.node is borrowed. */
int consul_read_service(const json_t *body, const char *name_field, const char *node,
	struct consul_registration *read, struct reg_err *err);

/* check_read.c */
struct consul_checks {
	unsigned n;
	struct reg_check spec[REG_CHECKS_MAX];
	const json_t *body[REG_CHECKS_MAX]; /* of each, NULL: it is kept as it was */
	char id[REG_CHECKS_MAX][REG_CHECK_ID_MAX + 1];
	struct reg_pair headers[CONSUL_LIST];
	unsigned nheader;
	json_t *texts; /* that the specifications refer to, consul_checks_clear() */
};
void consul_checks_clear(struct consul_checks *list);
/**
 * One check, added to the list. Without an id it is called `id`, and when that is NULL too, by its name. `of` is
 * the instance, NULL: the node. -EINVAL, -ENOTSUP.
 */
int consul_read_check(const json_t *check, const char *id, const struct reg_backend *of,
	struct consul_checks *list, struct reg_err *err);
/** The `Check` and `Checks` of a registration. */
int consul_read_checks(
	const json_t *body, const struct reg_backend *of, struct consul_checks *list, struct reg_err *err);
/** A check of the catalog, which nobody makes: it is what its `Status` says until that says otherwise. */
int consul_read_result(const json_t *check, struct consul_checks *list, struct reg_err *err);
/** Calls fn for the `Check` and each of the `Checks` of a body: the i-th of n. Ends when fn returns -errno. */
int consul_each_check(const json_t *body, int (*fn)(void *arg, const json_t *check, unsigned i, unsigned n),
	void *arg, struct reg_err *err);
/**
 * The `Definition` of a check that nobody makes here, with Consul's names and durations, without what is empty: into
 * `spec`, as a text that the list has.
 */
void consul_read_definition(struct consul_body *in, struct consul_checks *list, struct reg_check *spec);
/** Milliseconds of a duration: a text of Go's, or a number of nanoseconds. */
uint32_t consul_read_duration(struct consul_body *in, const char *name, uint32_t absent);
/** The `Status`, critical when none is given. */
enum reg_health consul_read_status(struct consul_body *in, bool *given);

/* json.c: new references */
json_t *consul_node_json(struct consul *consul, const struct reg_node *node);
json_t *consul_service_json(struct consul *consul, const char *service, const struct reg_backend *backend);
/** As the agent shows it: with its datacenter, without generations. */
json_t *consul_agent_service_json(
	struct consul *consul, const char *service, const struct reg_backend *backend);
json_t *consul_catalog_service_json(
	struct consul *consul, const char *service, const struct reg_backend *backend);
json_t *consul_tags_json(const struct reg_backend *backend);
json_t *consul_meta_json(const struct reg_pair *meta, size_t n);
/** The id under which clients know the instance. */
const char *consul_id(const char *service, const struct reg_backend *backend, char id[CONSUL_ID]);
/** The registered address, "" for the node's. */
const char *consul_address(const struct reg_backend *backend, char host[REG_HOST_MAX + 1]);

/* check_json.c */
const char *consul_status(enum reg_health health);
/** The checks of the instance appended to `list`. */
void consul_put_checks(
	json_t *list, struct consul *consul, const char *service, const struct reg_backend *backend);
/** Those of the node itself; with `serf` what its cluster would say of it too. */
void consul_put_node_checks(json_t *list, struct consul *consul, const struct reg_node *node, bool serf);

/* list.c */
struct filter;
/** The parsed `filter=`, NULL when there is none. False after http_fail(). */
bool consul_filter(struct http_request *rq, struct filter **out);
/** Does the list's filter take it? 1, 0, or -EINVAL: the list has failed. */
int consul_matches(struct http_work *work, const json_t *item);
/** Reads `filter=` and `near=`: for lists whose items are put by these. */
bool consul_list_begin(struct http_work *work);
/** http_work_put() for what the filter takes, what is `near=` first. */
bool consul_put(struct http_work *work, const char *key, json_t *item);
/** Each check of an array, which is taken over; by their ids where the list is an object. */
bool consul_put_each(struct http_work *work, json_t *checks);
/** Walks of lists that say how an instance is put: those of the service called arg[0], or all. */
bool consul_walk_service(struct http_work *work);
bool consul_walk_all(struct http_work *work);
/** The fields that items leave out and filters may name: a new reference, NULL: no memory. */
json_t *consul_absent(void);
/** Does the query choose by what instances or nodes are? Then its answer depends on all that they are. */
bool consul_has_conditions(const struct http_request *rq);
/** Does the instance have every `tag=`, and its node every `node-meta=`? */
bool consul_wanted(const struct http_request *rq, const struct reg_backend *backend);
bool consul_node_wanted(const struct http_request *rq, const struct reg_node *node);

/** consul_put() of an instance as `json` shows it, which is called only where that is not known yet. */
bool consul_put_instance(struct http_work *work, const char *service, const struct reg_backend *backend,
	json_t *(*json)(struct consul *consul, const char *service, const struct reg_backend *backend));

/* What views show: the service called arg[0], all, the nodes, the names of services and nodes. */
extern const struct http_scope consul_scope_service, consul_scope_any, consul_scope_nodes, consul_scope_names;
uint64_t consul_index_any(struct http_request *rq);

/* a group of paths each */
void consul_register(struct http_request *rq, const json_t *body);
void consul_deregister(struct http_request *rq);
void consul_self(struct http_request *rq);
void consul_version(struct http_request *rq);
void consul_metrics(struct http_request *rq);
void consul_health_by_id(struct http_request *rq);
void consul_datacenters(struct http_request *rq);
void consul_catalog_register(struct http_request *rq, const json_t *body);
void consul_catalog_deregister(struct http_request *rq, const json_t *body);
void consul_leader(struct http_request *rq);
void consul_peers(struct http_request *rq);
void consul_check_register(struct http_request *rq, const json_t *body);
void consul_check_deregister(struct http_request *rq);
void consul_check_pass(struct http_request *rq);
void consul_check_warn(struct http_request *rq);
void consul_check_fail(struct http_request *rq);
void consul_check_update(struct http_request *rq, const json_t *body);
void consul_kv_get(struct http_request *rq);
void consul_kv_put(struct http_request *rq);
void consul_kv_delete(struct http_request *rq);
void consul_session_create(struct http_request *rq, const json_t *body);
void consul_session_destroy(struct http_request *rq);
void consul_session_renew(struct http_request *rq);
void consul_session_get(struct http_request *rq);
void consul_txn(struct http_request *rq);
void consul_event_fire(struct http_request *rq);
void consul_follow(struct http_request *rq);
void consul_healthz(struct http_request *rq);
void consul_refuse(struct http_request *rq);
extern const struct http_list consul_list_agent_services, consul_list_agent_checks, consul_list_members,
	consul_list_health_name;
extern const struct http_view consul_view_agent_service, consul_view_health_service,
	consul_view_health_checks, consul_view_health_node, consul_view_health_state,
	consul_view_catalog_services, consul_view_catalog_service, consul_view_catalog_nodes,
	consul_view_catalog_node, consul_view_catalog_node_services, consul_view_sessions,
	consul_view_node_sessions, consul_view_session, consul_view_events;

/* follow.c */
/** -ENOMEM; then too it is to be closed. */
int consul_follow_open(struct consul *consul);
/** After the server's streams. */
void consul_follow_close(struct consul *consul);

/* reason.c */
/** Adds why the query is answered, if it waited for something. */
void consul_reason(struct http_request *rq);

/* event.c */
void consul_events_close(struct consul *consul);

/* instance.c: the instances of this daemon's node */
/**
 * Registers what `body` describes for the agent's node, and keeps it in the store. With `replace` the instance
 * has only the checks of the body then, otherwise those too that it had. 0, or -errno with a line.
 */
int consul_take(struct consul *consul, const json_t *body, bool replace, struct reg_err *err);
/** The instance has these checks from now on; in the store too. */
int consul_set_checks(struct consul *consul, struct consul_instance *instance,
	const struct consul_checks *list, struct reg_err *err);
struct consul_instance *consul_instance_of(struct consul *consul, const char *id);
void consul_instances_close(struct consul *consul);
/** It was deregistered, by whomever. */
void consul_instance_gone(struct consul *consul, const char *service, const struct reg_backend *backend);

/* store.c: what is kept of them, and comes back with the next life of the daemon */
/** The registration with these checks. */
void consul_keep(struct consul *consul, const char *service, const struct reg_backend *backend,
	const json_t *body, const struct consul_checks *list);
/** What is not kept any longer. */
void consul_drop(struct consul *consul, const char *service, const struct reg_backend *backend);
/** A node of the catalog as it was registered; NULL: not any more. */
void consul_keep_node(struct consul *consul, const char *name, const json_t *body);
/** As it is kept, a new reference; NULL: it is not. */
json_t *consul_kept_node(struct consul *consul, const char *name);
/** A check of this daemon's node; NULL: not any more. */
void consul_keep_node_check(struct consul *consul, const char *id, const json_t *check);
/** What was last said for a ttl check: a status; NULL: nothing any more. */
void consul_keep_word(struct consul *consul, const char *id, const char *status);
/** In maintenance with this reason, or (NULL) not any more; `id` NULL: the whole node. */
void consul_keep_maintenance(struct consul *consul, const char *id, const char *reason);

/* check.c: which check is whose */
/** Whose is it? *instance NULL: the node's. False: there is no such check. */
bool consul_check_find(struct consul *consul, const char *id, struct consul_instance **instance);
/** These are checks of the instance (NULL: the node), not of who had them before. -ENOMEM. */
int consul_check_claim(struct consul *consul, struct consul_instance *instance,
	const struct consul_checks *list, struct reg_err *err);
/** They are nobody's. */
void consul_check_forget(struct consul *consul, const struct reg_check *checks, unsigned n);
void consul_checks_close(struct consul *consul);
/** Behind the list, those of `had` that it does not name. -EINVAL: too many. */
int consul_checks_merge(
	struct consul_checks *list, const struct reg_check *had, unsigned n, struct reg_err *err);
/** Behind the list, the checks of the node or backend without the one called so. */
void consul_node_checks(
	struct consul *consul, const char *node, const char *without, struct consul_checks *list);
void consul_backend_checks(
	const struct reg_backend *backend, const char *without, struct consul_checks *list);
/** Takes it out, and out of the store. False: there is no such check. */
bool consul_check_remove(struct consul *consul, const char *id, struct reg_err *err);
/** Registers a check for the instance of its `ServiceID` or, without one, for this daemon's node. */
int consul_take_check(struct consul *consul, const json_t *body, struct reg_err *err);

/* catalog_take.c */
/** As `PUT catalog/register` does. */
int consul_take_catalog(struct consul *consul, const json_t *body, struct reg_err *err);
/** An instance on another node as it is kept. */
int consul_restore_catalog(struct consul *consul, const json_t *body, struct reg_err *err);
/** As `PUT catalog/deregister` does: a check, an instance (`id`) or the whole node; either may be NULL. */
void consul_drop_catalog(
	struct consul *consul, const struct reg_node *node, const char *id, const char *check);

/* maintenance.c */
void consul_maintenance(struct http_request *rq);
void consul_node_maintenance(struct http_request *rq);
void consul_restore_maintenance(struct consul *consul, const char *id, const char *reason);
void consul_restore_node_maintenance(struct consul *consul, const char *reason);

/** Is the node there, as far as this daemon knows? */
bool consul_node_lives(const struct reg_node *node);

/** The status that a refusal of the registry has in HTTP. */
int consul_code(int rc);
/** The answer to a change: nothing, or why it was refused. */
void consul_reply(struct http_request *rq, int rc, const struct reg_err *err);

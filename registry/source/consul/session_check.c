/*
 * session_check.c: the checks that sessions depend on. A session watches the services that its checks belong to, and the
 * nodes if it has checks of one or is another node's. What changes there makes it doubtful, no more; then it is looked at
 * (session_settle()).
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/source/consul/session.h"

#define NODE_MAINTENANCE "_node_maintenance"

/* What there is of a check. */
struct finding {
	bool there, fresh; /* fresh: it has found nothing yet */
	enum reg_health health;
};

static struct finding found(const struct reg_result *result)
{
	return (struct finding){.there = true, .health = result->health, .fresh = !result->found};
}

/* A check of the node itself. */
static struct finding on_node(const struct reg_node *node, const char *id)
{
	struct reg_result result;

	if (strcmp(id, NODE_MAINTENANCE) == 0)
		return (struct finding){.there = node->drained, .health = REG_CRITICAL};
	for (unsigned i = 0; registry_node_result(node, i, &result); i++)
		if (strcmp(result.check->id, id) == 0)
			return found(&result);
	return (struct finding){.there = strcmp(id, REG_SERF) == 0, .health = REG_PASSING};
}

/* Has the check of the instance this id? Without an id of its own it is called after the instance. */
static bool is_called(
	const struct reg_check *check, const char *service, const struct reg_backend *backend, const char *id)
{
	size_t len = strlen(CONSUL_OWN_CHECK);
	char own[CONSUL_ID];

	if (check->id)
		return strcmp(check->id, id) == 0;
	return strncmp(id, CONSUL_OWN_CHECK, len) == 0 &&
	       strcmp(consul_id(service, backend, own), id + len) == 0;
}

/* A check of the instance. While its switch port is down they are all critical, whatever they found last. */
static struct finding on_backend(const char *service, const struct reg_backend *backend, const char *id)
{
	struct reg_result result;

	for (unsigned i = 0; registry_backend_result(backend, i, &result); i++) {
		struct finding finding = found(&result);

		if (!is_called(result.check, service, backend, id))
			continue;
		if (backend->port_down)
			finding = (struct finding){.there = true, .health = REG_CRITICAL};
		return finding;
	}
	return (struct finding){.there = false};
}

static struct finding at_instance(struct consul_session *session, const struct session_check *check)
{
	struct registry *reg = session->consul->reg;
	const struct reg_backend *backend =
		check->service[0] ? registry_backend_find(reg, check->service, check->instance) : NULL;

	if (!backend || strcmp(reg_backend_node(backend), session->node) != 0)
		return (struct finding){.there = false};
	return on_backend(check->service, backend, check->id);
}

static void set_instance(struct session_check *check, const char *service, const char *instance)
{
	snprintf(check->service, sizeof(check->service), "%s", service);
	snprintf(check->instance, sizeof(check->instance), "%s", instance);
}

struct search {
	struct consul_session *session;
	struct session_check *check;
	struct finding finding;
};

static bool look_at(void *arg, const char *service, const struct reg_backend *backend)
{
	struct search *search = arg;

	if (strcmp(reg_backend_node(backend), search->session->node) != 0)
		return true;
	search->finding = on_backend(service, backend, search->check->id);
	if (search->finding.there)
		set_instance(search->check, service, backend->id);
	return !search->finding.there;
}

/* An instance that came by another door is known as SERVICE:ID, which either may have colons of its own. */
static struct finding of_other_door(struct consul_session *session, struct session_check *check)
{
	size_t len = strlen(CONSUL_OWN_CHECK);
	const char *name = strncmp(check->id, CONSUL_OWN_CHECK, len) == 0 ? check->id + len : "";
	struct finding finding = {.there = false};
	char service[REG_NAME_MAX + 1];

	for (const char *colon = strchr(name, ':'); colon && !finding.there; colon = strchr(colon + 1, ':')) {
		if (colon - name > REG_NAME_MAX)
			break;
		snprintf(service, sizeof(service), "%.*s", (int)(colon - name), name);
		set_instance(check, service, colon + 1);
		finding = at_instance(session, check);
	}
	return finding;
}

/* Whose check is it? Those of this node are known by their ids; for those of others all instances are looked at. */
static struct finding find_instance(struct consul_session *session, struct session_check *check)
{
	struct search search = {.session = session, .check = check};
	struct reg_cursor at = {.begun = false};
	struct consul_instance *instance;

	if (session->node[0]) {
		registry_instances(session->consul->reg, &at, look_at, &search);
		return search.finding;
	}
	if (!consul_check_find(session->consul, check->id, &instance))
		return of_other_door(session, check);
	if (instance)
		set_instance(check, instance->service, instance->id);
	return at_instance(session, check);
}

static void on_change(void *arg, const char *name, uint64_t generation)
{
	session_doubt(arg);
}

/* On the service that it belongs to now. */
static int watch(struct consul_session *session, struct session_check *check)
{
	registry_unwatch(check->watch);
	check->watch = NULL;
	if (!check->service[0])
		return 0;
	check->watch = registry_watch(session->consul->reg, check->service, on_change, session);
	return check->watch ? 0 : -ENOMEM;
}

/* The check as it is now, wherever it is by now. */
static struct finding look(struct consul_session *session, struct session_check *check)
{
	const struct reg_node *node = registry_node_find(session->consul->reg, session->node);
	struct finding finding = {.there = false};

	if (!node)
		return finding;
	finding = on_node(node, check->id);
	if (!finding.there)
		finding = at_instance(session, check);
	if (finding.there)
		return finding;
	finding = find_instance(session, check);
	if (finding.there && watch(session, check) < 0)
		finding.there = false;
	return finding;
}

static bool holds(struct consul_session *session, struct session_check *check, struct finding finding)
{
	if (!finding.there)
		return false;
	if (finding.health != REG_CRITICAL) {
		check->fresh = false;
		return true;
	}
	return check->fresh && finding.fresh;
}

bool session_check_holds(struct consul_session *session)
{
	if (!registry_node_find(session->consul->reg, session->node))
		return false;
	for (size_t i = 0; i < session->ncheck; i++)
		if (!holds(session, &session->check[i], look(session, &session->check[i])))
			return false;
	return true;
}

static void add_list(struct consul_session *session, const json_t *list)
{
	const json_t *item;
	size_t i;

	json_array_foreach (list, i, item) {
		const char *id = json_string_value(json_is_object(item) ? consul_field(item, "ID") : item);

		if (id && strcmp(id, REG_SERF) != 0) /* it holds as long as the node is there */
			session->check[session->ncheck++].id = id;
	}
}

static int bind_one(
	struct consul_session *session, struct session_check *check, bool fresh, struct reg_err *err)
{
	struct finding finding = look(session, check);

	check->fresh = fresh;
	if (!finding.there)
		return reg_fail(err, -ESRCH, "Missing check '%.120s' registration", check->id);
	if (!holds(session, check, finding))
		return reg_fail(err, -ESRCH, "Check '%.120s' is in critical state", check->id);
	return 0;
}

int session_check_bind(struct consul_session *session, bool fresh, struct reg_err *err)
{
	size_t n = json_array_size(session->checks) + json_array_size(session->node_checks) +
		   json_array_size(session->service_checks);

	session->check = calloc(n + 1, sizeof(*session->check));
	if (!session->check)
		return reg_fail(err, -ENOMEM, "out of memory");
	add_list(session, session->checks);
	add_list(session, session->node_checks);
	add_list(session, session->service_checks);
	for (size_t i = 0; i < session->ncheck; i++) {
		int rc = bind_one(session, &session->check[i], fresh, err);

		if (rc < 0)
			return rc;
	}
	if (!session->ncheck && !session->node[0])
		return 0;
	session->nodes = registry_watch(session->consul->reg, REG_WATCH_NODES, on_change, session);
	return session->nodes ? 0 : reg_fail(err, -ENOMEM, "out of memory");
}

bool session_check_is_fresh(const struct consul_session *session)
{
	for (size_t i = 0; i < session->ncheck; i++)
		if (session->check[i].fresh)
			return true;
	return false;
}

void session_check_free(struct consul_session *session)
{
	for (size_t i = 0; i < session->ncheck; i++)
		registry_unwatch(session->check[i].watch);
	registry_unwatch(session->nodes);
	free(session->check);
}

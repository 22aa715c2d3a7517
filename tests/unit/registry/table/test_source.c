/* Several sources at once: each hears of what it registered itself, and of nothing else. */
#include "tests/unit/registry/world.h"

enum { HEARD = 256 };

struct ears {
	struct registry_source source;
	const char *knows, *service; /* the id that it knows, and of which service; NULL: none */
	char heard[HEARD];
};

static void hear(struct ears *ears, const char *what, const char *whom)
{
	size_t used = strlen(ears->heard);

	snprintf(ears->heard + used, HEARD - used, "%s %s\n", what, whom);
}

static void on_gone(void *arg, const char *service, const struct reg_backend *backend)
{
	hear(arg, service, backend->id);
}

static const char *locate(void *arg, const char *node, const char *id)
{
	const struct ears *ears = arg;

	return ears->knows && strcmp(ears->knows, id) == 0 ? ears->service : NULL;
}

static void on_ttl(void *arg, const struct reg_check *check, enum reg_health health)
{
	hear(arg, check->id, reg_health_name(health));
}

static void listen_as(struct world *w, struct ears *ears, const char *name)
{
	*ears = (struct ears){.source = {.name = name, .gone = on_gone, .locate = locate, .ttl = on_ttl}};
	ears->source.arg = ears;
	registry_source_add(w->reg, &ears->source);
}

static void put(struct world *w, const char *source, const char *id, const struct reg_check *check)
{
	struct reg_backend backend = world_backend("10.1.0.1", 80);

	snprintf(backend.id, sizeof(backend.id), "%s", id);
	snprintf(backend.source, sizeof(backend.source), "%s", source);
	backend.own_checks = true;
	backend.checks = check;
	backend.ncheck = check != NULL;
	w->err.text[0] = '\0';
	registry_backend_put(w->reg, "web", &backend, &w->err);
	assert_string_equal(w->err.text, "");
}

static void a_source_hears_that_its_own_backend_is_gone(void **state)
{
	struct world *w = *state;
	struct ears consul, etcd;

	listen_as(w, &consul, "consul");
	listen_as(w, &etcd, "etcd");
	put(w, "consul", "c1", NULL);
	put(w, "etcd", "e1", NULL);
	put(w, "api", "a1", NULL);
	put(w, "etcd", "e1", NULL); /* as it is: nothing leaves */
	assert_int_equal(registry_backend_del(w->reg, "web", "e1", &w->err), 0);
	assert_string_equal(etcd.heard, "web e1\n");
	assert_string_equal(consul.heard, "");
	registry_source_del(w->reg, &etcd.source);
	put(w, "etcd", "e2", NULL);
	assert_int_equal(registry_service_del(w->reg, "web", &w->err), 0);
	assert_string_equal(etcd.heard, "web e1\n");
	assert_string_equal(consul.heard, "web c1\n");
	registry_source_del(w->reg, &consul.source);
}

static void an_alias_follows_the_instance_that_any_source_knows(void **state)
{
	struct world *w = *state;
	struct reg_check ttl = world_check(REG_CHECK_TTL), alias = world_check(REG_CHECK_ALIAS);
	struct ears consul, etcd;

	listen_as(w, &consul, "consul");
	listen_as(w, &etcd, "etcd");
	consul.knows = "c1";
	consul.service = "nowhere";
	etcd.knows = "e1";
	etcd.service = "web";
	ttl.interval_ms = 3600000;
	ttl.id = "beat";
	alias.alias = "e1";
	put(w, "etcd", "e1", &ttl);
	put(w, "consul", "c1", &alias);
	assert_int_equal(world_find(w, "web", "c1")->health, REG_CRITICAL);
	assert_int_equal(registry_backend_beat(w->reg, "web", "e1", "beat", REG_PASSING, "", &w->err), 0);
	world_until(w, "web", "c1", REG_PASSING);
	registry_source_del(w->reg, &consul.source);
	registry_source_del(w->reg, &etcd.source);
}

static void a_source_hears_what_its_own_ttl_checks_say(void **state)
{
	struct world *w = *state;
	struct reg_check ttl = world_check(REG_CHECK_TTL);
	struct ears consul, etcd;

	listen_as(w, &consul, "consul");
	listen_as(w, &etcd, "etcd");
	ttl.interval_ms = 3600000;
	ttl.id = "c";
	put(w, "consul", "c1", &ttl);
	ttl.id = "e";
	put(w, "etcd", "e1", &ttl);
	assert_int_equal(registry_backend_beat(w->reg, "web", "e1", "e", REG_WARNING, "", &w->err), 0);
	assert_string_equal(consul.heard, "");
	assert_string_equal(etcd.heard, "e warning\n");
	ttl.id = "node"; /* which is of no source: all of them hear */
	assert_int_equal(registry_node_checks(w->reg, "", &ttl, 1, &w->err), 0);
	assert_int_equal(registry_node_beat(w->reg, "", "node", REG_PASSING, "", &w->err), 0);
	assert_string_equal(consul.heard, "node passing\n");
	assert_string_equal(etcd.heard, "e warning\nnode passing\n");
	registry_source_del(w->reg, &consul.source);
	registry_source_del(w->reg, &etcd.source);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_source_hears_that_its_own_backend_is_gone),
		TEST(an_alias_follows_the_instance_that_any_source_knows),
		TEST(a_source_hears_what_its_own_ttl_checks_say),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What is one commit of the service table, and what its sink is told. */
#include "tests/unit/registry/world.h"

static void a_vip_changes_hands_in_one_commit(void **state)
{
	struct world *w = *state;
	struct reg_service api = world_service("api"), shop = world_service("shop");

	shop.port = 81;
	world_add_service(w, &api);
	world_add_service(w, &shop);
	world_told(w);
	registry_batch_begin(w->reg);
	world_add_backend(w, "shop", "10.1.0.2", 80);
	api.port = 8080;
	shop.port = 80;
	assert_int_equal(registry_service_set(w->reg, &api, &w->err), 0);
	assert_int_equal(registry_service_set(w->reg, &shop, &w->err), 0);
	registry_batch_end(w->reg);
	assert_string_equal(
		world_told(w), "3 api\n3 shop 10.1.0.2:80=1\n"); /* it is free before it is taken */
}

static void each_change_is_one_generation(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");
	struct reg_backend backend = world_backend("10.1.0.2", 80);

	world_add_service(w, &service);
	assert_string_equal(world_told(w), "1 api\n");
	world_add_backend(w, "api", "10.1.0.10", 80);
	world_add_backend(w, "api", "10.1.0.2", 80);
	world_add_backend(w, "api", "10.1.0.2", 79);
	assert_string_equal(world_told(w), "2 api 10.1.0.10:80=1\n"
					   "3 api 10.1.0.2:80=1 10.1.0.10:80=1\n"
					   "4 api 10.1.0.2:79=1 10.1.0.2:80=1 10.1.0.10:80=1\n");
	backend.weight = 7;
	assert_int_equal(registry_backend_set(w->reg, "api", &backend, &w->err), 0);
	assert_int_equal(registry_backend_del(w->reg, "api", "10.1.0.2:79", &w->err), 0);
	assert_string_equal(world_told(w), "5 api 10.1.0.2:79=1 10.1.0.2:80=7 10.1.0.10:80=1\n"
					   "6 api 10.1.0.2:80=7 10.1.0.10:80=1\n");
	assert_int_equal(registry_service_generation(w->reg, "api"), 6);
	assert_int_equal(registry_service_del(w->reg, "api", &w->err), 0);
	assert_string_equal(world_told(w), "7 api gone\n");
	assert_int_equal(registry_generation(w->reg), 7);
	assert_int_equal(registry_service_generation(w->reg, "api"), 0);
}

static void no_change_is_no_commit(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");
	struct reg_backend backend = world_backend("10.1.0.2", 80);

	service.policy[0] = '\0'; /* the default */
	world_add_service(w, &service);
	assert_string_equal(registry_service_find(w->reg, "api")->policy, "maglev");
	world_add_backend(w, "api", "10.1.0.2", 80);
	world_told(w);
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_int_equal(registry_backend_set(w->reg, "api", &backend, &w->err), 0);
	assert_string_equal(world_told(w), "");
	assert_int_equal(registry_generation(w->reg), 2);
}

static void set_keeps_backends_and_source(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");
	struct reg_backend backend = world_backend("10.1.0.2", 80);

	strcpy(service.source, "config");
	world_add_service(w, &service);
	world_add_backend(w, "api", "10.1.0.2", 80);
	world_told(w);
	service.vip = ip("10.1.0.200");
	strcpy(service.source, "api");
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_string_equal(registry_service_find(w->reg, "api")->source, "config");
	assert_string_equal(world_told(w), "3 api 10.1.0.2:80=1\n");
	strcpy(backend.source, "docker");
	backend.drained = true;
	assert_int_equal(registry_backend_set(w->reg, "api", &backend, &w->err), 0);
	assert_string_equal(world_find(w, "api", "10.1.0.2:80")->source, "api");
}

static void only_reachable_backends_are_balanced(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");

	world_add_service(w, &service);
	world_add_backend(w, "api", "10.1.0.2", 80);
	world_add_backend(w, "api", "192.0.2.9", 80);
	world_told(w);
	service.network[0] = '\0';
	service.vip = (struct ip_addr){0};
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	service = world_service("api");
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_string_equal(world_told(w), "4 api 10.1.0.2:80=1~ 192.0.2.9:80=1~\n"
					   "5 api 10.1.0.2:80=1 192.0.2.9:80=1~\n");
}

static void drained_takes_nothing_new(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");
	struct reg_backend backend = world_backend("10.1.0.2", 80);

	world_add_service(w, &service);
	world_add_backend(w, "api", "10.1.0.2", 80);
	world_told(w);
	backend.drained = true;
	assert_int_equal(registry_backend_set(w->reg, "api", &backend, &w->err), 0);
	assert_int_equal(world_find(w, "api", "10.1.0.2:80")->health, REG_DRAINING);
	backend.drained = false;
	assert_int_equal(registry_backend_set(w->reg, "api", &backend, &w->err), 0);
	assert_int_equal(world_find(w, "api", "10.1.0.2:80")->health, REG_PASSING);
	assert_string_equal(world_told(w), "3 api 10.1.0.2:80=0\n4 api 10.1.0.2:80=1\n");
}

static void a_batch_is_one_commit(void **state)
{
	struct world *w = *state;
	struct reg_service api = world_service("api"), shop = world_service("shop");
	struct reg_backend bad = {.port = 80, .source = "api"};

	shop.port = 81;
	registry_batch_begin(w->reg);
	world_add_service(w, &api);
	registry_batch_begin(w->reg);
	world_add_service(w, &shop);
	world_add_backend(w, "api", "10.1.0.2", 80);
	registry_batch_end(w->reg);
	assert_int_equal(registry_backend_add(w->reg, "api", &bad, &w->err), -EINVAL);
	world_add_backend(w, "shop", "10.1.0.3", 81);
	assert_string_equal(world_told(w), "");
	registry_batch_end(w->reg);
	assert_string_equal(world_told(w), "1 api 10.1.0.2:80=1\n1 shop 10.1.0.3:81=1\n");

	registry_batch_begin(w->reg); /* the old one leaves before the new one takes its name and vip */
	assert_int_equal(registry_service_del(w->reg, "api", &w->err), 0);
	world_add_service(w, &api);
	registry_batch_end(w->reg);
	assert_string_equal(world_told(w), "2 api gone\n2 api\n");

	registry_batch_begin(w->reg); /* nobody needs to hear of what never was */
	strcpy(api.name, "brief");
	api.port = 82;
	world_add_service(w, &api);
	assert_int_equal(registry_service_del(w->reg, "brief", &w->err), 0);
	registry_batch_end(w->reg);
	assert_string_equal(world_told(w), "");
	assert_int_equal(registry_generation(w->reg), 2);
}

static void discovered_service_lives_with_its_backends(void **state)
{
	struct world *w = *state;
	struct reg_service found = {.name = "api", .discovered = true, .source = "consul"};
	struct reg_service defined = world_service("api");

	registry_batch_begin(w->reg);
	world_add_service(w, &found);
	world_add_backend(w, "api", "10.1.0.2", 80);
	registry_batch_end(w->reg);
	assert_string_equal(world_told(w), "1 api 10.1.0.2:80=1~\n");
	assert_int_equal(registry_service_add(w->reg, &found, &w->err), -EEXIST);

	registry_batch_begin(w->reg); /* replaced in one go: it stays */
	assert_int_equal(registry_backend_del(w->reg, "api", "10.1.0.2:80", &w->err), 0);
	world_add_backend(w, "api", "10.1.0.3", 80);
	registry_batch_end(w->reg);
	assert_string_equal(world_told(w), "2 api 10.1.0.3:80=1~\n");
	assert_int_equal(registry_backend_del(w->reg, "api", "10.1.0.3:80", &w->err), 0);
	assert_string_equal(world_told(w), "3 api gone\n");

	registry_batch_begin(w->reg);
	world_add_service(w, &found);
	world_add_backend(w, "api", "10.1.0.2", 80);
	registry_batch_end(w->reg);
	world_add_service(w, &defined); /* gives it a vip, keeps its backend */
	assert_int_equal(registry_backend_del(w->reg, "api", "10.1.0.2:80", &w->err), 0);
	assert_string_equal(world_told(w), "4 api 10.1.0.2:80=1~\n5 api 10.1.0.2:80=1\n6 api\n");
	assert_string_equal(registry_service_find(w->reg, "api")->source, "api");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_vip_changes_hands_in_one_commit),
		TEST(each_change_is_one_generation),
		TEST(no_change_is_no_commit),
		TEST(set_keeps_backends_and_source),
		TEST(only_reachable_backends_are_balanced),
		TEST(drained_takes_nothing_new),
		TEST(a_batch_is_one_commit),
		TEST(discovered_service_lives_with_its_backends),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

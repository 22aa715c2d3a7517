/*
 * Switch ports and the backends behind them: the sink has the new table before registry_port_changed()
 * returns. No test here runs the event loop.
 */
#include "tests/unit/registry/world.h"

static void add_api(struct world *w)
{
	struct reg_service service = world_service("api");

	world_add_service(w, &service);
	world_add_backend(w, "api", "10.1.0.1", 80);
	world_add_backend(w, "api", "10.1.0.2", 80);
	world_told(w);
}

static void a_port_that_goes_down_acts_at_once(void **state)
{
	struct world *w = *state;

	world_port(w, "web", "10.1.0.1", 1);
	add_api(w);
	world_port_changed(w, "web", "10.1.0.1", 0);
	assert_string_equal(world_told(w), "4 api 10.1.0.1:80=0! 10.1.0.2:80=1\n");
	assert_int_equal(world_find(w, "api", "10.1.0.1:80")->health, REG_CRITICAL);
	assert_int_equal(w->log_lines, 1);
	world_port_changed(w, "web", "10.1.0.1", 0); /* no news */
	assert_string_equal(world_told(w), "");
	world_port_changed(w, "web", "10.1.0.1", 1);
	assert_string_equal(world_told(w), "5 api 10.1.0.1:80=1 10.1.0.2:80=1\n");
}

static void a_deleted_port_is_down(void **state)
{
	struct world *w = *state;

	world_port(w, "web", "10.1.0.1", 1);
	add_api(w);
	world_port_changed(w, "web", "10.1.0.1", -1);
	assert_string_equal(world_told(w), "4 api 10.1.0.1:80=0! 10.1.0.2:80=1\n");
	world_port_changed(w, "web", "10.1.0.2", -1); /* never had one */
	assert_string_equal(world_told(w), "");
	world_port_changed(w, "web", "10.1.0.1", 1);
	assert_string_equal(world_told(w), "5 api 10.1.0.1:80=1 10.1.0.2:80=1\n");
}

static void a_port_that_is_down_already(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");

	world_port(w, "web", "10.1.0.1", 0);
	world_add_service(w, &service);
	world_told(w);
	world_add_backend(w, "api", "10.1.0.1", 80);
	assert_string_equal(world_told(w), "2 api 10.1.0.1:80=0!\n");
}

static void the_port_of_another_network_is_another(void **state)
{
	struct world *w = *state;
	struct reg_service anywhere = {.name = "any", .source = "consul"};

	add_api(w);
	world_add_service(w, &anywhere);
	world_add_backend(w, "any", "10.1.0.1", 80);
	world_told(w);
	world_port_changed(w, "db", "10.1.0.1", 0);
	assert_string_equal(world_told(w), "6 any 10.1.0.1:80=0!~\n");
	assert_int_equal(world_find(w, "api", "10.1.0.1:80")->health, REG_PASSING);
}

static void one_change_is_one_commit_for_all_services(void **state)
{
	struct world *w = *state;
	struct reg_service shop = world_service("shop");

	shop.port = 81;
	add_api(w);
	world_add_service(w, &shop);
	world_add_backend(w, "shop", "10.1.0.1", 81);
	world_add_backend(w, "shop", "10.1.0.1", 82);
	world_told(w);
	world_port_changed(w, "web", "10.1.0.1", 0);
	assert_int_equal(registry_generation(w->reg), 7);
	assert_string_equal(world_told(w), "7 shop 10.1.0.1:81=0! 10.1.0.1:82=0!\n"
					   "7 api 10.1.0.1:80=0! 10.1.0.2:80=1\n");
	registry_batch_begin(w->reg); /* a port with two addresses */
	world_port_changed(w, "web", "10.1.0.1", 1);
	world_port_changed(w, "web", "10.1.0.2", 0);
	registry_batch_end(w->reg);
	assert_string_equal(world_told(w), "8 shop 10.1.0.1:81=1 10.1.0.1:82=1\n"
					   "8 api 10.1.0.1:80=1 10.1.0.2:80=0!\n");
}

static void a_port_check_is_the_link(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");

	service.check = (struct reg_check){.type = REG_CHECK_PORT}; /* needs no times */
	world_port(w, "web", "10.1.0.1", 1);
	world_add_service(w, &service);
	world_add_backend(w, "api", "10.1.0.1", 80);
	world_add_backend(w, "api", "10.1.0.2", 80);
	assert_string_equal(world_find(w, "api", "10.1.0.1:80")->output, "the port is up");
	assert_string_equal(world_find(w, "api", "10.1.0.2:80")->output, "no port has the address");
	world_told(w);
	world_port_changed(w, "web", "10.1.0.2", 1);
	world_port_changed(w, "web", "10.1.0.1", -1);
	assert_string_equal(world_told(w), "4 api 10.1.0.1:80=1 10.1.0.2:80=1\n"
					   "5 api 10.1.0.1:80=0! 10.1.0.2:80=1\n");
}

static void drained_shows_as_draining_also_when_down(void **state)
{
	struct world *w = *state;
	struct reg_backend backend = world_backend("10.1.0.1", 80);

	world_port(w, "web", "10.1.0.1", 1);
	add_api(w);
	backend.drained = true;
	assert_int_equal(registry_backend_set(w->reg, "api", &backend, &w->err), 0);
	world_port_changed(w, "web", "10.1.0.1", 0);
	assert_string_equal(world_told(w), "4 api 10.1.0.1:80=0 10.1.0.2:80=1\n"
					   "5 api 10.1.0.1:80=0! 10.1.0.2:80=1\n");
	assert_int_equal(world_find(w, "api", "10.1.0.1:80")->health, REG_DRAINING);
}

static void a_service_that_moves_looks_for_its_ports_anew(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");

	world_port(w, "db", "10.1.0.1", 0);
	add_api(w);
	strcpy(service.network, "db");
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_string_equal(world_told(w), "4 api 10.1.0.1:80=0!~ 10.1.0.2:80=1~\n");
	strcpy(service.network, "web");
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_string_equal(world_told(w), "5 api 10.1.0.1:80=1 10.1.0.2:80=1\n");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(a_port_that_goes_down_acts_at_once),
		TEST(a_deleted_port_is_down),
		TEST(a_port_that_is_down_already),
		TEST(the_port_of_another_network_is_another),
		TEST(one_change_is_one_commit_for_all_services),
		TEST(a_port_check_is_the_link),
		TEST(drained_shows_as_draining_also_when_down),
		TEST(a_service_that_moves_looks_for_its_ports_anew),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/*
 * Watches: a change wakes those who wait for that service, once a commit, after the sink.
 */
#include "tests/unit/registry/world.h"

struct ear {
	struct world *w;
	struct registry_watch *watch;
	struct ear *cuts;  /* the one whose watch it ends */
	struct ear *makes; /* the one whose watch on the same name it begins */
	uint64_t generation;
	unsigned calls;
	bool sink_first;
	char heard[REG_NAME_MAX + 1];
};

static void hear(void *arg, const char *service, uint64_t generation)
{
	struct ear *ear = arg;

	ear->calls++;
	ear->generation = generation;
	snprintf(ear->heard, sizeof(ear->heard), "%s", service);
	ear->sink_first = ear->w->told[0] != '\0';
	if (ear->cuts) {
		registry_unwatch(ear->cuts->watch);
		ear->cuts->watch = NULL;
	}
	if (ear->makes && !ear->makes->watch)
		ear->makes->watch = registry_watch(ear->w->reg, service, hear, ear->makes);
}

static void begin(struct ear *ear, const char *service)
{
	ear->watch = registry_watch(ear->w->reg, service, hear, ear);
	assert_non_null(ear->watch);
}

static void only_the_changed_service_wakes(void **state)
{
	struct world *w = *state;
	struct ear api = {.w = w}, shop = {.w = w}, any = {.w = w};
	struct reg_service service = world_service("api");

	begin(&api, "api"); /* does not exist yet */
	begin(&shop, "shop");
	begin(&any, "");
	world_add_service(w, &service);
	assert_int_equal(api.calls, 1);
	assert_int_equal(api.generation, 1);
	assert_true(api.sink_first);
	assert_int_equal(shop.calls, 0);
	assert_int_equal(any.calls, 1);
	assert_string_equal(any.heard, "api");

	strcpy(service.name, "shop");
	service.port = 81;
	world_add_service(w, &service);
	assert_int_equal(api.calls, 1);
	assert_int_equal(shop.calls, 1);
	assert_int_equal(any.calls, 2);

	world_add_backend(w, "api", "10.1.0.1", 80);
	assert_int_equal(registry_service_del(w->reg, "api", &w->err), 0);
	assert_int_equal(api.calls, 3);
	assert_int_equal(api.generation, 4);
	assert_int_equal(shop.calls, 1);

	registry_unwatch(api.watch);
	registry_unwatch(any.watch);
	world_add_backend(w, "shop", "10.1.0.1", 80);
	assert_int_equal(api.calls, 3);
	assert_int_equal(any.calls, 4);
	assert_int_equal(shop.calls, 2); /* its watch is freed with the registry */
}

static void once_a_commit(void **state)
{
	struct world *w = *state;
	struct ear api = {.w = w};
	struct reg_service service = world_service("api");

	begin(&api, "api");
	registry_batch_begin(w->reg);
	world_add_service(w, &service);
	world_add_backend(w, "api", "10.1.0.1", 80);
	world_add_backend(w, "api", "10.1.0.2", 80);
	registry_batch_end(w->reg);
	assert_int_equal(api.calls, 1);
	registry_batch_begin(w->reg); /* gone and back: one call, the new one */
	assert_int_equal(registry_service_del(w->reg, "api", &w->err), 0);
	world_add_service(w, &service);
	registry_batch_end(w->reg);
	assert_int_equal(api.calls, 2);
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_int_equal(api.calls, 2); /* nothing changed */
	registry_unwatch(api.watch);
}

static void watches_may_come_and_go_while_being_told(void **state)
{
	struct world *w = *state;
	struct ear ears[4] = {{.w = w}, {.w = w}, {.w = w}, {.w = w}};
	struct reg_service service = world_service("api");

	/* the newest is told first: 2 ends itself, 1 ends 0 before its turn and begins 3 */
	for (int i = 0; i < 3; i++)
		begin(&ears[i], "api");
	ears[2].cuts = &ears[2];
	ears[1].cuts = &ears[0];
	ears[1].makes = &ears[3];
	world_add_service(w, &service);
	assert_int_equal(ears[2].calls, 1);
	assert_int_equal(ears[1].calls, 1);
	assert_int_equal(ears[0].calls, 0);
	assert_int_equal(ears[3].calls, 0); /* from the next commit on */
	world_add_backend(w, "api", "10.1.0.1", 80);
	assert_int_equal(ears[2].calls, 1);
	assert_int_equal(ears[1].calls, 2);
	assert_int_equal(ears[3].calls, 1);
	registry_unwatch(ears[1].watch);
	ears[3].cuts = &ears[3]; /* the last of its name */
	world_add_backend(w, "api", "10.1.0.2", 80);
	assert_int_equal(ears[3].calls, 2);
	world_add_backend(w, "api", "10.1.0.3", 80);
	assert_int_equal(ears[3].calls, 2);
}

static void a_name_too_long_is_no_watch(void **state)
{
	struct world *w = *state;
	char name[REG_SERVICE_MAX + 2];

	memset(name, 'a', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_null(registry_watch(w->reg, name, hear, NULL));
	registry_unwatch(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(only_the_changed_service_wakes),
		TEST(once_a_commit),
		TEST(watches_may_come_and_go_while_being_told),
		TEST(a_name_too_long_is_no_watch),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* What an instance says about itself, where it is, and the node that it runs on. */
#include "tests/unit/registry/world.h"

static const char *const tags[] = {"primary", "v2"};
static const struct reg_pair meta[] = {{"zone", "a"}, {"rack", "7"}};
static const struct reg_tagged tagged[] = {{"wan", "198.51.100.7", 8080}};

static void put(struct world *w, const char *service, const struct reg_backend *backend)
{
	w->err.text[0] = '\0';
	registry_backend_put(w->reg, service, backend, &w->err);
	assert_string_equal(w->err.text, "");
}

static struct reg_backend found(const char *id, const char *address)
{
	struct reg_backend backend = world_backend(address, 80);

	snprintf(backend.id, sizeof(backend.id), "%s", id);
	strcpy(backend.source, "consul");
	return backend;
}

static void a_registration_makes_its_service(void **state)
{
	struct world *w = *state;
	struct reg_backend backend = found("a", "10.1.0.1");

	put(w, "Web_1", &backend);
	assert_true(registry_service_find(w->reg, "Web_1")->discovered);
	assert_string_equal(world_told(w), "1 Web_1 10.1.0.1:80=1~\n");
	put(w, "Web_1", &backend);
	assert_string_equal(world_told(w), "");
	assert_int_equal(registry_backend_del(w->reg, "Web_1", "a", &w->err), 0);
	assert_null(registry_service_find(w->reg, "Web_1"));
	assert_int_equal(registry_gone_generation(w->reg), 2);
}

static void what_it_says_is_kept(void **state)
{
	struct world *w = *state;
	struct reg_metadata about = {
		.tags = tags, .ntag = 2, .meta = meta, .nmeta = 2, .tagged = tagged, .ntagged = 1};
	struct reg_backend backend = found("a", "10.1.0.1");
	const struct reg_backend *now;

	backend.metadata = &about;
	put(w, "web", &backend);
	now = world_find(w, "web", "a");
	assert_true(reg_backend_has_tag(now, "v2"));
	assert_false(reg_backend_has_tag(now, "v3"));
	assert_int_equal(now->metadata->nmeta, 2);
	assert_string_equal(now->metadata->meta[0].key, meta[0].key);
	assert_string_equal(now->metadata->meta[0].value, meta[0].value);
	assert_string_equal(now->metadata->meta[1].value, meta[1].value);
	assert_string_equal(now->metadata->tagged[0].address, "198.51.100.7");
	assert_int_equal(now->metadata->tagged[0].port, 8080);
	put(w, "web", &backend);
	assert_int_equal(registry_generation(w->reg), 1);
	about.ntag = 1;
	put(w, "web", &backend);
	now = world_find(w, "web", "a");
	assert_false(reg_backend_has_tag(now, "v2"));
	assert_int_equal(now->created, 1);
	assert_int_equal(now->modified, 2);
}

static void it_may_move(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("web");
	struct reg_backend backend = found("a", "10.1.0.9");

	world_add_service(w, &service);
	put(w, "web", &backend);
	world_told(w);
	backend.address = ip("10.1.0.1");
	put(w, "web", &backend);
	assert_string_equal(world_told(w), "3 web 10.1.0.1:80=1\n");
	assert_int_equal(world_find(w, "web", "a")->created, 2);
	strcpy(backend.source, "docker");
	assert_int_equal(registry_backend_put(w->reg, "web", &backend, &w->err), -EEXIST);
	assert_string_equal(w->err.text, "id: service web has a backend a already (source consul)");
}

static void two_may_have_one_address(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("web");
	struct reg_backend first = found("b", "10.1.0.1"), second = found("a", "10.1.0.1");

	world_add_service(w, &service);
	put(w, "web", &first);
	put(w, "web", &second);
	world_told(w);
	assert_int_equal(registry_backend_del(w->reg, "web", "b", &w->err), 0);
	assert_string_equal(world_told(w), "4 web 10.1.0.1:80=1\n");
	assert_non_null(registry_backend_find(w->reg, "web", "a"));
}

static void without_an_address_it_is_only_discoverable(void **state)
{
	static const struct {
		const char *given, *told;
	} rows[] = {{"", "127.0.0.1"}, {"db.example.org", "db.example.org"}, {"2001:db8::1", "2001:db8::1"}};
	struct world *w = *state;
	struct reg_service service = world_service("web");
	char host[REG_HOST_MAX + 1];

	world_add_service(w, &service);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct reg_metadata about = {.host = rows[i].given};
		struct reg_backend backend = {.id = "a", .weight = 1, .source = "consul", .metadata = &about};

		put(w, "web", &backend);
		assert_false(world_find(w, "web", "a")->balanced);
		assert_string_equal(
			registry_backend_host(w->reg, world_find(w, "web", "a"), host), rows[i].told);
		backend.port = (uint16_t)(i + 1);
		put(w, "web", &backend);
		assert_false(world_find(w, "web", "a")->balanced);
	}
}

static void a_node_takes_its_instances_along(void **state)
{
	struct world *w = *state;
	struct reg_node node = {
		.name = "Edge2", .address = "192.0.2.2", .source = "consul", .meta = meta, .nmeta = 1};
	struct reg_metadata about = {.host = "", .node = "Edge2"};
	struct reg_backend backend = {.id = "Edge2/a", .port = 80, .source = "consul", .metadata = &about};
	char host[REG_HOST_MAX + 1];

	assert_int_equal(registry_backend_put(w->reg, "web", &backend, &w->err), -ENOENT);
	assert_string_equal(w->err.text, "node: there is no other node Edge2");
	assert_int_equal(registry_node_put(w->reg, &node, &w->err), 0);
	assert_int_equal(registry_node_find(w->reg, "Edge2")->created, 1);
	put(w, "web", &backend);
	assert_string_equal(reg_backend_own_id(world_find(w, "web", "Edge2/a")), "a");
	registry_backend_host(w->reg, world_find(w, "web", "Edge2/a"), host);
	assert_string_equal(host, "192.0.2.2");

	strcpy(node.address, "192.0.2.3"); /* its instances have changed with it */
	assert_int_equal(registry_node_put(w->reg, &node, &w->err), 0);
	assert_int_equal(world_find(w, "web", "Edge2/a")->modified, 3);
	assert_int_equal(registry_nodes_generation(w->reg), 3);
	assert_int_equal(registry_node_del(w->reg, "Edge2", &w->err), 0);
	assert_null(registry_service_find(w->reg, "web"));
	assert_int_equal(registry_node_del(w->reg, "", &w->err), -EBUSY);
}

static void on_nodes(void *arg, const char *what, uint64_t generation)
{
	*(uint64_t *)arg = generation;
}

static void this_node_can_be_named(void **state)
{
	struct world *w = *state;
	struct reg_node node = {.name = "edge1", .address = "192.0.2.1", .source = "config"};
	uint64_t told = 0;
	struct registry_watch *watch = registry_watch(w->reg, REG_WATCH_NODES, on_nodes, &told);

	assert_true(registry_node_find(w->reg, "")->local);
	assert_int_equal(registry_node_put_local(w->reg, &node, &w->err), 0);
	assert_int_equal(told, 1);
	assert_string_equal(registry_node_find(w->reg, "")->name, "edge1");
	assert_ptr_equal(registry_node_find(w->reg, ""), registry_node_find(w->reg, "edge1"));
	registry_unwatch(watch);
}

static void bad_ones_are_refused(void **state)
{
	struct world *w = *state;
	struct reg_metadata about = {.tags = (const char *const[]){"a\nb"}, .ntag = 1};
	struct reg_backend backend = found("a", "10.1.0.1");
	struct reg_node node = {.name = "a\tb", .address = "192.0.2.1", .source = "consul"};

	backend.metadata = &about;
	assert_int_equal(registry_backend_put(w->reg, "web", &backend, &w->err), -EINVAL);
	assert_string_equal(w->err.text, "tags: missing, longer than 255 bytes, or not printable");
	backend.metadata = NULL;
	assert_int_equal(registry_backend_put(w->reg, "a\tb", &backend, &w->err), -EINVAL);
	assert_int_equal(registry_node_put(w->reg, &node, &w->err), -EINVAL);
	backend.address = (struct ip_addr){0};
	assert_int_equal(registry_backend_put(w->reg, "web", &backend, &w->err), -EINVAL);
	assert_int_equal(registry_generation(w->reg), 0);
}

static void the_weight_of_a_warning(void **state)
{
	struct reg_backend backend = {.weight = 10, .health = REG_WARNING};

	assert_int_equal(reg_backend_weight(&backend), 10);
	backend.has_warning_weight = true;
	backend.warning_weight = 1;
	assert_int_equal(reg_backend_weight(&backend), 1);
	backend.health = REG_PASSING;
	assert_int_equal(reg_backend_weight(&backend), 10);
}

/* What was made of the table still holds as long as this is the same. */
struct revisions {
	uint64_t all, web, db, nodes, names;
};

static struct revisions revisions(struct world *w)
{
	return (struct revisions){registry_revision(w->reg), registry_service_revision(w->reg, "web"),
		registry_service_revision(w->reg, "db"), registry_nodes_revision(w->reg),
		registry_names_revision(w->reg)};
}

static void a_revision_rises_with_all_that_is_shown(void **state)
{
	static const char *const outputs[] = {"good", "good", "better"};
	static const bool another[] = {true, false, true};
	struct world *w = *state;
	struct reg_backend web = found("a", "10.1.0.1"), db = found("b", "10.1.0.2");
	struct reg_check beat = {.type = REG_CHECK_TTL,
		.id = "beat",
		.interval_ms = 60000,
		.timeout_ms = 1000,
		.rise = 1,
		.fall = 1};
	struct revisions before, now;
	uint64_t generation;

	web.own_checks = true;
	web.checks = &beat;
	web.ncheck = 1;
	put(w, "web", &web);
	put(w, "db", &db);
	registry_backend_beat(w->reg, "web", "a", "beat", REG_PASSING, "first", &w->err);
	generation = registry_generation(w->reg);
	for (unsigned i = 0; i < 3; i++) { /* another output makes no generation, the same one nothing */
		before = revisions(w);
		registry_backend_beat(w->reg, "web", "a", "beat", REG_PASSING, outputs[i], &w->err);
		now = revisions(w);
		assert_int_equal(now.web > before.web, another[i]);
		assert_int_equal(now.all > before.all, another[i]);
		assert_int_equal(now.db, before.db);
		assert_int_equal(now.names, before.names);
		assert_int_equal(registry_generation(w->reg), generation);
	}
	before = revisions(w);
	db.port = 81;
	put(w, "db", &db);
	now = revisions(w);
	assert_true(now.db > before.db && now.all > before.all);
	assert_int_equal(now.web, before.web);
	/* gone, it has another one too, and when it comes back it is not what it was */
	assert_int_equal(registry_backend_del(w->reg, "web", "a", &w->err), 0);
	before = now;
	now = revisions(w);
	assert_true(now.web > before.web && now.names > before.names);
	put(w, "web", &web);
	assert_true(registry_service_revision(w->reg, "web") > now.web);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_registration_makes_its_service),
		TEST(what_it_says_is_kept),
		TEST(it_may_move),
		TEST(two_may_have_one_address),
		TEST(without_an_address_it_is_only_discoverable),
		TEST(a_node_takes_its_instances_along),
		TEST(this_node_can_be_named),
		TEST(bad_ones_are_refused),
		TEST(the_weight_of_a_warning),
		TEST(a_revision_rises_with_all_that_is_shown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

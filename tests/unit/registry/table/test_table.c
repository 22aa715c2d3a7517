/* The service table: what is refused and how, how it finds and lists, and that it leaves nothing behind. */
#include <malloc.h>

#include "tests/unit/registry/world.h"

struct bad_service {
	int rc;
	const char *text;
	void (*spoil)(struct reg_service *service);
};

#define SPOIL(name, ...)                                                                                     \
	static void name(struct reg_service *s)                                                              \
	{                                                                                                    \
		__VA_ARGS__;                                                                                 \
	}
SPOIL(no_name, s->name[0] = '\0')
SPOIL(upper_name, strcpy(s->name, "Api"))
SPOIL(dotted_name, strcpy(s->name, ".api"))
SPOIL(endless_name, memset(s->name, 'a', sizeof(s->name)))
SPOIL(bad_network, strcpy(s->network, "we b"))
SPOIL(no_network, s->network[0] = '\0')
SPOIL(no_port, s->port = 0)
SPOIL(no_protocol, s->protocol = 0)
SPOIL(dccp, s->protocol = 33)
SPOIL(multicast_vip, s->vip = ip("224.0.0.5"))
SPOIL(broadcast_vip, s->vip = ip("255.255.255.255"))
SPOIL(random_policy, strcpy(s->policy, "random"))
SPOIL(no_source, s->source[0] = '\0')
SPOIL(http_check, s->check = world_check(REG_CHECK_HTTP); s->check.path = "health")
SPOIL(tcp_path, s->check = world_check(REG_CHECK_TCP); s->check.path = "/")
SPOIL(grpc_check, s->check = world_check(REG_CHECK_GRPC); s->check.path = "/")
SPOIL(http_service, s->check = world_check(REG_CHECK_HTTP); s->check.service = "db")
SPOIL(ttl_tls, s->check = world_check(REG_CHECK_TTL); s->check.tls = true)
SPOIL(passive_check, s->check = world_check(REG_CHECK_PASSIVE))
SPOIL(unknown_check, s->check = world_check(99))
SPOIL(fast_check, s->check = world_check(REG_CHECK_TCP); s->check.interval_ms = 9)
SPOIL(slow_check, s->check = world_check(REG_CHECK_TCP); s->check.interval_ms = 3600001)
SPOIL(no_timeout, s->check = world_check(REG_CHECK_TCP); s->check.timeout_ms = 0)
SPOIL(long_timeout, s->check = world_check(REG_CHECK_TCP); s->check.timeout_ms = 600001)
SPOIL(no_rise, s->check = world_check(REG_CHECK_TCP); s->check.rise = 0)
SPOIL(big_fall, s->check = world_check(REG_CHECK_TCP); s->check.fall = 101)

static const struct bad_service bad_services[] = {
	{-EINVAL, "name: must match [a-z0-9][a-z0-9._-]{0,190}", no_name},
	{-EINVAL, "name: must match [a-z0-9][a-z0-9._-]{0,190}", upper_name},
	{-EINVAL, "name: must match [a-z0-9][a-z0-9._-]{0,190}", dotted_name},
	{-EINVAL, "name: must match [a-z0-9][a-z0-9._-]{0,190}", endless_name},
	{-EINVAL, "network: must match [a-z0-9][a-z0-9._-]{0,62}", bad_network},
	{-EINVAL, "network: needed by the vip", no_network},
	{-EINVAL, "port: needed by the vip, 1..65535", no_port},
	{-EINVAL, "protocol: needed by the vip", no_protocol},
	{-EINVAL, "protocol: 33 is neither tcp, udp nor sctp", dccp},
	{-EINVAL, "vip: 224.0.0.5 is not a unicast address", multicast_vip},
	{-EINVAL, "vip: 255.255.255.255 is not a unicast address", broadcast_vip},
	{-ENOTSUP, "policy: random is not supported, only maglev and least", random_policy},
	{-EINVAL, "source: missing", no_source},
	{-EINVAL, "check.path: must begin with /", http_check},
	{-EINVAL, "check.path: only for http", tcp_path},
	{-EINVAL, "check.service: only for grpc", http_service},
	{-EINVAL, "check.tls: only for http and grpc", ttl_tls},
	{-EINVAL, "check.path: only for http", grpc_check},
	{-EINVAL, "check.fall: 1 is out of range 3..100 for passive", passive_check},
	{-ENOTSUP, "check.type: unknown is not supported", unknown_check},
	{-EINVAL, "check.interval_ms: 9 is out of range 10..3600000", fast_check},
	{-EINVAL, "check.interval_ms: 3600001 is out of range 10..3600000", slow_check},
	{-EINVAL, "check.timeout_ms: 0 is out of range 1..600000", no_timeout},
	{-EINVAL, "check.timeout_ms: 600001 is out of range 1..600000", long_timeout},
	{-EINVAL, "check.rise: 0 is out of range 1..100", no_rise},
	{-EINVAL, "check.fall: 101 is out of range 1..100", big_fall},
};

static void refuses_bad_services(void **state)
{
	struct world *w = *state;
	struct reg_service kept = world_service("kept");

	world_add_service(w, &kept);
	world_told(w);
	for (size_t i = 0; i < sizeof(bad_services) / sizeof(bad_services[0]); i++) {
		struct reg_service service = world_service("bad");

		service.vip = ip("10.1.0.101");
		bad_services[i].spoil(&service);
		assert_int_equal(registry_service_add(w->reg, &service, &w->err), bad_services[i].rc);
		assert_string_equal(w->err.text, bad_services[i].text);
	}
	assert_null(registry_service_find(w->reg, "bad"));
	assert_string_equal(world_told(w), "");
	assert_int_equal(registry_generation(w->reg), 1);
}

static void refused_set_changes_nothing(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");

	world_add_service(w, &service);
	world_told(w);
	service.port = 81;
	service.check = world_check(REG_CHECK_TYPES);
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), -ENOTSUP);
	assert_int_equal(registry_service_find(w->reg, "api")->port, 80);
	strcpy(service.name, "nobody");
	service.check.type = REG_CHECK_NONE;
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), -ENOENT);
	assert_string_equal(w->err.text, "name: there is no service nobody");
	assert_int_equal(registry_service_del(w->reg, "nobody", &w->err), -ENOENT);
	assert_string_equal(world_told(w), "");
}

static void refuses_bad_backends(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");
	struct reg_check unknown = {.type = REG_CHECK_TYPES}, twice[2];
	const struct {
		const char *text;
		struct reg_backend backend;
	} cases[] = {
		{"address: :: is not a unicast address", {.port = 80, .source = "api"}},
		{"address: 0.0.0.0 is not a unicast address",
			{.address = ip("0.0.0.0"), .port = 80, .source = "api"}},
		{"address: ff02::1 is not a unicast address",
			{.address = ip("ff02::1"), .port = 80, .source = "api"}},
		{"address: 239.1.2.3 is not a unicast address",
			{.address = ip("239.1.2.3"), .port = 80, .source = "api"}},
		{"port: 0 is out of range 1..65535", {.address = ip("10.1.0.1"), .source = "api"}},
		{"source: missing", {.address = ip("10.1.0.1"), .port = 80}},
		{"id: longer than 255 bytes, or not printable",
			{.id = "a\nb", .address = ip("10.1.0.1"), .port = 80, .source = "api"}},
		{"check.type: unknown is not supported", {.address = ip("10.1.0.1"),
								 .port = 80,
								 .source = "api",
								 .own_checks = true,
								 .ncheck = 1,
								 .checks = &unknown}},
		{"checks: two have the id a", {.address = ip("10.1.0.1"),
						      .port = 80,
						      .source = "api",
						      .own_checks = true,
						      .ncheck = 2,
						      .checks = twice}},
	};

	twice[0] = twice[1] = world_check(REG_CHECK_TTL);
	twice[0].id = twice[1].id = "a";
	world_add_service(w, &service);
	world_told(w);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		assert_true(registry_backend_add(w->reg, "api", &cases[i].backend, &w->err) < 0);
		assert_string_equal(w->err.text, cases[i].text);
	}
	assert_int_equal(registry_backend_add(w->reg, "none", &cases[0].backend, &w->err), -ENOENT);
	assert_string_equal(w->err.text, "service: there is no service none");
	assert_int_equal(registry_backend_del(w->reg, "api", "10.1.0.1:80", &w->err), -ENOENT);
	assert_string_equal(w->err.text, "address: service api has no backend 10.1.0.1:80");
	assert_string_equal(world_told(w), "");
}

static void same_instance_from_two_doors_is_refused(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");
	struct reg_backend backend = world_backend("10.1.0.1", 80);

	world_add_service(w, &service);
	strcpy(backend.id, "api-1");
	strcpy(backend.source, "consul");
	assert_int_equal(registry_backend_add(w->reg, "api", &backend, &w->err), 0);
	world_told(w);

	strcpy(backend.source, "docker");
	backend.address = ip("10.1.0.2");
	assert_int_equal(registry_backend_add(w->reg, "api", &backend, &w->err), -EEXIST);
	assert_string_equal(w->err.text, "id: service api has a backend api-1 already (source consul)");
	backend.address = ip("10.1.0.1");
	strcpy(backend.id, "other");
	assert_int_equal(registry_backend_add(w->reg, "api", &backend, &w->err), -EEXIST);
	assert_string_equal(
		w->err.text, "address: it is backend api-1 of service api already (source consul)");
	assert_int_equal(registry_service_add(w->reg, &service, &w->err), -EEXIST);
	assert_string_equal(w->err.text, "name: service api exists already (source api)");
	assert_string_equal(world_told(w), "");

	strcpy(backend.id, "api-1");
	service.vip = (struct ip_addr){0};
	strcpy(service.name, "shop"); /* the key is service and id: elsewhere it is free */
	world_add_service(w, &service);
	assert_int_equal(registry_backend_add(w->reg, "shop", &backend, &w->err), 0);
}

static void one_vip_has_one_service(void **state)
{
	struct world *w = *state;
	struct reg_service api = world_service("api"), shop = world_service("shop");

	world_add_service(w, &api);
	assert_int_equal(registry_service_add(w->reg, &shop, &w->err), -EEXIST);
	assert_string_equal(w->err.text, "vip: 10.1.0.100:80 is the vip of service api");
	shop.protocol = REG_UDP;
	world_add_service(w, &shop);
	shop.protocol = REG_TCP;
	assert_int_equal(registry_service_set(w->reg, &shop, &w->err), -EEXIST);
	api.port = 8080; /* makes room */
	assert_int_equal(registry_service_set(w->reg, &api, &w->err), 0);
	assert_int_equal(registry_service_set(w->reg, &shop, &w->err), 0);
	assert_int_equal(registry_service_del(w->reg, "shop", &w->err), 0);
	api.port = 80;
	assert_int_equal(registry_service_set(w->reg, &api, &w->err), 0);
}

static void finds_backends_by_id_or_address(void **state)
{
	struct world *w = *state;
	struct reg_service service = world_service("api");
	struct reg_backend backend = world_backend("10.1.0.2", 80);

	world_add_service(w, &service);
	strcpy(backend.id, "web-1");
	assert_int_equal(registry_backend_add(w->reg, "api", &backend, &w->err), 0);
	assert_non_null(registry_backend_find(w->reg, "api", "web-1"));
	assert_ptr_equal(registry_backend_find(w->reg, "api", "10.1.0.2:80"),
		registry_backend_find(w->reg, "api", "web-1"));
	assert_null(registry_backend_find(w->reg, "api", "10.1.0.2:080"));
	assert_null(registry_backend_find(w->reg, "api", "10.1.0.2:65616")); /* 80, were it cut to 16 bits */
	assert_null(registry_backend_find(w->reg, "api", "10.1.0.2"));
	assert_null(registry_backend_find(w->reg, "api", ":80"));
	assert_null(registry_backend_find(w->reg, "shop", "web-1"));
	backend.address = ip("10.1.0.3");
	assert_int_equal(registry_backend_set(w->reg, "api", &backend, &w->err), -EINVAL);
	assert_string_equal(w->err.text, "address: that of backend web-1 cannot change");
	assert_int_equal(registry_backend_del(w->reg, "api", "10.1.0.2:80", &w->err), 0);
	assert_null(registry_backend_find(w->reg, "api", "web-1"));
}

enum { NAMES_ROOM = 64 };

static bool append_name(void *arg, const struct reg_service *service)
{
	size_t used = strlen(arg);

	snprintf((char *)arg + used, NAMES_ROOM - used, "%s ", service->name);
	return strcmp(service->name, "m9") != 0;
}

static void lists_in_the_order_of_names(void **state)
{
	struct world *w = *state;
	static const char *const names[] = {"m10", "zoo", "a", "m9", "m-1"};
	char text[NAMES_ROOM] = "";

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct reg_service service = world_service(names[i]);

		service.vip = (struct ip_addr){0};
		world_add_service(w, &service);
	}
	registry_service_walk(w->reg, append_name, text);
	assert_string_equal(text, "a m-1 m10 m9 "); /* stops where it is told to */
}

static void add_many(struct world *w, unsigned services, unsigned backends)
{
	char name[16];

	registry_batch_begin(w->reg);
	for (unsigned s = 0; s < services; s++) {
		struct reg_service service = {.network = "web", .source = "api"};

		snprintf(service.name, sizeof(service.name), "s%u", s);
		if (!registry_service_find(w->reg, service.name))
			world_add_service(w, &service);
	}
	for (unsigned i = 0; i < backends; i++) {
		struct reg_backend backend = {
			.address = ip_from4(htonl(0x0a010000 + i)), .port = 80, .source = "api"};

		snprintf(name, sizeof(name), "s%u", i % services);
		assert_int_equal(registry_backend_add(w->reg, name, &backend, &w->err), 0);
	}
	registry_batch_end(w->reg);
}

static void del_many(struct world *w, unsigned services, unsigned backends)
{
	char name[16], id[32];

	registry_batch_begin(w->reg);
	for (unsigned i = 0; i < backends; i++) {
		struct in_addr address = {htonl(0x0a010000 + i)};

		snprintf(name, sizeof(name), "s%u", i % services);
		snprintf(id, sizeof(id), "%s:80", inet_ntoa(address));
		assert_int_equal(registry_backend_del(w->reg, name, id, &w->err), 0);
	}
	for (unsigned s = 0; s < services; s++) {
		snprintf(name, sizeof(name), "s%u", s);
		assert_int_equal(registry_service_del(w->reg, name, &w->err), 0);
	}
	registry_batch_end(w->reg);
}

/*
 * 10,000 come and go again and again, in many services and in one: less than a byte of each stays behind (the
 * allocator keeps a few freed blocks at hand). Under ASan the heap is not counted; leaks are.
 */
static void ten_thousand_come_and_go(void **state)
{
	struct world *w = *state;
	size_t warm = 0;

	for (int round = 0; round < 6; round++) {
		unsigned services = round % 2 ? 1 : 1000;

		add_many(w, services, 10000);
		world_told(w);
		del_many(w, services, 10000);
		world_told(w);
		if (round == 1)
			warm = mallinfo2().uordblks;
	}
	assert_true(mallinfo2().uordblks < warm + 10000);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
	const struct CMUnitTest tests[] = {
		TEST(refuses_bad_services),
		TEST(refused_set_changes_nothing),
		TEST(refuses_bad_backends),
		TEST(same_instance_from_two_doors_is_refused),
		TEST(one_vip_has_one_service),
		TEST(finds_backends_by_id_or_address),
		TEST(lists_in_the_order_of_names),
		TEST(ten_thousand_come_and_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* Services that change under traffic: backends that go and come, networks, and changes that are refused. */
#include <errno.h>
#include <string.h>

#include "dataplane/l2/network.h"
#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

static void test_a_dead_backend_loses_its_connections(void **state)
{
	struct test_port *to = rig_open_connection(1234), *elsewhere = to == &rig.b ? &rig.c : &rig.b;
	struct dp_backend_info info;

	rig_weigh(to == &rig.b ? -1 : 1, to == &rig.c ? -1 : 1);
	assert_ptr_equal(rig_client_reaches(1234, ACK), elsewhere);
	rig.a.count = 0;
	rig_backend_says(TCP, elsewhere == &rig.b, 1234, RST);
	assert_int_equal(rig.a.count, 1);
	rig_assert_ip(&rig.a.got[0], 26, IP_VIP); /* so the client knows at once */
	assert_int_equal(
		dp_backend_info(rig.dp, rig.tcp_service, ip_from4(to == &rig.b ? IP_B : IP_C), 8080, &info),
		0);
	assert_int_equal(info.connections, 0);
	for (uint16_t port = 3000; port < 3032; port++)
		assert_ptr_equal(rig_open_connection(port), elsewhere);
}

static void test_a_drained_backend_keeps_its_connections(void **state)
{
	struct test_port *to = rig_open_connection(1234), *elsewhere = to == &rig.b ? &rig.c : &rig.b;

	rig_weigh(to != &rig.b, to != &rig.c);
	assert_ptr_equal(rig_client_reaches(1234, ACK), to);
	for (uint16_t port = 3000; port < 3032; port++)
		assert_ptr_equal(rig_open_connection(port), elsewhere);
	assert_ptr_equal(rig_client_reaches(1234, ACK), to);
	assert_ptr_equal(rig_client_reaches(1234, SYN), elsewhere); /* the client begins anew */
}

static void test_a_deleted_backend_is_forgotten(void **state)
{
	struct test_port *to = rig_open_connection(1234), *elsewhere = to == &rig.b ? &rig.c : &rig.b;
	const struct dp_backend left = {ip_from4(elsewhere == &rig.b ? IP_B : IP_C), 8080, 1, false};
	struct dp_backend_info info;

	assert_int_equal(rig_put(rig.net, 80, DP_TCP, &left, 1, &rig.tcp_service), 0);
	rig_backend_says(TCP, to == &rig.b, 1234, ACK);
	rig_assert_ip(&rig.a.got[rig.a.count - 1], 26,
		to == &rig.b ? IP_B : IP_C); /* its packets are its own now */
	assert_ptr_equal(rig_client_reaches(1234, ACK), elsewhere);
	lb_tick(rig.dp);
	assert_int_equal(dp_conn_count(rig.dp), 1);
	assert_int_equal(
		dp_backend_info(rig.dp, rig.tcp_service, ip_from4(to == &rig.b ? IP_B : IP_C), 8080, &info),
		-ENOENT);
}

static void test_a_healthy_backend_is_not_touched(void **state)
{
	struct test_port *to[100];

	for (uint16_t i = 0; i < 100; i++)
		to[i] = rig_open_connection((uint16_t)(2000 + i));
	for (int change = 0; change < 4; change++) {
		rig_weigh(change & 1 ? 1 : -1, 1);
		for (uint16_t i = 0; i < 100; i++)
			if (to[i] == &rig.c)
				assert_ptr_equal(rig_client_reaches((uint16_t)(2000 + i), ACK), &rig.c);
	}
}

static void test_ids_are_used_again(void **state)
{
	const struct dp_backend first = {ip_from4(IP_B), 8080, 1, false},
				second = {ip_from4(IP_C), 8080, 1, false};
	uint8_t buf[2048];

	for (unsigned i = 0; i < 16384 + 10; i++) {
		assert_int_equal(
			rig_put(rig.net, 80, DP_TCP, i & 1 ? &first : &second, 1, &rig.tcp_service), 0);
		if (i % 1000 == 0) {
			harness_send(rig.dp, &rig.a, buf, rig_to_vip(buf, TCP, 1234, ACK, 0), RIG_PLAIN, 0);
			assert_ptr_equal(rig_reached(), i & 1 ? &rig.b : &rig.c);
			lb_tick(rig.dp);
		}
	}
}

/* Until the end of a batch workers have what they had; then all of it, also of a number that was given twice. */
static void test_a_batch_is_shown_at_its_end(void **state)
{
	const struct dp_backend only_b = {ip_from4(IP_B), 8080, 1, false},
				only_c = {ip_from4(IP_C), 8080, 1, false};
	uint32_t first = DP_SERVICE_NONE, second = DP_SERVICE_NONE;
	struct dp_backend_info info;

	assert_int_equal(rig_put(rig.net, 80, DP_TCP, &only_b, 1, &rig.tcp_service), 0);
	dp_services_begin(rig.dp);
	assert_int_equal(rig_put(rig.net, 80, DP_TCP, &only_c, 1, &rig.tcp_service), 0);
	assert_int_equal(rig_put(rig.net, 81, DP_TCP, &only_b, 1, &first), 0);
	assert_int_equal(dp_service_del(rig.dp, first), 0);
	assert_int_equal(rig_put(rig.net, 82, DP_TCP, &only_b, 1, &second), 0);
	assert_int_equal(second, first);
	assert_ptr_equal(rig_client_reaches(1234, SYN), &rig.b);
	dp_services_end(rig.dp);
	assert_ptr_equal(rig_client_reaches(1235, SYN), &rig.c);
	assert_ptr_equal(rig_client_reaches(1234, ACK), &rig.c); /* its backend is gone */
	assert_int_equal(dp_backend_info(rig.dp, second, ip_from4(IP_B), 8080, &info), 0);
	assert_int_equal(dp_service_del(rig.dp, second), 0);
}

static void test_as_many_services_as_there_may_be_and_one_more(void **state)
{
	static uint32_t ids[MAX_SERVICES];
	struct dp_service spec = {.net = rig.net, .protocol = DP_TCP, .port = 1};
	uint32_t n = 0, id = DP_SERVICE_NONE;
	struct dp_err err;

	dp_services_begin(rig.dp);
	for (; n < MAX_SERVICES - 2; n++) { /* the rig has two */
		ids[n] = DP_SERVICE_NONE;
		spec.vip = ip_from4(htobe32(UINT32_C(0x0b000001) + n));
		assert_int_equal(dp_service_put(rig.dp, &spec, &ids[n], &err), 0);
	}
	spec.vip = ip_from4(IP_A);
	assert_int_equal(dp_service_put(rig.dp, &spec, &id, &err), -ENOSPC);
	assert_non_null(strstr(err.text, "no room for more than 32768 services"));
	dp_services_end(rig.dp);
	rig_open_connection(1234);
	dp_services_begin(rig.dp);
	while (n)
		assert_int_equal(dp_service_del(rig.dp, ids[--n]), 0);
	dp_services_end(rig.dp);
	rig_open_connection(1235);
}

static void test_networks_do_not_mix(void **state)
{
	const struct dp_backend only_b = {ip_from4(IP_B), 8080, 1, false},
				only_c = {ip_from4(IP_C), 8080, 1, false};
	uint32_t there = DP_SERVICE_NONE;
	uint8_t buf[2048];
	size_t len = rig_to_vip(buf, TCP, 1234, SYN, 0);
	uint64_t before = harness_drops(rig.dp, "router");

	harness_send(rig.dp, &rig.other_a, buf, len, RIG_PLAIN,
		0); /* no service there: nobody has the router MAC */
	assert_int_equal(harness_drops(rig.dp, "router"), before + 1);
	assert_int_equal(rig_put(rig.net, 80, DP_TCP, &only_b, 1, &rig.tcp_service), 0);
	assert_int_equal(rig_put(rig.other_net, 80, DP_TCP, &only_c, 1, &there), 0);
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig.b.count, 1);
	len = rig_to_vip(buf, TCP, 1234, SYN, 0);
	harness_send(rig.dp, &rig.other_a, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig.other_c.count, 1);
	assert_int_equal(rig.a.count + rig.b.count + rig.c.count + rig.other_a.count + rig.other_b.count +
				 rig.other_c.count,
		2);
	assert_int_equal(dp_conn_count(rig.dp), 2);
	assert_int_equal(dp_service_del(rig.dp, there), 0);
}

static void test_vips_of_the_network(void **state)
{
	const struct lb_view *view = dp_get_net(rig.dp, rig.net)->lb;

	assert_true(lb_is_vip(view, IP_VIP));
	for (uint32_t i = 0; i < 100000; i++)
		assert_false(lb_is_vip(view, __builtin_bswap32(0x0b000000 + i)));
	assert_null(dp_get_net(rig.dp, rig.other_net)->lb);
}

/* Its last four bytes are an address of the network: nobody may take it for that. */
#define SIX ((struct ip_addr){.b = {0xfd, [12] = 10, [15] = 0x0b}})

static void test_bad_services_are_refused(void **state)
{
	const struct dp_backend twice[] = {{ip_from4(IP_B), 1, 1, false}, {ip_from4(IP_B), 1, 2, false}},
				zero = {ip_from4(IP_B), 0, 1, false}, six = {SIX, 8080, 1, false},
				four = {ip_from4(IP_B), 8080, 1, false};
	const struct {
		struct dp_service spec;
		uint32_t id;
		int rc;
		const char *says;
	} cases[] = {
		{{rig.net, ip_from4(IP_VIP), 80, DP_TCP, NULL, 0}, DP_SERVICE_NONE, -EEXIST, "vip"},
		{{rig.net, ip_from4(IP_VIP), 53, DP_UDP, NULL, 0}, rig.tcp_service, -EEXIST, "vip"},
		{{rig.net, {{.b = {0}}}, 82, DP_TCP, NULL, 0}, DP_SERVICE_NONE, -EINVAL, "vip"},
		{{rig.net, ip_from4(IP_VIP), 0, DP_TCP, NULL, 0}, DP_SERVICE_NONE, -EINVAL, "port"},
		{{rig.net, ip_from4(IP_VIP), 82, 1, NULL, 0}, DP_SERVICE_NONE, -EINVAL, "protocol"},
		{{999, ip_from4(IP_VIP), 82, DP_TCP, NULL, 0}, DP_SERVICE_NONE, -ENOENT, "network"},
		{{rig.other_net, ip_from4(IP_VIP), 80, DP_TCP, NULL, 0}, rig.tcp_service, -EINVAL, "network"},
		{{rig.net, ip_from4(IP_VIP), 82, DP_TCP, NULL, 0}, 4000, -ENOENT, "service"},
		{{rig.net, ip_from4(IP_VIP), 82, DP_TCP, twice, 2}, DP_SERVICE_NONE, -EINVAL, "backends"},
		{{rig.net, ip_from4(IP_VIP), 82, DP_TCP, &zero, 1}, DP_SERVICE_NONE, -EINVAL, "backends"},
		{{rig.net, SIX, 82, DP_TCP, &four, 1}, DP_SERVICE_NONE, -EINVAL, "vip's family"},
		{{rig.net, ip_from4(IP_VIP), 82, DP_TCP, &six, 1}, DP_SERVICE_NONE, -EINVAL, "vip's family"},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint32_t id = cases[i].id;
		struct dp_err err = {""};

		assert_int_equal(dp_service_put(rig.dp, &cases[i].spec, &id, &err), cases[i].rc);
		assert_non_null(strstr(err.text, cases[i].says));
		assert_int_equal(id, cases[i].id);
	}
	assert_non_null(rig_open_connection(1234)); /* nothing was half-applied */
	assert_int_equal(dp_service_del(rig.dp, 4000), -ENOENT);
	assert_int_equal(dp_network_del(rig.dp, rig.net), -EBUSY);
}

static void test_a_service_may_move_to_another_port(void **state)
{
	const struct dp_backend both[] = {{ip_from4(IP_B), 8080, 1, false}, {ip_from4(IP_C), 8080, 1, false}};
	uint64_t before = harness_drops(rig.dp, "vip-miss");
	uint8_t buf[2048];

	rig_open_connection(1234);
	assert_int_equal(rig_put(rig.net, 8000, DP_TCP, both, 2, &rig.tcp_service), 0);
	assert_null(rig_client_reaches(1234, ACK));
	assert_int_equal(harness_drops(rig.dp, "vip-miss"), before + 1);
	harness_send(rig.dp, &rig.a, buf,
		packet_ip4(
			buf, &(struct packet){dp_router_mac, MAC_A, IP_A, IP_VIP, TCP, 1234, 8000, SYN, 0}),
		RIG_PLAIN, 0);
	assert_non_null(rig_reached());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_a_dead_backend_loses_its_connections),
		RIG_TEST(test_a_drained_backend_keeps_its_connections),
		RIG_TEST(test_a_deleted_backend_is_forgotten),
		RIG_TEST(test_a_healthy_backend_is_not_touched),
		RIG_TEST(test_ids_are_used_again),
		RIG_TEST(test_a_batch_is_shown_at_its_end),
		RIG_TEST(test_as_many_services_as_there_may_be_and_one_more),
		RIG_TEST(test_networks_do_not_mix),
		RIG_TEST(test_vips_of_the_network),
		RIG_TEST(test_bad_services_are_refused),
		RIG_TEST(test_a_service_may_move_to_another_port),
	};

	return cmocka_run_group_tests_name("service_change", tests, rig_group_setup, rig_group_teardown);
}

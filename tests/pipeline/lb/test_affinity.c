/* Session affinity: a client's connections go to one backend, and stay there while others come and go. */
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { CLIENTS = 64, KEPT_S = 100 };

static uint8_t buf[2048];
static uint16_t next_port;

static void serve(
	uint32_t *id, uint16_t port, enum dp_protocol protocol, uint16_t to, int weight_b, int weight_c)
{
	const struct dp_backend backends[] = {
		{ip_from4(IP_B), to, (uint16_t)(weight_b < 0 ? 1 : weight_b), weight_b < 0},
		{ip_from4(IP_C), to, (uint16_t)(weight_c < 0 ? 1 : weight_c), weight_c < 0},
	};
	const struct dp_service spec = {.net = rig.net,
		.vip = ip_from4(IP_VIP),
		.port = port,
		.protocol = protocol,
		.backends = backends,
		.nbackends = 2,
		.affinity_s = KEPT_S};
	struct dp_err err;

	assert_int_equal(dp_service_put(rig.dp, &spec, id, &err), 0);
}

static void weigh(int weight_b, int weight_c)
{
	serve(&rig.tcp_service, 80, DP_TCP, 8080, weight_b, weight_c);
}

static int setup(void **state)
{
	rig_setup(state);
	weigh(1, 1);
	serve(&rig.udp_service, 53, DP_UDP, 5353, 1, 1);
	return 0;
}
#define TEST_AFFINITY(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

/* Which backend a new connection of a client reaches, each from another port. */
static struct test_port *connect_to(unsigned client, uint8_t proto)
{
	uint16_t to = proto == TCP ? 80 : 53;
	uint32_t ip = htobe32(0x0a000a00 + client);
	size_t len = packet_ip4(buf,
		&(struct packet){dp_router_mac, MAC_A, ip, IP_VIP, proto, ++next_port | 0x8000, to, SYN, 0});

	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	return rig_reached();
}

static void find_all(struct test_port **at)
{
	for (unsigned i = 0; i < CLIENTS; i++)
		at[i] = connect_to(i, TCP);
}

static unsigned count(struct test_port *const *at, const struct test_port *port)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLIENTS; i++)
		n += at[i] == port;
	return n;
}

static void all_connections_of_a_client_go_to_one_backend(void **state)
{
	for (unsigned client = 0; client < 4; client++) {
		struct test_port *tcp = connect_to(client, TCP), *udp = connect_to(client, UDP);

		assert_non_null(tcp);
		for (unsigned i = 0; i < 50; i++) {
			assert_ptr_equal(connect_to(client, TCP), tcp);
			assert_ptr_equal(connect_to(client, UDP), udp);
		}
	}
}

static void clients_are_spread(void **state)
{
	struct test_port *at[CLIENTS];

	find_all(at);
	assert_in_range(count(at, &rig.b), CLIENTS / 4, CLIENTS * 3 / 4);
	assert_int_equal(count(at, &rig.b) + count(at, &rig.c), CLIENTS);
}

/* A backend of twice the weight takes slots of the other: without the table a tenth of the clients would move. */
static void clients_stay_when_weights_change(void **state)
{
	struct test_port *before[CLIENTS], *after[CLIENTS];

	find_all(before);
	weigh(1, 9);
	find_all(after);
	assert_memory_equal(before, after, sizeof(before));
	rig.dp->worker[0]->now_s += KEPT_S + 1;
	find_all(after);
	assert_true(count(after, &rig.c) > count(before, &rig.c));
}

static void each_connection_keeps_it_for_longer(void **state)
{
	struct test_port *before[CLIENTS], *after[CLIENTS];

	find_all(before);
	weigh(1, 9);
	for (unsigned i = 0; i < 5; i++) {
		rig.dp->worker[0]->now_s += KEPT_S - 1;
		find_all(after);
		assert_memory_equal(before, after, sizeof(before));
	}
}

static void a_backend_that_takes_none_is_left_for_good(void **state)
{
	struct test_port *at[CLIENTS];

	find_all(at);
	weigh(0, 1);
	find_all(at);
	assert_int_equal(count(at, &rig.c), CLIENTS);
	weigh(1, 1);
	find_all(at);
	assert_int_equal(count(at, &rig.c), CLIENTS);
	weigh(1, -1);
	find_all(at);
	assert_int_equal(count(at, &rig.b), CLIENTS);
}

/* Ids are used again: an entry that names one which is another service's backend now says nothing. */
static void an_id_that_is_anothers_now_is_not_followed(void **state)
{
	const struct dp_backend c = {ip_from4(IP_C), 8080, 1, false};
	struct dp_service spec = {.net = rig.net,
		.vip = ip_from4(IP_VIP),
		.port = 80,
		.protocol = DP_TCP,
		.backends = &c,
		.nbackends = 1,
		.affinity_s = KEPT_S};
	struct test_port *at[CLIENTS];
	struct dp_err err;

	find_all(at);
	for (unsigned i = 0; i < 300; i++) {
		uint32_t other = DP_SERVICE_NONE;

		assert_int_equal(dp_service_put(rig.dp, &spec, &rig.tcp_service, &err), 0);
		lb_tick(rig.dp);
		serve(&other, 81, DP_TCP, (uint16_t)(9000 + i), 1, 1);
		find_all(at);
		assert_int_equal(count(at, &rig.c), CLIENTS);
		assert_int_equal(dp_service_del(rig.dp, other), 0);
		lb_tick(rig.dp);
	}
}

/* More clients than the table has room for: each still gets a backend, by the hash. */
static void a_full_table_balances_all_the_same(void **state)
{
	struct test_port *first[CLIENTS], *after[CLIENTS];

	find_all(first);
	for (unsigned client = 0; client < LB_AFFINITIES * 2; client++)
		assert_non_null(connect_to(1000 + client, UDP));
	find_all(after);
	assert_memory_equal(first, after, sizeof(first));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_AFFINITY(all_connections_of_a_client_go_to_one_backend),
		TEST_AFFINITY(clients_are_spread),
		TEST_AFFINITY(clients_stay_when_weights_change),
		TEST_AFFINITY(each_connection_keeps_it_for_longer),
		TEST_AFFINITY(a_backend_that_takes_none_is_left_for_good),
		TEST_AFFINITY(an_id_that_is_anothers_now_is_not_followed),
		TEST_AFFINITY(a_full_table_balances_all_the_same),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}

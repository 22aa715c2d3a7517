/* A backend that comes, or comes back, gets its share of new connections little by little. */
#include <rte_cycles.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { HOUR_MS = 3600000, CLIENTS = 2000 };

static void put(uint16_t weight_b, uint16_t weight_c)
{
	const struct dp_backend backends[] = {
		{ip_from4(IP_B), 8080, weight_b, false}, {ip_from4(IP_C), 8080, weight_c, false}};
	const struct dp_service spec = {.net = rig.net,
		.vip = ip_from4(IP_VIP),
		.port = 80,
		.protocol = DP_TCP,
		.backends = backends,
		.nbackends = 2,
		.slow_start_ms = HOUR_MS};
	struct dp_err err;

	assert_int_equal(dp_service_put(rig.dp, &spec, &rig.tcp_service, &err), 0);
}

/* How long a backend is there already, in hundredths of the slow start. */
static void came(uint32_t ip, unsigned hundredths)
{
	uint64_t ago = rte_get_tsc_hz() * 36 * hundredths;
	uint32_t id = 0;

	assert_int_equal(
		lb_find_backend(rig.dp->lb, rig.dp->lb->service[rig.tcp_service], ip_from4(ip), 8080, &id),
		0);
	atomic_store(&backend_get(rig.dp->lb->backends, id)->since, rte_rdtsc() - ago);
}

/* Of CLIENTS new connections, how many reach b? They are reset, so that none is left. */
static unsigned reach_b(void)
{
	unsigned n = 0;

	for (unsigned port = 10000; port < 10000 + CLIENTS; port++) {
		n += rig_client_reaches(port, SYN) == &rig.b;
		rig_client_reaches(port, RST);
	}
	return n;
}

static void the_share_grows_with_time(void **state)
{
	unsigned last = 0;

	put(1, 1);
	came(IP_B, 0);
	came(IP_C, 100);
	assert_in_range(reach_b(), 0, CLIENTS / 50);
	for (unsigned hundredths = 25; hundredths <= 100; hundredths += 25) {
		unsigned now;

		came(IP_B, hundredths);
		now = reach_b();
		assert_true(now > last);
		last = now;
	}
	assert_in_range(last, CLIENTS * 45 / 100, CLIENTS * 55 / 100);
}

/* The table is the same all the while: who goes to b at a fourth of its share does at each greater one. */
static void who_is_chosen_stays_chosen(void **state)
{
	struct test_port *early[CLIENTS];

	put(1, 1);
	came(IP_C, 100);
	for (unsigned step = 0; step < 2; step++) {
		came(IP_B, step ? 80 : 25);
		for (unsigned i = 0; i < CLIENTS; i++) {
			struct test_port *to = rig_client_reaches((uint16_t)(10000 + i), SYN);

			if (step && early[i] == &rig.b)
				assert_ptr_equal(to, &rig.b);
			early[i] = to;
			rig_client_reaches((uint16_t)(10000 + i), RST);
		}
	}
}

static void where_all_are_new_each_has_its_share(void **state)
{
	put(1, 1);
	assert_in_range(reach_b(), CLIENTS * 45 / 100, CLIENTS * 55 / 100);
}

static void the_only_one_gets_all(void **state)
{
	put(1, 0);
	assert_int_equal(reach_b(), CLIENTS);
}

/* What begins anew is the time of the one that comes back, not that of the others, and not with each change. */
static void time_begins_when_it_comes_back(void **state)
{
	put(1, 1);
	came(IP_B, 100);
	came(IP_C, 100);
	put(2, 2);
	put(1, 1);
	assert_in_range(reach_b(), CLIENTS * 45 / 100, CLIENTS * 55 / 100);
	put(0, 1);
	put(1, 1);
	assert_in_range(reach_b(), 0, CLIENTS / 50);
}

static void connections_stay_where_they_are(void **state)
{
	struct test_port *to;

	put(1, 1);
	to = rig_open_connection(1234);
	came(to == &rig.b ? IP_B : IP_C, 0);
	came(to == &rig.b ? IP_C : IP_B, 100);
	assert_ptr_equal(rig_client_reaches(1234, ACK), to);
}

/* What is under way and in no table goes by the hash alone, whatever time it is. */
static void what_is_under_way_is_not_slowed(void **state)
{
	struct test_port *to[64];

	put(1, 1);
	for (unsigned step = 0; step < 2; step++)
		for (uint16_t i = 0; i < 64; i++) {
			struct test_port *now;

			came(IP_B, step ? 0 : 100);
			came(IP_C, 100);
			now = rig_client_reaches((uint16_t)(10000 + i), ACK);
			if (step)
				assert_ptr_equal(now, to[i]);
			to[i] = now;
			rig_client_reaches((uint16_t)(10000 + i), RST);
			rig.dp->worker[0]->now_s += 31; /* that connection is forgotten */
			lb_tick(rig.dp);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(the_share_grows_with_time),
		RIG_TEST(who_is_chosen_stays_chosen),
		RIG_TEST(where_all_are_new_each_has_its_share),
		RIG_TEST(the_only_one_gets_all),
		RIG_TEST(time_begins_when_it_comes_back),
		RIG_TEST(connections_stay_where_they_are),
		RIG_TEST(what_is_under_way_is_not_slowed),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}

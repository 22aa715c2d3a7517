/* The policy `least`: what is counted of each backend, whatever its clients do, and who is chosen by it. */
#include <string.h>

#include "dataplane/lb/least.h"
#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { CLIENTS = 400, LIES = 200000, FIRST_PORT = 20000, SECOND = 1000000 };

static uint8_t buf[2048];

static void put(bool least, int weight_b, int weight_c)
{
	const struct dp_backend backends[] = {
		{ip_from4(IP_B), 8080, (uint16_t)(weight_b < 0 ? 1 : weight_b), weight_b < 0},
		{ip_from4(IP_C), 8080, (uint16_t)(weight_c < 0 ? 1 : weight_c), weight_c < 0},
	};
	const struct dp_service spec = {.net = rig.net,
		.vip = ip_from4(IP_VIP),
		.port = 80,
		.protocol = DP_TCP,
		.backends = backends,
		.nbackends = 2,
		.least = least};
	struct dp_err err;

	assert_int_equal(dp_service_put(rig.dp, &spec, &rig.tcp_service, &err), 0);
}

static int setup(void **state)
{
	rig_setup(state);
	put(true, 1, 1);
	return 0;
}
#define TEST_LEAST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

static uint32_t id_of(const struct test_port *port)
{
	uint32_t id = 0;

	assert_int_equal(lb_find_backend(rig.dp->lb, rig.dp->lb->service[rig.tcp_service],
				 ip_from4(port == &rig.b ? IP_B : IP_C), 8080, &id),
		0);
	return id;
}

static struct dp_backend_info info_of(const struct test_port *port)
{
	struct dp_backend_info info;

	assert_int_equal(
		dp_backend_info(rig.dp, rig.tcp_service, ip_from4(port == &rig.b ? IP_B : IP_C), 8080, &info),
		0);
	return info;
}

static uint64_t in_flight(void)
{
	return info_of(&rig.b).in_flight + info_of(&rig.c).in_flight;
}

/* A segment with so many bytes from the client, or from a backend. */
static void client(uint16_t port, uint8_t flags, size_t bytes)
{
	harness_send(rig.dp, &rig.a, buf, rig_to_vip(buf, TCP, port, flags, bytes), RIG_PLAIN, 0);
}

static unsigned backend(struct test_port *from, uint16_t port, uint8_t flags, size_t bytes)
{
	unsigned reached;

	harness_send(rig.dp, from, buf, rig_from_backend(buf, TCP, from == &rig.b, port, flags, bytes),
		RIG_PLAIN, 0);
	reached = rig.a.count;
	rig.a.count = 0;
	return reached;
}

static struct test_port *open_at(uint16_t port)
{
	struct test_port *to;

	client(port, SYN, 0);
	to = rig_reached();
	assert_non_null(to);
	backend(to, port, SYN | ACK, 0);
	client(port, ACK, 0);
	assert_ptr_equal(rig_reached(), to);
	return to;
}

static void close_at(uint16_t port)
{
	client(port, RST, 0);
	rig.b.count = rig.c.count = 0;
}

static void a_request_is_in_flight_until_its_answer(void **state)
{
	struct test_port *to = open_at(1234);

	assert_int_equal(info_of(to).in_flight, 1); /* it will ask */
	for (unsigned i = 0; i < 3; i++) {
		client(1234, ACK, 100);
		client(1234, ACK, 100);
		backend(to, 1234, ACK, 0);
		assert_int_equal(info_of(to).in_flight, 1);
		backend(to, 1234, ACK, 100);
		backend(to, 1234, ACK, 100);
		client(1234, ACK, 0);
		assert_int_equal(info_of(to).in_flight, 0);
		rig.b.count = rig.c.count = 0;
	}
	assert_true(rig.dp->worker[0]->backend_load[id_of(to)].latency > 0);
	assert_int_equal(in_flight(), 0);
}

/* As much as it wants, it is one request at a time; and answers that nobody asked for are none. */
static void lies_count_once(void **state)
{
	struct test_port *to = open_at(1234);

	for (unsigned i = 0; i < LIES; i++) {
		client(1234, ACK, 1);
		rig.b.count = rig.c.count = 0;
	}
	assert_int_equal(in_flight(), 1);
	for (unsigned i = 0; i < LIES; i++)
		backend(to, 1234, ACK, 1);
	assert_int_equal(in_flight(), 0);
	for (unsigned i = 0; i < LIES; i++) {
		client(1234, ACK, 1);
		backend(to, 1234, ACK, 1);
		rig.b.count = rig.c.count = 0;
	}
	assert_int_equal(in_flight(), 0);
	assert_int_equal(info_of(to).connections, 1);
}

static void either_end_may_give_up(void **state)
{
	struct test_port *to = open_at(1234);

	client(1234, ACK, 10);
	client(1234, ACK | FIN, 0); /* half-closed: it still waits */
	assert_int_equal(in_flight(), 1);
	backend(to, 1234, ACK | FIN, 0);
	assert_int_equal(in_flight(), 0);
	rig.b.count = rig.c.count = 0;

	to = open_at(1235);
	close_at(1235);
	close_at(1235);
	assert_int_equal(in_flight(), 0);
	backend(to, 1235, RST, 0);
	assert_int_equal(in_flight(), 0);
}

/* Who resets is done at once, and must not be taken for the quickest of all. */
static void a_refusal_makes_a_backend_slow(void **state)
{
	struct test_port *to;

	client(1234, SYN, 0);
	to = rig_reached();
	backend(to, 1234, RST | ACK, 0);
	assert_int_equal(in_flight(), 0);
	assert_in_range(info_of(to).latency_us, SECOND * 9 / 10, SECOND);
	for (unsigned i = 0, other = 0; i <= CLIENTS; i++) {
		client((uint16_t)(FIRST_PORT + i), SYN, 0);
		other += rig_reached() != to;
		close_at((uint16_t)(FIRST_PORT + i));
		if (i == CLIENTS)
			assert_in_range(other, CLIENTS * 85 / 100, CLIENTS + 1);
	}
}

/* Of so many connections, opened and reset one after the other, how many reach b? */
static unsigned reach_b(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CLIENTS; i++) {
		uint16_t port = (uint16_t)(FIRST_PORT + i);

		client(port, SYN, 0);
		n += rig_reached() == &rig.b;
		close_at(port);
	}
	return n;
}

static void hold(struct test_port *at, unsigned requests)
{
	for (uint16_t port = 1000; requests > 0; port++) {
		if (open_at(port) == at)
			requests--;
		else
			close_at(port);
	}
}

static void the_hash_decides_while_all_are_as_busy(void **state)
{
	struct test_port *at[CLIENTS];

	for (unsigned i = 0; i < CLIENTS; i++) {
		client((uint16_t)(FIRST_PORT + i), SYN, 0);
		at[i] = rig_reached();
		close_at((uint16_t)(FIRST_PORT + i));
	}
	put(false, 1, 1);
	for (unsigned i = 0; i < CLIENTS; i++) {
		client((uint16_t)(FIRST_PORT + i), SYN, 0);
		assert_ptr_equal(rig_reached(), at[i]);
		close_at((uint16_t)(FIRST_PORT + i));
	}
}

static void who_is_busy_gets_few(void **state)
{
	hold(&rig.b, 2);
	assert_in_range(reach_b(), 0, CLIENTS * 15 / 100);
	put(false, 1, 1);
	assert_in_range(reach_b(), CLIENTS * 40 / 100, CLIENTS * 60 / 100);
	put(true, 1, 1);
	hold(&rig.c, 9);
	assert_in_range(reach_b(), CLIENTS * 85 / 100, CLIENTS);
}

static void of_two_as_busy_the_quicker_one(void **state)
{
	struct worker *w = rig.dp->worker[0];

	w->backend_load[id_of(&rig.b)].latency = 3000;
	w->backend_load[id_of(&rig.c)].latency = 2900;
	w->backend_load[id_of(&rig.b)].latency_s = w->backend_load[id_of(&rig.c)].latency_s = w->now_s;
	assert_in_range(reach_b(), CLIENTS * 40 / 100, CLIENTS * 60 / 100);
	w->backend_load[id_of(&rig.c)].latency = 1000;
	assert_in_range(reach_b(), 0, CLIENTS * 15 / 100);
	w->now_s += 31; /* what was measured then says nothing now */
	assert_in_range(reach_b(), CLIENTS * 40 / 100, CLIENTS * 60 / 100);
}

static void twice_the_weight_may_be_twice_as_busy(void **state)
{
	const struct least_load one = {.in_flight = 1, .weight = 1}, three = {.in_flight = 3, .weight = 1},
				heavy = {.in_flight = 3, .weight = 3},
				most = {.in_flight = UINT32_MAX, .weight = UINT16_MAX}, none = {.weight = 1};

	assert_true(least_is_better(&one, &three));
	assert_false(least_is_better(&one, &heavy));
	assert_false(least_is_better(&heavy, &one));
	assert_true(least_is_better(&none, &most));
	assert_false(least_is_better(&most, &none));
}

/* What its own host says makes a backend busier than this host sees it, never idler, and counts where both are known. */
static void what_is_told_is_added(void **state)
{
	const struct told crowd = {.in_flight = 50, .own = 2, .latency = 900}, lie = {.own = 5};
	struct least_load a = {.in_flight = 4, .weight = 1, .latency = 100}, b = a, liar = a;

	assert_false(least_is_better(&b, &a));
	least_add_told(&a, &crowd);
	assert_int_equal(a.total, 52); /* two more since */
	assert_int_equal(a.slowest, 900);
	assert_false(least_is_better(&b, &a)); /* of b nothing is known */
	least_add_told(&b, &(struct told){.in_flight = 4, .own = 4});
	assert_true(least_is_better(&b, &a));
	assert_false(least_is_better(&a, &b));
	least_add_told(&liar, &lie);
	assert_int_equal(liar.total, 4);
	assert_int_equal(liar.slowest, 100);
	assert_false(least_is_better(&liar, &b));
}

/* It is good for a fifth of a second, and of an id that is another backend's it says nothing. */
static void what_is_told_gets_old(void **state)
{
	const struct told_news news = {.in_flight = 9, .us = 2000};
	uint32_t id = id_of(&rig.b);
	struct worker *w = rig.dp->worker[0];
	struct told *told = &rig.dp->lb->told[id];

	assert_false(info_of(&rig.b).told);
	told_note(rig.dp->lb, id, &news, 0, dp_now_s(rig.dp) + 1000);
	rig.dp->lb->told_fresh = INT32_MAX; /* however slowly this goes */
	assert_int_equal(info_of(&rig.b).told_in_flight, 9);
	rig.dp->lb->told_fresh = told_fresh_ticks();
	assert_true(least_load(w, rig.dp->lb->service[rig.tcp_service], id, told->at).told);
	assert_false(told_is_fresh(told, rig.dp->lb->told_fresh, told->at + told_fresh_ticks(), w->now_s));
	assert_false(told_is_fresh(told, rig.dp->lb->told_fresh, told->at, told->at_s + 2));
	told_forget(rig.dp->lb, id);
	assert_false(info_of(&rig.b).told);
}

/* Of a host's packets only a later one than the last is heard, but for a host that was silent and may have begun anew. */
static void what_is_told_out_of_order_is_not_heard(void **state)
{
	struct worker *w = rig.dp->worker[0];
	struct told_host *host = &rig.dp->lb->told_host[1];

	assert_true(told_admits(w, 1, 100));
	assert_false(told_admits(w, 1, 100));
	assert_true(told_admits(w, 1, 101));
	host->at_s = w->now_s + 1; /* of a worker whose second has begun */
	assert_false(told_admits(w, 1, 100));
	host->at_s = w->now_s - 2;
	assert_true(told_admits(w, 1, 100));
}

/* What other workers have in flight counts too, and what was lost with its connection does not. */
static void other_workers_are_seen(void **state)
{
	struct backend_load *other = &rig.dp->worker[1]->backend_load[id_of(&rig.b)];

	other->begun += 5;
	rig.dp->worker[0]->backend_load[id_of(&rig.b)].looked = least_now() - 2 * LEAST_LOOK_TICKS;
	assert_int_equal(info_of(&rig.b).in_flight, 5);
	assert_in_range(reach_b(), 0, CLIENTS * 15 / 100);
	other->ended += 5;
	assert_int_equal(info_of(&rig.b).in_flight, 0);
}

/* The same service anew: its connections are gone. */
static void forget_all(void)
{
	assert_int_equal(dp_service_del(rig.dp, rig.tcp_service), 0);
	lb_tick(rig.dp);
	rig.tcp_service = DP_SERVICE_NONE;
	put(true, 1, 1);
}

/* 1,024 fit. Those that took the place of others, and those that found none, leave the count as it is. */
static void a_full_table_keeps_count(void **state)
{
	for (unsigned port = 1024; port < 4000; port++) {
		client((uint16_t)port, SYN, 0);
		rig.b.count = rig.c.count = 0;
	}
	assert_int_equal(in_flight(), dp_conn_count(rig.dp));
	forget_all();
	assert_int_equal(dp_conn_count(rig.dp), 0);
	assert_int_equal(in_flight(), 0);
}

/* What finds no entry goes by the hash, and its answers come back all the same. */
static void without_an_entry_the_hash_decides(void **state)
{
	static struct test_port *at[1200];
	unsigned there = 0;

	for (unsigned i = 0; i < 1200; i++) {
		at[i] = open_at((uint16_t)(FIRST_PORT + i)); /* established: none gives way */
		client((uint16_t)(FIRST_PORT + i), ACK, 1);
		rig.b.count = rig.c.count = 0;
		backend(at[i], (uint16_t)(FIRST_PORT + i), ACK, 1);
	}
	for (unsigned i = 0; i < 1200; i++) {
		client((uint16_t)(FIRST_PORT + i), ACK, 1);
		there += rig_reached() == at[i] && backend(at[i], (uint16_t)(FIRST_PORT + i), ACK, 1) == 1;
	}
	assert_int_equal(there, 1200);
}

static void a_lost_backend_takes_its_count_along(void **state)
{
	hold(&rig.b, 3);
	hold(&rig.c, 3);
	put(true, -1, 1);
	client(1000, ACK, 10);
	assert_ptr_equal(rig_reached(), &rig.c);
	forget_all();
	assert_int_equal(dp_conn_count(rig.dp), 0);
	for (unsigned id = 0; id < backend_end(rig.dp->lb->backends); id++)
		assert_int_equal(least_in_flight(rig.dp, (uint16_t)id), 0);
}

/* Connections that were made under one policy end under another. */
static void the_policy_may_change(void **state)
{
	struct test_port *to = open_at(1234), *plain;

	put(false, 1, 1);
	assert_int_equal(in_flight(), 1);
	plain = open_at(1235);
	client(1235, ACK, 10);
	assert_int_equal(in_flight(), 1);
	put(true, 1, 1);
	backend(plain, 1235, ACK, 10);
	assert_int_equal(in_flight(), 1);
	client(1234, ACK, 10);
	backend(to, 1234, ACK, 10);
	assert_int_equal(in_flight(), 0);
}

/* A client in the middle of something whose entry is lost: the hash is the best guess, however busy they are. */
static void what_is_under_way_is_not_moved(void **state)
{
	struct test_port *at[CLIENTS];

	for (unsigned i = 0; i < CLIENTS; i++) {
		client((uint16_t)(FIRST_PORT + i), SYN, 0);
		at[i] = rig_reached();
		close_at((uint16_t)(FIRST_PORT + i));
	}
	forget_all();
	hold(&rig.b, 3);
	for (unsigned i = 0; i < CLIENTS; i++) {
		client((uint16_t)(FIRST_PORT + i), ACK, 1);
		assert_ptr_equal(rig_reached(), at[i]);
	}
}

static void datagrams_take_turns_too(void **state)
{
	const struct dp_backend backends[] = {{ip_from4(IP_B), 5353, 1, false}};
	const struct dp_service spec = {.net = rig.net,
		.vip = ip_from4(IP_VIP),
		.port = 53,
		.protocol = DP_UDP,
		.backends = backends,
		.nbackends = 1,
		.least = true};
	struct dp_backend_info info;
	struct dp_err err;

	assert_int_equal(dp_service_put(rig.dp, &spec, &rig.udp_service, &err), 0);
	for (unsigned i = 0; i < 4; i++) {
		if (i % 2 == 0)
			rig_client_says(UDP, 1234, 0);
		else
			rig_backend_says(UDP, true, 1234, 0);
		assert_int_equal(dp_backend_info(rig.dp, rig.udp_service, ip_from4(IP_B), 5353, &info), 0);
		assert_int_equal(info.in_flight, i % 2 == 0);
	}
	rig.a.count = rig.b.count = 0;
}

static int group_setup(void **state)
{
	return rig_group_setup_workers(2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST_LEAST(what_is_told_is_added),
		TEST_LEAST(what_is_told_gets_old),
		TEST_LEAST(what_is_told_out_of_order_is_not_heard),
		TEST_LEAST(a_request_is_in_flight_until_its_answer),
		TEST_LEAST(lies_count_once),
		TEST_LEAST(either_end_may_give_up),
		TEST_LEAST(a_refusal_makes_a_backend_slow),
		TEST_LEAST(the_hash_decides_while_all_are_as_busy),
		TEST_LEAST(who_is_busy_gets_few),
		TEST_LEAST(of_two_as_busy_the_quicker_one),
		TEST_LEAST(twice_the_weight_may_be_twice_as_busy),
		TEST_LEAST(other_workers_are_seen),
		TEST_LEAST(a_full_table_keeps_count),
		TEST_LEAST(without_an_entry_the_hash_decides),
		TEST_LEAST(a_lost_backend_takes_its_count_along),
		TEST_LEAST(the_policy_may_change),
		TEST_LEAST(what_is_under_way_is_not_moved),
		TEST_LEAST(datagrams_take_turns_too),
	};

	return cmocka_run_group_tests(tests, group_setup, rig_group_teardown);
}

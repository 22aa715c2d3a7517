/* Connections whose entries are lost: whose backends are asked, and who else is not. */
#include <rte_cycles.h>
#include <string.h>

#include "dataplane/lb/lb.h"
#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum {
	FIRST = 2000,
	LOST = 150, /* with two backends more than are asked for in a tick */
	PROTOCOL = 23,
	SOURCE = 26,
	PORTS = 34,
	NUMBERS = 38,
	STRAYS = 10000,
	CONNS = 1 << 15, /* room for more than those */
	MADE_S = 2000,	 /* stray.c */
	MADE_BURST = 4000,
};

static int group_setup(void **state)
{
	harness_conns(CONNS);
	return rig_group_setup(state);
}

static int setup(void **state)
{
	/* ahead of control's clock: however slowly this goes, clients have just sent */
	rig.dp->worker[0]->now_s = dp_now_s(rig.dp) + 1000;
	return rig_setup(state);
}
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, rig_teardown)

/* The client sends in the middle of a connection; which backend did it reach? */
static struct test_port *goes_on(uint16_t port)
{
	uint8_t buf[2048];
	size_t len = rig_to_vip(buf, TCP, port, ACK, 10);

	memset(buf + NUMBERS, 1, 8);
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	return rig_reached();
}

/* It is not the one that has it; so the others are to be asked, whatever the client sends meanwhile. */
static void lose(uint16_t port)
{
	struct test_port *to = goes_on(port);

	assert_non_null(to);
	rig_backend_says(TCP, to == &rig.b, port, RST);
	assert_null(goes_on(port));
}

/* How many connections is this backend asked for, of those that it was not asked for before? */
static unsigned news_of(struct test_port *to, bool asked[LOST])
{
	unsigned n = 0;

	for (unsigned i = 0; i < to->count; i++) {
		uint16_t at = (uint16_t)(rig_field16(&to->got[i], PORTS) - FIRST);

		if (to->got[i].data[PROTOCOL] != TCP || at >= LOST || asked[at])
			continue;
		asked[at] = true;
		n++;
	}
	to->count = 0;
	return n;
}

static void each_connection_has_its_turn(void **state)
{
	bool of_b[LOST] = {false}, of_c[LOST] = {false};
	unsigned b, c;

	for (uint16_t i = 0; i < (uint16_t)LOST; i++)
		lose(FIRST + i);
	harness_tick(rig.dp);
	b = news_of(&rig.b, of_b);
	c = news_of(&rig.c, of_c);
	assert_in_range(b, 1, LOST - 1);
	harness_tick(rig.dp);
	assert_int_equal(b + news_of(&rig.b, of_b), LOST);
	assert_int_equal(c + news_of(&rig.c, of_c), LOST);
}

/* The number of a service that is gone is another's by now, in another network: its backends are not asked. */
static void another_service_is_not_asked(void **state)
{
	const struct dp_backend backends[] = {
		{ip_from4(IP_B), 8080, 1, false}, {ip_from4(IP_C), 8080, 1, false}};
	bool of_b[LOST] = {false}, of_c[LOST] = {false};
	uint32_t id = DP_SERVICE_NONE;

	lose(FIRST);
	assert_int_equal(dp_service_del(rig.dp, rig.tcp_service), 0);
	assert_int_equal(rig_put(rig.other_net, 80, DP_TCP, backends, 2, &id), 0);
	assert_int_equal(id, rig.tcp_service);
	harness_tick(rig.dp);
	assert_int_equal(news_of(&rig.other_b, of_b) + news_of(&rig.other_c, of_c), 0);
	assert_int_equal(dp_service_del(rig.dp, id), 0);
	rig.tcp_service = DP_SERVICE_NONE;
	rig_weigh(1, 1);
}

/* The backend that a guess reached acknowledges all that the client has sent, and with the numbers that it expects. */
static void has_it(struct test_port *of, uint16_t port)
{
	uint8_t buf[2048];
	size_t len = rig_from_backend(buf, TCP, of == &rig.b, port, ACK, 0);

	memset(buf + NUMBERS, 1, 8);
	harness_send(rig.dp, of, buf, len, RIG_PLAIN, 0);
}

static struct backend *backend_of(const struct test_port *port)
{
	uint32_t id = 0;

	assert_int_equal(lb_find_backend(rig.dp->lb, rig.dp->lb->service[rig.tcp_service],
				 ip_from4(port == &rig.b ? IP_B : IP_C), 8080, &id),
		0);
	return backend_get(rig.dp->lb->backends, id);
}

/* After a start neighbours may not be known yet: the guess was right, and only came too early. */
static void a_guess_that_is_right_after_all_goes_on(void **state)
{
	struct test_port *to = goes_on(FIRST), *again;
	uint64_t mac;

	assert_non_null(to);
	rig_backend_says(TCP, to == &rig.b, FIRST, RST);
	assert_int_equal(dp_service_del(rig.dp, rig.tcp_service), 0);
	rig.tcp_service = DP_SERVICE_NONE;
	rig_weigh(1, 1);
	lb_tick(rig.dp);

	mac = atomic_exchange(&backend_of(to)->mac, 0);
	assert_null(goes_on(FIRST));
	atomic_store(&backend_of(to)->mac, mac);
	assert_null(goes_on(FIRST)); /* it is looked for */
	rig.a.count = 0;
	has_it(to, FIRST);
	assert_int_equal(rig.a.count, 1);
	rig_assert_ip(&rig.a.got[0], SOURCE, IP_VIP);
	again = goes_on(FIRST);
	assert_ptr_equal(again, to);
}

/* A guess that has not answered yet takes no more connections: the next backend is a guess too, whose reset is nobody's. */
static void a_guess_that_moves_stays_a_guess(void **state)
{
	struct test_port *to = goes_on(FIRST), *other;

	assert_non_null(to);
	rig_weigh(to == &rig.b ? 0 : 1, to == &rig.b ? 1 : 0);
	other = goes_on(FIRST);
	assert_true(other && other != to);
	rig.a.count = 0;
	rig_backend_says(TCP, other == &rig.b, FIRST, RST);
	assert_int_equal(rig.a.count, 0);
	rig_weigh(1, 1);
}

/* The client sends more than one segment: the backend is asked by the first, for it may have missed that. */
static void the_oldest_segment_is_asked_by(void **state)
{
	uint8_t buf[2048];
	unsigned asked = 0;
	size_t len;

	lose(FIRST);
	len = rig_to_vip(buf, TCP, FIRST, ACK, 10);
	memset(buf + NUMBERS, 2, 8);
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	assert_null(rig_reached());
	rig.b.count = 0;
	harness_tick(rig.dp);
	for (unsigned i = 0; i < rig.b.count; i++) {
		if (rig.b.got[i].data[PROTOCOL] != TCP)
			continue;
		assert_int_equal(rig_field16(&rig.b.got[i], NUMBERS), 0x0101);
		assert_int_equal(rig_field16(&rig.b.got[i], NUMBERS + 2), 0x0100);
		asked++;
	}
	assert_int_equal(asked, 1);
}

/* Nobody has it: the switch says so itself, though the hash's choice may be one that nobody answers for. */
static void who_has_none_is_reset(void **state)
{
	struct worker *w = rig.dp->worker[0];
	uint8_t buf[2048];
	size_t len = rig_to_vip(buf, TCP, FIRST, ACK, 10);

	lose(FIRST);
	atomic_store(&backend_of(&rig.b)->mac, 0);
	atomic_store(&backend_of(&rig.c)->mac, 0);
	for (int i = 0; i < 6; i++)
		harness_tick(rig.dp);
	w->now_s += 10;
	rig.a.count = 0;
	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	rig_assert_ip(&rig.a.got[0], SOURCE, IP_VIP);
	assert_int_equal(rig.a.got[0].data[47], RST);
	assert_int_equal(dp_conn_count(rig.dp), 0);
}

/* A client that waits long before it sends again is reset only after the backends were asked. */
static void the_backends_are_asked_without_the_client(void **state)
{
	bool of_b[LOST] = {false}, of_c[LOST] = {false};
	struct test_port *to = goes_on(FIRST);

	assert_non_null(to);
	rig_backend_says(TCP, to == &rig.b, FIRST, RST);
	for (int i = 0; i < 6; i++)
		harness_tick(rig.dp);
	assert_int_equal(news_of(&rig.b, of_b), 1);
	assert_int_equal(news_of(&rig.c, of_c), 1);
	rig.dp->worker[0]->now_s += 10;
	has_it(to == &rig.b ? &rig.c : &rig.b, FIRST); /* late, and none but the backend says anything */
	assert_ptr_equal(goes_on(FIRST), to == &rig.b ? &rig.c : &rig.b);
}

/* Of one whose numbers say nothing by chance none can be asked: it is not reset by its next packet. */
static void who_was_not_asked_for_is_not_reset(void **state)
{
	struct test_port *to = rig_client_reaches(FIRST, ACK);

	assert_non_null(to);
	rig_backend_says(TCP, to == &rig.b, FIRST, RST);
	for (int i = 0; i < 6; i++)
		harness_tick(rig.dp);
	rig.dp->worker[0]->now_s += 10;
	rig.a.count = rig.b.count = rig.c.count = 0;
	assert_null(goes_on(FIRST));
	assert_int_equal(rig.a.count, 0);
	assert_int_equal(dp_conn_count(rig.dp), 1);
}

static void client_refuses_at(uint16_t port, uint16_t backend_port, uint8_t flags)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(
		buf, &(struct packet){MAC_B, MAC_A, IP_A, IP_B, TCP, port, backend_port, flags, 0});

	harness_send(rig.dp, &rig.a, buf, len, RIG_PLAIN, 0);
}

static void client_refuses(uint16_t port, uint8_t flags)
{
	client_refuses_at(port, 8080, flags);
}

/* The backend sends first. What it says is the client's through the vip, which the client's refusal says. */
static void an_answer_finds_its_vip(void **state)
{
	rig.a.count = rig.b.count = 0;
	rig_backend_says(TCP, true, FIRST, ACK);
	assert_int_equal(rig.a.count, 1);
	rig_assert_ip(&rig.a.got[0], SOURCE, IP_B);
	client_refuses(FIRST, RST);
	assert_int_equal(rig.b.count, 0);
	rig_backend_says(TCP, true, FIRST, ACK);
	assert_int_equal(rig.a.count, 2);
	rig_assert_ip(&rig.a.got[1], SOURCE, IP_VIP);
	assert_ptr_equal(goes_on(FIRST), &rig.b);
	assert_ptr_equal(rig_client_reaches(FIRST, RST), &rig.b); /* it is a connection as any other by now */
}

/* It has none with the vip either: the backend is told. So is one whose client gives up, which acknowledges. */
static void a_refusal_that_is_meant_arrives(void **state)
{
	rig_backend_says(TCP, true, FIRST, ACK);
	client_refuses(FIRST, RST);
	rig.a.count = 0;
	rig_backend_says(TCP, true, FIRST, ACK);
	rig_assert_ip(&rig.a.got[0], SOURCE, IP_VIP);
	assert_ptr_equal(rig_client_reaches(FIRST, RST), &rig.b);
	rig.b.count = 0;
	client_refuses(FIRST + 1, RST | ACK);
	assert_int_equal(rig.b.count, 1);
}

/* The backend sent a window: the client refuses each segment of it, the later ones when the first has made the entry. */
static void a_window_is_refused_as_one(void **state)
{
	for (int i = 0; i < 3; i++)
		rig_backend_says(TCP, true, FIRST, ACK);
	rig.b.count = 0;
	for (int i = 0; i < 3; i++)
		client_refuses(FIRST, RST);
	assert_int_equal(rig.b.count, 0);
	assert_int_equal(dp_conn_count(rig.dp), 1);
	rig.a.count = 0;
	rig_backend_says(TCP, true, FIRST, ACK);
	rig_assert_ip(&rig.a.got[0], SOURCE, IP_VIP);
}

/* Two services have the backend. A refusal under the name of a client with a connection through one makes none through the
 * other, which would take its answers. */
static void a_refusal_beside_a_connection_makes_none(void **state)
{
	const struct dp_backend backend = {ip_from4(IP_B), 8080, 1, false};
	uint32_t other = DP_SERVICE_NONE;

	assert_int_equal(rig_put(rig.net, 81, DP_TCP, &backend, 1, &other), 0);
	rig_weigh(1, 0);
	assert_ptr_equal(rig_open_connection(FIRST), &rig.b);
	rig_backend_says(TCP, true, FIRST + 1, ACK);
	rig.b.count = 0;
	client_refuses(FIRST, RST);
	assert_int_equal(rig.b.count, 0);
	assert_int_equal(dp_conn_count(rig.dp), 1);
	rig.a.count = 0;
	rig_backend_says(TCP, true, FIRST, ACK);
	rig_assert_ip(&rig.a.got[0], SOURCE, IP_VIP);
	assert_int_equal(rig_field16(&rig.a.got[0], PORTS), 80);
	assert_int_equal(dp_service_del(rig.dp, other), 0);
}

/* A client that opens a connection from that port anew has nothing to do with the one that the answer was of. */
static void a_new_connection_is_not_the_one_of_an_answer(void **state)
{
	unsigned n = 0;

	rig_backend_says(TCP, true, FIRST, ACK);
	for (uint16_t i = 0; i < 30; i++) {
		client_refuses(FIRST + i, RST);
		n += rig_client_reaches(FIRST + i, SYN) == &rig.c;
	}
	assert_in_range(n, 1, 29); /* the hash chooses */
}

/* Nor has one that it opens without the vip: what the backend answers is its own. */
static void a_new_connection_without_a_vip_is_its_own(void **state)
{
	rig_backend_says(TCP, true, FIRST, ACK);
	client_refuses(FIRST, RST);
	assert_int_equal(dp_conn_count(rig.dp), 1);
	rig.a.count = rig.b.count = 0;
	client_refuses(FIRST, SYN);
	assert_int_equal(rig.b.count, 1);
	rig_backend_says(TCP, true, FIRST, SYN | ACK);
	rig_backend_says(TCP, true, FIRST, ACK);
	assert_int_equal(rig.a.count, 2);
	rig_assert_ip(&rig.a.got[0], SOURCE, IP_B);
	rig_assert_ip(&rig.a.got[1], SOURCE, IP_B);
	assert_int_equal(dp_conn_count(rig.dp), 0);
}

/* The host resets what checks are answered, from the gateway's address: the backend hears it, and the next check is answered. */
static void checks_refuse_what_they_mean(void **state)
{
	struct dp_network spec = {.mode = DP_BRIDGE, .subnet = IP_A & htobe32(0xffffff00), .prefix = 24};

	for (int gateway = 0; gateway < 2; gateway++) {
		struct dp_err err;

		spec.gateway = gateway ? IP_A : 0;
		assert_int_equal(dp_network_set(rig.dp, rig.net, &spec, &err), 0);
		rig_backend_says(TCP, true, FIRST, ACK);
		rig.b.count = 0;
		client_refuses(FIRST + (uint16_t)gateway, RST);
		assert_int_equal(rig.b.count, gateway);
		assert_int_equal(dp_conn_count(rig.dp), 1);
	}
	spec.gateway = 0;
	assert_int_equal(dp_network_set(rig.dp, rig.net, &spec, &(struct dp_err){0}), 0);
}

/* Port 0 is nobody's, and not that of services with several. */
static void a_refusal_at_port_0_is_none(void **state)
{
	const struct dp_backend backend = {ip_from4(IP_B), 9000, 1, false};
	const struct dp_service spec = {.net = rig.net,
		.vip = ip_from4(IP_VIP),
		.port = 9000,
		.more_ports = 10,
		.protocol = DP_TCP,
		.backends = &backend,
		.nbackends = 1};
	uint32_t id = DP_SERVICE_NONE;
	struct dp_err err;

	assert_int_equal(dp_service_put(rig.dp, &spec, &id, &err), 0);
	rig_backend_says(TCP, true, FIRST, ACK);
	rig.b.count = 0;
	client_refuses_at(FIRST, 0, RST);
	assert_int_equal(rig.b.count, 1);
	assert_int_equal(dp_conn_count(rig.dp), 0);
	assert_int_equal(dp_service_del(rig.dp, id), 0);
}

/* What others make a client refuse fills no table. */
static void few_refusals_are_remembered(void **state)
{
	uint32_t before = dp_conn_count(rig.dp);
	uint64_t begin = rte_rdtsc();

	rig_backend_says(TCP, true, FIRST, ACK);
	rig.b.count = 0;
	for (unsigned i = 0; i < STRAYS; i++)
		client_refuses((uint16_t)(FIRST + i), RST);
	assert_int_equal(rig.b.count, 0);
	assert_in_range(dp_conn_count(rig.dp) - before, 1,
		MADE_BURST + 1 + (rte_rdtsc() - begin) * MADE_S / rte_get_tsc_hz());
}

static void refuse_in_network_without_services(void)
{
	uint8_t buf[2048];
	size_t len = packet_ip4(buf, &(struct packet){MAC_B, MAC_A, IP_A, IP_B, TCP, FIRST, 8080, RST, 0});

	rig.other_b.count = 0;
	harness_send(rig.dp, &rig.other_a, buf, len, RIG_PLAIN, 0);
}

/* While objects are restored nobody guesses, and no refusal is taken at its word. */
static void nothing_is_decided_while_objects_are_restored(void **state)
{
	dp_restoring(rig.dp, true);
	assert_null(goes_on(FIRST));
	rig.b.count = 0;
	client_refuses(FIRST, RST);
	assert_int_equal(rig.b.count, 0);
	refuse_in_network_without_services();
	assert_int_equal(rig.other_b.count, 0);
	assert_non_null(rig_client_reaches(FIRST + 1, SYN));
	rig.dp->worker[0]->now_s = dp_now_s(rig.dp); /* the clocks are the same now */
	dp_restoring(rig.dp, false);
	refuse_in_network_without_services();
	assert_int_equal(rig.other_b.count, 1);
	rig.b.count = 0;
	client_refuses(FIRST + 2, RST); /* of what came before the end */
	assert_int_equal(rig.b.count, 0);
	assert_non_null(goes_on(FIRST));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_connection_has_its_turn),
		TEST(another_service_is_not_asked),
		TEST(a_guess_that_is_right_after_all_goes_on),
		TEST(a_guess_that_moves_stays_a_guess),
		TEST(the_oldest_segment_is_asked_by),
		TEST(the_backends_are_asked_without_the_client),
		TEST(who_was_not_asked_for_is_not_reset),
		TEST(an_answer_finds_its_vip),
		TEST(a_refusal_that_is_meant_arrives),
		TEST(a_window_is_refused_as_one),
		TEST(a_refusal_beside_a_connection_makes_none),
		TEST(a_new_connection_is_not_the_one_of_an_answer),
		TEST(a_new_connection_without_a_vip_is_its_own),
		TEST(checks_refuse_what_they_mean),
		TEST(a_refusal_at_port_0_is_none),
		TEST(few_refusals_are_remembered),
		TEST(nothing_is_decided_while_objects_are_restored),
		TEST(who_has_none_is_reset),
	};

	return cmocka_run_group_tests_name("service_seek", tests, group_setup, rig_group_teardown);
}

/* A service of several ports in a row: each leads as far behind a backend's port, over both families. */
#include <errno.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum {
	FIRST = 8000,
	LAST = 8099,
	TARGET = 18000,
	IP4_PORTS = 34,
	IP6_PORTS = 54,
	TABLE = 1024 /* harness.c */
};

static uint8_t buf[2048];
static bool ip6;
static uint32_t id;

static int put(uint16_t first, uint16_t last, uint16_t target, uint32_t *service)
{
	const struct dp_backend backends[] = {{ip6 ? IP6_B : ip_from4(IP_B), target, 1, false},
		{ip6 ? IP6_C : ip_from4(IP_C), target, 1, false}};
	const struct dp_service spec = {.net = rig.net,
		.vip = ip6 ? IP6_VIP : ip_from4(IP_VIP),
		.port = first,
		.more_ports = last - first,
		.protocol = DP_TCP,
		.backends = backends,
		.nbackends = 2};
	struct dp_err err;

	return dp_service_put(rig.dp, &spec, service, &err);
}

static int setup(bool six)
{
	ip6 = six;
	id = DP_SERVICE_NONE;
	rig_setup(NULL);
	return put(FIRST, LAST, TARGET, &id);
}

static int setup4(void **state)
{
	return setup(false);
}

static int setup6(void **state)
{
	return setup(true);
}

static int teardown(void **state)
{
	assert_int_equal(dp_service_del(rig.dp, id), 0);
	return rig_teardown(state);
}

static size_t write_packet(const struct packet *p, struct ip_addr from, struct ip_addr to)
{
	return ip6 ? packet6_write(buf, p, from.b, to.b, p->proto, NULL, 0) : packet_ip4(buf, p);
}

static uint16_t port_at(const struct test_port *to, bool destination)
{
	return rig_field16(&to->got[0], (ip6 ? IP6_PORTS : IP4_PORTS) + (destination ? 2 : 0));
}

/* To the vip's port. */
static void says(uint16_t client_port, uint16_t port, uint8_t flags)
{
	const struct packet p = {dp_router_mac, MAC_A, IP_A, IP_VIP, TCP, client_port, port, flags, 0};

	rig.a.count = rig.b.count = rig.c.count = 0;
	harness_send(rig.dp, &rig.a, buf, write_packet(&p, IP6_A, IP6_VIP), RIG_PLAIN, 0);
}

/* A SYN; which backend had it? NULL: none. */
static struct test_port *reaches(uint16_t client_port, uint16_t port)
{
	says(client_port, port, SYN);
	return rig.b.count ? &rig.b : rig.c.count ? &rig.c : NULL;
}

/* Its answer, as the client sees it: from which port? */
static uint16_t answers(struct test_port *from, uint16_t client_port, uint16_t port)
{
	bool is_b = from == &rig.b;
	const struct packet p = {
		MAC_A, is_b ? MAC_B : MAC_C, is_b ? IP_B : IP_C, IP_A, TCP, port, client_port, SYN | ACK, 0};

	rig.a.count = 0;
	harness_send(rig.dp, from, buf, write_packet(&p, is_b ? IP6_B : IP6_C, IP6_A), RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
	return port_at(&rig.a, false);
}

static void each_port_leads_as_far_behind(void **state)
{
	for (uint16_t i = 0; i <= (uint16_t)(LAST - FIRST); i++) {
		struct test_port *to = reaches(2000 + i, FIRST + i);

		assert_non_null(to);
		assert_int_equal(port_at(to, true), TARGET + i);
		assert_int_equal(answers(to, 2000 + i, TARGET + i), FIRST + i);
	}
	assert_int_equal(harness_balance(rig.dp, rig.net), 0);
}

static void what_lies_beside_is_nobodys(void **state)
{
	const uint16_t others[] = {0, 1, FIRST - 1, LAST + 1, TARGET, UINT16_MAX};
	uint64_t before = harness_drops(rig.dp, "vip-miss");

	for (unsigned i = 0; i < 6; i++)
		assert_null(reaches(2000, others[i]));
	assert_int_equal(harness_drops(rig.dp, "vip-miss"), before + 6);
}

static void no_port_is_two_services(void **state)
{
	uint32_t other = DP_SERVICE_NONE;

	assert_int_equal(put(LAST, LAST, 1, &other), -EEXIST);
	assert_int_equal(put(FIRST - 9, FIRST, 1, &other), -EEXIST);
	assert_int_equal(put(1, UINT16_MAX, 1, &other), -EEXIST);
	assert_int_equal(
		put(LAST + 1, LAST + 2, UINT16_MAX, &other), -EINVAL); /* a backend's would be none */
	assert_int_equal(put(LAST + 1, LAST + 2, UINT16_MAX - 1, &other), 0);
	assert_int_equal(port_at(reaches(2000, LAST + 2), true), UINT16_MAX);
	assert_int_equal(port_at(reaches(2000, LAST), true), TARGET + LAST - FIRST);
	assert_int_equal(dp_service_del(rig.dp, other), 0);
}

/* Fewer ports, then more: connections stay, and new ones follow. */
static void a_range_changes(void **state)
{
	struct test_port *to = reaches(2000, FIRST + 50);

	answers(to, 2000, TARGET + 50);
	assert_int_equal(put(FIRST, FIRST + 50, TARGET, &id), 0);
	assert_null(reaches(2001, FIRST + 51));
	assert_int_equal(put(FIRST, FIRST + 200, TARGET, &id), 0);
	assert_int_equal(port_at(reaches(2001, FIRST + 200), true), TARGET + 200);
	assert_int_equal(answers(to, 2000, TARGET + 50), FIRST + 50);
}

/* What had no room in the table of connections: the answer is known by the backend's address and port alone. */
static void a_full_table_knows_answers_too(void **state)
{
	struct test_port *to;

	for (uint16_t port = 2000; port < (uint16_t)(2000 + 2 * TABLE); port++) {
		to = reaches(port, FIRST + 1);
		answers(to, port, TARGET + 1);
		says(port, FIRST + 1, ACK);
	}
	for (uint16_t port = 10000; port < 10050; port++) {
		to = reaches(port, FIRST + 7);
		assert_non_null(to);
		assert_int_equal(port_at(to, true), TARGET + 7);
		assert_int_equal(answers(to, port, TARGET + 7), FIRST + 7);
		assert_int_equal(
			answers(to, port, TARGET + 100), TARGET + 100); /* no port of the service's */
	}
	assert_in_range(dp_conn_count(rig.dp), 1, TABLE);
}

#define TEST4(name)                                                                                          \
	{                                                                                                    \
#name " ip4", name, setup4, teardown, NULL                                                   \
	}
#define TEST6(name)                                                                                          \
	{                                                                                                    \
#name " ip6", name, setup6, teardown, NULL                                                   \
	}
#define BOTH(name) TEST4(name), TEST6(name)

int main(void)
{
	const struct CMUnitTest tests[] = {
		BOTH(each_port_leads_as_far_behind),
		BOTH(what_lies_beside_is_nobodys),
		BOTH(no_port_is_two_services),
		BOTH(a_range_changes),
		BOTH(a_full_table_knows_answers_too),
	};

	return cmocka_run_group_tests_name("service_range", tests, rig_group_setup, rig_group_teardown);
}

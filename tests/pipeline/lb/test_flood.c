/*
 * A flood of SYNs that fills the table of connections: whom it hurts. The figures of docs/security.md come from here:
 *   test_pipeline_lb_flood 2>&1 | grep of
 */
#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { TABLE = 1024, HELD = 100, FLOOD = 100000 }; /* TABLE: harness.c */

/* One of the two networks. */
struct place {
	struct test_port *a, *b, *c;
};

static struct place flooded, other;
static uint32_t other_service;
static uint8_t buf[2048];

static int setup(void **state)
{
	const struct dp_backend backends[] = {
		{ip_from4(IP_B), 8080, 1, false}, {ip_from4(IP_C), 8080, 1, false}};

	rig_setup(state);
	flooded = (struct place){&rig.a, &rig.b, &rig.c};
	other = (struct place){&rig.other_a, &rig.other_b, &rig.other_c};
	other_service = DP_SERVICE_NONE;
	return rig_put(rig.other_net, 80, DP_TCP, backends, 2, &other_service);
}

static int teardown(void **state)
{
	assert_int_equal(dp_service_del(rig.dp, other_service), 0);
	return rig_teardown(state);
}

static uint32_t client(uint32_t n)
{
	return __builtin_bswap32(0x0a010000u + n);
}

/* Client n says so to the vip: which backend hears it? NULL: none. */
static struct test_port *says(const struct place *at, uint32_t n, uint8_t flags)
{
	struct test_port *to;

	at->b->count = at->c->count = 0;
	harness_send(rig.dp, at->a, buf,
		packet_ip4(buf,
			&(struct packet){dp_router_mac, MAC_A, client(n), IP_VIP, TCP, 999, 80, flags, 0}),
		RIG_PLAIN, 0);
	to = at->b->count ? at->b : at->c->count ? at->c : NULL;
	at->b->count = at->c->count = 0;
	return to;
}

/* Does the client hear the backend's answer, from the vip? */
static bool hears(const struct place *at, struct test_port *from, uint32_t n)
{
	bool is_b = from == at->b;
	uint32_t ip = IP_VIP;

	at->a->count = 0;
	harness_send(rig.dp, from, buf,
		packet_ip4(buf, &(struct packet){MAC_A, is_b ? MAC_B : MAC_C, is_b ? IP_B : IP_C, client(n),
					TCP, 8080, 999, SYN | ACK, 0}),
		RIG_PLAIN, 0);
	return at->a->count == 1 && memcmp(at->a->got[0].data + 26, &ip, 4) == 0;
}

/* Client n connects, all three packets; returns the backend, NULL when one did not come through. */
static struct test_port *connects(const struct place *at, uint32_t n)
{
	struct test_port *to = says(at, n, SYN);

	return to && hears(at, to, n) && says(at, n, ACK) == to ? to : NULL;
}

static void count(const char *what, unsigned good, unsigned of)
{
	print_message("%-62s %u of %u\n", what, good, of);
	assert_int_equal(good, of);
}

/* Both have connections; then one network is flooded with as many SYNs as a hundred tables hold. */
static void who_is_hurt_by_a_flood(void **state)
{
	struct test_port *mine[HELD], *others[HELD];
	unsigned held = 0, held_there = 0, through = 0, fresh = 0, fresh_there = 0, before;

	for (uint32_t i = 0; i < HELD; i++) {
		mine[i] = connects(&flooded, i);
		others[i] = connects(&other, i);
		assert_true(mine[i] && others[i]);
	}
	for (uint32_t i = 0; i < FLOOD; i++)
		through += says(&flooded, 1000 + i, SYN) != NULL;
	assert_in_range(dp_conn_count(rig.dp), TABLE / 2, TABLE);
	count("SYNs of the flood that reach a backend", through, FLOOD);
	for (uint32_t i = 0; i < HELD; i++) {
		held += says(&flooded, i, ACK) == mine[i];
		held_there += says(&other, i, ACK) == others[i];
	}
	count("connections of the flooded network that go on", held, HELD);
	count("connections of another network that go on", held_there, HELD);
	before = (unsigned)dp_conn_count_of(rig.dp, rig.other_net, &(uint32_t){0});
	for (uint32_t i = 0; i < HELD; i++) {
		fresh += connects(&flooded, 500 + i) != NULL;
		fresh_there += connects(&other, 500 + i) != NULL;
	}
	count("new ones in the flooded network, behind the flood", fresh, HELD);
	count("new ones in another network", fresh_there, HELD);
	count("of those, with an entry in the table",
		(unsigned)dp_conn_count_of(rig.dp, rig.other_net, &(uint32_t){0}) - before, HELD);
}

/* Amid the flood: 50 SYNs of it between any two packets of a client that connects. */
static void who_connects_amid_a_flood(void **state)
{
	unsigned good = 0;
	uint32_t next = 1000;

	for (uint32_t i = 0; i < HELD; i++) {
		struct test_port *to = says(&flooded, i, SYN);
		bool heard;

		for (unsigned k = 0; k < 50; k++)
			says(&flooded, next++, SYN);
		heard = to && hears(&flooded, to, i);
		for (unsigned k = 0; k < 50; k++)
			says(&flooded, next++, SYN);
		good += heard && says(&flooded, i, ACK) == to;
	}
	count("clients that connect amid the flood", good, HELD);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(who_is_hurt_by_a_flood, setup, teardown),
		cmocka_unit_test_setup_teardown(who_connects_amid_a_flood, setup, teardown),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}

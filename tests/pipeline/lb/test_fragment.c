/* Fragments of a backend's packets: those of answers through a vip go nowhere, those of direct conversations on. */
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { CLIENT = 1234, DIRECT = 4321, MORE = 0x2000 };

/* A client asks the UDP service; which backend has the connection? */
static struct test_port *ask(void)
{
	struct test_port *to;

	rig_client_says(UDP, CLIENT, 0);
	to = rig_reached();
	assert_non_null(to);
	return to;
}

/* A fragment of a datagram to one of the client's ports; `offset` in bytes. Returns whether the client got it. */
static bool arrives(
	struct test_port *from, uint16_t client_port, uint16_t id, uint16_t flags, uint16_t offset)
{
	uint8_t buf[2048];
	bool is_b = from == &rig.b || from == &rig.other_b;
	size_t len = rig_from_backend(buf, UDP, is_b, client_port, 0, 80);
	struct test_port *to = from == &rig.other_b || from == &rig.other_c ? &rig.other_a : &rig.a;
	uint16_t field = flags | offset / 8;

	buf[18] = (uint8_t)(id >> 8);
	buf[19] = (uint8_t)id;
	buf[20] = (uint8_t)(field >> 8);
	buf[21] = (uint8_t)field;
	to->count = 0;
	harness_send(rig.dp, from, buf, len, RIG_PLAIN, 0);
	if (to->count)
		assert_memory_equal(to->got[0].data, buf, len); /* whatever passes is not touched */
	return to->count;
}

static void test_an_answer_in_fragments_goes_nowhere(void **state)
{
	struct test_port *from = ask();
	uint64_t before = harness_drops(rig.dp, "fragment");

	assert_false(arrives(from, CLIENT, 7, MORE, 0));
	assert_false(arrives(from, CLIENT, 7, MORE, 88));
	assert_false(arrives(from, CLIENT, 7, 0, 176));
	assert_int_equal(harness_drops(rig.dp, "fragment"), before + 3);
}

static void test_a_direct_conversation_goes_on(void **state)
{
	struct test_port *from = ask(), *same = from == &rig.b ? &rig.other_b : &rig.other_c;

	assert_false(arrives(from, CLIENT, 7, MORE, 0));
	assert_true(arrives(from, DIRECT, 8, MORE, 0));
	assert_true(arrives(from, DIRECT, 8, 0, 88));
	assert_true(arrives(same, CLIENT, 7, MORE, 0)); /* in another network */
	assert_true(arrives(same, CLIENT, 7, 0, 88));
	assert_true(arrives(from == &rig.b ? &rig.c : &rig.b, CLIENT, 7, MORE, 0)); /* of another backend */
	assert_true(arrives(from == &rig.b ? &rig.c : &rig.b, CLIENT, 7, 0, 88));
	assert_false(arrives(from, CLIENT, 7, 0, 88));
}

static void test_an_id_is_used_again(void **state)
{
	struct test_port *from = ask();

	assert_false(arrives(from, CLIENT, 7, MORE, 0));
	assert_true(arrives(from, DIRECT, 7, MORE, 0)); /* the same id, for a datagram of its own */
	assert_true(arrives(from, DIRECT, 7, 0, 88));
	assert_false(arrives(from, CLIENT, 9, MORE, 0));
	rig.dp->worker[0]->now_s += 30;
	assert_false(arrives(from, CLIENT, 9, 0, 88));
	rig.dp->worker[0]->now_s += 1; /* nobody puts it together any more */
	assert_true(arrives(from, CLIENT, 9, 0, 88));
}

static void test_a_first_fragment_without_ports_goes_nowhere(void **state)
{
	struct test_port *from = ask();
	uint8_t buf[2048];

	for (unsigned bytes = 0; bytes < 4; bytes++) {
		size_t len = rig_from_backend(buf, UDP, from == &rig.b, DIRECT, 0, 80);

		buf[17] = (uint8_t)(20 + bytes);
		buf[16] = 0;
		buf[20] = 0x20;
		rig.a.count = 0;
		harness_send(rig.dp, from, buf, len, RIG_PLAIN, 0);
		assert_int_equal(rig.a.count, 0);
	}
}

/* Ports behind IP options, out of the first private bytes. */
static void test_a_first_fragment_with_options(void **state)
{
	struct test_port *from = ask();
	uint8_t plain[2048], buf[2048];
	size_t len = rig_from_backend(plain, UDP, from == &rig.b, CLIENT, 0, 80);

	memcpy(buf, plain, 34);
	memset(buf + 34, 1, 40);
	memcpy(buf + 74, plain + 34, len - 34);
	buf[14] = 0x4f;
	buf[17] = (uint8_t)(buf[17] + 40);
	buf[20] = 0x20;
	harness_send(rig.dp, from, buf, len + 40, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 0);
	buf[77] ^= 1; /* another port of the client's */
	harness_send(rig.dp, from, buf, len + 40, RIG_PLAIN, 0);
	assert_int_equal(rig.a.count, 1);
}

/* More datagrams than there is room for: what is forgotten is later fragments, which are worth nothing alone. */
static void test_more_datagrams_than_are_remembered(void **state)
{
	struct test_port *from = ask();
	unsigned passed = 0;

	for (unsigned id = 0; id < 4 * LB_FRAGMENTS; id++)
		assert_false(arrives(from, CLIENT, (uint16_t)id, MORE, 0));
	for (unsigned id = 0; id < 4 * LB_FRAGMENTS; id++)
		passed += arrives(from, CLIENT, (uint16_t)id, 0, 88);
	assert_in_range(passed, 3 * LB_FRAGMENTS, 4 * LB_FRAGMENTS - 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		RIG_TEST(test_an_answer_in_fragments_goes_nowhere),
		RIG_TEST(test_a_direct_conversation_goes_on),
		RIG_TEST(test_an_id_is_used_again),
		RIG_TEST(test_a_first_fragment_without_ports_goes_nowhere),
		RIG_TEST(test_a_first_fragment_with_options),
		RIG_TEST(test_more_datagrams_than_are_remembered),
	};

	return cmocka_run_group_tests_name("service_fragment", tests, rig_group_setup, rig_group_teardown);
}

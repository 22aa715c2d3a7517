/* Connections whose entries are lost: whose backends are asked, and who else is not. */
#include <string.h>

#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum {
	FIRST = 2000,
	LOST = 150, /* with two backends more than are asked for in a tick */
	PROTOCOL = 23,
	PORTS = 34,
	NUMBERS = 38,
};

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

/* It is not the one that has it; so with what the client sends next the others are to be asked. */
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

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_connection_has_its_turn),
		TEST(another_service_is_not_asked),
	};

	return cmocka_run_group_tests_name("service_seek", tests, rig_group_setup, rig_group_teardown);
}

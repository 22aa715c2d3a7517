/* How services are found by vip, port and protocol when one vip has very many of them. */
#include "tests/pipeline/lb/service_rig.h"
#include "tests/unit/unit.h"

enum { MANY = 1000, FIRST_PORT = 2000, LONGEST_RUN = 64 };

static uint32_t ids[MANY];

static uint16_t port_of(unsigned i)
{
	return (uint16_t)(FIRST_PORT + i / 2);
}

static int setup(void **state)
{
	const struct dp_backend backends[] = {
		{ip_from4(IP_B), 8080, 1, false}, {ip_from4(IP_C), 8080, 1, false}};

	rig_setup(state);
	for (unsigned i = 0; i < MANY; i++) {
		ids[i] = DP_SERVICE_NONE;
		assert_int_equal(
			rig_put(rig.net, port_of(i), i % 2 ? DP_UDP : DP_TCP, backends, 2, &ids[i]), 0);
	}
	return 0;
}

static int teardown(void **state)
{
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(dp_service_del(rig.dp, ids[i]), 0);
	return rig_teardown(state);
}

/* Every second port both for TCP and for UDP: each leads to its own service. */
static void each_service_of_a_vip_is_found(void **state)
{
	const struct lb_view *view = rig.dp->lb->view[rig.net];

	for (unsigned i = 0; i < MANY; i++) {
		const struct service *s =
			lb_view_service(view, IP_VIP, htobe16(port_of(i)), i % 2 ? UDP : TCP);

		assert_non_null(s);
		assert_int_equal(s->id, ids[i]);
	}
	assert_null(lb_view_service(view, IP_VIP, htobe16(FIRST_PORT - 1), TCP));
	assert_null(lb_view_service(view, IP_VIP, htobe16(FIRST_PORT), 132));
	assert_true(lb_is_vip(view, IP_VIP));
	assert_false(lb_is_vip(view, IP_A));
}

/* A look-up ends at an empty place: no run of places is as long as the vip has services. */
static void a_look_up_does_not_walk_them_all(void **state)
{
	const struct lb_places *p = &rig.dp->lb->view[rig.net]->services;
	unsigned run = 0, longest = 0, used = 0;

	for (uint32_t i = 0; i <= p->mask; i++) {
		run = p->place[i].protocol ? run + 1 : 0;
		used += p->place[i].protocol != 0;
		longest = run > longest ? run : longest;
	}
	assert_int_equal(used, MANY + 2);
	print_message("%u services on one vip: the longest run of places is %u\n", used, longest);
	assert_in_range(longest, 1, LONGEST_RUN);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(each_service_of_a_vip_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(a_look_up_does_not_walk_them_all, setup, teardown),
	};

	return cmocka_run_group_tests(tests, rig_group_setup, rig_group_teardown);
}

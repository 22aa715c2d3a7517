/*
 * Passive checks in the service table, with counters that the test sets: what the judge (test_outlier.c) finds
 * becomes health, weight and words.
 */
#include "registry/check/check.h"
#include "tests/unit/registry/world.h"

static const char *const id[] = {"10.1.0.1:80", "10.1.0.2:80", "10.1.0.3:80", "10.1.0.4:80"};
static const char *const address[] = {"10.1.0.1", "10.1.0.2", "10.1.0.3", "10.1.0.4"};

static struct reg_check passive(void)
{
	struct reg_check check = world_check(REG_CHECK_PASSIVE);

	check.timeout_ms = 50;
	check.fall = 5;
	return check;
}

/* Service "api" with `n` backends, which the switch gives connections. */
static void add(struct world *w, unsigned n, const struct reg_check *check)
{
	struct reg_service service = world_service("api");

	service.check = *check;
	world_add_service(w, &service);
	for (unsigned i = 0; i < n; i++) {
		w->traffic[i].address = ip(address[i]);
		world_add_backend(w, "api", address[i], 80);
	}
}

static void fail_at(struct world *w, unsigned i)
{
	w->traffic[i].seen.opened += 10;
	w->traffic[i].seen.refused += 10;
}

static void turns(struct world *w, unsigned n)
{
	world_until_count(w, &w->asked, w->asked + n);
}

static void begins_as_passing_and_comes_back(void **state)
{
	struct world *w = *state;
	struct reg_check check = passive();

	add(w, 2, &check);
	assert_int_equal(world_find(w, "api", id[0])->health, REG_PASSING);
	assert_string_equal(world_find(w, "api", id[0])->output, "no connection yet");
	world_told(w);
	fail_at(w, 0);
	world_until(w, "api", id[0], REG_CRITICAL);
	assert_string_equal(
		world_find(w, "api", id[0])->output, "10 of 10 connections refused, out for 0.2 s");
	assert_string_equal(world_told(w), "4 api 10.1.0.1:80=0 10.1.0.2:80=1\n");
	world_until(w, "api", id[0], REG_WARNING);
	assert_string_equal(world_told(w), "5 api 10.1.0.1:80=1 10.1.0.2:80=1\n");
	w->traffic[0].seen.opened++;
	w->traffic[0].seen.answered++;
	world_until(w, "api", id[0], REG_PASSING);
	assert_string_equal(world_find(w, "api", id[0])->output, "connections are answered");
	assert_int_equal(w->sockets, 0);
}

static void half_of_the_service_stays(void **state)
{
	struct world *w = *state;
	struct reg_check check = passive();
	unsigned critical = 0, left = 0;

	check.interval_ms = 300; /* a hold of three seconds: all of them fail within it */
	add(w, 4, &check);
	for (unsigned i = 0; i < 4; i++)
		fail_at(w, i);
	turns(w, 8);
	for (unsigned i = 0; i < 4; i++) {
		const struct reg_backend *backend = world_find(w, "api", id[i]);

		critical += backend->health == REG_CRITICAL;
		left += strstr(backend->output, "too few others to take it out") != NULL;
	}
	assert_int_equal(critical, 2);
	assert_int_equal(left, 2);
}

static void who_could_not_be_chosen_anyway_is_not_one_of_them(void **state)
{
	struct world *w = *state;
	struct reg_check check = passive();
	struct reg_backend drained = world_backend(address[1], 80);

	add(w, 3, &check);
	drained.drained = true;
	assert_int_equal(registry_backend_set(w->reg, "api", &drained, &w->err), 0);
	world_port_changed(w, "web", address[2], 0);
	fail_at(w, 0);
	turns(w, 4);
	assert_int_equal(world_find(w, "api", id[0])->health, REG_PASSING);
	world_port_changed(w, "web", address[2], 1);
	world_until(w, "api", id[0], REG_CRITICAL);
}

static void a_port_wins_and_begins_it_anew(void **state)
{
	struct world *w = *state;
	struct reg_check check = passive();

	add(w, 2, &check);
	fail_at(w, 0);
	world_until(w, "api", id[0], REG_CRITICAL);
	world_port_changed(w, "web", address[0], 1);
	assert_int_equal(world_find(w, "api", id[0])->health, REG_CRITICAL); /* it is as it was */
	world_port_changed(w, "web", address[0], 0);
	assert_true(world_find(w, "api", id[0])->port_down);
	assert_string_equal(world_find(w, "api", id[0])->output, "the port is down");
	world_port_changed(w, "web", address[0], 1); /* whatever is there now, it is another */
	assert_int_equal(world_find(w, "api", id[0])->health, REG_PASSING);
	assert_string_equal(world_find(w, "api", id[0])->output, "no connection yet");
}

static void a_change_of_its_options_keeps_what_was_found(void **state)
{
	struct world *w = *state;
	struct reg_check check = passive();
	struct reg_service service = world_service("api");

	check.interval_ms = 1000; /* a hold of ten seconds */
	add(w, 2, &check);
	fail_at(w, 0);
	world_until(w, "api", id[0], REG_CRITICAL);
	service.check = check;
	service.check.rise = 2;
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_int_equal(world_find(w, "api", id[0])->health, REG_CRITICAL);
	service.check = world_check(REG_CHECK_NONE);
	assert_int_equal(registry_service_set(w->reg, &service, &w->err), 0);
	assert_int_equal(world_find(w, "api", id[0])->health, REG_PASSING);
}

static void without_connections_nothing_is_known(void **state)
{
	struct world *w = *state;
	struct reg_check check = passive();

	add(w, 1, &check);
	w->traffic[0].address = (struct ip_addr){0};
	turns(w, 2);
	assert_int_equal(world_find(w, "api", id[0])->health, REG_PASSING);
	assert_string_equal(world_find(w, "api", id[0])->output, "no vip gives it connections");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(begins_as_passing_and_comes_back),
		TEST(half_of_the_service_stays),
		TEST(who_could_not_be_chosen_anyway_is_not_one_of_them),
		TEST(a_port_wins_and_begins_it_anew),
		TEST(a_change_of_its_options_keeps_what_was_found),
		TEST(without_connections_nothing_is_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

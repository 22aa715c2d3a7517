/*
 * The judge of passive checks, given counters a second at a time. Four backends look after the service unless a
 * test says otherwise; a connection may wait two seconds for its answer.
 */
#include "registry/check/outlier.h"
#include "tests/unit/unit.h"

static const struct reg_check check = {
	.type = REG_CHECK_PASSIVE, .interval_ms = 1000, .timeout_ms = 2000, .rise = 2, .fall = 5};

static struct outlier o;
static struct reg_traffic traffic;
static uint64_t now_us;
static unsigned able, out; /* the others, and this one while it is out */

static void count(void *arg, unsigned *n_able, unsigned *n_out)
{
	*n_able = able;
	*n_out = out + (o.state == OUTLIER_OUT);
}

static int setup(void **state)
{
	traffic = (struct reg_traffic){.opened = 1000, .answered = 900, .refused = 50, .withdrawn = -2u};
	now_us = 77000000;
	able = 4;
	out = 0;
	outlier_begin(&o, &traffic, now_us);
	return 0;
}

/* A second in which so many were opened, answered and refused. */
static enum outlier_state second(unsigned opened, unsigned answered, unsigned refused)
{
	const struct outlier_others others = {count, NULL};

	traffic.opened += opened;
	traffic.answered += answered;
	traffic.refused += refused;
	now_us += 1000000;
	return outlier_judge(&o, &check, &traffic, now_us, &others);
}

static enum outlier_state quiet_seconds(unsigned n)
{
	enum outlier_state state = o.state;

	while (n--)
		state = second(0, 0, 0);
	return state;
}

#define assert_says(text)                                                                                    \
	do {                                                                                                 \
		char said[128];                                                                              \
		outlier_say(&o, &check, said, sizeof(said));                                                 \
		assert_string_equal(said, text);                                                             \
	} while (0)

static void no_traffic_is_no_fault(void **state)
{
	assert_int_equal(quiet_seconds(1000), OUTLIER_IN);
	assert_says("connections are answered");
	outlier_begin(&o, &(struct reg_traffic){0}, now_us);
	assert_says("no connection yet");
}

static void refusals_count_at_once(void **state)
{
	assert_int_equal(second(4, 0, 4), OUTLIER_IN);
	assert_says("4 of 4 connections refused");
	assert_int_equal(second(8, 0, 8), OUTLIER_OUT);
	assert_says("12 of 12 connections refused, out for 10 s");
}

static void silence_counts_after_the_timeout(void **state)
{
	unsigned seconds = 0;

	assert_int_equal(second(12, 0, 0), OUTLIER_IN);
	assert_int_equal(second(0, 0, 0), OUTLIER_IN);
	for (; o.state == OUTLIER_IN; seconds++)
		second(0, 0, 0);
	assert_in_range(seconds, 1, 3);
	assert_says("12 of 12 connections unanswered, out for 10 s");
}

static void both_kinds_of_failures_add_up(void **state)
{
	second(5, 0, 2);
	assert_int_equal(quiet_seconds(5), OUTLIER_OUT);
	assert_says("5 of 5 connections failed (2 refused, 3 unanswered), out for 10 s");
}

static void few_connections_take_their_time(void **state)
{
	for (int i = 0; i < 4; i++) {
		assert_int_equal(second(1, 0, 0), OUTLIER_IN);
		assert_int_equal(quiet_seconds(30), OUTLIER_IN);
	}
	assert_says("4 of 4 connections unanswered");
	second(1, 0, 0);
	assert_int_equal(quiet_seconds(5), OUTLIER_OUT);
}

static void an_answer_ends_the_row(void **state)
{
	for (int i = 0; i < 100; i++) {
		assert_int_equal(second(4, 0, 4), OUTLIER_IN);
		assert_int_equal(second(1, 1, 0), OUTLIER_IN);
	}
	assert_says("connections are answered");
}

/* One of a thousand is answered, the others are a scanner's that need no answer. */
static void who_answers_anybody_stays(void **state)
{
	for (int i = 0; i < 100; i++)
		assert_int_equal(second(1000, 1, 0), OUTLIER_IN);
}

static void answers_may_come_late(void **state)
{
	second(3, 0, 0);
	quiet_seconds(5);
	assert_says("3 of 3 connections unanswered");
	assert_int_equal(second(0, 3, 0), OUTLIER_IN);
	assert_says("connections are answered");
	assert_int_equal(quiet_seconds(10), OUTLIER_IN);
}

/* Opened and answered at the same pace, but never all of them at the time of looking. */
static void those_under_way_are_not_judged(void **state)
{
	assert_int_equal(second(1000, 0, 0), OUTLIER_IN);
	for (int i = 0; i < 100; i++)
		assert_int_equal(second(1000, 1000, 0), OUTLIER_IN);
}

static void the_withdrawn_say_nothing(void **state)
{
	for (int i = 0; i < 20; i++) {
		traffic.withdrawn += 10; /* and wraps around */
		assert_int_equal(second(10, 0, 0), OUTLIER_IN);
	}
	assert_int_equal(quiet_seconds(5), OUTLIER_IN);
}

static void counters_that_begin_anew(void **state)
{
	second(3, 0, 3);
	traffic = (struct reg_traffic){0};
	assert_int_equal(second(3, 0, 3), OUTLIER_IN);
	assert_int_equal(second(4, 0, 4), OUTLIER_IN);
	assert_int_equal(second(1, 0, 1), OUTLIER_OUT);
}

static void take_out(void)
{
	while (o.state != OUTLIER_OUT)
		second(5, 0, 5);
}

/* Seconds until it is on trial. */
static unsigned hold(void)
{
	unsigned seconds = 0;

	while (o.state == OUTLIER_OUT) {
		assert_in_range(++seconds, 1, 1000);
		second(0, 0, 0);
	}
	assert_int_equal(o.state, OUTLIER_TRIAL);
	return seconds;
}

static void a_trial_proves_it_well(void **state)
{
	take_out();
	assert_int_equal(hold(), 10);
	assert_says("on trial: no answer yet");
	assert_int_equal(quiet_seconds(100), OUTLIER_TRIAL);
	assert_int_equal(second(1, 1, 0), OUTLIER_TRIAL);
	assert_says("on trial: answers again");
	assert_int_equal(second(1, 1, 0), OUTLIER_IN);
	assert_says("connections are answered");
}

static void the_hold_doubles_up_to_a_bound(void **state)
{
	static const unsigned seconds[] = {10, 20, 40, 80, 160, 320, 320, 320};

	for (unsigned i = 0; i < sizeof(seconds) / sizeof(seconds[0]); i++) {
		take_out();
		assert_int_equal(hold(), seconds[i]);
	}
}

static void the_hold_is_short_again_after_a_good_time(void **state)
{
	take_out();
	hold();
	take_out();
	assert_int_equal(hold(), 20);
	second(5, 5, 0);
	take_out(); /* too early */
	assert_int_equal(hold(), 40);
	second(5, 5, 0);
	quiet_seconds(40);
	take_out();
	assert_int_equal(hold(), 10);
}

static void what_was_opened_before_the_trial_is_not_held_against_it(void **state)
{
	take_out();
	while (o.state == OUTLIER_OUT)
		second(10, 0, 0); /* connections that it had keep asking */
	assert_int_equal(quiet_seconds(10), OUTLIER_TRIAL);
	assert_says("on trial: no answer yet");
}

static void at_most_half_is_out(void **state)
{
	static const struct {
		unsigned able, out;
		enum outlier_state state;
	} cases[] = {
		{1, 0, OUTLIER_IN},
		{2, 0, OUTLIER_OUT},
		{2, 1, OUTLIER_IN},
		{3, 0, OUTLIER_OUT},
		{3, 1, OUTLIER_IN},
		{4, 1, OUTLIER_OUT},
		{4, 2, OUTLIER_IN},
		{100, 49, OUTLIER_OUT},
		{100, 50, OUTLIER_IN},
	};

	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		setup(state);
		able = cases[i].able;
		out = cases[i].out;
		assert_int_equal(second(9, 0, 9), cases[i].state);
		if (cases[i].state == OUTLIER_IN)
			assert_says("9 of 9 connections refused, too few others to take it out");
	}
	out = 0; /* another has come back: now it is out */
	assert_int_equal(second(0, 0, 0), OUTLIER_OUT);
}

static void it_is_let_in_when_others_go(void **state)
{
	take_out();
	assert_int_equal(quiet_seconds(2), OUTLIER_OUT);
	able = 1; /* the ports of the other three went down */
	assert_int_equal(second(0, 0, 0), OUTLIER_TRIAL);
	assert_int_equal(second(9, 0, 9), OUTLIER_TRIAL);
	assert_says("9 of 9 connections refused, too few others to take it out");
}

#define TEST(name) cmocka_unit_test_setup(name, setup)

static void who_is_three_times_as_slow_is_told_so(void **state)
{
	traffic.usual_us = 10000;
	traffic.latency_us = 30000; /* not more */
	quiet_seconds(20);
	assert_false(outlier_is_slow(&o, &check));
	traffic.latency_us = 30001;
	for (unsigned i = 1; i < check.fall; i++) {
		second(10, 10, 0);
		assert_false(outlier_is_slow(&o, &check));
	}
	assert_int_equal(quiet_seconds(1), OUTLIER_IN); /* what was measured holds */
	assert_true(outlier_is_slow(&o, &check));
	assert_says("answers take 30.001 ms, where 10 ms are usual");
	traffic.latency_us = 29000;
	second(1, 1, 0);
	assert_false(outlier_is_slow(&o, &check));
	assert_says("connections are answered");
}

static void what_is_not_measured_is_not_slow(void **state)
{
	traffic.latency_us = 1000000;
	quiet_seconds(20);
	assert_false(outlier_is_slow(&o, &check));
	traffic.latency_us = 0;
	traffic.usual_us = 1000;
	quiet_seconds(20);
	assert_false(outlier_is_slow(&o, &check));
	traffic.latency_us = UINT32_MAX;
	traffic.usual_us = UINT32_MAX;
	quiet_seconds(20);
	assert_false(outlier_is_slow(&o, &check));
}

/* Failures weigh more: they take it out, and when it is let in again its slowness is counted anew. */
static void who_fails_and_is_slow_is_out(void **state)
{
	traffic.latency_us = 500000;
	traffic.usual_us = 1000;
	assert_int_equal(quiet_seconds(check.fall), OUTLIER_IN);
	assert_true(outlier_is_slow(&o, &check));
	assert_int_equal(second(5, 0, 5), OUTLIER_OUT);
	assert_false(outlier_is_slow(&o, &check));
	assert_int_equal(quiet_seconds(10), OUTLIER_TRIAL);
	assert_false(outlier_is_slow(&o, &check));
	assert_int_equal(second(2, 2, 0), OUTLIER_IN);
	assert_false(outlier_is_slow(&o, &check));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(no_traffic_is_no_fault),
		TEST(refusals_count_at_once),
		TEST(silence_counts_after_the_timeout),
		TEST(both_kinds_of_failures_add_up),
		TEST(few_connections_take_their_time),
		TEST(an_answer_ends_the_row),
		TEST(who_answers_anybody_stays),
		TEST(answers_may_come_late),
		TEST(those_under_way_are_not_judged),
		TEST(who_is_three_times_as_slow_is_told_so),
		TEST(what_is_not_measured_is_not_slow),
		TEST(who_fails_and_is_slow_is_out),
		TEST(the_withdrawn_say_nothing),
		TEST(counters_that_begin_anew),
		TEST(a_trial_proves_it_well),
		TEST(the_hold_doubles_up_to_a_bound),
		TEST(the_hold_is_short_again_after_a_good_time),
		TEST(what_was_opened_before_the_trial_is_not_held_against_it),
		TEST(at_most_half_is_out),
		TEST(it_is_let_in_when_others_go),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* The wheel on a real loop: everything fires once, nothing early, whatever is set and cleared meanwhile. */
#include <event2/event.h>
#include <stdlib.h>

#include "registry/base/wheel.h"
#include "tests/unit/unit.h"

enum { MANY = 2000, SPAN_US = 200000 };

struct world {
	struct event_base *base;
	struct wheel wheel;
	struct one {
		struct world *w;
		struct wheel_timer timer;
		unsigned fired;
	} one[MANY];
	unsigned fired;
};

static void on_fire(void *arg)
{
	struct one *one = arg;

	assert_true(wheel_now_us() >= one->timer.due_us);
	one->fired++;
	one->w->fired++;
}

static int setup(void **state)
{
	struct world *w = calloc(1, sizeof(*w));

	w->base = event_base_new();
	assert_int_equal(wheel_init(&w->wheel, w->base), 0);
	for (unsigned i = 0; i < MANY; i++) {
		w->one[i].w = w;
		wheel_timer_init(&w->one[i].timer, on_fire, &w->one[i]);
	}
	*state = w;
	return 0;
}

static int teardown(void **state)
{
	struct world *w = *state;

	wheel_close(&w->wheel);
	event_base_free(w->base);
	free(w);
	return 0;
}

static void each_fires_once_and_never_early(void **state)
{
	struct world *w = *state;
	uint64_t now = wheel_now_us();

	srand(1);
	for (unsigned i = 0; i < MANY; i++)
		wheel_set(&w->wheel, &w->one[i].timer, now + (uint64_t)(rand() % SPAN_US));
	assert_int_equal(w->fired, 0); /* not from inside the call, though some are due */
	event_base_dispatch(w->base);  /* ends when nothing is set any more */
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(w->one[i].fired, 1);
}

static void what_is_cleared_or_set_anew_forgets_its_time(void **state)
{
	struct world *w = *state;
	uint64_t now = wheel_now_us();

	wheel_clear(&w->wheel, &w->one[0].timer); /* not set: nothing */
	for (unsigned i = 0; i < MANY; i++)
		wheel_set(&w->wheel, &w->one[i].timer, i % 2 ? now : now + UINT64_C(3600000000));
	for (unsigned i = 0; i < MANY; i++)
		if (i % 4 == 0)
			wheel_set(&w->wheel, &w->one[i].timer, now + 1000); /* from the far ones */
		else if (i % 4 == 1)
			wheel_set(&w->wheel, &w->one[i].timer, now + UINT64_C(3600000000)); /* and to them */
	for (unsigned i = 0; i < MANY; i++)
		if (i % 4 == 1 || i % 4 == 2)
			wheel_clear(&w->wheel, &w->one[i].timer);
	event_base_dispatch(w->base);
	for (unsigned i = 0; i < MANY; i++)
		assert_int_equal(w->one[i].fired, i % 4 == 0 || i % 4 == 3);
}

/* Sets itself three times, first for a time that has passed; clears its neighbour, which is due as well. */
static void on_again(void *arg)
{
	struct one *one = arg;

	on_fire(arg);
	wheel_clear(&one->w->wheel, &one[1].timer);
	if (one->fired < 4)
		wheel_set(&one->w->wheel, &one->timer, one->fired == 1 ? 1 : one->timer.due_us + 3000);
}

static void a_function_sets_and_clears(void **state)
{
	struct world *w = *state;
	uint64_t now = wheel_now_us();

	wheel_timer_init(&w->one[0].timer, on_again, &w->one[0]);
	wheel_set(&w->wheel, &w->one[1].timer, now + 5000);
	wheel_set(&w->wheel, &w->one[0].timer, now + 4000);
	event_base_dispatch(w->base);
	assert_int_equal(w->one[0].fired, 4);
	assert_int_equal(w->one[1].fired, 0);
}

static void a_far_one_comes_near(void **state)
{
	struct world *w = *state;

	wheel_set(&w->wheel, &w->one[0].timer, wheel_now_us() + (WHEEL_SLOTS + 50) * UINT64_C(1000));
	assert_true(w->one[0].timer.far);
	event_base_dispatch(w->base);
	assert_int_equal(w->one[0].fired, 1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_fires_once_and_never_early),
		TEST(what_is_cleared_or_set_anew_forgets_its_time),
		TEST(a_function_sets_and_clears),
		TEST(a_far_one_comes_near),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

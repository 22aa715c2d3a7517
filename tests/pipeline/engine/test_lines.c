/*
 * No line that two workers use is written for a frame: the real loop, pipeline and rings with two workers (bench/lines/lines.h),
 * on each way through the switch. A planted counter that both workers write is found, so that nothing found means something.
 */
#include <errno.h>
#include <stdio.h>

#include "bench/lines/lines.h"
#include "bench/lines/trap.h"
#include "dataplane/vhost/dev.h"
#include "tests/unit/unit.h"

enum { WORKERS = 2, SIZE = 60, BURST = 4 /* each access takes the kernel some 50 us */ };

static struct lines_result measure(const struct lines_config *config)
{
	struct lines_result result = {0};
	int rc = lines_measure(config, &result);

	if (rc)
		print_message("%s: %s\n", lines_ways[config->way], result.error);
	assert_int_equal(rc, 0);
	assert_true(result.frames > 0);
	return result;
}

static void expect_nothing_shared(enum lines_way way, bool packed)
{
	struct lines_result r = measure(&(struct lines_config){
		.way = way, .workers = WORKERS, .packed = packed, .burst = BURST, .size = SIZE});

	if (r.shared)
		print_message("%s: %lu of %lu frames, the first at line %lx\n", lines_ways[way],
			(unsigned long)r.shared, (unsigned long)r.frames, (unsigned long)r.sample[0]);
	assert_int_equal(r.shared, 0);
}

static void test_no_line_is_shared_for_a_frame(void **state)
{
	expect_nothing_shared(LINES_L2_BOTH, false);
	expect_nothing_shared(LINES_L2_BOTH, true);
	expect_nothing_shared(LINES_ENCAP, false);
	expect_nothing_shared(LINES_DECAP, false);
	expect_nothing_shared(LINES_VIP_BOTH, false);
}

static uint64_t planted __attribute__((aligned(64)));

static uint16_t tx_counting(struct port *port, struct worker *w, struct frame *const *frames, uint16_t n)
{
	*(volatile uint64_t *)&planted += n;
	return vhost_tx(port, w, frames, n);
}

static void test_a_shared_counter_is_found(void **state)
{
	struct lines_result r = measure(&(struct lines_config){
		.way = LINES_L2, .workers = WORKERS, .burst = BURST, .size = SIZE, .tx = tx_counting});

	assert_true(r.shared > 0);
	assert_int_equal(r.sample[0], (uintptr_t)&planted / 64);
	assert_int_equal(r.hottest, r.shared); /* and nothing else */
}

/* A guest writes its frame, the worker reads it and writes another, a guest reads that: four lines that move at least. */
static void test_a_frame_moves_few_lines(void **state)
{
	struct lines_result r =
		measure(&(struct lines_config){.way = LINES_L2, .workers = 1, .burst = 16, .size = SIZE});
	uint64_t rings = 0;

	assert_int_equal(r.worker[LINES_FRAME], 2 * r.frames);
	assert_int_equal(r.guest[LINES_FRAME], 2 * r.frames);
	assert_int_equal(r.worker[LINES_HEADER] + r.guest[LINES_HEADER], 0);
	assert_int_equal(r.worker[LINES_OTHER] + r.guest[LINES_OTHER], 0);
	for (unsigned i = LINES_DESC; i <= LINES_USED; i++)
		rings += r.worker[i] + r.guest[i];
	assert_true(rings < r.frames); /* by the batch */
}

static void test_bounds(void **state)
{
	const struct lines_config good = {.workers = 1, .burst = BURST, .size = SIZE};
	struct lines_config bad[] = {good, good, good, good, good, good, good};
	struct lines_result r;

	bad[0].workers = 0;
	bad[1].workers = 65;
	bad[2].size = 59;
	bad[3].size = 1515;
	bad[4].burst = 0;
	bad[5].burst = 64;
	bad[6].way = LINES_DECAP; /* by as many queues as a port has */
	bad[6].workers = 9;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(lines_measure(&bad[i], &r), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_a_frame_moves_few_lines),
		cmocka_unit_test(test_no_line_is_shared_for_a_frame),
		cmocka_unit_test(test_a_shared_counter_is_found),
	};

	if (!TRAP_ABLE) {
		puts("its handlers of faults know instructions of x86-64, and no sanitizer's own faults");
		return EXIT_SKIPPED;
	}
	return cmocka_run_group_tests(tests, NULL, NULL);
}

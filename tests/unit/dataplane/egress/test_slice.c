/* Whatever the number of workers, each port is one's own, and all of them have about as many. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/worker.h"
#include "dataplane/egress/slice.h"
#include "tests/unit/unit.h"

static void test_slices_share_out_all_ports_and_no_two_the_same(void **state)
{
	for (unsigned workers = 1; workers <= MAX_WORKERS; workers++) {
		uint8_t taken[EGRESS_PORT_END] = {0};
		unsigned sum = 0;

		for (unsigned index = 0; index < workers; index++) {
			struct slice slice = slice_of(index, workers);

			assert_in_range(slice.count, (EGRESS_PORT_END - EGRESS_PORT_FIRST) / workers,
				(EGRESS_PORT_END - EGRESS_PORT_FIRST) / workers + 1);
			for (uint32_t at = 0; at < slice.count; at++)
				assert_int_equal(taken[slice_port(&slice, at)]++, 0);
			sum += slice.count;
		}
		assert_int_equal(sum, EGRESS_PORT_END - EGRESS_PORT_FIRST);
		for (unsigned port = 0; port < EGRESS_PORT_END; port++)
			assert_int_equal(taken[port], port >= EGRESS_PORT_FIRST);
	}
}

static void test_places_go_round(void **state)
{
	for (unsigned index = 0; index < 3; index++) {
		struct slice slice = slice_of(index, 3);

		assert_int_equal(slice_port(&slice, 0), EGRESS_PORT_FIRST + index);
		assert_int_equal(slice_port(&slice, slice.count), EGRESS_PORT_FIRST + index);
		assert_int_equal(slice_port(&slice, (uint64_t)slice.count * 1000 + slice.count - 1),
			EGRESS_PORT_FIRST + index + 3 * (slice.count - 1));
		assert_in_range(slice_port(&slice, UINT64_MAX), EGRESS_PORT_FIRST, EGRESS_PORT_END - 1);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices_share_out_all_ports_and_no_two_the_same),
		cmocka_unit_test(test_places_go_round),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

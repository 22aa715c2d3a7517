/* Who wakes whom at the ring that the guest sends by: its guest, and the worker that sleeps. */
#include <string.h>
#include <unistd.h>

#include "tests/unit/dataplane/vhost/rig.h"
#include "tests/unit/unit.h"

static void send_some(struct rig *rig, int n)
{
	rig_desc(&rig->rx, 0, RIG_DATA, rig_write_frame(rig, RIG_DATA, 100, 0), 0, 0);
	for (int i = 0; i < n; i++)
		rig_offer(&rig->rx, 0);
	assert_int_equal(rig_rx(rig), n);
	rig_complete(rig);
}

static void guest_is_notified_by_flag(void **state)
{
	struct rig *rig = *state;

	send_some(rig, 5);
	assert_int_equal(rig_signals(rig->rx.call), 1);
	rig->rx.avail->flags = VRING_AVAIL_F_NO_INTERRUPT;
	send_some(rig, 5);
	assert_int_equal(rig_signals(rig->rx.call), 0);
}

static void guest_is_notified_by_event_index(void **state)
{
	struct rig *rig = *state;
	uint16_t *used_event = &rig->rx.avail->ring[RIG_SIZE];

	rig->rx.ring->event_idx = true;
	rig->rx.avail->flags = VRING_AVAIL_F_NO_INTERRUPT; /* has no say */
	*used_event = 0;
	send_some(rig, 3); /* used index passes 0 */
	assert_int_equal(rig_signals(rig->rx.call), 1);
	send_some(rig, 3); /* and does not pass it again */
	assert_int_equal(rig_signals(rig->rx.call), 0);
	*used_event = 8;
	send_some(rig, 2); /* to 8: not past */
	assert_int_equal(rig_signals(rig->rx.call), 0);
	send_some(rig, 1);
	assert_int_equal(rig_signals(rig->rx.call), 1);
}

static void sleeper_is_kicked(void **state)
{
	struct rig *rig = *state;

	rig_desc(&rig->rx, 0, RIG_DATA, rig_write_frame(rig, RIG_DATA, 100, 0), 0, 0);
	assert_int_equal(vhost_rx_fd(&rig->port, 0), rig->rx.kick);
	for (int event_idx = 0; event_idx < 2; event_idx++) {
		uint16_t *avail_event = (uint16_t *)&rig->rx.used->ring[RIG_SIZE];
		uint64_t one = 1;

		rig->rx.ring->event_idx = event_idx;
		assert_false(vhost_arm(&rig->port, 0, true));
		if (event_idx)
			assert_int_equal(*avail_event, rig->rx.avail->idx);
		else
			assert_int_equal(rig->rx.used->flags, 0);
		rig_offer(&rig->rx, 0);
		assert_true(vhost_arm(&rig->port, 0, true));
		assert_int_equal(write(rig->rx.kick, &one, sizeof(one)), sizeof(one));
		assert_false(vhost_arm(&rig->port, 0, false));
		assert_int_equal(rig_signals(rig->rx.kick), 0); /* it was taken off the fd */
		if (event_idx)
			assert_int_equal(*avail_event, (uint16_t)(rig->rx.ring->next_avail - 1));
		else
			assert_int_equal(rig->rx.used->flags, VRING_USED_F_NO_NOTIFY);
		assert_true(vhost_arm(&rig->port, 0, true)); /* one waits already */
		assert_false(vhost_arm(&rig->port, 0, false));
		assert_int_equal(rig_rx(rig), 1);
		rig_complete(rig);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
#define T(fn) cmocka_unit_test_setup_teardown(fn, rig_setup, rig_teardown)
		T(guest_is_notified_by_flag),
		T(guest_is_notified_by_event_index),
		T(sleeper_is_kicked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

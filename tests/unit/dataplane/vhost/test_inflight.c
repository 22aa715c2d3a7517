/* What another back-end left in the memory for what is in flight is given back once, as empty, in its order. */
#include <stdlib.h>
#include <string.h>

#include "dataplane/vhost/inflight.h"
#include "dataplane/vhost/resume.h"
#include "tests/unit/dataplane/vhost/packed_guest.h"
#include "tests/unit/unit.h"

/* On the heap, and no byte more than there are: what goes past it is seen. */
static struct vhost_split_region *split_region(void)
{
	struct vhost_split_region *region = calloc(1, sizeof(*region) + RIG_SIZE * sizeof(region->desc[0]));

	region->version = 1;
	region->ring_size = RIG_SIZE;
	return region;
}

static struct vhost_packed_region *packed_region(void)
{
	struct vhost_packed_region *region = calloc(1, sizeof(*region) + RIG_SIZE * sizeof(region->entry[0]));

	region->version = 1;
	region->ring_size = RIG_SIZE;
	return region;
}

static void use(struct guest_ring *g, uint32_t head)
{
	g->used->ring[g->used->idx % RIG_SIZE] = (struct vring_used_elem){head, 7};
	g->used->idx++;
}

static void split_out_of_order(void **state)
{
	static const uint16_t in_flight[] = {5, 0, 3, 1};
	struct vhost_split_region *region = split_region();
	struct rig *rig = rig_new();

	for (uint16_t i = 0; i < 6; i++) {
		rig_desc(&rig->rx, i, RIG_DATA, VHOST_HDR + 100, 0, 0);
		rig_offer(&rig->rx, i);
	}
	for (unsigned i = 0; i < 4; i++) {
		region->desc[in_flight[i]].inflight = 1;
		region->desc[in_flight[i]].counter = 10 + i;
	}
	use(&rig->rx, 2);
	use(&rig->rx, 4);
	region->desc[4].inflight = 1; /* its back-end died after this one was back */
	region->last_batch = 4;
	region->used_idx = 1;

	assert_int_equal(vhost_inflight_return_split(rig->rx.ring, region), 0);
	vhost_resume_split(rig->rx.ring);
	vhost_inflight_begin_split(rig->rx.ring, region);
	assert_int_equal(rig_used(&rig->rx), 6);
	for (unsigned i = 0; i < 4; i++) {
		assert_int_equal(rig->rx.used->ring[2 + i].id, in_flight[i]);
		assert_int_equal(rig->rx.used->ring[2 + i].len, 0);
		assert_int_equal(region->desc[in_flight[i]].inflight, 0);
	}
	assert_int_equal(region->used_idx, 6);
	assert_int_equal(rig_rx(rig), 0);
	assert_int_equal(vhost_inflight_return_split(rig->rx.ring, region), 0);
	assert_int_equal(rig_used(&rig->rx), 6); /* once */
	rig_free(rig);
	free(region);
}

static void entry(
	struct vhost_packed_region *region, uint16_t at, uint16_t slots, uint16_t id, uint64_t counter)
{
	region->entry[at] = (struct vhost_packed_entry){
		.inflight = 1, .last = at + slots - 1, .slots = slots, .counter = counter};
	region->entry[at + slots - 1].id = id;
}

/* The guest offered 10, 11 (in two descriptors), 12 and 13, and 12 is back. */
static struct packed_rig *packed_out_of_order(struct vhost_packed_region *region)
{
	const struct packed_link link[] = {{RIG_DATA, VHOST_HDR}, {RIG_DATA + VHOST_HDR, 100}};
	struct packed_rig *p = packed_new();
	const struct vhost_given given = {12, 1, 0};

	for (uint16_t id = 10; id < 14; id++)
		packed_offer(&p->rx, link, id == 11 ? 2 : 1, id);
	p->rx.ring->next_avail = 1;
	p->rx.ring->next_used = 0;
	vhost_packed_give(p->rx.ring, &given, 1);
	vhost_resume_forget(p->rx.ring->wish); /* this was not us */
	region->used = region->old_used = 1;
	region->wrap = region->old_wrap = 1;
	entry(region, 0, 1, 10, 1);
	entry(region, 1, 2, 11, 2);
	entry(region, 3, 1, 12, 3); /* free, though its back-end died before it could say so */
	entry(region, 4, 1, 13, 4);
	region->free_head = region->old_free_head = 3;
	for (unsigned i = 5; i <= RIG_SIZE; i++)
		region->entry[i == 5 ? 3 : i - 1].next = (uint16_t)i;
	return p;
}

static void expect_back(struct packed_rig *p, unsigned slots, uint16_t want)
{
	uint16_t id;
	uint32_t len;

	assert_true(packed_take(&p->rx, slots, &id, &len));
	assert_int_equal(id, want);
	assert_int_equal(len, 0);
}

static void expect_all_back(struct packed_rig *p, struct vhost_packed_region *region)
{
	struct vhost_position at = {77, false};

	assert_int_equal(vhost_inflight_return_packed(p->rx.ring, region, &at), 0);
	assert_int_equal(at.slot, 5);
	assert_true(at.wrap);
	vhost_resume_packed(p->rx.ring, at);
	vhost_inflight_begin_packed(p->rx.ring, region);
	expect_back(p, 1, 12);
	expect_back(p, 1, 10);
	expect_back(p, 2, 11);
	expect_back(p, 1, 13);
	assert_int_equal(rig_rx(p->rig), 0);
	assert_int_equal(region->used, 5);
}

static void packed(void **state)
{
	struct vhost_packed_region *region = packed_region();
	struct packed_rig *p = packed_out_of_order(region);

	expect_all_back(p, region);
	packed_free(p);
	free(region);
}

static void packed_killed_before_a_batch_went_back(void **state)
{
	struct vhost_packed_region *region = packed_region();
	struct packed_rig *p = packed_out_of_order(region);

	region->used = 2; /* it was about to give 10 back */
	region->entry[0].next = region->free_head;
	region->free_head = 0;
	expect_all_back(p, region);
	packed_free(p);
	free(region);
}

static void the_mark_in_the_ring_overrules_the_region(void **state)
{
	struct vhost_packed_region *region = packed_region();
	struct packed_rig *p = packed_out_of_order(region);
	struct vhost_position at = {77, false};

	vhost_resume_packed(p->rx.ring, (struct vhost_position){1, true});
	assert_int_equal(vhost_inflight_return_packed(p->rx.ring, region, &at), 0);
	assert_int_equal(at.slot, 77);
	packed_free(p);
	free(region);
}

/* The front-end can write anything there. */
static void random_regions_stay_in_bounds(void **state)
{
	struct vhost_split_region *split = split_region();
	struct vhost_packed_region *packed = packed_region();
	const size_t split_size = sizeof(*split) + RIG_SIZE * sizeof(split->desc[0]);
	const size_t packed_size = sizeof(*packed) + RIG_SIZE * sizeof(packed->entry[0]);
	struct rig *rig = rig_new();
	struct packed_rig *p = packed_new();

	srandom(1);
	for (unsigned i = 0; i < 3000; i++) {
		struct vhost_position at = {3, true};

		for (size_t k = 0; k < split_size; k++)
			((uint8_t *)split)[k] = (uint8_t)random();
		for (size_t k = 0; k < packed_size; k++)
			((uint8_t *)packed)[k] = (uint8_t)(random() % (k < 32 ? 256 : 100));
		packed->used %= RIG_SIZE;
		packed->old_used %= RIG_SIZE;
		assert_int_equal(vhost_inflight_return_split(rig->rx.ring, split), 0);
		vhost_resume_forget(p->rx.ring->wish);
		assert_int_equal(vhost_inflight_return_packed(p->rx.ring, packed, &at), 0);
		assert_in_range(at.slot, 0, RIG_SIZE - 1);
	}
	rig_free(rig);
	packed_free(p);
	free(split);
	free(packed);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(split_out_of_order),
		cmocka_unit_test(packed),
		cmocka_unit_test(packed_killed_before_a_batch_went_back),
		cmocka_unit_test(the_mark_in_the_ring_overrules_the_region),
		cmocka_unit_test(random_regions_stay_in_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

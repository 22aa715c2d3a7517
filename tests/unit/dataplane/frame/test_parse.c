/* flow_hash() takes a short way for plain packets; it must not matter which way a flow's packets go. */
#include "dataplane/frame/parse.h"
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/unit.h"

static struct flat flat;
static struct burst burst;

static uint32_t hash_of(const struct flat *what, bool parsed)
{
	struct frame *f;

	burst.count = 0;
	burst.nspan = 0;
	f = split(&burst, what->data, what->len, HDR_COPY, 0);
	if (parsed)
		parse_frame(f);
	return flow_hash(f);
}

static void assert_one_hash(const struct flat *what)
{
	uint32_t hash = hash_of(what, false);

	assert_int_not_equal(hash, 0);
	assert_int_equal(hash, hash_of(what, true));
}

static const struct recipe recipes[] = {
	{.version = 4, .proto = IPPROTO_UDP, .payload = 18},
	{.version = 4, .proto = IPPROTO_TCP, .payload = 1000},
	{.version = 4, .proto = IPPROTO_UDP, .payload = 18, .tags = 1},
	{.version = 4, .proto = IPPROTO_UDP, .payload = 18, .ip_options = 8},
	{.version = 4, .proto = IPPROTO_TCP, .payload = 18, .ip_options = 40},
	{.version = 6, .proto = IPPROTO_UDP, .payload = 18},
	{.version = 6, .proto = IPPROTO_TCP, .payload = 18, .tags = 2},
};

enum { RECIPES = sizeof(recipes) / sizeof(recipes[0]) };

static void test_one_hash_parsed_or_not(void **state)
{
	for (unsigned i = 0; i < RECIPES; i++) {
		flat_make(&flat, &recipes[i], false);
		assert_one_hash(&flat);
	}
}

/* Headers that are cut, contradict the length or belong to a fragment: any byte wrong in any way. */
static void test_one_hash_for_broken_headers(void **state)
{
	for (unsigned i = 0; i < RECIPES; i++) {
		for (unsigned at = 12; at < 64; at++) {
			flat_make(&flat, &recipes[i], false);
			for (unsigned value = 0; value < 256; value++) {
				flat.data[at] = (uint8_t)value;
				assert_one_hash(&flat);
			}
		}
		for (unsigned len = FRAME_MIN; len < 64; len++) {
			flat_make(&flat, &recipes[i], false);
			flat.len = len;
			assert_one_hash(&flat);
		}
	}
}

static void test_flows_differ(void **state)
{
	uint32_t before;

	flat_make(&flat, &recipes[0], false);
	before = hash_of(&flat, false);
	for (unsigned at = flat.l3 + 12; at < flat.l4 + 4u; at++) {
		flat.data[at] ^= 1;
		assert_int_not_equal(hash_of(&flat, false), before);
		flat.data[at] ^= 1;
	}
	flat.data[flat.l4 + 6] ^= 1; /* the checksum is no part of it */
	assert_int_equal(hash_of(&flat, false), before);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_hash_parsed_or_not),
		cmocka_unit_test(test_one_hash_for_broken_headers),
		cmocka_unit_test(test_flows_differ),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}

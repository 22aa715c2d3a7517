/* flow_hash() and parsing take a short way for plain packets; it must not matter which way a flow's packets go. */
#include "dataplane/frame/csum.h"
#include "dataplane/frame/parse.h"
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/unit.h"

static struct flat flat;
static struct burst burst;

static struct frame *frame_of(const struct flat *what)
{
	burst.count = 0;
	burst.nspan = 0;
	return split(&burst, what->data, what->len, HDR_COPY, 0);
}

static uint32_t hash_of(const struct flat *what, bool parsed)
{
	struct frame *f;

	f = frame_of(what);
	if (parsed)
		parse_frame(f);
	return flow_hash(f);
}

/* The short way of plain frames finds what the long one does. */
static void assert_parsed_alike(const struct flat *what)
{
	struct frame *f = frame_of(what);
	uint16_t ethertype, l3, l4;
	uint8_t proto;

	parse_frame(f);
	ethertype = f->ethertype;
	proto = f->ip_proto;
	l3 = f->l3_off;
	l4 = f->l4_off;
	f = frame_of(what);
	parse_frame_inline(f);
	assert_true(f->parsed);
	assert_int_equal(f->ethertype, ethertype);
	assert_int_equal(f->l3_off, l3);
	if (l3)
		assert_int_equal(f->ip_proto, proto);
	assert_int_equal(f->l4_off, l4);
}

static void assert_one_hash(const struct flat *what)
{
	uint32_t hash = hash_of(what, false);

	assert_parsed_alike(what);
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

/* As RFC 1071 says it: carries come back until there are none. */
static uint16_t fold_slowly(uint64_t sum)
{
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)sum;
}

static void test_sums_fold_at_their_edges(void **state)
{
	static const uint64_t sums[] = {0, 1, 0xfffe, 0xffff, 0x10000, 0x1fffe, 0x2fffd, 0xfffe0001,
		0xffff0000, UINT32_MAX, UINT32_MAX + UINT64_C(1), UINT64_C(0xffff) << 32,
		UINT64_C(0xffff) << 48, UINT64_C(0xffffffff) << 32, UINT64_C(0xfffffffe00000001),
		UINT64_MAX - 1, UINT64_MAX};
	uint64_t any = 1;

	for (unsigned i = 0; i < sizeof(sums) / sizeof(sums[0]); i++)
		assert_int_equal(csum_fold(sums[i]), fold_slowly(sums[i]));
	for (uint64_t times = 1; times < 100000; times++)
		assert_int_equal(csum_fold(times * 0xffff), 0xffff);
	for (unsigned i = 0; i < 100000; i++) {
		any = any * UINT64_C(6364136223846793005) + 1442695040888963407;
		assert_int_equal(csum_fold(any >> i % 64), fold_slowly(any >> i % 64));
	}
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_one_hash_parsed_or_not),
		cmocka_unit_test(test_one_hash_for_broken_headers),
		cmocka_unit_test(test_flows_differ),
		cmocka_unit_test(test_sums_fold_at_their_edges),
	};

	return cmocka_run_group_tests_name("parse", tests, NULL, NULL);
}

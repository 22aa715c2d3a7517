/* frame_pull and frame_copy over every way a frame may be cut. */
#include "dataplane/frame/burst.h"
#include "tests/unit/dataplane/frames.h"
#include "tests/unit/unit.h"

static uint8_t bytes[1000];
static struct burst burst;

static struct frame *cut(uint32_t len, uint16_t copy, uint32_t step)
{
	burst.count = 0;
	burst.nspan = 0;
	return split(&burst, bytes, len, copy, step);
}

static void assert_same(const struct frame *f, uint32_t len)
{
	uint8_t out[sizeof(bytes)];
	uint32_t sum = f->hdr_len;

	for (unsigned i = 0; i < f->nspan; i++)
		sum += f->span[i].len;
	assert_int_equal(f->len, len);
	assert_int_equal(sum, len);
	frame_copy(f, out);
	assert_memory_equal(out, bytes, len);
}

static void test_pull(void **state)
{
	static const struct {
		uint32_t len;
		uint16_t copy;
		uint32_t step;
		uint16_t want, have, spans;
	} rows[] = {
		{1000, 64, 0, 64, 64, 1},     /* nothing to do */
		{1000, 64, 0, 40, 64, 1},     /* never fewer */
		{1000, 64, 0, 100, 100, 1},   /* part of a span */
		{1000, 64, 36, 100, 100, 25}, /* a whole span */
		{1000, 64, 20, 101, 101, 46}, /* ends inside the second */
		{1000, 64, 1, 128, 128, 1},   /* single bytes: 63 of them and a long last one */
		{1000, 64, 0, 500, 128, 1},   /* HDR_MAX at most */
		{90, 64, 7, 128, 90, 0},      /* the whole frame */
		{20, 64, 0, 64, 20, 0},	      /* shorter than the first copy */
	};

	for (unsigned i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct frame *f = cut(rows[i].len, rows[i].copy, rows[i].step);

		assert_int_equal(frame_pull(f, rows[i].want), rows[i].have);
		assert_int_equal(f->hdr_len, rows[i].have);
		if (rows[i].spans != 1 || rows[i].step != 1)
			assert_int_equal(f->nspan, rows[i].spans);
		assert_int_equal(f->hdr_off, HDR_ROOM);
		assert_same(f, rows[i].len);
	}
}

/* An inner frame has lost its outer header, so the room behind it is short: the header moves back. */
static void test_pull_after_decapsulation(void **state)
{
	struct frame *f = cut(1000, 128, 0);

	f->hdr_off += 50;
	f->hdr_len -= 50;
	f->len -= 50;
	assert_int_equal(frame_pull(f, 100), 100);
	assert_int_equal(f->hdr_len, 100);
	assert_true(f->hdr_off + f->hdr_len <= HDR_ROOM + HDR_MAX);
	assert_memory_equal(frame_data(f), bytes + 50, 100);
	assert_ptr_equal(f->span[0].ptr, bytes + 150);
	assert_int_equal(f->span[0].len, 850);
}

/* What was pulled is ours: a sender that changes its buffer afterwards changes nothing. */
static void test_pulled_bytes_are_private(void **state)
{
	struct frame *f = cut(200, 64, 0);

	frame_pull(f, 100);
	bytes[99] ^= 0xff;
	assert_int_equal(frame_data(f)[99], bytes[99] ^ 0xff);
	bytes[99] ^= 0xff;
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pull),
		cmocka_unit_test(test_pull_after_decapsulation),
		cmocka_unit_test(test_pulled_bytes_are_private),
	};

	for (unsigned i = 0; i < sizeof(bytes); i++)
		bytes[i] = (uint8_t)(i * 7 + (i >> 8));
	return cmocka_run_group_tests(tests, NULL, NULL);
}

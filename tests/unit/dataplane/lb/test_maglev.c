#include <stdbool.h>
#include <stdlib.h>

#include "dataplane/lb/maglev.h"
#include "tests/unit/unit.h"

enum { MAX = 200 };

/* n backends of weight 1 at 10.0.x.y:80, ids as numbered, in order. */
static void make(struct maglev_backend *b, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		b[i] = (struct maglev_backend){.address = ip_from4(__builtin_bswap32(0x0a000001 + i)),
			.port = 80,
			.weight = 1,
			.id = (uint16_t)i};
}

static void count(const struct maglev *t, unsigned *slots)
{
	for (unsigned i = 0; i < MAX; i++)
		slots[i] = 0;
	for (uint32_t i = 0; i < t->size; i++) {
		assert_true(maglev_at(t, i) < MAX);
		slots[maglev_at(t, i)]++;
	}
}

static void test_size_fits_the_number(void **state)
{
	assert_int_equal(maglev_size(1), 251);
	assert_int_equal(maglev_size(3), 509);
	assert_int_equal(maglev_size(200), 32749);
	assert_int_equal(maglev_size(16384), 65537);
}

static void test_equal_weights_share_equally(void **state)
{
	static const unsigned numbers[] = {1, 2, 3, 10, 100, 200};
	struct maglev_backend b[MAX];
	unsigned slots[MAX];

	for (unsigned k = 0; k < sizeof(numbers) / sizeof(numbers[0]); k++) {
		unsigned n = numbers[k];
		struct maglev *t;

		make(b, n);
		t = maglev_build(b, n);
		assert_non_null(t);
		count(t, slots);
		for (unsigned i = 0; i < n; i++)
			assert_in_range(slots[i], t->size / n, t->size / n + 1);
		free(t);
	}
}

static void test_weights_give_shares(void **state)
{
	struct maglev_backend b[4];
	unsigned slots[MAX];
	struct maglev *t;

	make(b, 4);
	b[0].weight = 0;
	b[1].weight = 10;
	b[2].weight = 20;
	b[3].weight = 70;
	t = maglev_build(b, 4);
	count(t, slots);
	assert_int_equal(slots[0], 0);
	for (unsigned i = 1; i < 4; i++)
		assert_in_range(slots[i] + 1, b[i].weight * t->size / 100, b[i].weight * t->size / 100 + 2);
	free(t);
}

static void test_the_lightest_has_a_slot(void **state)
{
	struct maglev_backend b[2];
	unsigned slots[MAX];
	struct maglev *t;

	make(b, 2);
	b[1].weight = UINT16_MAX;
	t = maglev_build(b, 2);
	count(t, slots);
	assert_int_equal(slots[0], 1);
	free(t);
}

static void test_none_active_is_no_table(void **state)
{
	struct maglev_backend b[1];

	make(b, 1);
	b[0].weight = 0;
	assert_null(maglev_build(b, 1));
	assert_null(maglev_build(b, 0));
}

/* Slots of others that move when backend `gone` of n falls ill, in thousandths of the table. */
static unsigned moved(unsigned n, unsigned gone)
{
	struct maglev_backend b[MAX];
	struct maglev *before, *after;
	unsigned others = 0;

	make(b, n);
	before = maglev_build(b, n);
	b[gone].weight = 0;
	after = maglev_build(b, n);
	assert_int_equal(before->size, after->size);
	for (uint32_t i = 0; i < before->size; i++)
		if (maglev_at(before, i) != gone && maglev_at(before, i) != maglev_at(after, i))
			others++;
	others = others * 1000 / before->size;
	free(before);
	free(after);
	return others;
}

static void test_a_lost_backend_moves_few_others(void **state)
{
	for (unsigned gone = 0; gone < 10; gone++) {
		assert_in_range(moved(3, gone % 3), 0, 100);
		assert_in_range(moved(10, gone), 0, 50);
		assert_in_range(moved(100, gone), 0, 20);
	}
}

static void test_two_hosts_build_the_same_table(void **state)
{
	struct maglev_backend b[MAX];
	struct maglev *here, *there;

	make(b, 50);
	here = maglev_build(b, 50);
	for (unsigned i = 0; i < 50; i++)
		b[i].id = (uint16_t)(100 + i); /* ids are each host's own */
	there = maglev_build(b, 50);
	for (uint32_t i = 0; i < here->size; i++)
		assert_int_equal(maglev_at(here, i) + 100, maglev_at(there, i));
	free(here);
	free(there);
}

/* The finalizer of MurmurHash3. */
static uint64_t mix(uint64_t x)
{
	x = (x ^ x >> 33) * UINT64_C(0xff51afd7ed558ccd);
	x = (x ^ x >> 33) * UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

/* The table by the paper's own loop, with no thought of speed: `slot` of `size`. */
static void fill_plainly(const struct maglev_backend *b, unsigned n, uint32_t *slot, uint32_t size)
{
	uint64_t next[MAX], skip[MAX], due[MAX] = {0}, heaviest = 0;
	uint32_t left = size;

	for (unsigned i = 0; i < n; i++) {
		uint64_t who = mix(((uint64_t)__builtin_bswap32(ip_to4(b[i].address)) << 16) + b[i].port + 1);

		next[i] = who % size;
		skip[i] = mix(who + UINT64_C(0x9e3779b97f4a7c15)) % (size - 1) + 1;
		heaviest = b[i].weight > heaviest ? b[i].weight : heaviest;
	}
	for (uint32_t i = 0; i < size; i++)
		slot[i] = MAX;
	for (uint64_t round = 0; left; round++)
		for (unsigned i = 0; i < n && left; i++) {
			if (!b[i].weight || round * b[i].weight < due[i])
				continue;
			due[i] += heaviest;
			while (slot[next[i]] != MAX)
				next[i] = (next[i] + skip[i]) % size;
			slot[next[i]] = b[i].id;
			left--;
		}
}

static unsigned draw(unsigned below)
{
	static uint32_t state = 1;

	state = state * 1664525 + 1013904223;
	return (unsigned)((uint64_t)state * below >> 32);
}

/* Backends come, go, and change their weights; all hosts, whatever they knew before, have this table. */
static void test_every_set_of_backends_has_one_table(void **state)
{
	static const uint16_t weights[] = {0, 1, 1, 1, 2, 7, 100, UINT16_MAX};
	enum { WEIGHTS = sizeof(weights) / sizeof(weights[0]), CHANGES = 60 };
	struct maglev_backend all[MAX], b[MAX];
	uint32_t *slot = calloc(MAGLEV_SIZE_MAX, sizeof(*slot));
	bool there[MAX] = {false};

	assert_non_null(slot);
	make(all, MAX);
	for (unsigned change = 0; change < CHANGES; change++) {
		unsigned n = 0, active = 0, some = 1 + draw(change < CHANGES / 2 ? 3 : MAX / 4);
		struct maglev *t;

		for (unsigned i = 0; i < some; i++) {
			unsigned which = draw(MAX);

			there[which] = !there[which];
			all[which].weight = weights[draw(WEIGHTS)];
			all[which].port = (uint16_t)(1 + draw(UINT16_MAX));
		}
		for (unsigned i = 0; i < MAX; i++)
			if (there[i]) {
				active += all[i].weight > 0;
				b[n++] = all[i];
			}
		t = maglev_build(b, n);
		assert_int_equal(t != NULL, active > 0);
		if (!t)
			continue;
		fill_plainly(b, n, slot, t->size);
		for (uint32_t i = 0; i < t->size; i++)
			assert_int_equal(maglev_at(t, i), slot[i]);
		free(t);
	}
	free(slot);
}

/* Clients that differ in their port only spread over the table: chi-square over 16 parts, 15 degrees of
 * freedom. */
static void test_hash_spreads_neighbouring_flows(void **state)
{
	enum { FLOWS = 16000, PARTS = 16 };
	unsigned part[PARTS] = {0};
	double chi = 0;

	for (unsigned i = 0; i < FLOWS; i++)
		part[maglev_hash(0x0a0000050a000064,
			     (uint64_t)__builtin_bswap16((uint16_t)(32768 + i)) << 32 | 6) >>
			28]++;
	for (unsigned i = 0; i < PARTS; i++)
		chi += ((double)part[i] - 1000) * ((double)part[i] - 1000) / 1000;
	assert_true(chi < 45); /* exceeded by one random hash in ten thousand */
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_size_fits_the_number),
		cmocka_unit_test(test_equal_weights_share_equally),
		cmocka_unit_test(test_weights_give_shares),
		cmocka_unit_test(test_the_lightest_has_a_slot),
		cmocka_unit_test(test_none_active_is_no_table),
		cmocka_unit_test(test_a_lost_backend_moves_few_others),
		cmocka_unit_test(test_two_hosts_build_the_same_table),
		cmocka_unit_test(test_every_set_of_backends_has_one_table),
		cmocka_unit_test(test_hash_spreads_neighbouring_flows),
	};

	return cmocka_run_group_tests_name("maglev", tests, NULL, NULL);
}

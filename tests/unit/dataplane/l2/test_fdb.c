/* The MAC table: find, learn, move, stay static, fill up, forget. */
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "dataplane/l2/fdb.h"
#include "tests/unit/unit.h"

static uint64_t key_of(uint32_t i)
{
	uint8_t mac[6] = {2, 0, (uint8_t)(i >> 24), (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i};

	return fdb_key(7, mac);
}

static struct fdb *table(uint32_t entries)
{
	struct fdb *fdb;

	assert_int_equal(fdb_open(entries, &fdb), 0);
	return fdb;
}

/* Learns a MAC; false: there was no room. */
static bool learn(struct fdb *fdb, uint64_t key, uint16_t target, uint8_t flags, uint16_t now, uint16_t gen)
{
	struct fdb_seen seen = {.target = target, .flags = flags, .now = now, .gen = gen};
	uint64_t was;

	return fdb_learn(fdb, key, &seen, &was) <= FDB_MOVED;
}

static void test_learn_and_find(void **state)
{
	struct fdb *fdb = table(65536);
	uint64_t value;

	assert_int_equal(fdb_lookup(fdb, key_of(1)), FDB_NONE);
	for (uint32_t i = 0; i < 65536; i++)
		assert_true(learn(fdb, key_of(i), (uint16_t)i, i & 1 ? FDB_VTEP : 0, 9, 3));
	for (uint32_t i = 0; i < 65536; i++) {
		value = fdb_lookup(fdb, key_of(i));
		assert_int_equal(fdb_target(value), (uint16_t)i);
		assert_int_equal(fdb_tick(value), 9);
		assert_int_equal(fdb_gen(value), 3);
		assert_int_equal(fdb_flags(value), FDB_VALID | (i & 1 ? FDB_VTEP : 0));
	}
	fdb_close(fdb);
}

static void test_move_and_generation(void **state)
{
	struct fdb *fdb = table(64);

	learn(fdb, key_of(1), 10, 0, 1, 0);
	learn(fdb, key_of(1), 11, 0, 2, 0);
	assert_int_equal(fdb_target(fdb_lookup(fdb, key_of(1))), 11);
	assert_true(fdb_alive(fdb_lookup(fdb, key_of(1)), 0));
	assert_false(fdb_alive(fdb_lookup(fdb, key_of(1)), 1));
	fdb_close(fdb);
}

static void test_static_stays(void **state)
{
	struct fdb *fdb = table(64);

	learn(fdb, key_of(1), 10, 0, 1, 0);
	assert_int_equal(fdb_add_static(fdb, key_of(1), 20, 0), 0);
	assert_int_equal(fdb_add_static(fdb, key_of(1), 21, 0), -EEXIST);
	assert_true(learn(fdb, key_of(1), 10, 0, 2, 5));
	assert_int_equal(fdb_target(fdb_lookup(fdb, key_of(1))), 20);
	assert_true(fdb_alive(fdb_lookup(fdb, key_of(1)), 5));
	assert_int_equal(fdb_remove(fdb, key_of(1)), 0);
	assert_int_equal(fdb_remove(fdb, key_of(1)), -ENOENT);
	assert_int_equal(fdb_lookup(fdb, key_of(1)), FDB_NONE);
	fdb_close(fdb);
}

/* What two workers that learn one MAC at the same instant may leave behind. */
static void put_second_copy(struct fdb *fdb, uint64_t key, uint64_t value)
{
	struct fdb_bucket *bucket = fdb_first(fdb, fdb_hash(fdb, key));

	assert_int_equal(fdb_way(bucket, key), 0); /* before it */
	atomic_store(&bucket->value[1], value);
	atomic_store(&bucket->key[1], key);
}

static bool count_entry(void *arg, uint64_t key, uint64_t value)
{
	++*(unsigned *)arg;
	return false;
}

static void test_a_second_copy_is_never_shown(void **state)
{
	struct fdb *fdb = table(64);
	struct fdb_bucket *bucket = fdb_first(fdb, fdb_hash(fdb, key_of(1)));
	unsigned shown = 0;
	uint64_t value;

	learn(fdb, key_of(1), 10, 0, 1, 0);
	value = fdb_lookup(fdb, key_of(1));
	put_second_copy(fdb, key_of(1), value);
	fdb_scan(fdb, 0, fdb_buckets(fdb), count_entry, &shown);
	assert_int_equal(shown, 1);
	assert_int_equal(atomic_load(&bucket->key[1]), 0);

	/* a static one is what control asked for, and stays */
	put_second_copy(fdb, key_of(1), value | (uint64_t)FDB_STATIC << 48);
	fdb_scan(fdb, 0, fdb_buckets(fdb), count_entry, &shown);
	shown = 0;
	fdb_scan(fdb, 0, fdb_buckets(fdb), count_entry, &shown);
	assert_int_equal(shown, 1);
	assert_true(fdb_flags(fdb_lookup(fdb, key_of(1))) & FDB_STATIC);
	assert_int_equal(fdb_remove(fdb, key_of(1)), 0);
	assert_int_equal(fdb_lookup(fdb, key_of(1)), FDB_NONE);
	fdb_close(fdb);
}

static void test_a_full_table_refuses_and_keeps_its_entries(void **state)
{
	struct fdb *fdb = table(64);
	uint32_t learned = 0, found = 0;

	for (uint32_t i = 0; i < 1024; i++)
		learned += learn(fdb, key_of(i), 1, 0, 1, 0);
	assert_int_equal(learned, 64);
	for (uint32_t i = 0; i < 1024; i++)
		found += fdb_lookup(fdb, key_of(i)) != FDB_NONE;
	assert_int_equal(found, learned);
	fdb_close(fdb);
}

/* Keys of which each has the first bucket of key_of(0), as an attacker who knew the secret would find them. */
static void find_colliding(const struct fdb *fdb, uint64_t *keys, unsigned n)
{
	const struct fdb_bucket *bucket = fdb_first(fdb, fdb_hash(fdb, key_of(0)));
	unsigned found = 0;

	for (uint32_t i = 1; found < n; i++)
		if (fdb_first(fdb, fdb_hash(fdb, key_of(i))) == bucket)
			keys[found++] = key_of(i);
}

/*
 * 64 keys of one bucket of 512, under another secret: a good hash leaves 64/512 of them in one with key 0, each
 * independently. Eight or more happens once in 10^12 tables.
 */
static void test_colliding_keys_spread_under_another_secret(void **state)
{
	enum { COLLIDING = 64, TABLES = 50 };
	struct fdb *fdb = table(1024), *other;
	uint64_t keys[COLLIDING];

	assert_int_equal(fdb_buckets(fdb), 512);
	find_colliding(fdb, keys, COLLIDING);
	for (unsigned t = 0; t < TABLES; t++) {
		const struct fdb_bucket *bucket;
		unsigned still = 0, pairs = 0;

		other = table(1024);
		bucket = fdb_first(other, fdb_hash(other, key_of(0)));
		for (unsigned i = 0; i < COLLIDING; i++)
			still += fdb_first(other, fdb_hash(other, keys[i])) == bucket;
		assert_in_range(still, 0, 7);
		for (unsigned i = 1; i < COLLIDING; i++)
			pairs += fdb_first(other, fdb_hash(other, keys[i])) ==
				 fdb_first(other, fdb_hash(other, keys[i - 1]));
		assert_in_range(pairs, 0, 7);
		fdb_close(other);
	}
	fdb_close(fdb);
}

/* Differences that collide for one pair of keys are no help with another pair, under the same secret. */
static void test_a_difference_that_collides_once_does_not_again(void **state)
{
	enum { COLLIDING = 64, BASES = 8 };
	struct fdb *fdb = table(1024);
	uint64_t keys[COLLIDING];

	find_colliding(fdb, keys, COLLIDING);
	for (uint32_t base = 1; base <= BASES; base++) {
		uint64_t from = key_of(base * 1000003u);
		unsigned by_xor = 0, by_sum = 0;

		for (unsigned i = 0; i < COLLIDING; i++) {
			uint64_t xored = from ^ keys[i] ^ key_of(0), summed = from + (keys[i] - key_of(0));

			by_xor += fdb_first(fdb, fdb_hash(fdb, xored)) == fdb_first(fdb, fdb_hash(fdb, from));
			by_sum +=
				fdb_first(fdb, fdb_hash(fdb, summed)) == fdb_first(fdb, fdb_hash(fdb, from));
		}
		assert_in_range(by_xor, 0, 7);
		assert_in_range(by_sum, 0, 7);
	}
	fdb_close(fdb);
}

static bool older_than(void *arg, uint64_t key, uint64_t value)
{
	return fdb_tick(value) < *(uint16_t *)arg;
}

static void test_scan_removes(void **state)
{
	struct fdb *fdb = table(1024);
	uint16_t limit = 500;

	for (uint32_t i = 0; i < 1000; i++)
		learn(fdb, key_of(i), 1, 0, (uint16_t)i, 0);
	fdb_scan(fdb, 0, UINT32_MAX, older_than, &limit);
	for (uint32_t i = 0; i < 1000; i++)
		assert_int_equal(fdb_lookup(fdb, key_of(i)) != FDB_NONE, i >= 500);
	fdb_close(fdb);
}

/* Two learners over the same keys and a reader: what the reader finds is always one of the two truths for
 * that key. */
enum { RACE_KEYS = 512, RACE_ROUNDS = 400 };

struct racer {
	struct fdb *fdb;
	uint16_t base;
};

static void *learner(void *arg)
{
	struct racer *r = arg;

	for (unsigned round = 0; round < RACE_ROUNDS; round++)
		for (uint32_t i = 0; i < RACE_KEYS; i++) {
			learn(r->fdb, key_of(i), (uint16_t)(r->base + i), 0, (uint16_t)round, 0);
			if (i % 7 == round % 7)
				fdb_remove(r->fdb, key_of(i));
		}
	return NULL;
}

static void test_workers_that_learn_the_same_macs_at_once(void **state)
{
	struct fdb *fdb = table(RACE_KEYS / 2);
	struct racer racer[2] = {{fdb, 0}, {fdb, 10000}};
	pthread_t thread[2];
	unsigned wrong = 0;

	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, learner, &racer[i]), 0);
	for (unsigned round = 0; round < RACE_ROUNDS; round++)
		for (uint32_t i = 0; i < RACE_KEYS; i++) {
			uint64_t value = fdb_lookup(fdb, key_of(i));

			if (value != FDB_NONE && fdb_target(value) != i && fdb_target(value) != 10000 + i)
				wrong++;
		}
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(wrong, 0);
	fdb_close(fdb);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_learn_and_find),
		cmocka_unit_test(test_move_and_generation),
		cmocka_unit_test(test_static_stays),
		cmocka_unit_test(test_a_second_copy_is_never_shown),
		cmocka_unit_test(test_a_full_table_refuses_and_keeps_its_entries),
		cmocka_unit_test(test_colliding_keys_spread_under_another_secret),
		cmocka_unit_test(test_a_difference_that_collides_once_does_not_again),
		cmocka_unit_test(test_scan_removes),
		cmocka_unit_test(test_workers_that_learn_the_same_macs_at_once),
	};

	return cmocka_run_group_tests_name("fdb", tests, NULL, NULL);
}

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "dataplane/core/share.h"
#include "dataplane/core/siphash.h"
#include "dataplane/lb/conn.h"
#include "tests/unit/unit.h"

enum { TCP = 6, UDP = 17, OWNERS = 8 };

static bool nobody_gone(void *arg, uint32_t owner)
{
	return false;
}

static bool owner_gone(void *arg, uint32_t owner)
{
	return owner == *(const uint16_t *)arg;
}

/* Connection number i, towards backend i % OWNERS. */
static struct conn_new number(const struct conn_table *t, uint32_t i, uint8_t proto, uint32_t now_s)
{
	uint32_t client = 0x0a000000 + i, backend = 0x0b000000 + i % OWNERS;
	struct conn_new c = {
		.key = {conn_key(CONN_FORWARD, 1, proto, client, 99, 1000, 80),
			conn_key(CONN_REPLY, 1, proto, backend, client, 8080, 1000)},
		.end = {{backend, 8080, (uint16_t)(i % OWNERS)}, {99, 80, (uint16_t)(i % OWNERS)}},
		.now_s = now_s,
	};

	conn_hash(t, c.key, c.hash, 2);
	return c;
}

static int insert(struct conn_table *t, uint32_t i, uint8_t proto, uint32_t now_s)
{
	struct conn_new c = number(t, i, proto, now_s);
	struct conn_hit hit;

	return conn_insert(t, &c, &hit);
}

static bool find(struct conn_table *t, uint32_t i, uint8_t proto, enum conn_dir dir, struct conn_hit *hit)
{
	struct conn_new c = number(t, i, proto, 0);

	return conn_find(t, &c.key[dir], c.hash[dir], conn_guess(t, c.hash[dir]), hit);
}

/* Makes connection i and brings it to the established state. */
static void establish(struct conn_table *t, uint32_t i, uint8_t proto, uint32_t now_s)
{
	struct conn_hit hit;

	assert_int_equal(insert(t, i, proto, now_s), 0);
	assert_true(find(t, i, proto, CONN_REPLY, &hit));
	conn_packet(&hit, CONN_SEEN, now_s, 60);
	assert_true(find(t, i, proto, CONN_FORWARD, &hit));
	conn_packet(&hit, CONN_SEEN, now_s, 60);
	assert_int_equal(conn_state(t, &hit), DP_CONN_ESTABLISHED);
}

static void test_both_sides_are_found(void **state)
{
	struct conn_table *t = conn_open(100, OWNERS);
	struct conn_hit hit;

	assert_int_equal(insert(t, 3, TCP, 1), 0);
	assert_true(find(t, 3, TCP, CONN_FORWARD, &hit));
	assert_int_equal(hit.end.ip, 0x0b000003);
	assert_int_equal(hit.end.port, 8080);
	assert_int_equal(hit.end.owner, 3);
	assert_true(find(t, 3, TCP, CONN_REPLY, &hit));
	assert_int_equal(hit.end.ip, 99);
	assert_int_equal(hit.end.port, 80);
	assert_int_equal(hit.end.owner, 3);
	assert_false(find(t, 4, TCP, CONN_FORWARD, &hit));
	assert_false(find(t, 3, UDP, CONN_FORWARD, &hit));
	conn_close(t);
}

static void test_removed_connections_are_gone_and_their_entries_reused(void **state)
{
	struct conn_table *t = conn_open(1, OWNERS);
	struct conn_hit hit, old;

	for (uint32_t i = 0; i < 1000; i++) {
		establish(t, i, TCP, 1);
		assert_int_equal(conn_count(t), 1);
		assert_int_equal(insert(t, i + 1, TCP, 1), -ENOSPC);
		assert_true(find(t, i, TCP, CONN_REPLY, &hit));
		old = hit;
		conn_remove(t, &hit);
		conn_remove(t, &old); /* of a connection that is no more: nothing happens */
		assert_false(find(t, i, TCP, CONN_FORWARD, &hit));
		assert_false(find(t, i, TCP, CONN_REPLY, &hit));
		assert_int_equal(conn_count(t), 0);
	}
	conn_close(t);
}

static void test_full_table_finds_all(void **state)
{
	enum { N = 20000 };
	struct conn_table *t = conn_open(N, OWNERS);
	struct conn_hit hit;
	uint32_t refused = 0;

	for (uint32_t i = 0; i < N; i++) {
		if (insert(t, i, TCP, 1) == 0)
			continue;
		refused++;
	}
	assert_int_equal(refused, 0);
	assert_int_equal(conn_count(t), N);
	for (uint32_t i = 0; i < N; i++) {
		assert_true(find(t, i, TCP, CONN_FORWARD, &hit));
		assert_true(find(t, i, TCP, CONN_REPLY, &hit));
	}
	conn_close(t);
}

static void test_flood_takes_new_ones_never_established_ones(void **state)
{
	enum { N = 1000 };
	struct conn_table *t = conn_open(N, OWNERS);
	struct conn_hit hit;

	for (uint32_t i = 0; i < N / 2; i++)
		establish(t, i, TCP, 1);
	for (uint32_t i = N; i < 20 * N; i++)
		insert(t, i, TCP, 1);
	assert_in_range(conn_count(t), N - OWNERS, N);
	for (uint32_t i = 0; i < N / 2; i++)
		assert_true(find(t, i, TCP, CONN_FORWARD, &hit));
	assert_true(find(t, 20 * N - 1, TCP, CONN_FORWARD, &hit));
	conn_close(t);
}

static void test_established_fill_the_table(void **state)
{
	enum { N = 1000 };
	struct conn_table *t = conn_open(N, OWNERS);
	struct conn_hit hit;

	for (uint32_t i = 0; i < N; i++)
		establish(t, i, TCP, 1);
	assert_int_equal(insert(t, N, TCP, 1), -ENOSPC);
	assert_int_equal(insert(t, N, TCP, 7400), -ENOSPC);
	for (uint32_t i = 0; i < N; i++)
		assert_true(find(t, i, TCP, CONN_FORWARD, &hit));
	assert_int_equal(insert(t, N, TCP, 7500), 0); /* idle for more than 2 hours 4 minutes */
	conn_close(t);
}

static void test_state_follows_the_flags_of_both_sides(void **state)
{
	static const struct {
		uint8_t client, backend;
		enum dp_conn_state state;
	} cases[] = {
		{0, 0, DP_CONN_NEW},
		{CONN_SEEN, 0, DP_CONN_NEW},
		{0, CONN_SEEN, DP_CONN_NEW},
		{CONN_SEEN, CONN_SEEN, DP_CONN_ESTABLISHED},
		{CONN_SEEN | CONN_FIN, CONN_SEEN, DP_CONN_ESTABLISHED},
		{CONN_SEEN | CONN_FIN, CONN_SEEN | CONN_FIN, DP_CONN_CLOSING},
		{CONN_SEEN | CONN_RST, CONN_SEEN, DP_CONN_CLOSING},
		{0, CONN_SEEN | CONN_RST, DP_CONN_CLOSING},
	};
	struct conn_table *t = conn_open(100, OWNERS);

	for (uint32_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct conn_hit hit;

		assert_int_equal(insert(t, i, TCP, 1), 0);
		assert_true(find(t, i, TCP, CONN_FORWARD, &hit));
		conn_packet(&hit, cases[i].client, 1, 60);
		assert_true(find(t, i, TCP, CONN_REPLY, &hit));
		conn_packet(&hit, cases[i].backend, 1, 60);
		assert_int_equal(conn_state(t, &hit), cases[i].state);
	}
	conn_close(t);
}

static void test_idle_ones_end(void **state)
{
	struct conn_table *t = conn_open(100, OWNERS);
	struct conn_hit hit;

	assert_int_equal(insert(t, 1, TCP, 10), 0);
	establish(t, 2, TCP, 10);
	establish(t, 3, UDP, 10);
	assert_true(conn_expire(t, 40, UINT32_MAX, nobody_gone, NULL));
	assert_int_equal(conn_count(t), 3);
	conn_expire(t, 41, UINT32_MAX, nobody_gone, NULL);
	assert_int_equal(conn_count(t), 2);
	conn_expire(t, 130, UINT32_MAX, nobody_gone, NULL);
	assert_int_equal(conn_count(t), 2);
	conn_expire(t, 131, UINT32_MAX, nobody_gone, NULL);
	assert_int_equal(conn_count(t), 1);
	assert_true(find(t, 2, TCP, CONN_REPLY, &hit));
	conn_packet(&hit, CONN_FIN, 1000, 60);
	conn_expire(t, 1240, UINT32_MAX, nobody_gone, NULL);
	assert_int_equal(conn_count(t), 1);
	conn_expire(t, 1241, UINT32_MAX, nobody_gone, NULL);
	assert_int_equal(conn_count(t), 0);
	conn_close(t);
}

static int ask(struct conn_table *t, uint32_t i, uint32_t now_s)
{
	struct conn_new c = number(t, i, TCP, now_s);
	struct conn_hit hit;

	c.flags[CONN_REPLY] = CONN_ASKED;
	return conn_insert(t, &c, &hit);
}

/* One that waits for its first answer is withdrawn when it makes room, not when its time is over. */
static void test_only_early_ends_are_withdrawn(void **state)
{
	struct conn_table *t = conn_open(1, OWNERS);
	struct conn_hit hit;

	assert_int_equal(ask(t, 0, 1), 0);
	assert_int_equal(ask(t, OWNERS, 1), 0);
	assert_int_equal(conn_withdrawn_of(t, 0), 1);
	conn_expire(t, 100, UINT32_MAX, nobody_gone, NULL);
	assert_int_equal(conn_count(t), 0);
	assert_int_equal(conn_withdrawn_of(t, 0), 1);
	assert_int_equal(ask(t, 0, 100), 0);
	assert_true(find(t, 0, TCP, CONN_REPLY, &hit));
	assert_true(conn_packet(&hit, CONN_SEEN, 100, 60));
	assert_false(conn_packet(&hit, CONN_SEEN, 101, 60));
	assert_int_equal(ask(t, OWNERS, 101), 0); /* in its place: it had its answer */
	assert_int_equal(conn_withdrawn_of(t, 0), 1);
	assert_int_equal(insert(t, 2 * OWNERS, TCP, 101), 0);
	assert_int_equal(conn_withdrawn_of(t, 0), 2);
	assert_int_equal(insert(t, 0, TCP, 101), 0); /* one of which no answer was expected */
	assert_int_equal(conn_withdrawn_of(t, 0), 2);
	conn_close(t);
}

static void test_one_direction_keeps_it_alive(void **state)
{
	struct conn_table *t = conn_open(100, OWNERS);
	struct conn_hit hit;

	establish(t, 1, UDP, 10);
	for (uint32_t now = 110; now < 1000; now += 100) {
		assert_true(find(t, 1, UDP, CONN_REPLY, &hit));
		conn_packet(&hit, CONN_SEEN, now, 60);
		conn_expire(t, now + 20, UINT32_MAX, nobody_gone, NULL);
	}
	assert_int_equal(conn_count(t), 1);
	conn_close(t);
}

static void test_connections_of_gone_owners_end(void **state)
{
	struct conn_table *t = conn_open(100, OWNERS);
	uint16_t gone = 2;

	for (uint32_t i = 0; i < 3 * OWNERS; i++)
		establish(t, i, TCP, 1);
	assert_int_equal(conn_count_of(t, gone), 3);
	for (unsigned calls = 1; !conn_expire(t, 1, 5, owner_gone, &gone); calls++)
		assert_in_range(calls, 1, 5);
	assert_int_equal(conn_count_of(t, gone), 0);
	assert_int_equal(conn_count(t), 3 * (OWNERS - 1));
	conn_close(t);
}

/* Owners of all numbers are counted, also those that 16 bits do not hold. */
static void test_connections_of_high_owners_are_counted_once(void **state)
{
	static const uint32_t owners[] = {0, 1, 0xffff, 0x10000, 0x10001, CONN_OWNERS_MAX - 1};
	struct conn_table *t = conn_open(100, CONN_OWNERS_MAX);
	struct conn_hit hit;

	assert_non_null(t);
	for (uint32_t i = 0; i < sizeof(owners) / sizeof(owners[0]); i++) {
		struct conn_new c = number(t, i, TCP, 1);

		c.end[0].owner = c.end[1].owner = owners[i];
		assert_int_equal(conn_insert(t, &c, &hit), 0);
		assert_int_equal(conn_count_of(t, owners[i]), 1);
		assert_int_equal(conn_count(t), i + 1);
	}
	conn_close(t);
}

static bool add_up(void *arg, const struct conn_info *info)
{
	struct conn_info *sum = arg;

	sum->packets += info->packets;
	sum->bytes += info->bytes;
	sum->made_s += info->made_s;
	sum->seen_s += info->seen_s;
	assert_int_equal(info->key[CONN_FORWARD].addresses & UINT32_MAX, 99);
	assert_int_equal(info->end[CONN_REPLY].ip, 99);
	assert_int_equal(info->state, DP_CONN_ESTABLISHED);
	return true;
}

static void test_walk_shows_all(void **state)
{
	struct conn_table *t = conn_open(100, OWNERS);
	struct conn_info sum = {0};

	for (uint32_t i = 0; i < 10; i++)
		establish(t, i, TCP, i);
	conn_walk_part(t, &(uint64_t){0}, UINT32_MAX, add_up, &sum);
	assert_int_equal(sum.packets, 20);
	assert_int_equal(sum.bytes, 1200);
	assert_int_equal(sum.made_s, 45);
	assert_int_equal(sum.seen_s, 45);
	conn_close(t);
}

/* SipHash of 16 bytes 0, 1 ... 15 under the key 0, 1 ... 15: the authors' vector for c = 2, d = 4. */
static void test_hash_is_siphash(void **state)
{
	const uint64_t key[2] = {UINT64_C(0x0706050403020100), UINT64_C(0x0f0e0d0c0b0a0908)};

	assert_int_equal(siphash(key, key[0], key[1], 2, 4), UINT64_C(0x3f2acc7f57c29bdb));
}

static void test_hashes_do_not_depend_on_how_many(void **state)
{
	struct conn_table *t = conn_open(100, OWNERS);
	struct conn_key keys[32];
	uint64_t one[32], many[33];

	for (uint32_t i = 0; i < 32; i++) {
		keys[i] = number(t, i, TCP, 0).key[i & 1];
		conn_hash(t, &keys[i], &one[i], 1);
	}
	for (unsigned n = 1; n <= 32; n++) {
		many[n] = 77;
		conn_hash(t, keys, many, n);
		assert_memory_equal(one, many, n * sizeof(*one));
		assert_int_equal(many[n], 77);
	}
	conn_close(t);
}

/* Those of a burst of IPv6 are those of its packets one by one. */
static void test_hashes6_do_not_depend_on_how_many(void **state)
{
	struct conn_table *t = conn_open(100, OWNERS);
	struct conn_words6 words;
	uint64_t one[32], many[33];

	for (unsigned i = 0; i < 32; i++) {
		const struct ip_addr src = {.q = {i, 1}}, dst = {.q = {2, i * i}};
		struct conn_key key = conn_key6(t, i & 1, 3, TCP, src, dst, (uint16_t)i, 80);

		for (unsigned k = 0; k < 2; k++) {
			words.src[k][i] = src.q[k];
			words.dst[k][i] = dst.q[k];
		}
		words.rest[i] = key.rest;
		one[i] = key.addresses;
	}
	for (unsigned n = 0; n <= 32; n++) {
		many[n] = 77;
		conn_hash6(t, &words, many, n);
		assert_memory_equal(one, many, n * sizeof(*one));
		assert_int_equal(many[n], 77);
	}
	conn_close(t);
}

/*
 * Threads that make, use and end connections of a table far too small for them, while control ages it.
 * Whatever is found must belong to the key that it was found by.
 */
enum { THREADS = 4, ROUNDS = 100000, SHARED = 64 };

struct racer {
	struct conn_table *t;
	uint32_t seed;
	bool wrong;
};

static void race_one(struct racer *r, uint32_t i, enum conn_dir dir, unsigned what)
{
	struct conn_hit hit;

	if (!find(r->t, i, TCP, dir, &hit)) {
		insert(r->t, i, TCP, 1);
		return;
	}
	if (hit.end.owner != i % OWNERS || hit.end.ip != (dir == CONN_FORWARD ? 0x0b000000 + i % OWNERS : 99))
		r->wrong = true;
	if (what % 4 == 0)
		conn_remove(r->t, &hit);
	else
		conn_packet(&hit, what % 4 == 1 ? CONN_SEEN : 0, what % 64, 60);
}

static void *race(void *arg)
{
	struct racer *r = arg;

	for (unsigned k = 0; k < ROUNDS; k++) {
		r->seed = r->seed * 1664525 + 1013904223;
		race_one(r, (r->seed >> 8) % SHARED, (r->seed >> 16) & 1, r->seed >> 20);
	}
	return NULL;
}

static void test_threads_find_only_connections_of_their_key(void **state)
{
	struct conn_table *t = conn_open(SHARED / 4, OWNERS);
	struct racer racer[THREADS];
	pthread_t thread[THREADS];
	uint16_t gone = 1;
	struct conn_info sum = {0};

	for (uint32_t i = 0; i < THREADS; i++) {
		racer[i] = (struct racer){t, i, false};
		assert_int_equal(pthread_create(&thread[i], NULL, race, &racer[i]), 0);
	}
	for (uint32_t now = 0; now < 2000; now++)
		conn_expire(t, now % 64, UINT32_MAX, owner_gone, &gone);
	for (uint32_t i = 0; i < THREADS; i++) {
		pthread_join(thread[i], NULL);
		assert_false(racer[i].wrong);
	}
	conn_expire(t, 100000, UINT32_MAX, nobody_gone, NULL);
	assert_int_equal(conn_count(t), 0);
	conn_walk_part(t, &(uint64_t){0}, UINT32_MAX, add_up, &sum);
	assert_int_equal(sum.packets, 0);
	/* as control does each second: threads that meet leave it off by one */
	share_recount(conn_share(t));
	for (uint32_t i = 0; i < SHARED / 4; i++) /* no entry was lost */
		assert_int_equal(insert(t, 1000 + i, TCP, 100000), 0);
	assert_int_equal(conn_count(t), SHARED / 4);
	conn_close(t);
}

/* Of an owner's number no bit is lost where it is asked whose a place is. */
static void test_who_has_its_share_gets_a_place_of_its_own(void **state)
{
	enum { HIGH = 0x10003 };
	struct conn_table *t = conn_open(1, HIGH + 1);
	struct conn_hit hit;

	assert_non_null(t);
	for (uint32_t i = 0; i < 3; i++) {
		struct conn_new c = number(t, i, TCP, 100);

		c.full = i > 0;
		c.end[CONN_FORWARD].owner = c.end[CONN_REPLY].owner = i < 2 ? HIGH : HIGH & UINT16_MAX;
		assert_int_equal(conn_insert(t, &c, &hit), i < 2 ? 0 : -ENOSPC);
	}
	assert_int_equal(conn_count_of(t, HIGH), 1);
	conn_close(t);
}

static void test_impossible_sizes_are_refused(void **state)
{
	assert_null(conn_open(0, OWNERS));
	assert_null(conn_open(CONN_SIZE_MAX + 1u, OWNERS));
	assert_null(conn_open(1, CONN_OWNERS_MAX + 1u));
	conn_close(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_sides_are_found),
		cmocka_unit_test(test_removed_connections_are_gone_and_their_entries_reused),
		cmocka_unit_test(test_full_table_finds_all),
		cmocka_unit_test(test_flood_takes_new_ones_never_established_ones),
		cmocka_unit_test(test_established_fill_the_table),
		cmocka_unit_test(test_state_follows_the_flags_of_both_sides),
		cmocka_unit_test(test_idle_ones_end),
		cmocka_unit_test(test_only_early_ends_are_withdrawn),
		cmocka_unit_test(test_one_direction_keeps_it_alive),
		cmocka_unit_test(test_connections_of_gone_owners_end),
		cmocka_unit_test(test_connections_of_high_owners_are_counted_once),
		cmocka_unit_test(test_walk_shows_all),
		cmocka_unit_test(test_hash_is_siphash),
		cmocka_unit_test(test_hashes_do_not_depend_on_how_many),
		cmocka_unit_test(test_hashes6_do_not_depend_on_how_many),
		cmocka_unit_test(test_threads_find_only_connections_of_their_key),
		cmocka_unit_test(test_who_has_its_share_gets_a_place_of_its_own),
		cmocka_unit_test(test_impossible_sizes_are_refused),
	};

	return cmocka_run_group_tests_name("conn", tests, NULL, NULL);
}
